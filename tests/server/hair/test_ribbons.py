# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.polylines import strands_from_polylines
from mien_server.hair.ribbons import Ribbons
from mien_server.hair.shading import depth_within, middle_of
from tests.server.hair.planted_hair import hair_on, mean_head

FRONT = np.eye(3)
FROM_LEFT = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
LIGHT = np.array([0, 0.6, 0.8])
WIDTH_M = 0.0007


def straight(way, count=4):
    """Ribbons of strands of 10 cm that run this way, side by side."""
    starts = np.arange(count)[:, None, None] * np.array([0.001, 0.001, 0.001])
    lines = starts + np.linspace(0, 0.1, 20)[:, None] * np.asarray(way, float)
    return Ribbons(
        strands_from_polylines(lines.reshape(-1, 3), np.full(count, 20), 20), (0.5, 0.3, 0.2)
    )


def brightness(way):
    return straight(way).seen(FRONT, LIGHT)[1].mean()


@pytest.mark.parametrize("view", [FRONT, FROM_LEFT])
def test_a_ribbon_shows_its_whole_width_to_every_viewer(view):
    ribbons = Ribbons(hair_on(mean_head()), (0.5, 0.3, 0.2))

    vertices, colours = ribbons.seen(view, LIGHT)

    across = vertices.reshape(*ribbons.points.shape[:2], 2, 3)
    across = across[:, :, 1] - across[:, :, 0]
    np.testing.assert_allclose(np.linalg.norm(across[..., :2], axis=-1), WIDTH_M, rtol=1e-4)
    np.testing.assert_allclose(across[..., 2], 0, atol=1e-9)
    middles = vertices.reshape(*ribbons.points.shape[:2], 2, 3).mean(axis=2)
    np.testing.assert_allclose(middles, ribbons.points @ view.T, atol=1e-6)
    assert len(ribbons.points) >= 5000
    assert ribbons.faces.max() == len(vertices) - 1
    assert ((colours >= 0) & (colours <= 1)).all()


def test_hair_across_the_light_is_brighter_than_hair_along_it():
    assert brightness([1, 0, 0]) > 2 * brightness(LIGHT)


def test_a_hair_that_points_at_the_viewer_is_drawn_all_the_same():
    vertices, colours = straight([0, 0, 1]).seen(FRONT, LIGHT)

    assert np.isfinite(vertices).all()
    assert np.isfinite(colours).all()


def test_shade_has_no_steps():
    strands = hair_on(mean_head(), 900)
    middle = middle_of(strands)
    turns = np.linspace(0, 2 * np.pi, 4000)
    for height in (-0.08, -0.001, 0.05):
        ring = middle + np.column_stack(
            [0.09 * np.sin(turns), np.full_like(turns, height), 0.09 * np.cos(turns)]
        )
        assert np.abs(np.diff(depth_within(ring, strands, middle))).max() < 0.001
    line = middle + np.linspace([0.05, -0.3, 0.06], [0.05, 0.1, 0.06], 4000)
    assert np.abs(np.diff(depth_within(line, strands, middle))).max() < 0.001
    assert depth_within(ring, strands, middle).max() > 0.005


def test_a_colour_that_was_stored_gives_the_same_picture():
    strands, colour = hair_on(mean_head(), 50), (0.5312345678, 0.3198765432, 0.1987654321)
    pictures = [
        Ribbons(strands, each).seen(FRONT, LIGHT)[1] for each in (colour, np.float32(colour))
    ]

    np.testing.assert_array_equal(*pictures)
