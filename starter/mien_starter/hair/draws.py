# SPDX-License-Identifier: Apache-2.0
"""Hairstyles at random, anywhere between and about the named ones."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from mien_starter.hair.recipe import RANGES, HairstyleRecipe
from mien_starter.hair.styles import STYLES

__all__ = ["draw_recipe"]

# Fields that grow by factors; the others move by steps of the size of their range.
_BY_FACTOR = (
    "top_m", "sides_m", "back_m", "front_m", "hold_m", "volume_m", "bend_m", "wave_m",
    "wave_length_m", "tail_m", "tail_width_m",
)  # fmt: skip
_FACTOR, _STEP = 0.22, 0.06
_MIRRORED = ("part_x", "sweep", "fringe_sweep", "tie_side")
_STEEPEST = 0.35  # of a curl's radius to its length
# Share of draws that get a fringe, or a curl, of their own.
_FRINGES, _CURLS = 0.15, 0.35
# Amplitude, wave length and roundness: waves, loose curls, corkscrews, coils.
_CURL_KINDS = (
    ((0.003, 0.012), (0.06, 0.14), (0.0, 0.5)),
    ((0.006, 0.013), (0.035, 0.06), (0.4, 1.0)),
    ((0.005, 0.010), (0.020, 0.035), (0.8, 1.0)),
    ((0.002, 0.005), (0.010, 0.018), (0.8, 1.0)),
)


def draw_recipe(rng: np.random.Generator) -> HairstyleRecipe:
    """A recipe: two named styles mixed, some of it changed, all of it moved a little.

    Every number stays in its range; half of the styles are mirrored.
    """
    names = list(STYLES)
    first = STYLES[names[int(rng.integers(len(names)))]].recipe
    alike = [name for name in names if STYLES[name].recipe.tie == first.tie]
    second = STYLES[alike[int(rng.integers(len(alike)))]].recipe
    share = float(rng.beta(0.6, 0.6))
    values = _mixed(first, second, share)
    if rng.random() < _CURLS:
        amplitude, length, roundness = _CURL_KINDS[int(rng.integers(len(_CURL_KINDS)))]
        values["wave_m"] = rng.uniform(*amplitude)
        values["wave_length_m"] = rng.uniform(*length)
        values["roundness"] = rng.uniform(*roundness)
        values["locks"] = rng.uniform(0.2, 1.0)
    if rng.random() < _FRINGES:
        values["fringe"] = rng.uniform(0.3, 1.0)
        values["fringe_y"] = rng.uniform(0.035, 0.07)
        values["fringe_sweep"] = rng.uniform(-0.6, 0.6)
    if rng.random() < 0.5:
        values.update({name: -values[name] for name in _MIRRORED})
    for name, (low, high) in RANGES.items():
        moved = values[name]
        if name in _BY_FACTOR:
            moved *= np.exp(rng.normal(0, _FACTOR))
        elif moved not in (low, 0.0):
            moved += rng.normal(0, _STEP * (high - low))
        values[name] = float(np.clip(moved, low, high))
    values["wave_m"] = min(values["wave_m"], _STEEPEST * values["wave_length_m"])
    return replace(first, **values)


def _mixed(first: HairstyleRecipe, second: HairstyleRecipe, share: float) -> dict[str, Any]:
    """Numbers between those of two recipes; lengths and the like between their logarithms."""
    mixed: dict[str, Any] = {}
    for field in fields(HairstyleRecipe):
        if field.name == "tie":
            continue
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name in _BY_FACTOR and min(a, b) > 0:
            mixed[field.name] = float(a ** (1 - share) * b**share)
        else:
            mixed[field.name] = float(a * (1 - share) + b * share)
    return mixed
