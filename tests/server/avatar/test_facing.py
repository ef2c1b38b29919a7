# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from mien_server.avatar.facing import check_facing, yaw_deg
from mien_server.errors import ServingError
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.asking import PHOTO, TURNED, asked


def codes_turned(yaw, pitch=0.0, roll=0.0):
    """DECA's codes of a head that turns, then nods, then tilts."""
    turns = [cv2.Rodrigues(np.deg2rad(angles))[0] for angles in
             ([0, yaw, 0], [pitch, 0, 0], [0, 0, roll])]  # fmt: skip
    codes = np.zeros(236, np.float32)
    codes[200:203] = cv2.Rodrigues(turns[2] @ turns[1] @ turns[0])[0][:, 0]
    return codes


@pytest.mark.parametrize("yaw", [-170, -91, -45, -3, 0, 17, 60, 90, 120])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (25, -30), (-60, 75)])
def test_the_turn_is_found_whatever_the_nod_and_the_tilt(yaw, pitch, roll):
    assert yaw_deg(codes_turned(yaw, pitch, roll)) == pytest.approx(yaw, abs=1e-3)


def test_a_turn_to_the_image_s_right_is_positive():
    """The nose of the planted portrait goes where its pose says."""
    head, _ = planted.portrait_of(1)
    nose = planted.landmarks_px(head.vertices_px)[30, 0]
    straight = planted.landmarks_px(planted.portrait_of(0)[0].vertices_px)[30, 0]

    assert yaw_deg(planted.codes_of(1)) == pytest.approx(8, abs=1e-3)
    assert nose > straight


def test_a_turn_within_the_limit_is_let_pass_to_either_side():
    check_facing(np.stack([codes_turned(44.9), codes_turned(-44.9, 30)]), 45)


@pytest.mark.parametrize(("yaw", "side"), [(61.2, "right"), (-61.2, "left")])
def test_a_refusal_says_angle_limit_and_remedy(yaw, side):
    with pytest.raises(ServingError) as refused:
        check_facing(codes_turned(yaw)[None], 45)

    assert refused.value.code == "FACE_TURNED_AWAY"
    assert f"turned by 61 degrees to the image's {side}" in refused.value.text
    assert "at most 45; send a photograph" in refused.value.text


def test_no_avatar_is_made_with_a_photograph_from_too_far_aside():
    alone = asked(TURNED, helpers={"max_yaw_deg": 7})
    second = asked(PHOTO, TURNED, helpers={"max_yaw_deg": 7})

    assert alone.refusal.code == second.refusal.code == "FACE_TURNED_AWAY"
    assert alone.refusal.text.startswith("the face is turned by 8 degrees")
    assert second.refusal.text.startswith("image 2 of 2: the face is turned by 8 degrees")
    assert asked(TURNED, helpers={"max_yaw_deg": 9}).refusal is None
