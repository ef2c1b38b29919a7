# SPDX-License-Identifier: Apache-2.0
"""The maps that the style encoder sees, as `style_renderer` serves them, and in a byte each.

Letters  N faces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien_export.head_model import HeadModel
from mien_export.networks.flame import Flame
from mien_export.networks.texture import Texture
from mien_export.texture_space import TextureSpace
from mien_server.deca_codes import code_parts, head_inputs
from mien_server.rendering import Topology
from mien_server.style_renderer_pipeline import HeadRenderer

__all__ = ["StyleMaps", "bytes_from_maps", "maps_from_bytes"]

# Of normals, albedo and Lambertian image: the byte that is 0, and how many there are to 1. Zero,
# which is also what lies beside the head, stays zero; a Lambertian image is cut to 0..2, which only
# glaring light passes. Steps are 1/127, 1/255 and 1/127.5.
_ZERO = np.repeat(np.array([128, 0, 0], np.float32), 3)[:, None, None]
_ONE = np.repeat(np.array([127, 255, 127.5], np.float32), 3)[:, None, None]


class StyleMaps:
    """Codes to maps: head, albedo and renderer are those that are served.

    Args:
        head: with a UV layout.
        space: its albedo space.
        threads: heads drawn at once.
    """

    def __init__(self, head: HeadModel, space: TextureSpace, *, threads: int = 1) -> None:
        self._flame, self._texture = Flame(head).eval(), Texture(space).eval()
        self._renderer = HeadRenderer(Topology(head.f, head.vt, head.ft), threads=threads)

    @torch.no_grad()
    def of(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 9, 128, 128) of (N, 236) codes, whose camera is that of DECA's crop."""
        parts = code_parts(codes)
        head = {name: torch.from_numpy(value) for name, value in head_inputs(codes).items()}
        vertices, _, _ = self._flame(head["shape"], head["expression"], head["pose"])
        albedo = self._texture(torch.from_numpy(np.ascontiguousarray(parts["texture"])))
        inputs = {
            "vertices": vertices.numpy(),
            "albedo": albedo.numpy(),
            "camera": parts["camera"],
            "light": parts["light"],
        }
        maps: NDArray[np.float32] = self._renderer.render(inputs, frozenset({"style_maps"}))[
            "style_maps"
        ]
        return maps


def bytes_from_maps(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(..., 9, 128, 128) maps in a byte for each value, which is off by half a step at most."""
    stored: NDArray[np.uint8] = np.clip(np.round(maps * _ONE + _ZERO), 0, 255).astype(np.uint8)
    return stored


def maps_from_bytes(stored: Any) -> Any:
    """(..., 9, 128, 128) float32 maps of what `bytes_from_maps` gave; arrays or tensors."""
    if isinstance(stored, torch.Tensor):
        return (stored.float() - torch.from_numpy(_ZERO)) / torch.from_numpy(_ONE)
    return (stored.astype(np.float32) - _ZERO) / _ONE
