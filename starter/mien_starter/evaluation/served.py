# SPDX-License-Identifier: Apache-2.0
"""The same figures, of what a running server answers to whole photographs.

Photographs in which the server finds no face, or another one, count: as failures of detection, and
not among the errors of what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import Client, Embedding, Face, FittedFace, ModelNotFoundError, NoFaceError
from mien_export.head_model import HeadModel
from mien_starter.evaluation.heads import head_figures
from mien_starter.evaluation.landmarks import landmark_errors, landmark_figures
from mien_starter.evaluation.poses import pose_errors_deg
from mien_starter.evaluation.verification import verification_figures
from mien_starter.shards import Photographs

__all__ = ["measure_server"]

Answer = TypeVar("Answer")

# The head's shape as the server thinks best, and as the encoder alone has it.
SHAPE_SOURCES: tuple[Literal["deca"] | None, ...] = (None, "deca")
# A fit whose face lies elsewhere is of something else: in distances between the true eyes.
_SAME_FACE = 1.0


def measure_server(
    address: str,
    photographs: Photographs,
    head: HeadModel,
    on_progress: Callable[[int], object] = lambda _: None,
) -> dict[str, float]:
    """Send every photograph to `embed_faces`, and to `fit_faces` where that is served.

    Args:
        address: of the server, host:port.
        photographs: of people it was not trained on.
        head: the head model that it decodes with.
        on_progress: told how many photographs were sent.

    Returns:
        Figures of detection, five landmarks and verification; with fits also of 68 landmarks, heads
        and pose; "deca_" heads have the shape of deca_encoder alone.

    Raises:
        mien.MienError: the server cannot be reached, or does not embed.
    """
    embeddings: list[Embedding | None] = []
    fits: dict[Literal["deca"] | None, list[FittedFace | None]]
    fits = {source: [] for source in SHAPE_SOURCES}
    fits_are_served = True
    with Client(address) as client:
        for index in range(len(photographs)):
            encoded = _png(photographs.image_rgb(index))
            embeddings.append(_or_none(client.embed, encoded))
            if fits_are_served:
                try:
                    for source, answers in fits.items():
                        answers.append(_or_none(partial(client.fit, shape_source=source), encoded))
                except ModelNotFoundError:
                    fits_are_served = False
            on_progress(index + 1)
    figures = _embedding_figures(embeddings, photographs.labels)
    if fits_are_served:
        figures |= _fit_figures(fits[None], photographs.labels, head)
        figures |= {
            f"deca_{name}": value
            for name, value in _shape_figures(fits["deca"], photographs.labels, head).items()
        }
    return figures


def _embedding_figures(
    answers: list[Embedding | None], labels: dict[str, NDArray[Any]]
) -> dict[str, float]:
    faces = [None if answer is None else answer.face for answer in answers]
    rows = _right_rows(faces, labels)
    found = np.stack([face.landmarks for row in rows if (face := faces[row]) is not None])
    errors = landmark_errors(found, labels["landmarks"][rows], labels["landmarks_68"][rows])
    embedded = [row for row, answer in enumerate(answers) if answer is not None]
    vectors = np.stack([answer.vector for answer in answers if answer is not None])
    return {
        "faces_missed": 1 - len(rows) / len(answers),
        **{f"nme_5_{name}": value for name, value in vars(landmark_figures(errors)).items()},
        **vars(verification_figures(vectors, labels["identity"][embedded])),
    }


def _fit_figures(
    fits: list[FittedFace | None], labels: dict[str, NDArray[Any]], head: HeadModel
) -> dict[str, float]:
    found, truth = _right_fits(fits, labels)
    codes = np.stack([fit.codes for fit in found])
    points_68 = np.stack([fit.landmarks_68 for fit in found])
    errors = landmark_errors(points_68, truth["landmarks_68"], truth["landmarks_68"])
    pose_deg = pose_errors_deg(codes[:, 200:203], truth["pose"][:, :3])
    return {
        **{f"nme_68_{name}": value for name, value in vars(landmark_figures(errors)).items()},
        **head_figures(head, np.stack([fit.shape for fit in found]), truth["shape"]),
        "pose_deg_mean": float(pose_deg.mean()),
        "pose_deg_percentile_90": float(np.percentile(pose_deg, 90)),
    }


def _shape_figures(
    fits: list[FittedFace | None], labels: dict[str, NDArray[Any]], head: HeadModel
) -> dict[str, float]:
    found, truth = _right_fits(fits, labels)
    return head_figures(head, np.stack([fit.shape for fit in found]), truth["shape"])


def _right_fits(
    fits: list[FittedFace | None], labels: dict[str, NDArray[Any]]
) -> tuple[list[FittedFace], dict[str, NDArray[Any]]]:
    """Fits to the right faces, and the labels of those."""
    rows = _right_rows([None if fit is None else fit.face for fit in fits], labels)
    found = [fit for row in rows if (fit := fits[row]) is not None]
    return found, {name: values[rows] for name, values in labels.items()}


def _right_rows(faces: list[Face | None], labels: dict[str, NDArray[Any]]) -> list[int]:
    """Photographs in which the face that was found is the true one."""
    return [
        row
        for row, face in enumerate(faces)
        if face is not None
        and landmark_errors(
            face.landmarks[None], labels["landmarks"][[row]], labels["landmarks_68"][[row]]
        )[0] < _SAME_FACE
    ]  # fmt: skip


def _png(image_rgb: NDArray[np.uint8]) -> bytes:
    _, content = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    return bytes(content)


def _or_none(ask: Callable[[bytes], Answer], image: bytes) -> Answer | None:
    """The answer, or None where the server sees no face."""
    try:
        return ask(image)
    except NoFaceError:
        return None
