# SPDX-License-Identifier: Apache-2.0
"""How near found strands are to those that are there, beside what the mean style would give.

A direction is that of one step of a strand; of curls, whose phase no photograph shows of hair that
is hidden, it cannot be known. The course of a strand is what is left without them: its direction is
that from two and a half steps before to as many behind.

Letters  N views, P points of a strand (34, every third of 100), S strands that are there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mien_starter.evaluation.networks import Predict
from mien_starter.grooms import STEP_POINTS, Grooms

__all__ = ["MeanStyle", "measure_strands"]

Floats = NDArray[np.float64]

_AT_ONCE = 32
_COURSE_STEPS = 5
_SHORTEST_M = 1e-6


class MeanStyle:
    """The strand that every cell has on average, over the styles that have one there.

    It is told the truth twice: it is the mean of the very styles that are measured, and it knows
    where they have hair.

    Args:
        grooms: whose styles.
    """

    def __init__(self, grooms: Grooms) -> None:
        first, *others = (grooms.groom(i) for i in range(0, len(grooms), grooms.views))
        total, count = first.steps.astype(np.float64), first.grows.astype(np.float64)
        for groom in others:
            total += groom.steps
            count += groom.grows
        self.steps: Floats = total / np.maximum(count, 1)


def measure_strands(predict: Predict, grooms: Grooms) -> dict[str, float]:
    """Errors over all strands that are there, and over the points that the map shows.

    A strand that is not found counts as one that is all in its root.

    Args:
        predict: (N, 256, 256, 3) maps to (N, 32, 32, 100, 4) strands.
        grooms: held out.

    Returns:
        Mean errors of places in millimetres, of directions and of the course in degrees: found, of
        the mean style, and one as a share of the other; the same of what is seen; how far lengths
        are off; intersection over union of the cells with hair.
    """
    mean = MeanStyle(grooms)
    sums: dict[str, float] = {}
    for index, found in _found(predict, grooms):
        groom, seen = grooms.groom(index), grooms.seen(index)
        there = found.any(axis=(2, 3))
        steps = np.diff(found[:, :, ::STEP_POINTS, :3].astype(np.float64), axis=2)
        steps = steps.transpose(3, 2, 0, 1)
        truth = groom.steps[:3].astype(np.float64)
        for name, candidate in (("", steps), ("_of_mean_style", mean.steps[:3])):
            _add(sums, name, candidate, truth, groom.grows, seen)
        _add_up(sums, "common", (there & groom.grows).sum())
        _add_up(sums, "either", (there | groom.grows).sum())
        length = [np.linalg.norm(s, axis=0).sum(axis=0)[groom.grows] for s in (steps, truth)]
        _add_up(sums, "length", np.abs(length[0] - length[1]).sum() * 1000)
    return _figures(sums)


def _found(predict: Predict, grooms: Grooms) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, len(grooms), _AT_ONCE):
        indices = range(start, min(start + _AT_ONCE, len(grooms)))
        (strands,) = predict(np.stack([grooms.map_rgb(index) for index in indices]))
        yield from zip(indices, strands, strict=True)


def _add(
    sums: dict[str, float],
    name: str,
    found: Floats,
    truth: Floats,
    grows: NDArray[np.bool_],
    seen: NDArray[np.bool_],
) -> None:
    off = np.linalg.norm((found - truth).cumsum(axis=1), axis=0)  # (K, 32, 32)
    angle, turned = _angle(found, truth), _angle(_course(found), _course(truth))
    every = np.broadcast_to(grows, off.shape)
    for kind, where in (("", every), ("_seen", every & seen)):
        _add_up(sums, f"position{kind}{name}", off[where].sum() * 1000)
        _add_up(sums, f"direction{kind}{name}", angle[where].sum())
        _add_up(sums, f"course{kind}{name}", turned[where].sum())
        if not name:
            _add_up(sums, f"points{kind}", where.sum())
    if not name:
        _add_up(sums, "strands", grows.sum())


def _angle(found: Floats, truth: Floats) -> Floats:
    """(K, 32, 32) degrees between steps (3, K, 32, 32)."""
    lengths = np.linalg.norm(found, axis=0) * np.linalg.norm(truth, axis=0)
    cosine = (found * truth).sum(axis=0) / np.maximum(lengths, _SHORTEST_M**2)
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))


def _course(steps: Floats) -> Floats:
    """(3, K, 32, 32) sums of a few steps about each, fewer at the ends."""
    half = _COURSE_STEPS // 2
    padded = np.pad(steps, ((0, 0), (half, half), (0, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _COURSE_STEPS, axis=1)
    return np.asarray(windows.sum(axis=-1))


def _add_up(sums: dict[str, float], name: str, value: float) -> None:
    sums[name] = sums.get(name, 0.0) + float(value)


def _figures(sums: dict[str, float]) -> dict[str, float]:
    figures = {}
    for kind in ("", "_seen"):
        for what, unit in (("position", "mm"), ("direction", "deg"), ("course", "deg")):
            own, mean = (
                sums[f"{what}{kind}{name}"] / max(sums[f"points{kind}"], 1)
                for name in ("", "_of_mean_style")
            )
            figures[f"{what}{kind}_{unit}"] = own
            figures[f"{what}{kind}_{unit}_of_mean_style"] = mean
            figures[f"{what}{kind}_share"] = own / max(mean, _SHORTEST_M)
    figures["length_mm"] = sums["length"] / max(sums["strands"], 1)
    figures["hair_iou"] = sums["common"] / max(sums["either"], 1)
    return figures
