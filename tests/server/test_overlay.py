# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from mien_server.images import DecodedImage
from mien_server.overlay import draw_overlay, framing_cameras, image_from_render


def project_to(pixels, points, camera):
    """DECA's camera, written out once more: x' = s (x + tx), y' = -s (y + ty), then pixels."""
    scale, tx, ty = np.float64(camera)
    image = np.column_stack([scale * (points[:, 0] + tx), -scale * (points[:, 1] + ty)])
    return (image * 0.5 + 0.5) * pixels


@pytest.mark.parametrize("seed", range(6))
def test_the_framing_camera_shows_the_whole_head_as_large_as_it_can(seed):
    generator = np.random.default_rng(seed)
    heads = generator.normal(0, 0.1, (3, 50, 3)) + generator.normal(0, 1, (3, 1, 3))

    for head, camera in zip(heads, framing_cameras(heads), strict=True):
        shown = project_to(512, head, camera)
        np.testing.assert_allclose(np.ptp(shown, axis=0).max(), 0.96 * 512, rtol=1e-3)
        np.testing.assert_allclose(shown.min(axis=0) + shown.max(axis=0), 512, atol=0.5)


@pytest.mark.parametrize("seed", range(6))
def test_the_rendered_head_leads_to_where_the_fit_has_it(seed):
    generator = np.random.default_rng(seed)
    head = generator.normal(0, 0.1, (50, 3))
    camera = (generator.uniform(3, 12), *generator.normal(0, 0.05, 2))
    image_from_crop = np.column_stack([generator.uniform(0.3, 4) * np.eye(2), (200, -30)])
    framing = framing_cameras(head[None])[0]

    transform = image_from_render(
        framing, np.array(camera), image_from_crop, render_px=512, crop_px=224
    )

    in_crop = project_to(224, head, camera)
    truth = in_crop @ image_from_crop[:, :2].T + image_from_crop[:, 2]
    found = project_to(512, head, framing) @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(found, truth, atol=0.02)


def grey(width, height, level=100):
    pixels = np.full((height, width, 3), level, np.uint8)
    return DecodedImage(pixels, width, height, (1.0, 1.0))


def white_square(size=64):
    return np.ones((4, size, size), np.float32)


def drawn(photograph, *args):
    """The overlay at the size of the photograph; drawn at twice that, because it is small."""
    png = Image.open(io.BytesIO(draw_overlay(photograph, *args)))
    assert png.size == tuple(2 * side for side in photograph.image_rgb.shape[1::-1])
    return np.asarray(png.reduce(2)).astype(int)


NO_DOTS = np.zeros((0, 2))


@pytest.mark.parametrize("offset", [(-30, 10), (100, 100), (0, -40)])
def test_a_head_that_leaves_the_photograph_is_cut_off(offset):
    place = np.column_stack([np.eye(2), offset])

    result = drawn(grey(120, 110), white_square(), place, NO_DOTS)

    x, y = np.arange(120), np.arange(110)
    inside = np.ix_(
        (y >= offset[1]) & (y < offset[1] + 64), (x >= offset[0]) & (x < offset[0] + 64)
    )
    expected = np.full((110, 120, 3), 100)
    expected[inside] = round(0.4 * 100 + 0.6 * 255)
    np.testing.assert_allclose(result, expected, atol=25)  # its edge is blended with both sides
    assert (np.abs(result - expected) > 1).mean() < 0.02


def test_a_head_outside_the_photograph_changes_nothing():
    place = np.column_stack([np.eye(2), (500, 20)])

    assert (drawn(grey(120, 110), white_square(), place, NO_DOTS) == 100).all()


@pytest.mark.parametrize("scale", [1e-6, 1e5, -0.5, -1e5])
def test_a_head_of_absurd_size_is_drawn_within_the_photograph(scale):
    """Untrained weights say such things; nothing may grow with them."""
    place = np.column_stack([scale * np.eye(2), (60, 60)])
    dots = np.array([(60.0, 60.0), (1e12, 3.0), (-5e9, 40.0)])

    result = drawn(grey(120, 110), white_square(), place, dots)

    filled = (result[..., 0] > 105).mean()
    assert filled == pytest.approx({1e-6: 0, 1e5: 0.23, -0.5: 0.08, -1e5: 0.27}[scale], abs=0.03)


def test_a_photograph_decoded_smaller_than_its_file_keeps_its_coordinates():
    half = DecodedImage(np.full((100, 150, 3), 50, np.uint8), 300, 200, (2.0, 2.0))
    place = np.column_stack([np.eye(2), (100, 60)])

    result = drawn(half, white_square(), place, NO_DOTS)

    rows, columns = np.nonzero(result[..., 0] > 60)
    assert result.shape == (100, 150, 3)
    assert (columns.min(), columns.max() + 1) == (50, 82)
    assert (rows.min(), rows.max() + 1) == (30, 62)


def test_dots_are_drawn_small_and_where_they_are():
    dots = np.array([(30.5, 40.5), (80.0, 20.0)])
    nothing = np.zeros((4, 64, 64), np.float32)

    result = drawn(grey(120, 110), nothing, np.column_stack([np.eye(2), (20, 20)]), dots)

    changed = (result != 100).any(axis=-1)
    weight = np.abs(result - 100).sum(axis=-1) * changed
    rows, columns = np.indices(changed.shape) + 0.5
    for x, y in dots:
        near = weight * (np.hypot(columns - x, rows - y) < 5)
        assert 0 < np.count_nonzero(near) < 25
        centre = (near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()
        np.testing.assert_allclose(centre, (x, y), atol=0.35)
        weight = weight - near
    assert not weight.any()
