# SPDX-License-Identifier: Apache-2.0
"""The pipeline `verify_faces` on arrays: every pair of a batch through one embedding call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError, serving_error_from_message
from mien_server.options import OnError, on_error_option
from mien_server.verification import cosine_similarity, is_match

__all__ = ["EMBED_OUTPUTS", "EmbedFaces", "VerifyRequest", "verify_requests"]

Array = NDArray[Any]

EMBED_OUTPUTS = ("embedding", "box_xyxy", "landmarks", "error")

# inputs image, face_policy, on_error, each (N, 1) -> the outputs above, batch first
EmbedFaces = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """One Triton request of B pairs.

    Attributes:
        probe_image: (B, 1) encoded photographs.
        reference_image: (B, 1) encoded photographs.
        policies: B face policies.
        on_error: B values of the option; they must agree.
    """

    probe_image: Array
    reference_image: Array
    policies: list[str]
    on_error: list[str]


def verify_requests(
    requests: Sequence[VerifyRequest], embed_faces: EmbedFaces, *, threshold: float, untrained: bool
) -> list[dict[str, Array] | ServingError]:
    """Verify the pairs of all requests with one call of `embed_faces`.

    Args:
        requests: the batch.
        embed_faces: called once with all probes, then all references.
        threshold: of the decision.
        untrained: handed through to the caller.

    Returns:
        Per request its output tensors, batch first, or the refusal that fails it.

    Raises:
        ServingError: the shared call itself failed.
    """
    policies = list(chain.from_iterable(request.policies for request in requests))
    images = np.concatenate(
        [request.probe_image for request in requests]
        + [request.reference_image for request in requests]
    )
    embedded = embed_faces(
        {
            "image": images,
            "face_policy": _texts(policies * 2),
            "on_error": _texts([OnError.REPORT.value] * len(images)),
        }
    )
    pairs = _pairs(embedded, threshold=threshold, untrained=untrained)
    answers: list[dict[str, Array] | ServingError] = []
    start = 0
    for request in requests:
        stop = start + len(request.probe_image)
        answers.append(_answer(request, {name: array[start:stop] for name, array in pairs.items()}))
        start = stop
    return answers


def _pairs(embedded: Mapping[str, Array], *, threshold: float, untrained: bool) -> dict[str, Array]:
    """Output tensors of all pairs from the two halves of the embedded images."""
    probe, reference = (
        dict(zip(embedded, halves, strict=True))
        for halves in zip(*(np.split(array, 2) for array in embedded.values()), strict=True)
    )
    errors = _pair_errors(probe["error"], reference["error"])
    refused = errors[:, 0] != b""
    similarity = cosine_similarity(probe["embedding"], reference["embedding"])
    similarity[refused] = np.nan  # a quantised graph may turn the NaN of a refused crop to numbers
    count = len(similarity)
    return {
        "similarity": similarity[:, None],
        "threshold": np.full((count, 1), threshold, np.float32),
        "is_match": is_match(similarity, threshold)[:, None],
        "probe_box_xyxy": probe["box_xyxy"],
        "reference_box_xyxy": reference["box_xyxy"],
        "probe_landmarks": probe["landmarks"],
        "reference_landmarks": reference["landmarks"],
        "untrained": np.full((count, 1), untrained),
        "error": errors,
    }


def _pair_errors(probe_errors: Array, reference_errors: Array) -> Array:
    """(N, 1) the probe's refusal, else the reference's, else b"", saying whose it is."""
    merged = []
    for probe, reference in zip(probe_errors.ravel(), reference_errors.ravel(), strict=True):
        subject, message = ("probe_image", probe) if probe else ("reference_image", reference)
        text = bytes(message).decode()
        error = (
            serving_error_from_message(text, callee="embed_faces").about(subject) if text else ""
        )
        merged.append(str(error))
    return _texts(merged)


def _answer(request: VerifyRequest, outputs: dict[str, Array]) -> dict[str, Array] | ServingError:
    try:
        on_error = on_error_option(request.on_error)
    except ServingError as refusal:
        return refusal
    if on_error is OnError.RAISE:
        for index, message in enumerate(outputs["error"].ravel()):
            if message:
                error = serving_error_from_message(message.decode(), callee="embed_faces")
                several = len(outputs["error"]) > 1
                return error.about(f"pair {index + 1}") if several else error
    return outputs


def _texts(values: Sequence[str]) -> Array:
    return np.array([[value.encode()] for value in values], dtype=np.object_)
