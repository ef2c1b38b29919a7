# SPDX-License-Identifier: Apache-2.0
"""Hair of the photograph on the real server, behind it graphs of hair whose answers are known."""

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from mien import Client
from mien_server.hair.portrait_crop import in_photograph, portrait_window_from_landmarks
from tests.conftest import embedded
from tests.e2e.planted_hair_graphs import STYLE, planted_masks, with_hair_graphs
from tests.e2e.test_create_avatar import HAPPY, PHOTO, create, infer, parts
from tests.photographs import astronaut
from tests.server.avatar.glb_reader import read_glb

pytestmark = [pytest.mark.triton, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(starter_repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own_hair") / "repository"
    with embedded(with_hair_graphs(starter_repository, folder)) as server:
        yield server.grpc_address


@pytest.fixture(scope="module")
def strands(address):
    """The last event of an avatar with its own hair, as strands."""
    return create(address, PHOTO, hairstyle="own", format="ply", level="low")[-1]


def colour_of(ply):
    """(3,) of the first vertex: after x, y and z."""
    return np.frombuffer(ply.split(b"end_header\n", 1)[1], np.uint8)[12:15]


def test_own_hair_is_the_style_that_the_decoder_knows(address, strands):
    shipped = infer(
        address, "try_hairstyle", **parts(strands), hairstyle=STYLE, format="ply", level="low"
    )

    assert strands["file"][0].startswith(b"ply\n")
    assert strands["file"][0] == shipped["file"][0]


def test_hair_has_the_colour_of_what_the_segmenter_calls_hair(address, strands):
    with Client(address) as client:
        landmarks = client.fit(PHOTO).fitted_landmarks_68
    window = portrait_window_from_landmarks(landmarks)
    hair = in_photograph(planted_masks()[0], window, 512, 512) > 0.99
    expected = np.median(np.asarray(astronaut())[hair], axis=0)

    np.testing.assert_allclose(colour_of(strands["file"][0]), expected, atol=2)


def test_own_hair_is_kept_without_the_photograph(address, strands):
    happy = infer(address, "apply_emotion", **parts(strands), emotions=HAPPY)
    bald = infer(address, "try_hairstyle", **parts(strands), hairstyle="none")
    again = infer(
        address, "try_hairstyle", avatar_code=bald["avatar_code"][0],
        texture=strands["texture"][0], hairstyle="own", format="ply", level="low",
    )  # fmt: skip

    assert [mesh.name for mesh in read_glb(happy["file"][0]).gltf.meshes] == ["head", "hair"]
    assert [mesh.name for mesh in read_glb(bald["file"][0]).gltf.meshes] == ["head"]
    assert again["file"][0] == strands["file"][0]


def test_an_avatar_without_its_own_hair_is_told_how_to_get_it(address):
    other = create(address, PHOTO, hairstyle=STYLE, texture_size=256)[-1]

    with pytest.raises(InferenceServerException, match=r"INVALID_OPTION: .*no hair of its own"):
        infer(address, "try_hairstyle", **parts(other), hairstyle="own")
