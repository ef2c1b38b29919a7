# SPDX-License-Identifier: Apache-2.0
"""Whose word is taken for the shape of a head, and what that means for its camera.

Papers   Feng et al. 2021, *DECA*, and Zielonka et al. 2022, *MICA*: the first reads shape off
         pixels, the second off a recognition embedding, and in metres. They err in different ways,
         so the mean of both is nearer to the truth than either.
Letters  N heads, P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.rendering import project

__all__ = ["SHAPE_COUNT", "ShapeSource", "mixed_shapes", "refitted_cameras", "shape_source_option"]

SHAPE_COUNT = 300

Array = NDArray[Any]


class ShapeSource(Enum):
    """The option `shape_source`."""

    DECA = "deca"
    MICA = "mica"
    MEAN = "mean"


_SHARE_OF_MICA = {ShapeSource.DECA: 0.0, ShapeSource.MICA: 1.0, ShapeSource.MEAN: 0.5}


def shape_source_option(value: str, *, has_mica: bool) -> ShapeSource:
    """The source that a value of the option means; "" is the best there is.

    Args:
        value: of the option.
        has_mica: whether the server has mica_encoder.

    Raises:
        ServingError: INVALID_OPTION: there is no such source, or not on this server.
    """
    if not value:
        return ShapeSource.MEAN if has_mica else ShapeSource.DECA
    if value not in {source.value for source in ShapeSource}:
        raise ServingError(
            "INVALID_OPTION", f"shape_source is {value!r}; it must be 'deca', 'mica' or 'mean'"
        )
    source = ShapeSource(value)
    if source is not ShapeSource.DECA and not has_mica:
        raise ServingError(
            "INVALID_OPTION",
            f"shape_source is {value!r}, and this server has no mica_encoder; take 'deca', or have "
            "the repository built with the model mica_encoder",
        )
    return source


def mixed_shapes(deca: Array, mica: Array, sources: Sequence[ShapeSource]) -> NDArray[np.float32]:
    """Shape coefficients by each head's own source.

    Args:
        deca: (N, K) the first K of 300; it knows nothing of the others.
        mica: (N, 300); read only for sources that take it.
        sources: N.

    Returns:
        (N, 300).
    """
    padded = np.pad(deca, ((0, 0), (0, mica.shape[1] - deca.shape[1])))
    share = np.array([_SHARE_OF_MICA[source] for source in sources])[:, None]
    mixed = np.where(share > 0, (1 - share) * padded + share * mica, padded)
    return mixed.astype(np.float32)


def refitted_cameras(cameras: Array, before: Array, after: Array) -> NDArray[np.float32]:
    """Cameras under which heads of another shape lie where the old ones lay.

    A camera is found together with a shape. With another one it has to be found again, or a broader
    head lies beside the face: the scale and the shift that bring the points nearest to where they
    were seen, in the sense of least squares. The old camera stays where that would turn a head
    inside out.

    Args:
        cameras: (N, 3) s, tx, ty.
        before: (N, P, 3) points of the old heads.
        after: (N, P, 3) the same of the new ones, not all at one place.

    Returns:
        (N, 3).
    """
    seen = project(before, cameras)[..., :2].astype(np.float64)
    # A camera of scale 1 turns the axes as any other does.
    plain = np.tile(np.array([1.0, 0.0, 0.0], np.float32), (len(cameras), 1))
    points = project(after, plain)[..., :2].astype(np.float64)
    seen_mean, point_mean = seen.mean(axis=1), points.mean(axis=1)
    apart = points - point_mean[:, None]
    scale = (apart * (seen - seen_mean[:, None])).sum(axis=(1, 2)) / np.square(apart).sum(
        axis=(1, 2)
    )
    good = scale > 0
    shift = seen_mean / np.where(good, scale, 1.0)[:, None] - point_mean
    # y counts downwards in the image and upwards in the camera.
    found = np.column_stack([scale, shift[:, 0], -shift[:, 1]])
    return np.where(good[:, None], found, cameras).astype(np.float32)
