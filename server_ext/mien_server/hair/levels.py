# SPDX-License-Identifier: Apache-2.0
"""Levels of detail of hair."""

from __future__ import annotations

from dataclasses import dataclass

from mien_server.errors import ServingError

__all__ = ["LEVELS", "HairLevel", "hair_level"]


@dataclass(frozen=True, slots=True)
class HairLevel:
    """How much of hair is written.

    Attributes:
        strands: that are drawn as lines; the given ones and others between them.
        strand_points: of each strand.
        card_triangles: at most, of all cards together, without the cap below them.
        shell_triangles: at most, of a closed mesh.
    """

    strands: int
    strand_points: int
    card_triangles: int
    shell_triangles: int


LEVELS: dict[str, HairLevel] = {
    "high": HairLevel(10_000, 64, 36_000, 20_000),
    "medium": HairLevel(3_000, 40, 12_000, 8_000),
    "low": HairLevel(1_000, 20, 5_000, 2_500),
}


def hair_level(name: str) -> HairLevel:
    """The level of a name that a caller gave.

    Raises:
        ServingError: INVALID_OPTION, there is no such level.
    """
    if name not in LEVELS:
        raise ServingError(
            "INVALID_OPTION", f"hair level is {name!r:.40}; it must be one of {', '.join(LEVELS)}"
        )
    return LEVELS[name]
