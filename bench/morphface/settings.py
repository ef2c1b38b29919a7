# SPDX-License-Identifier: Apache-2.0
"""The settings that are compared, and what the paper says of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETTINGS", "SWEEPS", "PaperRow", "Setting"]


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of the paper's table 4.

    Attributes:
        eir: extended improved recall, within a class.
        similarity: mean cosine within a class.
        accuracy: of recognition trained on the set, in percent.
    """

    eir: float
    similarity: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Setting:
    """How contexts are blended.

    Attributes:
        label: for people.
        weight: w of equation 10.
        switch_at: t0; above it the style is dropped, at and below it the identity.
        replace_shape: whether a style takes over the shape of the person (section D.1).
        paper: its row; None where the paper has none.
    """

    label: str
    weight: float
    switch_at: int
    replace_shape: bool
    paper: PaperRow | None


# In the paper's order; "default" is the paper's own choice. With w = 0 there is nothing to switch.
SETTINGS: dict[str, Setting] = {
    "no_blending": Setting("no blending", 0.0, 500, True, PaperRow(0.608, 0.37, 93.11)),
    "t0_750": Setting("t0 = 750", 0.5, 750, True, PaperRow(0.617, 0.48, 93.23)),
    "t0_250": Setting("t0 = 250", 0.5, 250, True, PaperRow(0.675, 0.38, 93.18)),
    "default": Setting("t0 = 500, w = 0.5", 0.5, 500, True, PaperRow(0.642, 0.45, 93.32)),
    "w_1": Setting("w = 1", 1.0, 500, True, PaperRow(0.684, 0.51, 93.05)),
    "w_0.25": Setting("w = 0.25", 0.25, 500, True, PaperRow(0.613, 0.37, 93.14)),
    "sampled_shape": Setting("shape not replaced", 0.5, 500, False, None),
}

# What is varied -> (its value, the setting), rising.
SWEEPS: dict[str, tuple[tuple[float, str], ...]] = {
    "t0": ((250, "t0_250"), (500, "default"), (750, "t0_750")),
    "w": ((0.0, "no_blending"), (0.25, "w_0.25"), (0.5, "default"), (1.0, "w_1")),
}
