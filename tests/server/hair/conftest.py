# SPDX-License-Identifier: Apache-2.0
"""A library with two shipped hairstyles, in a folder of the test."""

import numpy as np
import pytest

from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import write_index
from mien_server.hair.style_files import style_file_bytes
from tests.server.hair.planted_hair import mean_head
from tests.server.hair.planted_library import LONG, SHORT, entry_of


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    cells = np.arange(30)
    short, long = style_file_bytes(SHORT, cells), style_file_bytes(LONG)
    (folder / "short.npz").write_bytes(short)
    (folder / "long.npz").write_bytes(long)
    (folder / "short.png").write_bytes(b"a picture")
    write_index(folder, (entry_of("short", short, thumbnail="short.png"), entry_of("long", long)))
    return folder


@pytest.fixture
def library(shipped, tmp_path):
    return HairstyleLibrary(shipped, tmp_path / "own", mean_head())


@pytest.fixture
def quick(monkeypatch):
    """No pictures: they take most of the time of `add`."""
    monkeypatch.setattr("mien_server.hair.library.strand_picture_png", lambda *_: b"picture")
