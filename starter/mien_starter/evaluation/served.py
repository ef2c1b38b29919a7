# SPDX-License-Identifier: Apache-2.0
"""The same figures, of what a running server answers to whole photographs.

Photographs in which the server finds no face, or another one, count: as failures of detection, and
not among the errors of what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import Client, FittedFace, NoFaceError
from mien_export.head_model import HeadModel
from mien_starter.evaluation.heads import head_figures
from mien_starter.evaluation.landmarks import landmark_errors, landmark_figures
from mien_starter.evaluation.poses import pose_errors_deg
from mien_starter.evaluation.verification import verification_figures
from mien_starter.shards import Photographs

__all__ = ["measure_server"]

Answer = TypeVar("Answer")

# A fit whose face lies elsewhere is of something else: in distances between the true eyes.
_SAME_FACE = 1.0


def measure_server(
    address: str,
    photographs: Photographs,
    head: HeadModel,
    on_progress: Callable[[int], object] = lambda _: None,
) -> dict[str, float]:
    """Send every photograph to `fit_faces` and `embed_faces`.

    Args:
        address: of the server, host:port.
        photographs: of people it was not trained on.
        head: the head model that it decodes with.
        on_progress: told how many photographs were sent.

    Raises:
        mien.MienError: the server cannot be reached, or lacks one of the two.
    """
    fits: list[FittedFace | None] = []
    vectors: list[NDArray[np.float32] | None] = []
    with Client(address) as client:
        for index in range(len(photographs)):
            encoded = _png(photographs.image_rgb(index))
            fits.append(_or_none(client.fit, encoded))
            answer = _or_none(client.embed, encoded)
            vectors.append(None if answer is None else answer.vector)
            on_progress(index + 1)
    return _figures(fits, vectors, photographs.labels, head)


def _figures(
    fits: list[FittedFace | None],
    vectors: list[NDArray[np.float32] | None],
    labels: dict[str, NDArray[Any]],
    head: HeadModel,
) -> dict[str, float]:
    truth_68, truth_5 = labels["landmarks_68"], labels["landmarks"]
    right = [
        index
        for index, fit in enumerate(fits)
        if fit is not None
        and landmark_errors(
            fit.face.landmarks[None], truth_5[[index]], truth_68[[index]]
        )[0] < _SAME_FACE
    ]  # fmt: skip
    found = [fit for index in right if (fit := fits[index]) is not None]
    truth = {name: values[right] for name, values in labels.items()}
    codes = np.stack([fit.codes for fit in found])
    points_68 = np.stack([fit.landmarks_68 for fit in found])
    points_5 = np.stack([fit.face.landmarks for fit in found])
    errors_68 = landmark_errors(points_68, truth["landmarks_68"], truth["landmarks_68"])
    errors_5 = landmark_errors(points_5, truth["landmarks"], truth["landmarks_68"])
    pose_deg = pose_errors_deg(codes[:, 200:203], truth["pose"][:, :3])
    embedded = [index for index, vector in enumerate(vectors) if vector is not None]
    embeddings = np.stack([vector for vector in vectors if vector is not None])
    verification = verification_figures(embeddings, labels["identity"][embedded])
    return {
        "faces_missed": 1 - len(right) / len(fits),
        **{f"nme_68_{name}": value for name, value in vars(landmark_figures(errors_68)).items()},
        **{f"nme_5_{name}": value for name, value in vars(landmark_figures(errors_5)).items()},
        **head_figures(head, codes[:, :100], truth["shape"]),
        "pose_deg_mean": float(pose_deg.mean()),
        "pose_deg_percentile_90": float(np.percentile(pose_deg, 90)),
        **vars(verification),
    }


def _png(image_rgb: NDArray[np.uint8]) -> bytes:
    _, content = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    return bytes(content)


def _or_none(ask: Callable[[bytes], Answer], image: bytes) -> Answer | None:
    """The answer, or None where the server sees no face."""
    try:
        return ask(image)
    except NoFaceError:
        return None
