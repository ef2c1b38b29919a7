# SPDX-License-Identifier: Apache-2.0
"""What a recipe's networks are measured on and compared on: photographs, or hairstyles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien_starter.grooms import Grooms
from mien_starter.shards import Photographs

__all__ = ["FROM_GROOMS", "HeldOut", "facts_about", "held_out"]

HeldOut = Photographs | Grooms
FROM_GROOMS = ("hair_vae",)


def held_out(name: str, directories: Sequence[Path], limit: int | None) -> HeldOut:
    """Open what the networks of a recipe are shown.

    Args:
        name: of the recipe.
        directories: of data sets, or of grooms.
        limit: look at the first so many photographs or views only.

    Raises:
        StarterError: there are none.
    """
    if name in FROM_GROOMS:
        return Grooms(directories, limit)
    return Photographs(directories, limit=limit)


def facts_about(data: HeldOut) -> dict[str, Any]:
    """How many and whose, for the figures and the card."""
    known: dict[str, Any] = {"photographs": len(data), "splits": data.splits}
    if isinstance(data, Grooms):
        styles = -(-len(data) // data.views)
        splits = " and ".join(data.splits)
        known["measured_on"] = f"{len(data)} views of {styles} hairstyles of the split {splits}"
    return known
