# SPDX-License-Identifier: Apache-2.0
"""The head and the albedo space as the world needs them, read once."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien_export.head_model import HeadModel, read_head
from mien_export.networks.flame import Flame
from mien_starter.skin.asset import Projection
from mien_starter.skin.paint import Complexion, Painter
from mien_starter.skin.texels import Texels, texels_of

Array = npt.NDArray[Any]

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


class Assets:
    """Everything read from `head.npz` and `albedo.npz`.

    Args:
        folder: where both are; the shipped ones by default.

    Raises:
        CheckpointError: there is no head, or it is damaged.
    """

    def __init__(self, folder: Path = WEIGHTS) -> None:
        self.head: HeadModel = read_head(folder / "head.npz")
        with np.load(folder / "head.npz") as arrays:
            self.island: npt.NDArray[np.str_] = arrays["island"]
            self.shape_from_attributes: Array = arrays["shape_from_attributes"]
            self.shape_residual_std: Array = arrays["shape_residual_std"]
        with np.load(folder / "albedo.npz") as arrays:
            self.mean_albedo: Array = arrays["mean"].astype(np.float32)
            self.albedo_directions: Array = arrays["tex_dir"].astype(np.float32)
            self._texel_weight: Array = arrays["weight"]

    @cached_property
    def texels(self) -> Texels:
        """Where every texel lies."""
        return texels_of(self.head, self.island, self.mean_albedo.shape[0])

    @cached_property
    def flame(self) -> Flame:
        """The head decoder, the same module that is exported and served."""
        return Flame(self.head).eval()

    @cached_property
    def _painter(self) -> Painter:
        return Painter(self.texels)

    @cached_property
    def _projection(self) -> Projection:
        return Projection(self.mean_albedo, self.albedo_directions, self._texel_weight)

    def texture_code(self, complexion: Complexion) -> Array:
        """(50,) coefficients of the painted texture: what the space can say of it."""
        return self._projection.codes(self._painter.paint(complexion))

    def albedo(self, texture: Array) -> npt.NDArray[np.float32]:
        """(256, 256, 3) RGB 0..1 of a texture code."""
        full = self.mean_albedo + self.albedo_directions @ texture.astype(np.float32)
        return np.clip(full, 0, 1).astype(np.float32)

    def decode(self, shape: Array, expression: Array, pose: Array) -> tuple[Array, Array]:
        """(V, 3) vertices and (68, 3) landmarks with the contour of that yaw, metres."""
        with torch.no_grad():
            vertices, _, landmarks = self.flame(
                torch.from_numpy(shape[None]),
                torch.from_numpy(expression[None]),
                torch.from_numpy(pose[None]),
            )
        return vertices[0].numpy(), landmarks[0].numpy()

    def expression_of(self, actions: Array) -> tuple[Array, Array]:
        """(100,) expression and (15,) pose of (52,) action intensities.

        Only the first 50 expression coefficients are used: DECA's codes hold no more.
        """
        expression = self.head.expression_from_actions @ actions.astype(np.float32)
        expression[50:] = 0
        return expression, self.head.pose_from_actions @ actions.astype(np.float32)


@lru_cache(maxsize=1)
def default_assets() -> Assets:
    """The shipped ones."""
    return Assets()


__all__ = ["Assets", "default_assets"]
