# SPDX-License-Identifier: Apache-2.0
"""Who is to be generated, and what is told on the way to the faces: one event each.

Images are PNGs, as ``bytes``, that say of themselves how they were made, or read-only uint8 arrays,
RGB (128, 128, 3): whichever was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FacePreview",
    "GeneratedFace",
    "GenerationEvent",
    "GenerationProgress",
    "GenerationStarted",
    "IdentityToken",
    "NewIdentity",
    "SampledIdentities",
]


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """An identity that the server has sealed: only it can read it, and whoever holds it can use it.

    It is worth as much as the photograph that it came from, so its text is not shown by ``repr``;
    ``str`` gives it away on purpose.

    Attributes:
        text: what the server issued.
    """

    text: str = field(repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """Somebody whom no photograph shows.

    Attributes:
        seed: 0 to 2**64 - 1; with the same weights the same one gives the same person.
    """

    seed: int


@dataclass(frozen=True, slots=True)
class SampledIdentities:
    """People who do not exist and do not look alike, in the order in which they were found.

    Attributes:
        identities: of each; for `generate`, and not to be met again as `others`.
        seeds: of each; `NewIdentity(seed)` is the same person, on any server with the same weights.
        largest_similarities: of each, the largest cosine to any other one, found or given; -1 where
            there is none.
        candidates: that were looked at; the next one has the first seed + this number.
        untrained: the weights are random: they are nobody at all.
        request_id: what the server's log carries.
    """

    identities: tuple[IdentityToken, ...]
    seeds: tuple[int, ...]
    largest_similarities: tuple[float, ...]
    candidates: int
    untrained: bool
    request_id: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, the texts of the identities among them."""
        return {
            "identity_tokens": [str(identity) for identity in self.identities],
            "seeds": list(self.seeds),
            "largest_similarities": list(self.largest_similarities),
            "candidates": self.candidates,
            "untrained": self.untrained,
            "request_id": self.request_id,
        }


@dataclass(frozen=True, slots=True)
class GenerationStarted:
    """Sampling begins.

    Attributes:
        identity: of the faces; gives the same person again, as long as the server keeps its key.
        num_steps: of all faces together.
        untrained: the weights are random: the faces mean nothing.
        request_id: what the server's log carries.
    """

    identity: IdentityToken
    num_steps: int
    untrained: bool
    request_id: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, the identity's text among them."""
        return {
            "identity_token": str(self.identity),
            "num_steps": self.num_steps,
            "untrained": self.untrained,
            "request_id": self.request_id,
        }


@dataclass(frozen=True, slots=True)
class GenerationProgress:
    """Some faces have moved by a step.

    Attributes:
        steps_done: of all faces together.
        num_steps: of all faces together.
    """

    steps_done: int
    num_steps: int

    @property
    def share(self) -> float:
        """What is done of the whole, 0 to 1."""
        return self.steps_done / self.num_steps

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"steps_done": self.steps_done, "num_steps": self.num_steps, "share": self.share}


@dataclass(frozen=True, slots=True, eq=False)
class FacePreview:
    """A face as it is foreseen, half-way.

    Attributes:
        index: which face, 0 to count - 1.
        steps_done: of this face.
        num_steps: of this face.
        image: see the module.
    """

    index: int
    steps_done: int
    num_steps: int
    image: bytes | NDArray[np.uint8] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the image."""
        return {"index": self.index, "steps_done": self.steps_done, "num_steps": self.num_steps}


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedFace:
    """A finished face. Faces come as they are finished, not by their index.

    Attributes:
        index: which face, 0 to count - 1.
        seed: alone it gives the same face again, with everything else unchanged.
        similarity: cosine of its embedding and the identity's, -1 to 1.
        codes: (236,) float32, read-only, of its style, in DECA's order as in `FittedFace`.
        image: see the module.
        untrained: the weights are random: the face means nothing.
    """

    index: int
    seed: int
    similarity: float
    codes: NDArray[np.float32] = field(repr=False)
    image: bytes | NDArray[np.uint8] = field(repr=False)
    untrained: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the image."""
        return {
            "index": self.index,
            "seed": self.seed,
            "similarity": self.similarity,
            "codes": self.codes.tolist(),
            "untrained": self.untrained,
        }


GenerationEvent: TypeAlias = GenerationStarted | GenerationProgress | FacePreview | GeneratedFace
