# SPDX-License-Identifier: Apache-2.0
"""The list of hairstyles in a folder."""

import json

import pytest

from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import read_index
from tests.server.hair.planted_hair import mean_head

GOOD = {
    "name": "a", "title": "A", "file": "a.npz", "sha256": "0" * 64, "thumbnail": "", "strands": 3,
    "length_cm": 4, "licence": "x", "origin": "y",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param('{"version": 2, "styles": []}', id="other version"),
        pytest.param('{"version": 1}', id="no styles"),
        pytest.param(json.dumps({"version": 1, "styles": [GOOD, GOOD]}), id="twice"),
        *[
            pytest.param(json.dumps({"version": 1, "styles": [{**GOOD, key: value}]}), id=key)
            for key, value in {
                "file": "../../etc/passwd",
                "thumbnail": "/etc/passwd",
                "name": "A",
                "sha256": "f" * 63,
                "strands": True,
                "length_cm": -1,
                "licence": None,
            }.items()
        ],
    ],
)
def test_a_damaged_index_is_named_and_not_followed(tmp_path, text):
    (tmp_path / "index.json").write_text(text)

    with pytest.raises(ValueError, match=r"index\.json is damaged"):
        HairstyleLibrary(tmp_path, None, mean_head())


def test_keys_of_a_newer_index_are_left_alone(tmp_path):
    document = {"version": 1, "styles": [{**GOOD, "mood": "cheerful"}], "made": "today"}
    (tmp_path / "index.json").write_text(json.dumps(document))

    assert read_index(tmp_path)[0].name == "a"
