# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.avatar.change_options import read_emotion_options, read_hairstyle_options
from mien_server.avatar.choices import Expression, FileFormat, HairForm
from mien_server.avatar.create_options import CreateOptions, read_create_options
from mien_server.errors import ServingError


def given(value):
    if isinstance(value, str):
        value = [value.encode()]
    kind = object if isinstance(value, list) and isinstance(value[0], bytes) else None
    return np.atleast_1d(np.array(value, dtype=kind))


def create(**inputs) -> CreateOptions:
    inputs = {"images": [b"photograph"], **inputs}
    arrays = {name: given(value) for name, value in inputs.items()}
    return read_create_options(arrays, max_images=3)


def test_what_is_left_out_has_the_defaults_of_the_contract():
    options = create()

    assert options.images == (b"photograph",)
    assert options.expression is Expression.DETECTED
    assert (options.hairstyle, options.hair_color, options.texture_size) == ("none", None, 512)
    assert options.detail is None
    assert options.file.hair_form is HairForm.CARDS
    assert options.file.format is FileFormat.GLB
    assert not options.turntable
    assert not options.progress


def test_emotions_are_worn_where_they_are_sent():
    options = create(emotions=np.float32([0, 0.5, 1, 0, 0, 0.25]))

    assert options.expression is Expression.EMOTIONS
    np.testing.assert_array_equal(options.emotions, np.float32([0, 0.5, 1, 0, 0, 0.25]))


HAPPY = np.float32([1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"images": [b"x"] * 4}, "INVALID_TENSOR", "4 photographs; send 1 to 3"),
        ({"emotions": -HAPPY}, "INVALID_OPTION", "happiness is -1"),
        ({"emotions": np.float32([0, np.nan, 0, 0, 0, 0])}, "INVALID_OPTION", "anger is nan"),
        ({"emotions": np.float32([1, 0])}, "INVALID_TENSOR", r"emotions has shape \(2,\)"),
        ({"emotions": HAPPY, "expression": "neutral"}, "INVALID_OPTION", "leave one of them out"),
        ({"expression": "emotions"}, "INVALID_OPTION", "six intensities"),
        ({"expression": "joy"}, "INVALID_OPTION", "'detected', 'neutral', 'emotions'"),
        ({"texture_size": np.int32([300])}, "INVALID_OPTION", "300; .* 256, 512, 1024"),
        ({"texture_size": np.int32([2048])}, "INVALID_OPTION", "texture_size is 2048"),
        ({"hair_color": np.float32([0, 2, 0])}, "INVALID_OPTION", "hair_color is 0, 2, 0"),
        ({"hair_form": "wig"}, "INVALID_OPTION", "'cards', 'strands', 'mesh'"),
        ({"level": "ultra"}, "INVALID_OPTION", "'high', 'medium', 'low'"),
        ({"format": "fbx"}, "INVALID_OPTION", "'glb', 'zip', 'ply'"),
        ({"format": "ply"}, "INVALID_OPTION", "hairstyle is 'none'"),
        ({"format": "zip", "compression": "draco"}, "INVALID_OPTION", "only 'glb'"),
        ({"face_policy": "any"}, "INVALID_OPTION", "'largest', 'single'"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(inputs, code, words):
    with pytest.raises(ServingError, match=words) as refused:
        create(**inputs)

    assert refused.value.code == code


def test_emotions_and_hairstyles_are_read_for_an_avatar_that_is_there():
    emotions = read_emotion_options({"emotions": HAPPY, "output": given("morph")})
    style = read_hairstyle_options({"hairstyle": given("bob"), "format": given("ply")})

    np.testing.assert_array_equal(emotions.emotions, HAPPY)
    assert emotions.output.value == "morph"
    assert (style.hairstyle, style.hair_color) == ("bob", None)
    assert style.file.format is FileFormat.PLY


def test_what_a_change_leaves_out_stays_as_it_is():
    kept = read_hairstyle_options({})

    assert (kept.hairstyle, kept.hair_color, kept.turntable) == (None, None, False)
    assert read_hairstyle_options({"hairstyle": given("")}).hairstyle is None
    assert read_hairstyle_options({"turntable": given([True])}).turntable
    assert read_emotion_options({"emotions": HAPPY, "turntable": given([True])}).turntable
