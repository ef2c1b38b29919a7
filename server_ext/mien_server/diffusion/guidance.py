# SPDX-License-Identifier: Apache-2.0
"""Context blending: which context is strengthened at a timestep, and how much.

Paper    MorphFace (arXiv 2504.00430), equation 10 and section B.4: classifier-free guidance whose
         empty branch lacks the style while the image is noise, and the identity once it is not.

The weight w is the paper's: eps = (1 + w) eps(c) - w eps(c without one context). Elsewhere the same
is written with s = 1 + w, or as eps(c) + w (eps(c) - eps(c without)). w = 0 guides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlendingOrder", "Guidance", "Guiding", "Keep", "StyleAlone"]

# Per row of the network's batch: keep the identity context, keep the style context.
Keep = tuple[bool, bool]


class Guiding(Protocol):
    """What a sample asks of the network at a timestep, and what it makes of the answers."""

    def rows(self, t: int) -> tuple[Keep, ...]:
        """Contexts that each of the one or two rows keeps."""

    def blend(self, eps: NDArray[np.float32]) -> NDArray[np.float32]:
        """One prediction from those of the rows."""


class BlendingOrder(Enum):
    """Which context is strengthened first, in the noisy half of the timesteps."""

    STYLE_FIRST = "style_first"
    IDENTITY_FIRST = "identity_first"


@dataclass(frozen=True, slots=True)
class Guidance:
    """How one sample is guided.

    Attributes:
        weight: w, 0 or more.
        switch_at: t0; above it the first context is strengthened, at it and below the second.
        order: see there.

    Raises:
        ValueError: the weight is negative or not finite.
    """

    weight: float = 0.5
    switch_at: int = 500
    order: BlendingOrder = BlendingOrder.STYLE_FIRST

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"the guidance weight is {self.weight}; expected 0 or more")

    def rows(self, t: int) -> tuple[Keep, ...]:
        """What the network is asked at a timestep: both contexts, then the empty branch if any.

        Args:
            t: timestep.

        Returns:
            One row, or two.
        """
        both = (True, True)
        if self.weight == 0:
            return (both,)
        without_style, without_identity = (True, False), (False, True)
        is_early = t > self.switch_at
        style_is_strengthened = is_early == (self.order is BlendingOrder.STYLE_FIRST)
        return (both, without_style if style_is_strengthened else without_identity)

    def blend(self, eps: NDArray[np.float32]) -> NDArray[np.float32]:
        """One prediction from those of the rows.

        Args:
            eps: (1 or 2, ...) in the order of `rows`.

        Returns:
            (...) float32.
        """
        weight = np.float32(self.weight)
        both: NDArray[np.float32] = eps[0]
        return both if len(eps) == 1 else (1 + weight) * both - weight * eps[1]


@dataclass(frozen=True, slots=True)
class StyleAlone:
    """Anybody, in a given style: how new identities are found."""

    def rows(self, t: int) -> tuple[Keep, ...]:  # noqa: ARG002
        """One row, at every timestep."""
        return ((False, True),)

    def blend(self, eps: NDArray[np.float32]) -> NDArray[np.float32]:
        """The row's own prediction, (...) of (1, ...)."""
        only: NDArray[np.float32] = eps[0]
        return only
