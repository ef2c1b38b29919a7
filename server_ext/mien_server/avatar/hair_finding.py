# SPDX-License-Identifier: Apache-2.0
"""Where hair is in a photograph, and its colour.

Letters  V vertices, H and W of the photograph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.brows import brow_colour, lab, skin_colour
from mien_server.avatar.head_asset import HeadAsset
from mien_server.avatar.likeness import Sitting
from mien_server.hair.portrait_crop import (
    PORTRAIT_SIZE_PX,
    in_photograph,
    portrait_window_from_landmarks,
)
from mien_server.model_call import ModelCall
from mien_server.rendering import vertex_normals
from mien_server.warping import warped

__all__ = ["FEWEST_SHARE", "hair_colour", "hair_masks", "segmenter_call"]

Array = NDArray[Any]

SURE = 0.8  # probability of hair
# Of the portrait crop: a head whose hair covers less is bald.
FEWEST_SHARE = 0.01
FACING = 0.1
ALIKE = 14.0  # distance in CIELAB of two places of somebody's skin
# Of people of whom no hair is to be seen.
USUAL = (0.36, 0.24, 0.16)


def segmenter_call(sittings: tuple[Sitting, ...]) -> ModelCall:
    """Ask `hair_segmenter` about photographs."""
    portraits = [
        warped(each.image_rgb, portrait_window_from_landmarks(each.landmarks_68), PORTRAIT_SIZE_PX)
        for each in sittings
    ]
    images = np.stack(portraits).transpose(0, 3, 1, 2).astype(np.float32)
    return ModelCall("hair_segmenter", {"portrait": np.ascontiguousarray(images)}, ("masks",))


def hair_masks(sittings: tuple[Sitting, ...], masks: Array) -> list[NDArray[np.float32]]:
    """(H, W) 0..1 for each photograph, of the answers (N, 2, 256, 256) of `hair_segmenter`."""
    return [
        in_photograph(
            mask[0], portrait_window_from_landmarks(each.landmarks_68), *each.image_rgb.shape[:2]
        )
        for each, mask in zip(sittings, masks, strict=True)
    ]


def hair_colour(
    sitting: Sitting, asset: HeadAsset, mask: NDArray[np.float32] | None
) -> tuple[float, float, float]:
    """SRGB 0..1 of the hair in a photograph, or of what a bald person's may be.

    The median of what is hair; where nobody says what is, of what is seen in front of the scalp,
    unless that looks like skin. A bald head has the colour of its brows, and without those brown.

    Args:
        sitting: photograph and fit.
        asset: of the head model.
        mask: (H, W) 0..1, or None.
    """
    image, landmarks = sitting.image_rgb, sitting.landmarks_68
    pixels = _scalp_pixels(sitting, asset) if mask is None else _hair_pixels(sitting, mask)
    colour = np.median(pixels, axis=0) if len(pixels) else None
    if mask is None and colour is not None and _is_skin(colour, skin_colour(image, landmarks)):
        colour = None
    if colour is None:
        colour = brow_colour(image, landmarks)
    if colour is None:
        return USUAL
    red, green, blue = (colour / 255).tolist()
    return red, green, blue


def _hair_pixels(sitting: Sitting, mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, 3) of the photograph; none where so little is hair that the head is bald."""
    window = portrait_window_from_landmarks(sitting.landmarks_68)
    side = PORTRAIT_SIZE_PX / np.hypot(*window[:, 0])  # of the crop, in pixels of the photograph
    hair = mask > SURE
    pixels: NDArray[np.uint8] = sitting.image_rgb[hair & (hair.sum() >= FEWEST_SHARE * side**2)]
    return pixels


def _is_skin(colour: Array, skin: Array | None) -> bool:
    if skin is None:
        return False
    one, other = lab(np.stack([colour, skin]))
    return bool(np.linalg.norm(one - other) < ALIKE)


def _scalp_pixels(sitting: Sitting, asset: HeadAsset) -> NDArray[np.uint8]:
    """(N, 3) of the photograph, in front of vertices of the scalp that face the camera."""
    normals = vertex_normals(sitting.vertices[None], asset.topology.faces)[0]
    lengths = np.maximum(np.linalg.norm(normals, axis=1), 1e-9)
    scalp = asset.hair_head().scalp & (normals[:, 2] / lengths > FACING)
    at = np.floor(sitting.vertices_px[scalp, :2]).astype(int)
    height, width = sitting.image_rgb.shape[:2]
    at = at[(at >= 0).all(axis=1) & (at < (width, height)).all(axis=1)]
    seen: NDArray[np.uint8] = sitting.image_rgb[at[:, 1], at[:, 0]]
    return seen
