# SPDX-License-Identifier: Apache-2.0
"""What a training set consists of: all of it follows from its options, so it can be gone on with.

Image j of identity k has number k * images + j. A shard is `shard_size` images with consecutive
numbers, a portion some images of one identity with consecutive seeds, which one request asks for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from mien._errors import InvalidOptionError
from mien._generation_requests import MAX_SEED, BlendingOrder, Solver

__all__ = ["DEFAULT_STEPS", "Portion", "SetFormat", "SynthesisPlan"]

SetFormat: TypeAlias = Literal["folders", "webdataset"]

DEFAULT_STEPS: Mapping[Solver, int] = {"dpm_solver_2m": 16, "ddim": 50, "ddim_uiface": 50}
# 52 bits, so that seeds, and seeds plus the number of an image, are exact in any reader of JSON.
_SEED_BITS = 52
_WHOLE_NUMBERS = {
    "identities": (1, 100_000),
    "images": (1, 10_000),
    "seed": (0, MAX_SEED),
    "shard_size": (1, 100_000),
    "steps": (1, 1000),
    "switch_at": (0, 1000),
}
_NUMBERS = {"max_similarity": (-1.0, 1.0), "eta": (0.0, 1.0), "guidance_weight": (0.0, 20.0)}
_CHOICES = {
    "format": get_args(SetFormat),
    "solver": get_args(Solver),
    "blending_order": get_args(BlendingOrder),
}
# What `generate` takes, under the same names.
_GENERATION_OPTIONS = ("solver", "steps", "eta", "guidance_weight", "switch_at", "blending_order")


@dataclass(frozen=True, slots=True)
class Portion:
    """Images of one identity, for one request.

    Attributes:
        shard: they belong to.
        identity: number of the identity.
        first_image: number of the first of them, among those of the identity.
        count: of images.
        attempts: that have failed.
    """

    shard: int
    identity: int
    first_image: int
    count: int
    attempts: int = 0

    def split(self, count: int) -> tuple[Portion, Portion]:
        """The first `count` images, and the others."""
        first = dataclasses.replace(self, count=count)
        others = dataclasses.replace(
            self, first_image=self.first_image + count, count=self.count - count
        )
        return first, others


@dataclass(frozen=True, slots=True)
class SynthesisPlan:
    """Options of a set that decide about its bytes, apart from the weights behind the server.

    Attributes:
        identities: number of people, 1 to 100,000.
        images: of each, 1 to 10,000.
        seed: of the set, 0 to 2**64 - 1.
        format: "folders" or "webdataset".
        shard_size: images that become complete together, 1 to 100,000.
        max_similarity: cosine that no identity reaches with any other, -1 to 1.
        solver: "dpm_solver_2m", "ddim" or "ddim_uiface".
        steps: of the solver, 1 to 1000; None becomes 16, or 50 of the other two solvers.
        eta: noise that the DDIM solvers draw on the way, 0 to 1.
        guidance_weight: w, 0 to 20.
        switch_at: t0, 0 to 1000.
        blending_order: "style_first" or "identity_first".

    Raises:
        InvalidOptionError: one of them has a value that is not allowed.
    """

    identities: int
    images: int
    seed: int = 0
    format: SetFormat = "folders"
    shard_size: int = 1000
    max_similarity: float = 0.3
    solver: Solver = "dpm_solver_2m"
    steps: int | None = None
    eta: float = 0.0
    guidance_weight: float = 0.5
    switch_at: int = 500
    blending_order: BlendingOrder = "style_first"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise _refusal(name, repr(value), f"allowed are {', '.join(map(repr, allowed))}")
        if self.steps is None:
            object.__setattr__(self, "steps", DEFAULT_STEPS[self.solver])
        for name, (low, high) in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            number = _whole(value, low - 1)
            if not low <= number <= high:
                raise _refusal(name, value, f"allowed are whole numbers from {low} to {high}")
            object.__setattr__(self, name, number)
        for name, (least, most) in _NUMBERS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # NaN is not
                raise _refusal(name, value, f"allowed are numbers from {least:g} to {most:g}")
            object.__setattr__(self, name, float(value))
        if self.eta and self.solver == "dpm_solver_2m":
            raise _refusal("eta", self.eta, "'dpm_solver_2m' draws no noise. Choose 'ddim'")

    @property
    def num_images(self) -> int:
        """Of the whole set."""
        return self.identities * self.images

    @property
    def num_shards(self) -> int:
        """Of the whole set; the last one may be smaller."""
        return -(-self.num_images // self.shard_size)

    @property
    def first_candidate(self) -> int:
        """Seed from which identities are sought."""
        return _hashed(f"mien identities {self.seed}")

    @property
    def generation_options(self) -> dict[str, Any]:
        """What goes with every request for images."""
        return {name: getattr(self, name) for name in _GENERATION_OPTIONS}

    def image_seed(self, identity: int, image: int) -> int:
        """The seed of an image; those of one identity are consecutive."""
        return _hashed(f"mien images {self.seed} {identity}") + image

    def shard_count(self, shard: int) -> int:
        """Images of a shard."""
        return min(self.shard_size, self.num_images - shard * self.shard_size)

    def portions(self, shard: int, most: int) -> Iterator[Portion]:
        """The images of a shard in their order, in portions of `most` at most."""
        number = shard * self.shard_size
        end = number + self.shard_count(shard)
        while number < end:
            identity, image = divmod(number, self.images)
            count = min(most, end - number, self.images - image)
            yield Portion(shard, identity, image, count)
            number += count

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return dataclasses.asdict(self)

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """In words, where this plan is not the one whose `to_dict` was `stored`."""
        own = self.to_dict()
        return [
            f"{name} {stored.get(name)!r}, and {own.get(name)!r} is asked for"
            for name in own.keys() | stored.keys()
            if own.get(name) != stored.get(name)
        ]


def _hashed(text: str) -> int:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def _whole(value: Any, otherwise: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        return otherwise


def _refusal(name: str, value: object, allowed: str) -> InvalidOptionError:
    return InvalidOptionError(f"{name} is {value}; {allowed}", code="INVALID_OPTION")
