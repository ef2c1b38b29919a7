# SPDX-License-Identifier: Apache-2.0
"""How far a training set is, how fast it grows, and how long that will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ProgressMeter", "SynthesisProgress"]

_WINDOW_S = 60.0  # of the rate: what was before says little about what comes


@dataclass(frozen=True, slots=True)
class SynthesisProgress:
    """How far a set is.

    Attributes:
        identities_found: so far; images are made once all are found.
        num_identities: of the whole set.
        images_made: so far, those of earlier runs included.
        num_images: of the whole set.
        images_per_s: of the last minute; None before the first ones.
        time_left_s: at that rate; None where it is not known.
    """

    identities_found: int
    num_identities: int
    images_made: int
    num_images: int
    images_per_s: float | None
    time_left_s: float | None


class ProgressMeter:
    """Counts, and tells of it.

    Args:
        num_identities: of the whole set.
        num_images: of the whole set.
        images_made: by earlier runs.
        tell: is called after each change.
        clock: seconds that only move forward.
    """

    def __init__(
        self,
        num_identities: int,
        num_images: int,
        images_made: int,
        tell: Callable[[SynthesisProgress], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._num_identities, self._num_images = num_identities, num_images
        self._images_before = self._images_made = images_made
        self._identities_found = 0
        self._tell = tell
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    @property
    def new_images(self) -> int:
        """Made by this run."""
        return self._images_made - self._images_before

    def identities(self, num_found: int) -> None:
        """So many are found."""
        self._identities_found = num_found
        self._marks = deque([(self._clock(), self._images_made)])
        self._report()

    def images(self, count: int) -> None:
        """So many more are made."""
        self._images_made += count
        now_s = self._clock()
        self._marks.append((now_s, self._images_made))
        while len(self._marks) > 2 and self._marks[1][0] < now_s - _WINDOW_S:
            self._marks.popleft()
        self._report()

    def _report(self) -> None:
        (since_s, before), (now_s, made) = self._marks[0], self._marks[-1]
        rate = (made - before) / (now_s - since_s) if made > before and now_s > since_s else None
        left_s = (self._num_images - self._images_made) / rate if rate else None
        self._tell(
            SynthesisProgress(
                self._identities_found,
                self._num_identities,
                self._images_made,
                self._num_images,
                rate,
                left_s,
            )
        )
