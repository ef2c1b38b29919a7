# SPDX-License-Identifier: Apache-2.0
"""Styles by number, drawn at random, and views of them within 30 degrees of the front."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from mien_starter.groom_making import StyleView
from mien_starter.hair.dense import dense_hairs
from mien_starter.hair.draws import draw_recipe
from mien_starter.hair.grounds import shipped_ground
from mien_starter.hair.growth import grow
from mien_starter.hair_views import head_view, seen_of
from mien_starter.world.assets import default_assets

__all__ = ["RandomWigs"]

HAIRS = 12_000
MAX_YAW_DEG, PITCH_DEG, MAX_PITCH_DEG = 30.0, 5.0, 12.0
_STYLE, _VIEWS = 3001, 3002  # tell the uses of a number apart


class RandomWigs:
    """Styles that are drawn between and about the shipped ones, on the mean head and its bust."""

    def __init__(self) -> None:
        self._ground, self._assets = shipped_ground(), default_assets()

    @property
    def roots(self) -> NDArray[np.float32]:
        """(32, 32, 3) metres, where every style is rooted."""
        return np.asarray(self._ground.scalp.roots, np.float32)

    def groom(self, number: int) -> NDArray[np.float32]:
        """(32, 32, 100, 4) strands of a number."""
        return grow(draw_recipe(np.random.default_rng([number, _STYLE])), number, self._ground)

    def views(self, number: int, grid: NDArray[np.float32], count: int) -> list[StyleView]:
        """The style from some sides, each in its third of the angles if there are three."""
        rng = np.random.default_rng([number, _VIEWS])
        hairs = dense_hairs(grid, self._ground.scalp, HAIRS, number)
        edges = np.linspace(-MAX_YAW_DEG, MAX_YAW_DEG, count + 1)
        found = []
        for low, high in itertools.pairwise(edges):
            pitch = float(np.clip(rng.normal(0, PITCH_DEG), -MAX_PITCH_DEG, MAX_PITCH_DEG))
            view = head_view(self._assets, float(rng.uniform(low, high)), pitch)
            ground = self._ground
            found.append(seen_of(view, ground.vertices, ground.faces, hairs, grid))
        return found
