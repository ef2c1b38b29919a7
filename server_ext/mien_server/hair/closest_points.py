# SPDX-License-Identifier: Apache-2.0
"""Closest points on a triangle mesh, exactly, and nearest ones among many, through Warp.

Letters: N points, V vertices, F triangles. Safe to call from several threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.kernels import closest as kernels
from mien_server.rendering.warp_runtime import device_array, load_kernels

__all__ = ["MeshTree", "OnMesh", "closest_points", "heights_above", "nearest_points"]

_FAR_M = 1e3
_CELLS = 64  # of the hash grid, per axis


@dataclass(frozen=True, slots=True, eq=False)
class OnMesh:
    """Points on a mesh.

    Attributes:
        points: (N, 3) float32.
        face: (N,) int32 triangles they lie on.
        weights: (N, 3) float32 barycentric, of the triangle's corners.
    """

    points: NDArray[np.float32]
    face: NDArray[np.int32]
    weights: NDArray[np.float32]


class MeshTree:
    """A mesh, ready to be asked.

    Args:
        vertices: (V, 3).
        faces: (F, 3) int, F 1 or more.
        device: Warp's name, such as "cpu".
    """

    def __init__(self, vertices: ArrayLike, faces: ArrayLike, *, device: str = "cpu") -> None:
        load_kernels(kernels, device)
        self._device = device
        # The mesh looks into these; they must live as long as it does.
        self._places = np.ascontiguousarray(vertices, np.float32)
        self._corners = np.ascontiguousarray(faces, np.int32).reshape(-1)
        self._mesh = wp.Mesh(
            device_array(self._places, wp.vec3f, device),
            device_array(self._corners, wp.int32, device),
        )

    def closest_points(self, points: ArrayLike) -> OnMesh:
        """The point of the mesh that is closest to each of (N, 3), within a kilometre of it."""
        targets = device_array(np.ascontiguousarray(points, np.float32), wp.vec3f, self._device)
        found = wp.empty(targets.shape, dtype=wp.vec3f, device=self._device)
        face = wp.empty(targets.shape, dtype=wp.int32, device=self._device)
        weights = wp.empty(targets.shape, dtype=wp.vec3f, device=self._device)
        wp.launch(
            kernels.closest,
            dim=targets.shape,
            inputs=[self._mesh.id, targets, _FAR_M],
            outputs=[found, face, weights],
            device=self._device,
        )
        return OnMesh(found.numpy(), face.numpy(), weights.numpy())

    def heights_above(
        self, points: ArrayLike, *, reach: float = _FAR_M
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How high points lie above the surface, whose triangles run counter-clockwise outside.

        Side is told by the normals about the closest point, so that holes such as a cut neck do no
        harm away from their edge.

        Args:
            points: (N, 3).
            reach: metres; farther points are infinitely high.

        Returns:
            (N,) float32 metres, negative inside, and (N, 3) float32 closest points, the point
            itself where there is none within reach.
        """
        targets = device_array(np.ascontiguousarray(points, np.float32), wp.vec3f, self._device)
        found = wp.empty(targets.shape, dtype=wp.vec3f, device=self._device)
        height = wp.empty(targets.shape, dtype=wp.float32, device=self._device)
        wp.launch(
            kernels.closest_signed,
            dim=targets.shape,
            inputs=[self._mesh.id, targets, reach],
            outputs=[found, height],
            device=self._device,
        )
        return height.numpy(), found.numpy()


def closest_points(points: ArrayLike, vertices: ArrayLike, faces: ArrayLike) -> OnMesh:
    """`MeshTree.closest_points` of a mesh that is asked once, on the CPU."""
    return MeshTree(vertices, faces).closest_points(points)


def heights_above(
    points: ArrayLike, vertices: ArrayLike, faces: ArrayLike, *, reach: float = _FAR_M
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`MeshTree.heights_above` of a mesh that is asked once, on the CPU."""
    return MeshTree(vertices, faces).heights_above(points, reach=reach)


def nearest_points(
    queries: ArrayLike, points: ArrayLike, *, reach: float, device: str = "cpu"
) -> NDArray[np.int32]:
    """Which of many points is nearest to each of some places.

    Args:
        queries: (N, 3).
        points: (M, 3).
        reach: metres above 0; it takes time with the points within it.
        device: Warp's name.

    Returns:
        (N,) rows of `points`, -1 where none is nearer than `reach`.
    """
    load_kernels(kernels, device)
    if not len(np.asarray(points)):
        return np.full(len(np.asarray(queries)), -1, np.int32)
    cloud = device_array(np.ascontiguousarray(points, np.float32), wp.vec3f, device)
    targets = device_array(np.ascontiguousarray(queries, np.float32), wp.vec3f, device)
    grid = wp.HashGrid(_CELLS, _CELLS, _CELLS, device=device)
    grid.build(cloud, reach)
    found = wp.empty(targets.shape, dtype=wp.int32, device=device)
    wp.launch(
        kernels.nearest,
        dim=targets.shape,
        inputs=[grid.id, cloud, targets, reach],
        outputs=[found],
        device=device,
    )
    return np.asarray(found.numpy())
