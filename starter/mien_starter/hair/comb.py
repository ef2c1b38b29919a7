# SPDX-License-Identifier: Apache-2.0
"""Where loose hair wants to go: how it is combed, what it weighs, and what it keeps clear of.

Letters  S strands.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien_starter.hair.places import Places, ramp
from mien_starter.hair.recipe import HairstyleRecipe
from mien_starter.hair.vectors import unit

__all__ = ["Comb"]

Array = npt.NDArray[np.float64]

_WHORL = np.array([0.0, 0.125, -0.072])
_DOWN = np.array([0.0, -1.0, 0.0])
_ACROSS = np.array([1.0, 0.0, 0.0])
# Half of what covers the left ear: an ellipsoid, so that long hair shows no ear.
_EAR, _EAR_SIZE = np.array([0.055, 0.0, -0.017]), np.array([0.041, 0.090, 0.080])
_FACE_M = 0.064  # half the width that hair leaves free at the cheeks
_HAIRLINE_Y, _TEMPLE_Y = 0.094, 0.050
_BEFORE_Z, _BEHIND_Z = 0.05, -0.125  # where the chest and the back begin, at the shoulders


class Comb:
    """The wishes of the strands of a style.

    Args:
        recipe: the style.
        places: its S loose roots.
    """

    def __init__(self, recipe: HairstyleRecipe, places: Places) -> None:
        self._recipe, self._side, self._fringe = recipe, places.side, places.fringe
        fringe = places.fringe
        ahead = ramp(places.roots[:, 2], -0.100, -0.055) * (0.35 + 0.65 * places.top)
        part = np.where(fringe, 0.0, recipe.part * ahead * places.side)
        sweep = np.where(fringe, 1.3 * recipe.fringe_sweep, recipe.sweep * places.top)
        back = np.where(fringe, -1.6, recipe.back)
        self._constant = np.zeros((len(back), 3))
        self._constant[:, 0] = part + sweep
        self._constant[:, 1] = -0.25
        self._constant[:, 2] = -back * (0.4 + 0.6 * np.maximum(places.top, places.front))
        self._to_front = places.azimuth < 30 + 70 * recipe.forward
        self._long = ramp(places.length, 0.10, 0.14)
        self._in_bulge, _ = _bulge(places.roots)
        # Above this height hair beside the face is free; a fringe needs no parting above it.
        self._brow = _TEMPLE_Y if fringe.any() else _HAIRLINE_Y

    def flow(self, point: Array, out: Array) -> Array:
        """Unit way along the scalp at points (S, 3) whose way out is (S, 3)."""
        way = self._recipe.whorl * unit(point - _WHORL) + self._constant
        return unit(way - (way * out).sum(axis=1, keepdims=True) * out)

    def wanted(self, point: Array, out: Array, above: Array, gone: Array, lift: Array) -> Array:
        """The way (S, 3) that strands turn to; its length says how much they want it.

        Args:
            point: (S, 3) where they are.
            out: (S, 3) unit, away from the skin.
            above: (S,) metres from the skin.
            gone: (S, 1) metres from the root.
            lift: (S, 1) sine of the angle at the root.
        """
        recipe = self._recipe
        hold = np.exp(-((gone / recipe.hold_m) ** 2))
        want: Array = hold * self.flow(point, out) + recipe.gravity * (1 - 0.75 * hold) * _DOWN
        want += 0.8 * hold * lift * np.exp(-gone / 0.02) * out
        want -= recipe.cling * hold * _straight_ramp(above, 0.004, 0.034)[:, None] * out
        self._keep_beside_the_face(want, point)
        self._part_at_the_shoulders(want, point, above)
        if recipe.tuck:
            ends = ramp(point[:, 1], recipe.hem_y + 0.07, recipe.hem_y)
            want -= recipe.tuck * ends[:, None] * out * [1.0, 0.3, 1.0]
        return want

    def _keep_beside_the_face(self, want: Array, point: Array) -> None:
        beside = ramp(point[:, 1], self._brow, self._brow - 0.03) * ~self._fringe
        beside *= point[:, 1] > -0.1
        want[:, 2] -= 0.7 * beside * ramp(point[:, 2], 0.045, 0.085)

    def _part_at_the_shoulders(self, want: Array, point: Array, above: Array) -> None:
        """Long hair falls before or behind the shoulders, and does not slide down beside them."""
        low = ramp(point[:, 1], -0.05, -0.13) * ramp(above, 0.09, 0.03)
        left = np.where(self._to_front, _BEFORE_Z - point[:, 2], point[:, 2] - _BEHIND_Z)
        want[:, 2] += low * ramp(left, 0.0, 0.04) * np.where(self._to_front, 1, -1)
        want[:, 0] -= 0.8 * low * np.sign(point[:, 0]) * ramp(np.abs(point[:, 0]), 0.06, 0.12)

    def kept_off_the_face(self, point: Array) -> Array:
        """(S,) metres to the side that points must give way to leave the face free."""
        x, y, z = point.T
        opening = _FACE_M * self._recipe.face * np.sqrt(np.clip((self._brow - y) / 0.045, 0, 1))
        before = ramp(z, 0.02, 0.055) * (y > -0.13) * ~self._fringe
        return np.asarray(np.clip(opening - x * self._side, 0, 0.004) * before * self._side)

    def over_the_ear(self, point: Array, level: Array, gone: Array) -> Array:
        """(S, 3) metres that long hair gives way to a smooth bulge, in which an ear lies.

        Args:
            point: (S, 3) where strands are.
            level: (S,) metres that they should be off it.
            gone: (S,) metres from the root; those from within come out of it slowly.
        """
        above, out = _bulge(point)
        level = np.minimum(level, self._in_bulge + 0.3 * gone)
        return np.asarray((np.maximum(level - above, 0) * self._long)[:, None] * out)


def _straight_ramp(values: Array, start: float, end: float) -> Array:
    """0 before start, 1 after end, straight between."""
    return np.asarray(np.clip((values - start) / (end - start), 0, 1))


def _bulge(point: Array) -> tuple[Array, Array]:
    """About how far (S,) points are from the ellipsoids over the ears, and the way out (S, 3)."""
    mirror = np.where(point[:, :1] >= 0, 1.0, -1.0) * _ACROSS + [0.0, 1.0, 1.0]
    place = (point * mirror - _EAR) / _EAR_SIZE
    size = np.sqrt((place**2).sum(axis=1))
    slope = place / _EAR_SIZE
    steep = np.sqrt((slope**2).sum(axis=1))
    return size * (size - 1) / np.maximum(steep, 1e-9), unit(slope * mirror)
