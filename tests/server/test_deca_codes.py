# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.deca_codes import CODE_COUNT, CODE_PARTS, code_parts, head_inputs, with_parts

# Each code is its own index, so that it is seen where it goes; zero would be a filler.
CODES = np.arange(1, CODE_COUNT + 1, dtype=np.float32)[None].repeat(2, axis=0)


def test_the_parts_cover_the_code_in_decas_order():
    sizes = {"shape": 100, "texture": 50, "expression": 50, "pose": 6, "camera": 3, "light": 27}

    assert {name: part.stop - part.start for name, part in CODE_PARTS.items()} == sizes
    np.testing.assert_array_equal(np.concatenate([*code_parts(CODES).values()], axis=1), CODES)


def test_the_head_gets_its_components_padded_with_zeros():
    inputs = head_inputs(CODES)

    assert {name: array.shape for name, array in inputs.items()} == {
        "shape": (2, 300), "expression": (2, 100), "pose": (2, 15),
    }  # fmt: skip
    np.testing.assert_array_equal(inputs["shape"][1, :100], np.arange(1, 101))
    np.testing.assert_array_equal(inputs["expression"][1, :50], np.arange(151, 201))
    assert not inputs["shape"][:, 100:].any()
    assert not inputs["expression"][:, 50:].any()


def test_the_six_values_of_the_pose_turn_the_head_and_the_jaw():
    pose = head_inputs(CODES)["pose"][0]

    np.testing.assert_array_equal(pose[:3], [201, 202, 203])  # the whole head
    np.testing.assert_array_equal(pose[3:6], 0)  # neck
    np.testing.assert_array_equal(pose[6:9], [204, 205, 206])  # jaw
    np.testing.assert_array_equal(pose[9:], 0)  # eyes


def test_parts_of_other_codes_take_the_places_of_these():
    codes, others = np.zeros((2, 236), np.float32), np.ones((2, 236), np.float32)

    mixed = with_parts(codes, others, frozenset({"shape", "light"}))

    expected = np.zeros(236)
    expected[CODE_PARTS["shape"]] = expected[CODE_PARTS["light"]] = 1
    np.testing.assert_array_equal(mixed, np.tile(expected, (2, 1)))
    assert not codes.any()
    with pytest.raises(ValueError, match="no part hair; parts are shape, texture"):
        with_parts(codes, others, frozenset({"hair"}))
