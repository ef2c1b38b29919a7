# SPDX-License-Identifier: Apache-2.0
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mien_server.avatar.choices import HairForm, Level
from mien_server.avatar.hairdressing import Hairdresser, read_library
from mien_server.avatar.hairstyles_pipeline import hairstyles_answer
from mien_server.errors import ServingError
from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.own_styles import HAIRSTYLES_VARIABLE
from mien_server.hair.placing import placed
from mien_server.hair.strand_formats import data_from_strands
from tests.server.avatar.planted_avatars import SHIPPED, asset, hairdresser, library, texts

OWN = {"title": "Mine", "licence": "private", "author": "me"}


@pytest.fixture
def changeable(tmp_path):
    return HairstyleLibrary(SHIPPED, tmp_path / "own", library().head)


def asked(of, operation, **inputs):
    return hairstyles_answer(
        of,
        {"operation": texts(operation), **{name: texts(value) for name, value in inputs.items()}},
    )


def strand_file():
    return data_from_strands(library().hairstyle("pixie").strands)


def facts(answer):
    return [json.loads(entry) for entry in answer["entries"]]


def test_all_styles_are_listed_with_what_there_is_to_know():
    listed = facts(asked(library(), "list"))

    assert [entry["name"] for entry in listed] == [entry.name for entry in library().entries()]
    assert not any(entry["is_own"] for entry in listed)
    assert listed[0].keys() == {
        "name", "title", "strands", "length_cm", "licence", "author", "is_own",
    }  # fmt: skip


def test_a_style_is_added_shown_and_removed(changeable):
    added = asked(changeable, "add", name="mine", file=strand_file(), **OWN)
    shown = asked(changeable, "preview", name="mine")

    assert facts(added) == facts(shown)
    assert facts(added)[0]["is_own"]
    assert facts(added)[0]["author"] == "me"
    assert Image.open(io.BytesIO(shown["preview"][0])).format == "PNG"
    assert added["preview"][0] == shown["preview"][0]
    assert facts(asked(changeable, "remove", name="mine"))[0]["name"] == "mine"
    assert "mine" not in [entry["name"] for entry in facts(asked(changeable, "list"))]


@pytest.mark.parametrize(
    ("operation", "inputs", "words"),
    [
        ("paint", {}, "'list', 'preview', 'add', 'remove'"),
        ("preview", {}, "no input name"),
        ("preview", {"name": "mullet"}, "'mullet'; it must be one of"),
        ("add", {"name": "mine", **OWN}, "no input file"),
        ("add", {"name": "mine", "file": b"junk"}, "no input title"),
        ("add", {"name": "bob", "file": b"junk", **OWN}, "bob"),
        ("remove", {"name": "bob"}, "stays"),
    ],
)
def test_what_cannot_be_done_is_refused(changeable, operation, inputs, words):
    with pytest.raises(ServingError, match=words) as refused:
        asked(changeable, operation, **inputs)

    assert refused.value.code == "INVALID_OPTION"


def test_a_damaged_strand_file_is_refused(changeable):
    with pytest.raises(ServingError) as refused:
        asked(changeable, "add", name="mine", file=strand_file()[:100], **OWN)

    assert refused.value.code == "INVALID_TENSOR"


def test_a_repository_without_hairstyles_names_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="mien-export build"):
        read_library(tmp_path)


def test_styles_are_added_to_the_folder_that_the_environment_names(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "hairstyles")
    head = asset()
    np.savez(
        tmp_path / "hairstyles" / "head.npz",
        v_template=head.vertices,
        f=head.topology.faces,
        region_scalp=head.scalp,
    )
    environment = {HAIRSTYLES_VARIABLE: str(tmp_path / "own")}

    asked(read_library(tmp_path, environment), "add", name="mine", file=strand_file(), **OWN)

    assert "mine" in [entry.name for entry in read_library(tmp_path, environment).entries()]
    with pytest.raises(ServingError, match="no folder"):
        asked(read_library(tmp_path, {}), "add", name="mine", file=strand_file(), **OWN)


def test_hair_on_the_head_it_was_made_on_stays_where_it_is():
    style = library().hairstyle("bob")

    worn = hairdresser().strands("bob", asset().vertices, Level.HIGH)

    # Drawn strands begin with those of the style, which only have more or fewer points.
    roots = placed(style.strands, library().head, library().head).roots
    np.testing.assert_allclose(worn.roots[: len(roots)], roots, atol=1e-5)


def test_hair_moves_and_grows_with_its_head():
    small = hairdresser().hair("bob", asset().vertices, (0.5, 0.4, 0.3), HairForm.CARDS, Level.LOW)
    shifted = asset().vertices * 1.1 + np.float32([0, 0.2, 0])

    large = hairdresser().hair("bob", shifted, (0.5, 0.4, 0.3), HairForm.CARDS, Level.LOW)

    np.testing.assert_allclose(
        np.ptp(large.vertices, axis=0), 1.1 * np.ptp(small.vertices, axis=0), rtol=0.05
    )
    assert large.vertices[:, 1].mean() > small.vertices[:, 1].mean() + 0.15
    assert large.faces.shape == small.faces.shape


def test_two_hairdressers_give_the_same_hair_whatever_they_did_before():
    other = Hairdresser(library(), asset())
    other.hair("afro", asset().vertices, (0, 0, 0), HairForm.CARDS, Level.LOW)

    pair = [
        each.hair("bob", asset().vertices, (0.5, 0.4, 0.3), HairForm.CARDS, Level.LOW)
        for each in (hairdresser(), other)
    ]

    np.testing.assert_array_equal(pair[0].vertices, pair[1].vertices)
    np.testing.assert_array_equal(pair[0].colour, pair[1].colour)
