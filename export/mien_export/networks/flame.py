# SPDX-License-Identifier: Apache-2.0
"""FLAME as a graph: shape, expression and pose to vertices and landmarks.

Source   Li et al. 2017, section 4.1, equations 2 to 4, and Loper et al. 2015 (SMPL), section 3:
         blend shapes, pose blend shapes, linear blend skinning. Landmarks as DECA takes them.
Letters  B batch, V vertices, K components, L landmarks; joints are root, neck, jaw, left eye and
         right eye.
Frame    metres, y up, the face looks to +z; rotations are axis-angle, radians.

Nothing depends on the values but the row of the contour table, and every index that does not is a
constant, so the graph is matrix products and gathers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mien_export.head_model import NUM_JOINTS, PARENTS, HeadModel

Array = npt.NDArray[Any]

_RODRIGUES_EPS = 1e-8  # published: added to every component inside the norm
_SMALLEST_ANGLE = 1e-12  # only for the one rotation that this epsilon turns into 0 / 0
_LAST_POSITIVE_DEG = 39  # rows 0..39 of the contour table; 40..78 are -1..-39 degrees
_LAST_ROW = 78
# Axis to the nine elements of its cross product matrix, [0 -z y; z 0 -x; -y x 0].
_CROSS = torch.tensor(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]],
    dtype=torch.float32,
)


@dataclass(frozen=True)
class FlameConfig:
    """A convention on which published code disagrees.

    Attributes:
        yaw_sign: of the yaw that picks the contour: +1 as in DECA's FLAME class, -1 as in its
            skinning helper and in FLAME_PyTorch.
    """

    yaw_sign: int = 1

    def __post_init__(self) -> None:
        if self.yaw_sign not in (1, -1):
            raise ValueError(f"yaw_sign is {self.yaw_sign}; expected 1 or -1.")


DECA_FLAME = FlameConfig(yaw_sign=1)
FLAME_PYTORCH = FlameConfig(yaw_sign=-1)


class Flame(nn.Module):
    """The head decoder; all numbers come from a ``HeadModel``."""

    def __init__(self, head: HeadModel, config: FlameConfig = DECA_FLAME) -> None:
        super().__init__()
        self.yaw_sign = float(config.yaw_sign)
        self.num_vertices = head.num_vertices
        template = head.v_template.astype(np.float64)
        basis, used = _without_unused(head.shapedirs.astype(np.float64))
        joints_from_vertices = head.J_regressor.astype(np.float64)
        # Joints are linear in the shaped vertices, so the regressor goes into template and basis.
        rest = joints_from_vertices @ template  # (5, 3)
        moved = np.tensordot(joints_from_vertices, basis, axes=1)  # (5, 3, K)
        self._constant("template", template.reshape(1, -1))
        self._index("used", used)
        self._constant("shape_basis", _rows(basis))
        self._constant("pose_basis", _rows(head.posedirs))
        self._constant("rest_joints", rest.reshape(1, -1))
        self._constant("joint_basis", _rows(moved))
        self._constant("skinning", head.weights[None, :, :, None])
        self._constant("identity", np.eye(3)[None, None])
        static, full = head.static_lmk_faces_idx, head.full_lmk_faces_idx[0]
        self._index("full_corners", head.f[full])  # (68, 3)
        self._constant("full_bary", head.full_lmk_bary_coords[0, :, :, None])
        self._index("static_corners", head.f[static])  # (51, 3)
        self._constant("static_bary", head.static_lmk_bary_coords[:, :, None])
        self._index("contour_corners", head.f[head.dynamic_lmk_faces_idx].reshape(79, -1))
        self._constant("contour_bary", head.dynamic_lmk_bary_coords.reshape(79, -1))

    def _constant(self, name: str, array: Array) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array, np.float32)))

    def _index(self, name: str, array: Array) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array, np.int64)))

    def forward(
        self, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode heads.

        Args:
            shape: (B, 300) coefficients of unit variance.
            expression: (B, 100) likewise.
            pose: (B, 15) axis-angle of root, neck, jaw, left eye and right eye, radians.

        Returns:
            (B, V, 3) vertices, (B, 68, 3) the ``full`` landmarks, and (B, 68, 3) 17 contour
            landmarks that follow the yaw of the head before the 51 static ones; metres.
        """
        codes = torch.cat([shape, expression], dim=1)  # (B, 400)
        codes = torch.index_select(codes, 1, self.get_buffer("used"))  # (B, K)
        rotations = rodrigues(pose.reshape(-1, 3)).reshape(-1, NUM_JOINTS, 3, 3)
        feature = (rotations[:, 1:] - self.get_buffer("identity")).reshape(-1, 36)
        shaped = self.get_buffer("template") + torch.mm(codes, self.get_buffer("shape_basis"))
        posed = shaped + torch.mm(feature, self.get_buffer("pose_basis"))  # (B, 3 V)
        joints = self.get_buffer("rest_joints") + codes @ self.get_buffer("joint_basis")
        turns, shifts = _chain(rotations, joints.reshape(-1, NUM_JOINTS, 3, 1))
        vertices = self._skin(posed.reshape(-1, self.num_vertices, 3), turns, shifts)
        contour = self._contour(vertices, rotations)
        static = _blend(vertices, self.get_buffer("static_corners"), self.get_buffer("static_bary"))
        full = _blend(vertices, self.get_buffer("full_corners"), self.get_buffer("full_bary"))
        return vertices, full, torch.cat([contour, static], dim=1)

    def _skin(self, posed: torch.Tensor, turns: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
        """Blend the joints' transforms, sum_j w_j (R_j v + t_j), all of them in one product."""
        side_by_side = turns.permute(0, 3, 1, 2).reshape(-1, 3, NUM_JOINTS * 3)  # columns (j, row)
        moved = posed @ side_by_side + shifts.reshape(-1, 1, NUM_JOINTS * 3)  # (B, V, 15)
        moved = moved.reshape(-1, self.num_vertices, NUM_JOINTS, 3)
        return (moved * self.get_buffer("skinning")).sum(dim=2)  # (B, V, 3)

    def _contour(self, vertices: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
        """Give the 17 landmarks of the row that belongs to each head's yaw."""
        row = contour_row(rotations[:, 0] @ rotations[:, 1], self.yaw_sign)  # (B,)
        corners = torch.index_select(self.get_buffer("contour_corners"), 0, row)  # (B, 51)
        bary = torch.index_select(self.get_buffer("contour_bary"), 0, row)
        found = torch.gather(vertices, 1, torch.stack([corners] * 3, dim=2))  # (B, 51, 3)
        weighted = found.reshape(-1, 17, 3, 3) * bary.reshape(-1, 17, 3, 1)
        return weighted.sum(dim=2)


def _without_unused(basis: Array) -> tuple[Array, Array]:
    """Leave out components that are zero: reading the basis is most of the work.

    Args:
        basis: (V, 3, 400).

    Returns:
        (V, 3, K) and the (K,) indices that were kept; K is at least 1.
    """
    used = np.flatnonzero(np.abs(basis).max(axis=(0, 1)))
    used = used if used.size else np.zeros(1, np.int64)
    return basis[..., used], used


def _rows(basis: Array) -> Array:
    """(V, 3, K) to (K, 3 V)."""
    return basis.reshape(-1, basis.shape[-1]).T


def rodrigues(axis_angle: torch.Tensor) -> torch.Tensor:
    """Axis-angle (N, 3), radians, to rotation matrices (N, 3, 3), with the published epsilon."""
    angle: torch.Tensor = torch.linalg.vector_norm(axis_angle + _RODRIGUES_EPS, dim=1, keepdim=True)
    axis = axis_angle / angle.clamp_min(_SMALLEST_ANGLE)
    cross = (axis @ _CROSS).reshape(-1, 3, 3)
    sine, versine = torch.sin(angle)[:, :, None], (1 - torch.cos(angle))[:, :, None]
    return torch.eye(3) + sine * cross + versine * (cross @ cross)


def _chain(rotations: torch.Tensor, joints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Transforms of the joints from the rest pose: x -> R x + t.

    Args:
        rotations: (B, 5, 3, 3) of every joint within its parent.
        joints: (B, 5, 3, 1) at rest.

    Returns:
        (B, 5, 3, 3) R and (B, 5, 3) t.
    """
    turns, places = [rotations[:, 0]], [joints[:, 0]]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        turns.append(turns[parent] @ rotations[:, joint])
        offset = joints[:, joint] - joints[:, parent]
        places.append(turns[parent] @ offset + places[parent])
    turn, place = torch.stack(turns, dim=1), torch.stack(places, dim=1)
    return turn, (place - turn @ joints).squeeze(3)


def contour_row(neck: torch.Tensor, yaw_sign: float) -> torch.Tensor:
    """Row of the contour table for each head.

    Args:
        neck: (B, 3, 3) rotation of the neck in the world.
        yaw_sign: see ``FlameConfig``.

    Returns:
        (B,) int64: the yaw in whole degrees y up to 39, and 39 - y for negative y down to -39.
    """
    flat = torch.sqrt(neck[:, 0, 0] ** 2 + neck[:, 1, 0] ** 2).clamp_min(_SMALLEST_ANGLE)
    yaw_deg = yaw_sign * torch.atan(-neck[:, 2, 0] / flat) * (180.0 / math.pi)
    whole = torch.round(yaw_deg.clamp(-_LAST_POSITIVE_DEG, _LAST_POSITIVE_DEG)).to(torch.int64)
    row = torch.where(whole < 0, _LAST_POSITIVE_DEG - whole, whole)
    return row.clamp(0, _LAST_ROW)  # NaN has no row; it must not read outside the table


def _blend(vertices: torch.Tensor, corners: torch.Tensor, bary: torch.Tensor) -> torch.Tensor:
    """Points inside triangles: (B, V, 3), corners (L, 3), bary (L, 3, 1) to (B, L, 3)."""
    found = torch.index_select(vertices, 1, corners.reshape(-1))  # (B, 3 L, 3)
    return (found.reshape(-1, len(corners), 3, 3) * bary).sum(dim=2)
