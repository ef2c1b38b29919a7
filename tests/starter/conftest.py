# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_starter.head.anny_source import AnnySource
from mien_starter.world import World
from mien_starter.world.assets import WEIGHTS


@pytest.fixture(scope="session")
def head_file() -> dict[str, np.ndarray]:
    """Arrays of the shipped head, as they are stored."""
    with np.load(WEIGHTS / "head.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def anny_source() -> AnnySource:
    return AnnySource()


@pytest.fixture(scope="session")
def world() -> World:
    """Large enough for a face detector, small enough to be quick."""
    return World(192)
