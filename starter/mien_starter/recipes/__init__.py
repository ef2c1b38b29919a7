# SPDX-License-Identifier: Apache-2.0
"""One module per starter network: its numbers (`RECIPE`), samples and losses (`make_task`)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from mien_starter.training.recipe import Recipe, Task, Tensors

__all__ = ["NAMES", "RecipeModule", "recipe_module"]

NAMES = ("face_landmarker", "face_recognizer", "deca_encoder", "mica_encoder")


class RecipeModule(Protocol):
    """What a module of this package offers."""

    RECIPE: Recipe
    NETWORK: str  # its name for `mien-export build --network`

    def make_task(self, recipe: Recipe, data: Sequence[Path], work: Path) -> Task:
        """Build the network and open the data sets.

        Args:
            recipe: `RECIPE`, or with another number of steps.
            data: folders of data sets.
            work: folder that holds the runs of all networks; the one of mica_encoder reads that
                of face_recognizer.
        """

    def network_state(self, state: Tensors) -> Tensors:
        """From the averaged state of a task's network to the tensors of its weights file."""


def recipe_module(name: str) -> RecipeModule:
    """The recipe of a network of `NAMES`."""
    return cast(RecipeModule, importlib.import_module(f"mien_starter.recipes.{name}"))
