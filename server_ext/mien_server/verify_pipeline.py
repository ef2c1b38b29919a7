# SPDX-License-Identifier: Apache-2.0
"""The pipeline `verify_faces` on arrays: every pair of a batch through one embedding call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.batch_answers import Answer, answers_of_rows, text_rows
from mien_server.decision import DecisionRule
from mien_server.errors import ServingError, serving_error_from_message
from mien_server.options import OnError
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
        fmr: B false match rates to decide at; None for the default threshold.
    """

    probe_image: Array
    reference_image: Array
    policies: list[str]
    on_error: list[str]
    fmr: list[float | None]


def verify_requests(
    requests: Sequence[VerifyRequest],
    embed_faces: EmbedFaces,
    *,
    rule: DecisionRule,
    untrained: bool,
) -> list[Answer]:
    """Verify the pairs of all requests with one call of `embed_faces`.

    Args:
        requests: the batch.
        embed_faces: called once with all probes, then all references.
        rule: of the decision.
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
            "face_policy": text_rows([policy.encode() for policy in policies * 2]),
            "on_error": text_rows([OnError.REPORT.value.encode()] * len(images)),
        }
    )
    fmr = list(chain.from_iterable(request.fmr for request in requests))
    pairs = _pairs(embedded, fmr, rule=rule, untrained=untrained)
    return answers_of_rows(
        [request.on_error for request in requests], pairs, callee="embed_faces", item="pair"
    )


def _pairs(
    embedded: Mapping[str, Array],
    fmr: Sequence[float | None],
    *,
    rule: DecisionRule,
    untrained: bool,
) -> dict[str, Array]:
    """Output tensors of all pairs from the two halves of the embedded images."""
    probe, reference = (
        dict(zip(embedded, halves, strict=True))
        for halves in zip(*(np.split(array, 2) for array in embedded.values()), strict=True)
    )
    points, option_errors = _operating_points(fmr, rule)
    errors = _pair_errors(option_errors, probe["error"], reference["error"])
    refused = errors[:, 0] != b""
    similarity = cosine_similarity(probe["embedding"], reference["embedding"])
    similarity[refused] = np.nan  # a quantised graph may turn the NaN of a refused crop to numbers
    return {
        "similarity": similarity[:, None],
        "threshold": points[:, :1],
        "fmr": points[:, 1:],
        "log10_likelihood_ratio": rule.log10_likelihood_ratio(similarity)[:, None],
        "is_match": is_match(similarity, points[:, 0])[:, None],
        "probe_box_xyxy": probe["box_xyxy"],
        "reference_box_xyxy": reference["box_xyxy"],
        "probe_landmarks": probe["landmarks"],
        "reference_landmarks": reference["landmarks"],
        "untrained": np.full((len(similarity), 1), untrained),
        "error": errors,
    }


def _operating_points(
    fmr: Sequence[float | None], rule: DecisionRule
) -> tuple[NDArray[np.float32], list[str]]:
    """(N, 2) threshold and FMR of each pair, NaN where refused, and the refusals or ""."""
    points: list[tuple[float, float]] = []
    errors: list[str] = []
    for wanted in fmr:
        try:
            points.append(rule.operating_point(wanted))
            errors.append("")
        except ServingError as refusal:
            points.append((np.nan, np.nan))
            errors.append(str(refusal))
    return np.array(points, np.float32).reshape(-1, 2), errors


def _pair_errors(
    option_errors: Sequence[str], probe_errors: Array, reference_errors: Array
) -> Array:
    """(N, 1) the option's refusal, else the probe's, else the reference's, else b""."""
    merged = []
    sides = zip(option_errors, probe_errors.ravel(), reference_errors.ravel(), strict=True)
    for option_error, probe, reference in sides:
        subject, message = ("probe_image", probe) if probe else ("reference_image", reference)
        text = bytes(message).decode()
        error = (
            serving_error_from_message(text, callee="embed_faces").about(subject) if text else ""
        )
        merged.append(option_error or str(error))
    return text_rows([text.encode() for text in merged])
