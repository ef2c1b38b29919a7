# SPDX-License-Identifier: Apache-2.0
"""The hairstyles that are shipped, as the server finds them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mien_server.hair.alignment import aligned
from mien_server.hair.closest_points import closest_points, heights_above
from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import read_index
from mien_server.hair.placing import placed
from mien_server.hair.polylines import lengths
from tests.server.hair.planted_hair import mean_head, random_head, transformed

FOLDER = Path(__file__).parents[3] / "starter" / "weights" / "hairstyles"
NAMES = [entry.name for entry in read_index(FOLDER)]


@cache
def library():
    return HairstyleLibrary(FOLDER, None, mean_head())


def far_roots(strands, head):
    """Share of the roots that are more than 5 mm off the skin."""
    on_skin = closest_points(strands.roots, head.vertices, head.skin).points
    return (np.linalg.norm(on_skin - strands.roots, axis=1) > 0.005).mean()


def test_a_dozen_styles_or_more_are_shipped_with_pictures_and_licences():
    assert len(NAMES) >= 12
    for entry in library().entries():
        assert library().thumbnail(entry.name).startswith(b"\x89PNG")
        assert entry.licence
        assert entry.title


@pytest.mark.parametrize("name", NAMES)
def test_alignment_leaves_at_most_one_root_in_a_hundred_off_the_scalp(name):
    strands = library().hairstyle(name).strands
    again = transformed(strands, 1.2, [0.2, 1.5, -0.1])
    moved = mean_head().with_vertices(1.2 * mean_head().vertices + [0.2, 1.5, -0.1])

    assert far_roots(aligned(strands, mean_head(), mean_head()), mean_head()) <= 0.01
    assert far_roots(aligned(again, mean_head(), moved), mean_head()) <= 0.01


@pytest.mark.parametrize("name", NAMES)
def test_every_style_fits_another_person(name):
    style = library().hairstyle(name)
    head = random_head(2)

    worn = placed(style.strands, head, mean_head())

    assert far_roots(worn, head) == 0
    points = worn.points[:, 1:].reshape(-1, 3)
    height, _ = heights_above(points[points[:, 1] > -0.05], head.vertices, head.skin)
    assert height.min() > -2e-4
    ratio = lengths(worn.points) / lengths(style.strands.points)
    assert 0.8 < np.median(ratio) < 1.25


@pytest.mark.parametrize("name", NAMES)
def test_every_style_is_found_again_on_a_head_that_is_not_known(name):
    strands = library().hairstyle(name).strands

    found = placed(transformed(strands, 1.2, [0.2, 1.5, -0.1]), mean_head())

    off = np.linalg.norm(found.points - strands.points, axis=2)
    assert np.quantile(off, 0.95) < 0.004
