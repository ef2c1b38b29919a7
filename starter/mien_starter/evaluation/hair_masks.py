# SPDX-License-Identifier: Apache-2.0
"""How well hair, and the rest of a person, are told from everything else.

Truth is rendered anew for every photograph, as `mien_starter.world.masks` does.

Letters  N photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mien_export.head_model import HeadModel
from mien_server.hair.portrait_crop import PORTRAIT_SIZE_PX, portrait_window_from_landmarks
from mien_server.warping import warped
from mien_starter.evaluation.networks import Predict
from mien_starter.recipes.hair_segmenter import classes_shown
from mien_starter.shards import Photographs
from mien_starter.world.masks import BODY, HAIR, MaskWorld

__all__ = ["measure_segmenter", "overlap_figures"]

_AT_ONCE = 64
_LIKELY = 0.5
# A photograph counts as one with hair from this share of the crop on.
_SOME_HAIR = 0.005


def measure_segmenter(predict: Predict, photographs: Photographs, _: HeadModel) -> dict[str, float]:
    """Overlap of what is found with what is there, in crops about the true landmarks."""
    return overlap_figures(predict, photographs, MaskWorld(photographs.side_px).labels)


def overlap_figures(
    predict: Predict,
    photographs: Photographs,
    labels_of: Callable[[int, int], NDArray[np.uint8]],
) -> dict[str, float]:
    """Intersection over union, of all pixels together and photograph by photograph.

    Args:
        predict: (N, 256, 256, 3) crops to (N, 2, 256, 256) probabilities.
        photographs: held out.
        labels_of: the truth by person and shot.

    Returns:
        IoU of hair and of body over all pixels; of hair the mean over photographs that show some,
        and what nine of ten have at least; the share of pixels that are taken for hair in those
        that show none.
    """
    rows = [
        _counts(found, truth)
        for crops, classes in _shown(photographs, labels_of)
        for found, truth in zip(predict(crops)[0] > _LIKELY, classes, strict=True)
    ]
    hair_common, hair_all, body_common, body_all, hair, found_hair = np.array(rows).T
    pixels = PORTRAIT_SIZE_PX**2
    some = hair > _SOME_HAIR * pixels
    each = hair_common[some] / hair_all[some]
    return {
        "hair_iou": float(hair_common.sum() / max(hair_all.sum(), 1)),
        "body_iou": float(body_common.sum() / max(body_all.sum(), 1)),
        "hair_iou_mean": float(each.mean()) if some.any() else float("nan"),
        "hair_iou_percentile_10": float(np.percentile(each, 10)) if some.any() else float("nan"),
        "hair_found_on_bald": (
            float(found_hair[~some].mean() / pixels) if (~some).any() else float("nan")
        ),
    }


def _shown(
    photographs: Photographs, labels_of: Callable[[int, int], NDArray[np.uint8]]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    labels = photographs.labels
    for start in range(0, len(photographs), _AT_ONCE):
        crops, classes = [], []
        for index in range(start, min(start + _AT_ONCE, len(photographs))):
            window = portrait_window_from_landmarks(labels["landmarks_68"][index])
            crops.append(warped(photographs.image_rgb(index), window, PORTRAIT_SIZE_PX))
            truth = labels_of(int(labels["identity"][index]), int(labels["shot"][index]))
            classes.append(classes_shown(truth, window))
        yield np.stack(crops), np.stack(classes)


def _counts(found: NDArray[np.bool_], truth: NDArray[np.uint8]) -> list[int]:
    hair, body = truth == HAIR, truth == BODY
    return [
        int(value.sum())
        for value in (
            found[0] & hair, found[0] | hair, found[1] & body, found[1] | body, hair, found[0],
        )
    ]  # fmt: skip
