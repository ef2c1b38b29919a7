# SPDX-License-Identifier: Apache-2.0
"""What texture and light look like together, for training: the colours of a head's vertices.

DECA compares rendered pixels with the photograph (Feng et al. 2021, equation 5). Here the codes of
the photograph are known, so pixels can be compared where nothing stands before the face and without
the camera's noise: a vertex is a pixel, its colour what the codes give it.

Letters  B batch, S vertices, K texture coefficients.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.head_model import HeadModel
from mien_export.networks.flame import rodrigues
from mien_export.texture_space import SIDE_PX, TextureSpace
from mien_server.rendering.lighting import SH_CONSTANTS
from mien_server.rendering.normals import vertex_normals

__all__ = ["HeadColours"]

_VERTICES = 500


class HeadColours(nn.Module):
    """Albedo times light at vertices of the face, which stand as those of the mean head do.

    Args:
        head: has texture coordinates.
        space: of its albedo.
    """

    def __init__(self, head: HeadModel, space: TextureSpace) -> None:
        super().__init__()
        face = np.flatnonzero(head.regions.get("face", np.ones(head.num_vertices, bool)))
        chosen = face[:: max(len(face) // _VERTICES, 1)]
        rows, columns = _texels(head, chosen)
        normals = vertex_normals(head.v_template[None], head.f)[0, chosen]
        self._constant("normals", normals)  # (S, 3)
        self._constant("mean", space.mean[rows, columns])  # (S, 3)
        basis = space.basis[rows, columns]  # (S, 3, K)
        self._constant("basis", basis.reshape(-1, basis.shape[-1]).T)  # (K, 3 S)

    def _constant(self, name: str, array: NDArray[np.float32]) -> None:
        tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32))
        self.register_buffer(name, tensor, persistent=False)

    def forward(
        self, texture: torch.Tensor, light: torch.Tensor, turn: torch.Tensor
    ) -> torch.Tensor:
        """Shade.

        Args:
            texture: (B, K) coefficients.
            light: (B, 27) spherical-harmonics coefficients, coefficient-major.
            turn: (B, 3) of the head, axis-angle in radians.

        Returns:
            (B, S, 3) RGB, white about 1; zero where the surface faces away from the camera.
        """
        mean = self.get_buffer("mean")
        albedo = mean + (texture @ self.get_buffer("basis")).reshape(-1, *mean.shape)
        normals = self.get_buffer("normals") @ rodrigues(turn).transpose(1, 2)  # (B, S, 3)
        facing = (normals[..., 2:] > 0).float()
        return albedo * (_basis(normals) @ light.reshape(-1, 9, 3)) * facing


def _basis(normals: torch.Tensor) -> torch.Tensor:
    """(..., 9) functions of DECA's lighting; `mien_server.rendering.lighting` in torch."""
    x, y, z = normals.unbind(dim=-1)
    functions = [torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1]
    return torch.stack(functions, dim=-1) * torch.tensor(SH_CONSTANTS)


def _texels(
    head: HeadModel, vertices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the texel of each vertex, at whichever of its corners comes last."""
    corner = np.zeros(head.num_vertices, np.int64)
    corner[head.f.ravel()] = head.ft.ravel()
    u, v = head.vt[corner[vertices]].T
    column, row = ((w * SIDE_PX).astype(np.int64).clip(0, SIDE_PX - 1) for w in (u, 1 - v))
    return row, column
