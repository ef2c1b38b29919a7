# SPDX-License-Identifier: Apache-2.0
"""What a gallery is to those who use it, wherever its templates are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mien_server.gallery.receipts import Receipt

__all__ = ["Enrolment", "Existing", "Gallery", "Match", "Page", "Size", "Subject"]

Existing = Literal["refuse", "skip", "add", "replace"]


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """Somebody to be enrolled.

    Attributes:
        subject: name: 1 to 128 of A to Z, a to z, 0 to 9 and ``. _ @ : + -``.
        templates: (T, 512) or (512,), of unit length, by the gallery's recogniser.
        metadata: what JSON can say in 4096 bytes; None leaves what is known of the subject.
    """

    subject: str
    templates: NDArray[np.float32]
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who is enrolled.

    Attributes:
        name: unique in the gallery.
        templates: how many.
        enrolled_at: seconds since 1970, of the first enrolment or the last replacement.
        metadata: what was given with it.
    """

    name: str
    templates: int
    enrolled_at: float
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Match:
    """A subject that a probe resembles.

    Attributes:
        subject: who.
        score: cosine of the probe with the most similar of the subject's templates, in [-1, 1].
    """

    subject: Subject
    score: float


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list of subjects.

    Attributes:
        subjects: in the order in which they were enrolled.
        after: what to pass for the next page; None where this is the last.
    """

    subjects: tuple[Subject, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class Size:
    """How much a gallery holds."""

    subjects: int
    templates: int


class Gallery(Protocol):
    """Templates of subjects, and who among them a face is (1:N).

    Threads may use one together. A change that has returned outlives the process. A search shows
    subjects as they were at one moment between its call and its return, nobody with half of his
    templates and nobody whose deletion had returned before it was called.

    Attributes:
        name: 1 to 40 of a to z, 0 to 9, _ and -.
        space: digest of the recogniser that makes its templates.
    """

    name: str
    space: str

    def enrol(
        self,
        subject: str,
        templates: NDArray[np.float32],
        metadata: Mapping[str, Any] | None = None,
        *,
        existing: Existing = "refuse",
    ) -> Subject:
        """Enrol somebody; see `enrol_many`."""
        ...

    def enrol_many(
        self, enrolments: Sequence[Enrolment], *, existing: Existing = "refuse"
    ) -> tuple[Subject, ...]:
        """Enrol people; much faster than one by one.

        Args:
            enrolments: at most 10,000.
            existing: what becomes of a name that is enrolled: "refuse" the call, "skip" it and say
                what is there, "add" templates to it, or "replace" what is there.

        Returns:
            A subject per enrolment, as it is afterwards.

        Raises:
            ServingError: INVALID_OPTION, INVALID_TENSOR, SUBJECT_EXISTS or GALLERY_UNWRITABLE: then
                nobody was enrolled.
        """
        ...

    def delete(self, subject: str, *, compact: bool = False) -> Receipt:
        """Forget somebody.

        Args:
            subject: name.
            compact: also rid the files of the sealed templates at once, which takes time in
                proportion to the gallery.

        Raises:
            ServingError: UNKNOWN_SUBJECT, GALLERY_UNWRITABLE.
        """
        ...

    def subject(self, name: str) -> Subject:
        """One subject.

        Raises:
            ServingError: UNKNOWN_SUBJECT.
        """
        ...

    def subjects(self, *, after: int | None = None, limit: int = 100) -> Page:
        """The list of subjects, page by page.

        Args:
            after: of the page before.
            limit: 1 to 1000.
        """
        ...

    def search(
        self, probes: NDArray[np.float32], *, top: int = 5, threshold: float = -1.0
    ) -> tuple[tuple[Match, ...], ...]:
        """Whom faces resemble.

        Args:
            probes: (N, 512) or (512,), of unit length.
            top: at most so many subjects for each, 1 to 1000.
            threshold: those of lower scores are left out.

        Returns:
            For each probe, the most similar first.

        Raises:
            ServingError: INVALID_TENSOR, INVALID_OPTION.
        """
        ...

    def count(self) -> Size:
        """How many there are."""
        ...

    def close(self) -> None:
        """Let go of files; later calls are refused."""
        ...
