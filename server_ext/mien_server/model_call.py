# SPDX-License-Identifier: Apache-2.0
"""A call of another model of the server, as data: pipelines say what, the adapter does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["CallModels", "ModelCall"]


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One inference.

    Attributes:
        model_name: the model to call.
        inputs: tensor name -> array, batch first.
        outputs: names of the tensors wanted.
    """

    model_name: str
    inputs: Mapping[str, NDArray[Any]]
    outputs: tuple[str, ...]


# Calls that need nothing of each other, made at once -> the outputs of each, batch first.
CallModels = Callable[[Sequence[ModelCall]], Sequence[Mapping[str, NDArray[Any]]]]
