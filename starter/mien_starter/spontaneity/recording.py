# SPDX-License-Identifier: Apache-2.0
"""Onset and apex of an expression in two photographs of one person, and the crops of both.

The same identity, emotion, kind and take always give the same bytes.

Letters  A facial actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien_server.expression_crop import expression_crop
from mien_starter.degradation import Degradation, degraded
from mien_starter.spontaneity.actions import action_groups
from mien_starter.spontaneity.circumstances import draw_frames
from mien_starter.spontaneity.expressions import Manner, draw_expression, manner_of
from mien_starter.world.background import draw_background
from mien_starter.world.shot import Shot
from mien_starter.world.world import World

__all__ = ["SIZE_PX", "Item", "Recorder", "Recording"]

SIZE_PX = 160  # of the photographs: a crop is about half of one
_CORNERS_FROM_CENTRES = 0.5
_UNTOUCHED = Degradation()
# The world's blur is of distant faces: it would hide in one frame what the other one shows.
_CAMERA = Degradation(noise=0.2, jpeg=0.25)


class Item(NamedTuple):
    """Which expression is recorded.

    Attributes:
        identity: number of the person.
        emotion: index into `EMOTIONS`.
        spontaneous: 1, or 0 where it is posed.
        take: number of the recording, 0 or more.
    """

    identity: int
    emotion: int
    spontaneous: int
    take: int


@dataclass(frozen=True, eq=False)
class Recording:
    """Two photographs and what is true of them; onset first, then apex.

    Attributes:
        item: whose and which it is.
        photographs: (2, S, S, 3) uint8 RGB.
        landmarks: (2, 5, 2) in them, pixels counted from their corners.
        crops: (2, 44, 44) uint8 grey.
        actions: (2, A) true intensities of the expression; blinks and gaze come on top.
        cues: (6,) true cues in the order of `CUES`.
        pose_deg: (2, 3) yaw, pitch and roll.
    """

    item: Item
    photographs: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    crops: NDArray[np.uint8]
    actions: NDArray[np.float32]
    cues: NDArray[np.float32]
    pose_deg: NDArray[np.float32]


class Recorder:
    """Takes both photographs of expressions.

    Args:
        size_px: side of the photographs.
        world: makes them; one of that size by default.
    """

    def __init__(self, size_px: int = SIZE_PX, world: World | None = None) -> None:
        self._world = world or World(size_px)
        self._groups = action_groups(self._world.assets.head.action_names)
        self._manner = lru_cache(maxsize=64)(self._manner_of)

    def record(self, item: Item) -> Recording:
        """Photograph somebody at onset and apex, about 0.1 s."""
        rng = np.random.default_rng([*item, 2014])
        manner = self._manner(item.identity)
        shown = draw_expression(manner, item.emotion, bool(item.spontaneous), rng, self._groups)
        frames = draw_frames(shown, self._world.assets, rng)
        background = draw_background(self._world.size, rng)
        looks = int(rng.integers(2**32))  # of glasses, which stay the same
        taken = [
            self._photograph(item.identity, shot, looks, background, rng)
            for shot in (frames.onset, frames.apex)
        ]
        return Recording(
            item=item,
            photographs=np.stack([image for image, _ in taken]),
            landmarks=np.stack([points for _, points in taken]),
            crops=np.stack([expression_crop(image, points) for image, points in taken]),
            actions=np.stack([shown.onset, shown.apex]).astype(np.float32),
            cues=shown.cues.astype(np.float32),
            pose_deg=np.array(
                [(s.yaw_deg, s.pitch_deg, s.roll_deg) for s in (frames.onset, frames.apex)],
                np.float32,
            ),
        )

    def _photograph(
        self,
        identity: int,
        shot: Shot,
        looks: int,
        background: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        person = self._world.person(identity)
        photograph = self._world.photograph_of(
            person,
            shot,
            np.random.default_rng(looks),
            camera=_UNTOUCHED,
            background=background,
        )
        # The camera's noise is of each frame, or differences of frames would be free of it.
        image = degraded(photograph.image_rgb, _CAMERA, rng)
        return image, photograph.landmarks + np.float32(_CORNERS_FROM_CENTRES)

    def _manner_of(self, identity: int) -> Manner:
        person = self._world.person(identity)
        return manner_of(identity, person.gender, person.age, self._world.assets)
