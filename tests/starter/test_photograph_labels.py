# SPDX-License-Identifier: Apache-2.0
"""Labels of photographs against an independent decoder, camera and rasteriser."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mien_starter.degradation import Degradation
from mien_starter.sheets import calm_shot
from tests.export import flame_oracle

WITHOUT_ANNY = """
import sys
import mien_starter.commands.head, mien_starter.head.asset, mien_starter.sheets, mien_starter.world
assert "anny" not in sys.modules, "anny was imported"
"""


def in_pixels(points, camera, side) -> np.ndarray:
    """DECA's camera: x' = s (x + tx), y' = -s (y + ty), over an image of -1..1."""
    scale, right, up = camera.astype(np.float64)
    seen = np.stack([scale * (points[:, 0] + right), -scale * (points[:, 1] + up)], axis=1)
    return (seen * 0.5 + 0.5) * side - 0.5


@pytest.mark.parametrize("key", [(7, 0), (110_004, 3), (110_009, 8), (119_999, 1)])
def test_landmarks_are_those_of_the_head_that_the_labels_describe(world, key):
    taken = world.photograph(*key)

    _, _, points = flame_oracle.decode(world.assets.head, taken.shape, taken.expression, taken.pose)

    expected = in_pixels(points, taken.codes[206:209], world.size)
    np.testing.assert_allclose(taken.landmarks_68, expected, atol=0.02)


@pytest.mark.parametrize("key", [(110_001, 0), (110_002, 5), (110_006, 2)])
def test_skin_is_seen_only_inside_the_silhouette_of_the_head(world, key):
    """Filled triangle by triangle, down to the neck, which photographs continue."""
    taken = world.photograph(*key)
    head = world.assets.head
    vertices, _, _ = flame_oracle.decode(head, taken.shape, taken.expression, taken.pose)
    corners = in_pixels(vertices, taken.codes[206:209], world.size)[head.f]
    silhouette = np.zeros((world.size, world.size), np.uint8)
    for triangle in np.round(corners).astype(np.int32):
        cv2.fillConvexPoly(silhouette, triangle, 1)
    neck = np.unique(head.f[world.assets.island == "neck"])
    above = slice(0, int(in_pixels(vertices[neck], taken.codes[206:209], world.size)[:, 1].min()))
    outside = cv2.dilate(silhouette, np.ones((3, 3), np.uint8)) == 0

    assert taken.face_mask[above].sum() > 500
    assert not (taken.face_mask[above] & outside[above]).any()


@pytest.mark.parametrize("identity", [110_000, 110_003, 110_011])
def test_everything_in_the_mask_is_skin_and_no_cloth_or_hair(world, identity):
    """Whoever has another complexion looks different wherever the mask is."""
    person, shot = world.person(identity), calm_shot(yaw_deg=10, pitch_deg=0)
    darker = person.texture + 2 * np.eye(50, dtype=np.float32)[0]
    background = np.full((world.size, world.size, 3), 0.5, np.float32)
    ours, theirs = (
        world.photograph_of(
            dataclasses.replace(person, texture=texture),
            shot,
            np.random.default_rng(0),
            camera=Degradation(),
            background=background,
        )
        for texture in (person.texture, darker)
    )
    same = np.abs(ours.image_rgb.astype(int) - theirs.image_rgb).max(axis=2) < 2

    np.testing.assert_array_equal(ours.face_mask, theirs.face_mask)
    assert ours.face_mask.sum() > 2000
    # Eyes and mouth are in the mask and no darker.
    assert same[ours.face_mask == 1].mean() < 0.04


@pytest.mark.parametrize("yaw_deg", [-25, 0, 25])
def test_all_landmarks_lie_on_or_beside_visible_skin(world, yaw_deg):
    shot = calm_shot(yaw_deg=yaw_deg, pitch_deg=0)
    taken = world.photograph_of(world.person(110_007), shot, np.random.default_rng(0))
    hull = cv2.convexHull(np.argwhere(taken.face_mask)[:, ::-1].astype(np.float32))

    outside_px = [
        -cv2.pointPolygonTest(hull, (float(x), float(y)), True) for x, y in taken.landmarks_68
    ]
    assert max(outside_px) < 2


def test_everything_is_of_the_stated_shape_type_and_range(world):
    taken = world.photograph(110_002, 0)
    side = world.size
    stated = {
        "image_rgb": ((side, side, 3), np.uint8),
        "codes": ((236,), np.float32),
        "shape": ((300,), np.float32),
        "expression": ((100,), np.float32),
        "pose": ((15,), np.float32),
        "landmarks": ((5, 2), np.float32),
        "landmarks_68": ((68, 2), np.float32),
        "face_mask": ((side, side), np.uint8),
    }

    found = {name: (getattr(taken, name).shape, getattr(taken, name).dtype) for name in stated}

    assert found == stated
    # Image-left comes before image-right, eyes are above the mouth.
    eyes, nose, mouth = taken.landmarks[:2], taken.landmarks[2], taken.landmarks[3:]
    assert eyes[0, 0] < eyes[1, 0]
    assert mouth[0, 0] < mouth[1, 0]
    assert eyes[:, 1].max() < nose[1] < mouth[:, 1].min()
    assert not taken.pose[3:6].any()  # DECA's codes have no neck


def test_nobody_differs_less_from_others_than_from_themselves(world):
    """In metres of the head: shots keep the head, and people are millimetres apart."""
    people = [world.person(110_000 + number) for number in range(12)]
    heads = np.stack(
        [world.assets.decode(p.shape, np.zeros(100, np.float32), np.zeros(15, np.float32))[0]
         for p in people]
    )  # fmt: skip
    off_mm = 1000 * np.linalg.norm(heads[:, None] - heads[None], axis=3).mean(axis=2)
    shots = [world.photograph(110_000, shot) for shot in range(3)]

    assert off_mm[~np.eye(len(people), dtype=bool)].min() > 1.5
    assert all(np.array_equal(shot.shape, people[0].shape) for shot in shots)


def test_photographs_are_made_without_the_package_that_heads_were_distilled_from():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ANNY], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
