# SPDX-License-Identifier: Apache-2.0
"""What comes from outside, checked once: names, templates, metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.errors import ServingError
from mien_server.gallery.gallery import Enrolment, Existing
from mien_server.gallery.rotation import TEMPLATE_COUNT

__all__ = [
    "MAX_BATCH",
    "MAX_TEMPLATES",
    "People",
    "checked_batch",
    "checked_existing",
    "checked_gallery_name",
    "checked_metadata",
    "checked_page",
    "checked_space",
    "checked_subject_name",
    "checked_templates",
    "checked_top",
    "too_many_templates",
    "unit_vectors",
]

MAX_TEMPLATES, MAX_BATCH = 64, 10_000  # per subject; enrolments per call
MAX_METADATA_BYTES = 4096
MAX_TOP = MAX_PAGE = 1000
# Lengths of recognisers in half precision are off by less.
LENGTH_TOLERANCE = 1e-2

_GALLERY_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,39}")
_SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}")
_SPACE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Enrolments that were checked.

    Attributes:
        names: N.
        metadata: N texts of JSON, or None.
        templates: (T, 512) of unit length, one person's after the other's.
        ends: (N,) rows in which each person's templates end.
    """

    names: list[str]
    metadata: list[bytes | None]
    templates: NDArray[np.float32]
    ends: NDArray[np.int64]


def checked_gallery_name(name: str) -> str:
    """The name itself, fit to be that of a folder.

    Raises:
        ServingError: INVALID_OPTION.
    """
    if not _GALLERY_NAME.fullmatch(name):
        raise ServingError(
            "INVALID_OPTION",
            f"a gallery cannot be called {name!r:.80}; allowed are 1 to 40 of a to z, 0 to 9, _ "
            "and -, the first of them not -",
        )
    return name


def checked_subject_name(name: str) -> str:
    """The name itself.

    Raises:
        ServingError: INVALID_OPTION.
    """
    if not _SUBJECT_NAME.fullmatch(name):
        raise ServingError(
            "INVALID_OPTION",
            f"a subject cannot be called {name!r:.80}; allowed are 1 to 128 of A to Z, a to z, "
            "0 to 9 and . _ @ : + -, the first of them a letter or digit; other words belong into "
            "metadata",
        )
    return name


def checked_space(space: str) -> str:
    """The digest itself.

    Raises:
        ValueError: it is none.
    """
    if not _SPACE.fullmatch(space):
        raise ValueError(f"space is {space!r:.140}; it must be a digest of at most 128 characters")
    return space


def checked_templates(values: ArrayLike, subject: str) -> NDArray[np.float32]:
    """Templates of one subject.

    Args:
        values: (T, 512) or (512,), T from 1 to 64.
        subject: for messages.

    Returns:
        (T, 512), brought to unit length exactly.

    Raises:
        ServingError: INVALID_TENSOR, or INVALID_OPTION where they are too many.
    """
    templates = unit_vectors(values, f"templates of {subject}")
    if len(templates) > MAX_TEMPLATES:
        raise too_many_templates(subject, len(templates))
    return templates


def unit_vectors(values: ArrayLike, what: str) -> NDArray[np.float32]:
    """(N, 512) from (N, 512) or (512,), N at least 1, brought to unit length exactly.

    Raises:
        ServingError: INVALID_TENSOR.
    """
    given = np.asarray(values)
    rows = given[None] if given.ndim == 1 else given
    if rows.ndim != 2 or rows.shape[1] != TEMPLATE_COUNT or not len(rows):
        raise ServingError(
            "INVALID_TENSOR",
            f"{what} have the shape {given.shape}; it must be ({TEMPLATE_COUNT},) or (N, "
            f"{TEMPLATE_COUNT})",
        )
    if not np.issubdtype(rows.dtype, np.floating):
        raise ServingError(
            "INVALID_TENSOR", f"{what} are of the type {rows.dtype}; they must be float32"
        )
    numbers = rows.astype(np.float64)
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.abs(lengths[:, 0] - 1) <= LENGTH_TOLERANCE))
    if len(bad):
        raise ServingError(
            "INVALID_TENSOR",
            f"{what}: number {bad[0]} has the length {lengths[bad[0], 0]:.4g}; templates are "
            "finite and of unit length, as the recogniser gives them",
        )
    unit: NDArray[np.float32] = (numbers / lengths).astype(np.float32)
    return unit


def checked_metadata(metadata: Mapping[str, Any] | None, subject: str) -> bytes | None:
    """JSON of an object, keys in order; None for None.

    Raises:
        ServingError: INVALID_OPTION: JSON cannot say it, or not in 4096 bytes.
    """
    if metadata is None:
        return None
    try:
        if not all(isinstance(key, str) for key in metadata):
            raise TypeError("a key is not a text")
        text = json.dumps(dict(metadata), sort_keys=True, allow_nan=False, ensure_ascii=False)
        content = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ServingError(
            "INVALID_OPTION", f"metadata of {subject} must be a JSON object: {error}"
        ) from None
    if len(content) > MAX_METADATA_BYTES:
        raise ServingError(
            "INVALID_OPTION",
            f"metadata of {subject} takes {len(content)} bytes as JSON; at most "
            f"{MAX_METADATA_BYTES} are kept. Keep the rest elsewhere, under the subject's name",
        )
    return content


def checked_batch(enrolments: Sequence[Enrolment]) -> People:
    """Enrolments, checked.

    Raises:
        ServingError: INVALID_OPTION, INVALID_TENSOR.
    """
    if len(enrolments) > MAX_BATCH:
        raise ServingError(
            "INVALID_OPTION",
            f"{len(enrolments)} enrolments came at once; send at most {MAX_BATCH} per call",
        )
    names = [checked_subject_name(one.subject) for one in enrolments]
    templates = [checked_templates(one.templates, one.subject) for one in enrolments]
    return People(
        names,
        [checked_metadata(one.metadata, one.subject) for one in enrolments],
        np.concatenate([np.empty((0, TEMPLATE_COUNT), np.float32), *templates]),
        np.cumsum([len(rows) for rows in templates], dtype=np.int64),
    )


def checked_existing(existing: str) -> None:
    """Refuse what is none of `Existing`.

    Raises:
        ServingError: INVALID_OPTION.
    """
    if existing not in get_args(Existing):
        raise ServingError(
            "INVALID_OPTION",
            f"existing is {existing!r:.40}; it must be one of {', '.join(get_args(Existing))}",
        )


def checked_top(top: int) -> int:
    """The number itself.

    Raises:
        ServingError: INVALID_OPTION.
    """
    if not 1 <= top <= MAX_TOP:
        raise ServingError("INVALID_OPTION", f"top is {top}; it must be from 1 to {MAX_TOP}")
    return top


def checked_page(limit: int) -> int:
    """The number itself.

    Raises:
        ServingError: INVALID_OPTION.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ServingError("INVALID_OPTION", f"limit is {limit}; it must be from 1 to {MAX_PAGE}")
    return limit


def too_many_templates(subject: str, count: int) -> ServingError:
    """The refusal of more templates than a subject may have."""
    return ServingError(
        "INVALID_OPTION",
        f"{subject} would have {count} templates; at most {MAX_TEMPLATES} are kept. Choose those "
        "that differ most",
    )
