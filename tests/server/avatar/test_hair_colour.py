# SPDX-License-Identifier: Apache-2.0
"""What colour an avatar's hair gets: of hair that is seen, or else of the brows."""

import cv2
import numpy as np
import pytest

from mien_server.avatar.brows import brow_colour, lab, skin_colour
from mien_server.avatar.hair_finding import USUAL, hair_colour
from mien_server.avatar.likeness import Sitting
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar import portraits

SKIN, BROWN, RED = (204, 153, 128), (70, 45, 30), (170, 70, 30)


def sitting(*, brows=None, scalp=None, photograph=None):
    """A head of one skin before magenta; brows and hair are painted on, as wide as asked."""
    head = portraits.photograph(portraits.plain())
    image = head.image_rgb.copy() if photograph is None else photograph
    ring = planted.landmarks_px(head.vertices_px).astype(np.float32)
    if brows is not None:
        for brow in (ring[17:22], ring[22:27]):
            corners = np.floor(brow).astype(np.int32)
            cv2.polylines(image, [corners], isClosed=False, color=brows, thickness=6)
    if scalp is not None:
        above = np.arange(image.shape[0])[:, None] < ring[17:27, 1].min() - 25
        image[above & (image != (255, 0, 255)).any(axis=2)] = scalp
    vertices, pixels = head.vertices, head.vertices_px
    return Sitting(image, ring[:5], ring, vertices, pixels, pixels)


def mask_of(seen, colour):
    return (seen.image_rgb == np.array(colour)).all(axis=2).astype(np.float32)


def colour_of(seen, mask=None):
    return 255 * np.array(hair_colour(seen, planted.asset(), mask))


def test_hair_that_the_segmenter_finds_gives_its_colour():
    seen = sitting(brows=BROWN, scalp=RED)

    np.testing.assert_allclose(colour_of(seen, mask_of(seen, RED)), RED, atol=1)


def test_without_a_segmenter_what_is_before_the_scalp_gives_it():
    np.testing.assert_allclose(colour_of(sitting(brows=BROWN, scalp=RED)), RED, atol=1)


@pytest.mark.parametrize("knows", [True, False], ids=["segmenter", "no segmenter"])
def test_a_bald_head_has_the_colour_of_its_brows(knows):
    seen = sitting(brows=BROWN)
    mask = np.zeros(seen.image_rgb.shape[:2], np.float32) if knows else None

    np.testing.assert_allclose(colour_of(seen, mask), BROWN, atol=1)


@pytest.mark.parametrize("knows", [True, False], ids=["segmenter", "no segmenter"])
def test_a_head_without_hair_and_brows_is_usual_and_not_its_skin(knows):
    seen = sitting()
    mask = np.zeros(seen.image_rgb.shape[:2], np.float32) if knows else None

    np.testing.assert_allclose(colour_of(seen, mask) / 255, USUAL)


def test_a_few_pixels_that_are_taken_for_hair_are_no_hair():
    seen = sitting(brows=BROWN)
    mask = np.zeros(seen.image_rgb.shape[:2], np.float32)
    mask[:20, :20] = 1  # of the magenta wall

    np.testing.assert_allclose(colour_of(seen, mask), BROWN, atol=1)


def test_skin_is_that_of_cheeks_and_nose_and_brows_are_the_dark_part_about_theirs():
    seen = sitting(brows=BROWN, scalp=RED)

    np.testing.assert_allclose(skin_colour(seen.image_rgb, seen.landmarks_68), SKIN, atol=1)
    np.testing.assert_allclose(brow_colour(seen.image_rgb, seen.landmarks_68), BROWN, atol=1)
    assert brow_colour(sitting().image_rgb, seen.landmarks_68) is None


def test_a_face_outside_of_the_picture_has_no_colour():
    seen = sitting(brows=BROWN)
    beside = seen.landmarks_68 + 10_000

    assert skin_colour(seen.image_rgb, beside) is None
    assert brow_colour(seen.image_rgb, beside) is None


def test_lightness_is_cielab_s():
    np.testing.assert_allclose(
        lab(np.float32([[0, 0, 0], [255, 255, 255], [255, 0, 0]])),
        [[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20]],
        atol=0.2,
    )
