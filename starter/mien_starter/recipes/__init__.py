# SPDX-License-Identifier: Apache-2.0
"""One module per training: its numbers (`RECIPE`), samples and losses (`make_task`).

Most trainings give one graph of the same name; a generator's parts that only mean something to each
other are trained together, and give several.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from mien_starter.training.recipe import Recipe, Task, Tensors

__all__ = [
    "NAMES",
    "WITHOUT_PHOTOGRAPHS",
    "RecipeModule",
    "network_of",
    "parameters_of",
    "recipe_module",
    "recipe_of",
]

NAMES = (
    "face_landmarker",
    "face_recognizer",
    "deca_encoder",
    "mica_encoder",
    "emotion_mlp",
    "hair_segmenter",
    "hair_vae",
    "autoencoder",
    "face_denoiser",
)
# What these learn from is drawn by the recipe itself.
WITHOUT_PHOTOGRAPHS = ("emotion_mlp",)


class RecipeModule(Protocol):
    """What a module of this package offers.

    It may also have ``PARAMETERS``, by graph the values of models' parameters, by model, that
    belong to its weights.
    """

    RECIPE: Recipe
    GRAPHS: Mapping[str, str]  # what it trains -> its name for `mien-export build --network`

    def make_task(self, recipe: Recipe, data: Sequence[Path], work: Path) -> Task:
        """Build the network and open the data sets.

        Args:
            recipe: `RECIPE`, or with another number of steps.
            data: folders of data sets.
            work: folder that holds the runs of all networks; the one of mica_encoder reads that
                of face_recognizer.
        """

    def network_states(self, state: Tensors) -> Mapping[str, Tensors]:
        """From the averaged state of a task's network to the weights file of each of `GRAPHS`."""


def recipe_module(name: str) -> RecipeModule:
    """The recipe of a name of `NAMES`."""
    return cast(RecipeModule, importlib.import_module(f"mien_starter.recipes.{name}"))


def recipe_of(graph: str) -> str:
    """Name of the recipe that trains a graph.

    Raises:
        KeyError: none does.
    """
    return {graph: name for name in NAMES for graph in recipe_module(name).GRAPHS}[graph]


def network_of(graph: str) -> str:
    """Which of a graph's networks its recipe trains.

    Raises:
        KeyError: no recipe trains the graph.
    """
    return recipe_module(recipe_of(graph)).GRAPHS[graph]


def parameters_of(graph: str) -> Mapping[str, Mapping[str, str]]:
    """Values by model and parameter that belong to the weights of a graph.

    Raises:
        KeyError: no recipe trains the graph.
    """
    stated: Mapping[str, Mapping[str, Mapping[str, str]]] = getattr(
        recipe_module(recipe_of(graph)), "PARAMETERS", {}
    )
    return stated.get(graph, {})
