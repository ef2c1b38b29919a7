# SPDX-License-Identifier: Apache-2.0
"""Where hair, and where the rest of a person is seen in the photographs of the world.

The same person and shot go through the same draws as in `World.photograph`, so that the labels lie
on its photographs to the pixel; only what is laid over each other is not colour but cover.

Letters  S side of the oversampled image.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien_starter.world.assets import Assets
from mien_starter.world.composition import OVERSAMPLE, Compositor
from mien_starter.world.person import Person
from mien_starter.world.shot import Shot
from mien_starter.world.torso import draw_clothes
from mien_starter.world.world import World

__all__ = ["BACKGROUND", "BODY", "HAIR", "MaskWorld"]

Array = npt.NDArray[Any]

BACKGROUND, HAIR, BODY = 0, 1, 2


class MaskWorld(World):
    """Labels of the photographs of one size.

    Args:
        size: side in pixels.
        assets: head and albedo space; the shipped ones by default.
    """

    def __init__(self, size: int = 256, assets: Assets | None = None) -> None:
        super().__init__(size, assets)
        self._covers = self._compositor = _Covers(self.assets)

    def labels(self, identity: int, shot: int) -> npt.NDArray[np.uint8]:
        """(size, size) `BACKGROUND`, `HAIR` or `BODY`: skin and clothes, hidden by hair alone.

        Things in front of a face hide hair; the face under them is still a part of the body.
        """
        # What is kept of "skin" behind accessories is, here, what is kept of hair.
        hair = self.photograph(identity, shot).face_mask
        body = self._covers.body > 0.5
        return np.where(hair, HAIR, np.where(body, BODY, BACKGROUND)).astype(np.uint8)


class _Covers(Compositor):
    """Renders how much of every pixel is hair; keeps how much is the rest of the person."""

    body: Array

    def render(
        self,
        person: Person,
        shot: Shot,
        vertices: Array,
        size: int,
        background: Array,
    ) -> tuple[Array, Array]:
        """As `Compositor.render`: (size, size, 3) of the background, (size, size) hair."""
        side = int(size * OVERSAMPLE)
        skin = self._head(person, shot, vertices, side)
        curtain = self._curtain(person, shot, vertices, side)
        nothing = np.zeros((side, side, 3), np.float32)
        _, clothes = draw_clothes(nothing, person, shot, self._neck.rim(vertices))
        body = 1 - (1 - skin.cover) * (1 - clothes)
        hair = curtain.cover * (curtain.depth >= skin.depth) * (1 - body)
        for layer in (*self._hair(person.haircut, shot, vertices, side), curtain):
            cover = layer.cover * (layer.depth < skin.depth + 1e-4)
            hair = hair + (1 - hair) * cover
        self.body = _small(body * (1 - hair), size)
        return background, _small(hair, size)


def _small(cover: Array, size: int) -> Array:
    found: Array = cv2.resize(cover.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return found
