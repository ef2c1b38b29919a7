# SPDX-License-Identifier: Apache-2.0
"""Figures of a network on its own crops; the served pipelines are measured in `served`.

Crops are those that serving cuts, from true landmarks where it cuts them from found ones; only the
landmarker's first square is off, as a detector's would be.

Letters  N photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.head_model import HeadModel
from mien_server.landmarking import square_from_landmarks
from mien_server.warping import inverted, moved, warped
from mien_starter.crops import (
    DECA_SIZE_PX,
    LOOSE_SIZE_PX,
    aligned_crop,
    deca_window,
    loose_window,
    window_without_face,
)
from mien_starter.evaluation.hair_masks import measure_segmenter
from mien_starter.evaluation.heads import head_figures
from mien_starter.evaluation.landmarks import landmark_errors, landmark_figures
from mien_starter.evaluation.networks import Predict, predicted
from mien_starter.evaluation.poses import pose_errors_deg
from mien_starter.evaluation.verification import verification_figures
from mien_starter.shards import Photographs

__all__ = ["MEASURES", "Figures", "Measure"]

Figures = dict[str, float]
Measure = Callable[[Predict, Photographs, HeadModel], Figures]

_SEED = 11


def measure_landmarker(predict: Predict, photographs: Photographs, _: HeadModel) -> Figures:
    """Landmarks of the second pass, and the face score of windows with and without a face."""
    truth_68, truth_5 = photographs.labels["landmarks_68"], photographs.labels["landmarks"]
    rng = np.random.default_rng(_SEED)
    windows = [loose_window(points, rng) for points in truth_68]
    first = _placed(windows, predicted(predict, _shown(photographs, windows))[0])
    windows = [square_from_landmarks(points)[0] for points in first]
    found_68, found_5, scores = predicted(predict, _shown(photographs, windows))
    errors_68 = landmark_errors(_placed(windows, found_68), truth_68, truth_68)
    errors_5 = landmark_errors(_placed(windows, found_5), truth_5, truth_68)
    first_errors = landmark_errors(first, truth_68, truth_68)
    others = [window_without_face(photographs.side_px, points, rng) for points in truth_68]
    false_scores = predicted(predict, _shown(photographs, others))[2]
    return {
        **_prefixed("nme_68", vars(landmark_figures(errors_68))),
        **_prefixed("nme_5", vars(landmark_figures(errors_5))),
        "nme_68_first_pass_mean": float(first_errors.mean()),
        "faces_scored_below_half": float((scores < 0.5).mean()),
        "others_scored_above_half": float((false_scores >= 0.5).mean()),
    }


def measure_recognizer(predict: Predict, photographs: Photographs, _: HeadModel) -> Figures:
    """Error rates of all pairs."""
    landmarks = photographs.labels["landmarks"]
    crops = (aligned_crop(photographs.image_rgb(i), landmarks[i]) for i in range(len(photographs)))
    (embeddings,) = predicted(predict, crops)
    return dict(vars(verification_figures(embeddings, photographs.labels["identity"])))


def measure_deca(predict: Predict, photographs: Photographs, head: HeadModel) -> Figures:
    """Heads, pose and landmarks that the codes stand for."""
    windows = [deca_window(points) for points in photographs.labels["landmarks_68"]]
    (codes,) = predicted(predict, _shown(photographs, windows, DECA_SIZE_PX))
    labels = photographs.labels
    pose_deg = pose_errors_deg(codes[:, 200:203], labels["pose"][:, :3])
    return {
        **head_figures(head, codes[:, :100], labels["shape"]),
        **_prefixed(
            "with_expression",
            head_figures(
                head, codes[:, :100], labels["shape"], codes[:, 150:200], labels["expression"]
            ),
        ),
        "pose_deg_mean": float(pose_deg.mean()),
        "pose_deg_percentile_90": float(np.percentile(pose_deg, 90)),
    }


def measure_mica(predict: Predict, photographs: Photographs, head: HeadModel) -> Figures:
    """Heads at rest."""
    landmarks = photographs.labels["landmarks"]
    crops = (aligned_crop(photographs.image_rgb(i), landmarks[i]) for i in range(len(photographs)))
    (shape,) = predicted(predict, crops)
    return head_figures(head, shape, photographs.labels["shape"])


MEASURES: Mapping[str, Measure] = {
    "face_landmarker": measure_landmarker,
    "face_recognizer": measure_recognizer,
    "deca_encoder": measure_deca,
    "mica_encoder": measure_mica,
    "hair_segmenter": measure_segmenter,
}


def _shown(
    photographs: Photographs, windows: list[NDArray[np.float64]], size: int = LOOSE_SIZE_PX
) -> Iterator[NDArray[np.uint8]]:
    for index, window in enumerate(windows):
        yield warped(photographs.image_rgb(index), window, size)


def _placed(windows: list[NDArray[np.float64]], found: NDArray[Any]) -> NDArray[np.float64]:
    """Points of crops in pixels of their photographs."""
    return np.stack(
        [moved(inverted(window), points) for window, points in zip(windows, found, strict=True)]
    )


def _prefixed(prefix: str, figures: Mapping[str, Any]) -> Figures:
    return {f"{prefix}_{name}": float(value) for name, value in figures.items()}
