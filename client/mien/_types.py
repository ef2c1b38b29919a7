# SPDX-License-Identifier: Apache-2.0
"""What calls return: frozen results, equal by identity because they hold arrays.

Coordinates are pixels of the upright image (EXIF orientation applied), origin at the top-left
corner, boxes half-open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedding", "Face", "PipelineStatus", "ServerStatus", "Verification", "rows_to_json"]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """The face that was used, where it is in its image.

    Attributes:
        box_xyxy: left, top, right, bottom.
        landmarks: (5, 2) float32, read-only: image-left eye, image-right eye, nose tip, image-left
            and image-right mouth corner; NaN where not found.
        alignment: what the crop rests on, "landmarks", "eyes" or "box"; None where not reported.
        detection_score: higher is surer, the scale is the detector's own; None where not reported.
        face_count: faces found in the image; None where not reported.
    """

    box_xyxy: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    alignment: str | None = None
    detection_score: float | None = None
    face_count: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; numbers that are NaN become null."""
        score = self.detection_score
        return {
            "box_xyxy": _finite_or_none(self.box_xyxy),
            "landmarks": rows_to_json(self.landmarks),
            "alignment": self.alignment,
            "detection_score": score if score is not None and math.isfinite(score) else None,
            "face_count": self.face_count,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """The answer to "are these two photographs of one person?".

    Attributes:
        similarity: cosine, -1 to 1.
        threshold: what it was compared with; belongs to the server's weights.
        is_match: similarity >= threshold, decided by the server.
        fmr: false match rate of that threshold, the share of pairs of two people that reach it
            (ISO/IEC 19795-1); None where the server's weights are not calibrated.
        log10_likelihood_ratio: how many powers of ten likelier this similarity is between
            photographs of one person than of two; None where not calibrated. It is evidence, not
            the probability of a match: that also depends on how likely one was before.
        probe: the face used in the first photograph.
        reference: the face used in the second photograph.
        untrained: the weights are random: similarity and is_match mean nothing.
        request_id: what the server's log carries.
    """

    similarity: float
    threshold: float
    is_match: bool
    probe: Face
    reference: Face
    untrained: bool
    request_id: str
    fmr: float | None = None
    log10_likelihood_ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "is_match": self.is_match,
            "similarity": self.similarity,
            "threshold": self.threshold,
            "fmr": self.fmr,
            "log10_likelihood_ratio": self.log10_likelihood_ratio,
            "untrained": self.untrained,
            "probe": self.probe.to_dict(),
            "reference": self.reference.to_dict(),
            "request_id": self.request_id,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The identity in a face, as a direction.

    Attributes:
        vector: (512,) float32, read-only, unit length: the dot product of two is their similarity.
        face: the face it was computed from.
        untrained: the weights are random: the vector means nothing.
        request_id: what the server's log carries.
    """

    vector: NDArray[np.float32]
    face: Face
    untrained: bool
    request_id: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "embedding": self.vector.tolist(),
            "untrained": self.untrained,
            "face": self.face.to_dict(),
            "request_id": self.request_id,
        }


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """One public pipeline. What stands behind it is the server's own affair.

    Attributes:
        name: as in calls.
        ready: it takes requests.
        untrained: random weights are somewhere behind it; None while it is not ready.
    """

    name: str
    ready: bool
    untrained: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"name": self.name, "ready": self.ready, "untrained": self.untrained}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How the server is.

    Attributes:
        live: it runs.
        ready: it takes requests, and every model it should serve is loaded.
        name: what the server calls itself.
        version: Triton's version.
        pipelines: those that are public, by name.
    """

    live: bool
    ready: bool
    name: str
    version: str
    pipelines: tuple[PipelineStatus, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "live": self.live,
            "ready": self.ready,
            "name": self.name,
            "version": self.version,
            "pipelines": [pipeline.to_dict() for pipeline in self.pipelines],
        }


def rows_to_json(array: NDArray[np.float32]) -> list[list[float | None]]:
    """The rows of an (N, D) array as JSON has them; numbers that are NaN become null."""
    return [_finite_or_none(row) for row in array.tolist()]


def _finite_or_none(values: Iterable[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
