# SPDX-License-Identifier: Apache-2.0
"""The hairstyles that are shipped."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mien_starter.hair.recipe import HairstyleRecipe as Recipe

__all__ = ["STYLES", "Style"]


@dataclass(frozen=True, slots=True)
class Style:
    """One of them.

    Attributes:
        title: for people.
        recipe: what it is grown from.
        colour: (3,) RGB of its thumbnail, 0..1.
        seed: of its irregularities.
    """

    title: str
    recipe: Recipe
    colour: tuple[float, float, float]
    seed: int = 1


BLACK = (0.035, 0.030, 0.030)
DARK = (0.075, 0.045, 0.030)
BROWN = (0.17, 0.095, 0.050)
CHESTNUT = (0.22, 0.11, 0.06)
AUBURN = (0.24, 0.095, 0.05)
BLOND = (0.52, 0.36, 0.18)
GREY = (0.42, 0.41, 0.40)


# fmt: off
# Hair that hangs, cut by its hem.
_LONG = Recipe(
    top_m=0.5, sides_m=0.5, back_m=0.5, part=1.5, part_x=0.012, hold_m=0.07, lift=0.28,
    volume_m=0.016, gravity=1.0, bend_m=0.018, cling=0.4, hem_y=-0.28, ragged=0.4,
)

STYLES: dict[str, Style] = {
    "buzz": Style(
        "Buzz cut",
        Recipe(
            top_m=0.009, sides_m=0.007, back_m=0.007, lift=0.65, gravity=0.0, whorl=1.0,
            back=-0.5, frizz=0.2,
        ),
        DARK,
    ),
    "fade": Style(
        "Short with a fade",
        Recipe(
            top_m=0.038, sides_m=0.016, back_m=0.016, fade=0.75, step=0.4, ridge_y=0.085,
            lift=0.7, back=-0.9, sweep=0.3, gravity=0.1, bend_m=0.03, volume_m=0.014,
            hold_m=0.1, frizz=0.5, wave_m=0.001, wave_length_m=0.02, locks=0.3,
        ),
        BLACK,
    ),
    "crew": Style(
        "Crew cut",
        Recipe(
            top_m=0.03, sides_m=0.014, back_m=0.013, fade=0.35, lift=0.8, quiff=0.15,
            back=-0.4, sweep=-0.4, gravity=0.05, bend_m=0.05, hold_m=0.1, volume_m=0.012,
            frizz=0.4,
        ),
        BROWN,
    ),
    "short_side_part": Style(
        "Short with a side parting",
        Recipe(
            top_m=0.085, sides_m=0.03, back_m=0.03, fade=0.3, step=0.7, ridge_y=0.09, part_x=0.03,
            part=1.0, sweep=-0.9, back=0.9, lift=0.45, quiff=0.35, gravity=0.12,
            bend_m=0.02, hold_m=0.15, volume_m=0.014, cling=0.5, frizz=0.2,
        ),
        CHESTNUT,
    ),
    "undercut": Style(
        "Undercut, swept over",
        Recipe(
            top_m=0.1, sides_m=0.004, back_m=0.004, step=1.0, ridge_y=0.082, part_x=0.036,
            part=0.6, sweep=-1.6, back=0.9, whorl=0.25, lift=0.5, quiff=0.3, gravity=0.35,
            bend_m=0.025, hold_m=0.1, volume_m=0.016, cling=0.5, frizz=0.2,
        ),
        BLOND,
    ),
    "slicked_back": Style(
        "Slicked back",
        Recipe(
            top_m=0.115, sides_m=0.032, back_m=0.03, step=0.0, back=2.0, whorl=0.3,
            lift=0.3, quiff=0.15, gravity=0.25, hold_m=0.3, volume_m=0.007, cling=1.0,
            frizz=0.05, ragged=0.3,
        ),
        BLACK,
    ),
    "quiff": Style(
        "Quiff",
        Recipe(
            top_m=0.06, front_m=0.085, sides_m=0.018, back_m=0.018, fade=0.5, step=0.7,
            ridge_y=0.08, back=1.6, whorl=0.2, lift=0.3, quiff=0.55, gravity=0.15,
            bend_m=0.03, hold_m=0.2, volume_m=0.016, cling=0.7, frizz=0.2,
        ),
        BROWN,
    ),
    "curly_short": Style(
        "Short curls",
        Recipe(
            top_m=0.09, sides_m=0.05, back_m=0.05, fade=0.2, lift=0.6, back=-0.5,
            gravity=0.25, bend_m=0.03, hold_m=0.06, volume_m=0.02, wave_m=0.005,
            wave_length_m=0.02, roundness=1.0, wave_from=0.05, locks=0.35, frizz=0.5,
        ),
        DARK,
    ),
    "afro": Style(
        "Afro",
        Recipe(
            top_m=0.085, sides_m=0.075, back_m=0.075, whorl=0.1, lift=0.97, gravity=0.05,
            bend_m=0.2, hold_m=0.2, volume_m=0.05, cling=0.0, wave_m=0.0035,
            wave_length_m=0.01, roundness=1.0, wave_from=0.0, locks=0.0, frizz=1.0,
            ragged=0.1,
        ),
        BLACK,
    ),
    "pixie": Style(
        "Pixie cut",
        Recipe(
            top_m=0.085, sides_m=0.055, back_m=0.045, fringe=0.7, fringe_y=0.056,
            fringe_sweep=0.8, part_x=-0.03, part=0.5, sweep=0.6, lift=0.35, gravity=0.5,
            bend_m=0.02, hold_m=0.06, volume_m=0.018, ragged=0.9, frizz=0.3, back=-0.5,
        ),
        AUBURN,
    ),
    "bob": Style(
        "Bob",
        replace(
            _LONG,
            hem_y=-0.085, tuck=0.5, part_x=0.02, volume_m=0.018, ragged=0.15,
            hem_slope=0.1,
        ),
        CHESTNUT,
    ),
    "bob_fringe": Style(
        "Bob with a fringe",
        replace(
            _LONG,
            hem_y=-0.075, tuck=0.6, part=0.8, part_x=0.0, fringe=0.75, fringe_y=0.042,
            volume_m=0.016, ragged=0.1, frizz=0.05,
        ),
        BLACK,
    ),
    "shag": Style(
        "Layered shag",
        replace(
            _LONG,
            hem_y=-0.15, layers=0.9, tuck=-0.5, fringe=0.8, fringe_y=0.042, part=0.6,
            volume_m=0.022, ragged=1.0, frizz=0.5, wave_m=0.004, wave_length_m=0.06,
            lift=0.4,
        ),
        BROWN,
    ),
    "long_straight": Style(
        "Long and straight",
        replace(
            _LONG,
            hem_y=-0.3, ragged=0.3, frizz=0.05, volume_m=0.012,
        ),
        BLACK,
    ),
    "long_wavy": Style(
        "Long and wavy",
        replace(
            _LONG,
            hem_y=-0.27, wave_m=0.01, wave_length_m=0.1, roundness=0.4, wave_from=0.2,
            locks=1.0, frizz=0.2, volume_m=0.02, layers=0.3,
        ),
        BLOND,
    ),
    "long_curly": Style(
        "Long curls",
        replace(
            _LONG,
            hem_y=-0.2, wave_m=0.01, wave_length_m=0.032, roundness=1.0, wave_from=0.06,
            locks=0.5, frizz=0.5, volume_m=0.034, lift=0.5, layers=0.5,
        ),
        AUBURN,
    ),
    "ponytail": Style(
        "Ponytail",
        Recipe(
            tie="ponytail", tie_height=0.24, tail_m=0.3, tail_width_m=0.028,
            volume_m=0.005, frizz=0.1, ragged=0.5, wave_m=0.003, wave_length_m=0.12,
            wave_from=0.5, locks=1.0,
        ),
        BLOND,
    ),
    "pigtails": Style(
        "Pigtails",
        Recipe(
            tie="pigtails", tie_height=-0.05, tail_m=0.22, tail_width_m=0.02,
            volume_m=0.004, frizz=0.1, ragged=0.5,
        ),
        CHESTNUT,
    ),
    "bun": Style(
        "Bun",
        Recipe(
            tie="bun", tie_height=0.62, tail_m=0.3, tail_width_m=0.034, volume_m=0.005,
            frizz=0.1,
        ),
        DARK,
    ),
    "half_up": Style(
        "Half up",
        replace(
            _LONG,
            tie="half_up", tie_height=0.42, tail_m=0.26, tail_width_m=0.018, hem_y=-0.25,
            part=0.3, wave_m=0.006, wave_length_m=0.08, wave_from=0.3, volume_m=0.01,
        ),
        BROWN,
    ),
}
# fmt: on
