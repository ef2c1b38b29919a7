# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest

from mien_server.avatar.likeness import Sitting, compared
from tests.server.avatar import portraits
from tests.server.avatar.planted_avatars import landmarks_px

ALBEDO = portraits.pattern()
LIGHT = portraits.EVEN_LIGHT


def sitting(yaw_deg=0.0):
    head = portraits.photograph(ALBEDO, yaw_deg=yaw_deg)
    ring = landmarks_px(head.vertices_px)
    eyes = [ring[36:42].mean(axis=0), ring[42:48].mean(axis=0)]
    points = np.stack([*eyes, ring[30], ring[48], ring[54]])
    return Sitting(head.image_rgb, points, ring, head.vertices, head.vertices_px, head.vertices_px)


def likeness(of, albedo=ALBEDO, light=LIGHT, vertices=None):
    shown = of.vertices if vertices is None else vertices
    return compared(of, shown, albedo, light, portraits.topology())


@pytest.mark.parametrize("yaw_deg", [0, -25, 25])
def test_the_true_head_lies_upon_its_photograph(yaw_deg):
    found = likeness(sitting(yaw_deg))

    assert found.psnr > 28  # both are sampled, at different places
    assert found.ssim > 0.95
    np.testing.assert_allclose(found.crops[0], found.crops[1], atol=110)
    assert np.abs(found.crops[0] - found.crops[1]).mean() < 4


def test_what_is_wrong_costs_likeness():
    of, true = sitting(), likeness(sitting())
    shifted = of.vertices + np.float32([0.005, 0, 0])

    assert likeness(of, vertices=shifted).psnr < true.psnr - 5
    assert likeness(of, albedo=portraits.plain()).psnr < true.psnr - 10
    assert likeness(of, light=0.5 * LIGHT).psnr < true.psnr - 10


def test_around_the_face_the_photograph_stays():
    found = likeness(sitting(), albedo=portraits.plain((0, 0, 0)))
    true = likeness(sitting())

    black = (found.picture == 0).all(axis=-1) & (true.picture != 0).any(axis=-1)
    assert 0.1 < black.mean() < 0.4
    assert not black[:20].any()
    assert not black[:, :40].any()


def test_a_face_outside_the_picture_has_no_likeness():
    of = sitting()
    away = 2000.0
    of = replace(
        of,
        landmarks=of.landmarks + away,
        landmarks_68=of.landmarks_68 + away,
        vertices_px=of.vertices_px + np.float32([away, away, 0]),
    )

    found = likeness(of)

    assert math.isnan(found.psnr)
    assert math.isnan(found.ssim)
