# SPDX-License-Identifier: Apache-2.0
"""A model's `config.pbtxt`, as Triton hands it to a Python model: JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ModelContract", "TensorSpec", "version_folder"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: as in the config.
        data_type: Triton's name, such as "TYPE_FP32".
        dims: without the batch; -1 is any size.
        optional: the request may leave it out.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ModelContract:
    """What the config says.

    Attributes:
        name: of the model.
        max_batch_size: 0 where the model does not batch.
        inputs: in the config's order.
        outputs: in the config's order.
        parameters: `string_value` of each parameter.
        graph_file: `default_model_filename`, "" where the config has none.
        graph_level: `optimization.graph.level`, None where the config has none.
    """

    name: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, str]
    graph_file: str
    graph_level: int | None

    @classmethod
    def from_json(cls, text: str) -> ModelContract:
        """Read `args["model_config"]` of `initialize`."""
        config: dict[str, Any] = json.loads(text)
        graph = (config.get("optimization") or {}).get("graph")
        return cls(
            name=config["name"],
            max_batch_size=int(config.get("max_batch_size", 0)),
            inputs=tuple(map(_tensor, config.get("input", ()))),
            outputs=tuple(map(_tensor, config.get("output", ()))),
            parameters={
                key: value["string_value"] for key, value in config.get("parameters", {}).items()
            },
            graph_file=config.get("default_model_filename", ""),
            graph_level=None if graph is None else int(graph.get("level", 0)),
        )

    def parameter(self, key: str) -> str:
        """Value of a parameter the config must have.

        Raises:
            ValueError: it has none.
        """
        if key not in self.parameters:
            raise ValueError(
                f"config.pbtxt of {self.name} has no parameter {key!r}; it has "
                f"{', '.join(sorted(self.parameters)) or 'none'}. Build the repository again."
            )
        return self.parameters[key]

    def number(self, key: str) -> float:
        """Value of a parameter that must be a number.

        Raises:
            ValueError: it is missing or no number.
        """
        value = self.parameter(key)
        try:
            return float(value)
        except ValueError:
            raise ValueError(
                f"parameter {key!r} of {self.name} is {value!r}; it must be a number"
            ) from None

    def flag(self, key: str) -> bool:
        """Value of a parameter that must be "true" or "false".

        Raises:
            ValueError: it is missing or neither.
        """
        value = self.parameter(key)
        if value not in ("true", "false"):
            raise ValueError(
                f"parameter {key!r} of {self.name} is {value!r}; it must be 'true' or 'false'"
            )
        return value == "true"


def version_folder(args: Mapping[str, str]) -> Path:
    """The folder of the model's version, which holds its files, from `args` of `initialize`."""
    return Path(args["model_repository"]) / args["model_version"]


def _tensor(entry: dict[str, Any]) -> TensorSpec:
    return TensorSpec(
        name=entry["name"],
        data_type=entry["data_type"],
        dims=tuple(int(dim) for dim in entry["dims"]),
        optional=bool(entry.get("optional", False)),
    )
