# SPDX-License-Identifier: Apache-2.0
"""What a hairstyle is made from: lengths, combing, body, curl, and how it is tied."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["RANGES", "TIES", "HairstyleRecipe"]

TIES = ("loose", "ponytail", "pigtails", "bun", "half_up")

# Smallest and largest value of every number; see `HairstyleRecipe`.
RANGES: dict[str, tuple[float, float]] = {
    "top_m": (0.002, 0.60),
    "sides_m": (0.0, 0.60),
    "back_m": (0.0, 0.60),
    "front_m": (0.0, 0.60),
    "step": (0.0, 1.0),
    "ridge_y": (0.02, 0.12),
    "fade": (0.0, 1.0),
    "recession": (0.0, 1.0),
    "hem_y": (-0.48, 0.10),
    "hem_slope": (-1.0, 1.0),
    "layers": (0.0, 1.0),
    "ragged": (0.0, 1.0),
    "tuck": (-1.0, 1.0),
    "fringe": (0.0, 1.0),
    "fringe_y": (0.005, 0.09),
    "fringe_sweep": (-1.0, 1.0),
    "part_x": (-0.05, 0.05),
    "part": (0.0, 2.0),
    "back": (-2.0, 2.0),
    "sweep": (-2.0, 2.0),
    "whorl": (0.0, 2.0),
    "hold_m": (0.005, 0.60),
    "lift": (0.0, 1.0),
    "quiff": (0.0, 1.0),
    "volume_m": (0.001, 0.06),
    "gravity": (0.0, 1.0),
    "bend_m": (0.004, 0.20),
    "cling": (0.0, 1.0),
    "face": (0.6, 1.4),
    "forward": (0.0, 1.0),
    "wave_m": (0.0, 0.020),
    "wave_length_m": (0.008, 0.15),
    "roundness": (0.0, 1.0),
    "wave_from": (0.0, 0.8),
    "locks": (0.0, 1.0),
    "frizz": (0.0, 1.0),
    "irregular": (0.0, 1.0),
    "tie_height": (-0.4, 1.0),
    "tie_side": (-1.0, 1.0),
    "tail_m": (0.02, 0.50),
    "tail_width_m": (0.005, 0.05),
}


@dataclass(frozen=True, slots=True)
class HairstyleRecipe:
    """A hairstyle in numbers; `RANGES` has the limits of each. Lengths are before curling.

    Attributes:
        top_m: length on top of the head.
        sides_m: length at the temples and around the ears; below 1 mm none is left.
        back_m: length from the ears backwards.
        front_m: length along the forehead; 0 for that of the top.
        step: how abruptly the top's length changes to the sides'.
        ridge_y: height of that change at the side of the head.
        fade: how far up the sides hair is shorter towards the hairline.
        recession: how far the hairline recedes at the temples.
        hem_y: height where hanging hair is cut; at the lowest, nothing is.
        hem_slope: how much lower (positive) the cut is in front than in the back.
        layers: how much shorter the upper strands are than those below them.
        ragged: how uneven the ends are.
        tuck: how much ends at the hem turn inwards, or outwards where negative.
        fringe: how much hair falls over the forehead; 0 for none, 1 from temple to temple.
        fringe_y: height where the fringe is cut.
        fringe_sweep: to the person's left (positive) or right.
        part_x: where hair is parted, to the left of the middle.
        part: strength of combing away from the parting.
        back: strength of combing backwards, or forwards where negative.
        sweep: strength of combing to the left, or to the right where negative.
        whorl: strength of growing away from the whorl.
        hold_m: how far from the root combing reaches.
        lift: sine of the angle at which strands leave the scalp.
        quiff: how much more those along the forehead rise.
        volume_m: how far the outermost strands lie above the scalp.
        gravity: how much strands hang down.
        bend_m: length over which they turn: stiff hair is short and stands.
        cling: how closely strands keep to the scalp.
        face: how far hair beside the face stays apart, 1 to the cheeks.
        forward: how much of long hair falls before the shoulders.
        wave_m: how far waves and curls deviate to either side.
        wave_length_m: of one wave, along the strand.
        roundness: 0 for flat waves, 1 for corkscrews.
        wave_from: part of the strand that stays straight.
        locks: how much neighbouring strands wave alike.
        frizz: how much each strand strays by itself.
        irregular: how much chance there is in all of it; 0 for none.
        tie: of `TIES`: how it is tied.
        tie_height: where it is tied: 0 at the height of the brows, 1 on top.
        tie_side: where it is tied, -1 to 1, from the right to the left ear.
        tail_m: length of what hangs from the tie, or of hair in a bun.
        tail_width_m: half the width of the tail, or of the bun.

    Raises:
        ValueError: a number out of its range or an unknown tie.
    """

    top_m: float = 0.08
    sides_m: float = 0.05
    back_m: float = 0.05
    front_m: float = 0.0
    step: float = 0.2
    ridge_y: float = 0.07
    fade: float = 0.0
    recession: float = 0.0
    hem_y: float = -0.48
    hem_slope: float = 0.0
    layers: float = 0.0
    ragged: float = 0.3
    tuck: float = 0.0
    fringe: float = 0.0
    fringe_y: float = 0.04
    fringe_sweep: float = 0.0
    part_x: float = 0.0
    part: float = 0.0
    back: float = 0.0
    sweep: float = 0.0
    whorl: float = 1.0
    hold_m: float = 0.05
    lift: float = 0.3
    quiff: float = 0.0
    volume_m: float = 0.012
    gravity: float = 0.5
    bend_m: float = 0.02
    cling: float = 0.2
    face: float = 1.0
    forward: float = 0.4
    wave_m: float = 0.0
    wave_length_m: float = 0.04
    roundness: float = 0.0
    wave_from: float = 0.1
    locks: float = 0.7
    frizz: float = 0.1
    irregular: float = 1.0
    tie: str = "loose"
    tie_height: float = 0.4
    tie_side: float = 0.0
    tail_m: float = 0.25
    tail_width_m: float = 0.02

    def __post_init__(self) -> None:
        if self.tie not in TIES:
            raise ValueError(f"tie is {self.tie!r}; it must be one of {', '.join(TIES)}")
        for field in fields(self):
            if field.name == "tie":
                continue
            low, high = RANGES[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise ValueError(f"{field.name} is {value}; it must be {low} to {high}")
