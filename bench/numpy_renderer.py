# SPDX-License-Identifier: Apache-2.0
"""The renderer's peer: the same images with vectorised numpy, as one writes it without a kernel.

Every pixel of every triangle's bounding box is a candidate; barycentrics decide whether it is
inside, a sort by depth which triangle is seen. Attributes, texture and light are array arithmetic
over the covered pixels. float32 throughout, one head at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.rendering import Topology, project, sh_basis

__all__ = ["NumpyRenderer"]

Floats = NDArray[np.float32]


class NumpyRenderer:
    """Nine channels, or RGB and alpha, of one head."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    def style_maps(
        self, vertices: Floats, albedo: Floats, camera: Floats, light: Floats, size: int
    ) -> Floats:
        """(9, size, size): normals, albedo, Lambertian."""
        rows, columns, triangle, weights = self._seen(project(vertices, camera), size)
        maps = np.zeros((9, size, size), np.float32)
        corners = self.topology.faces[triangle]
        normal = _mix(self._normals(vertices)[corners], weights)
        uv = _mix(self.topology.uv[self.topology.uv_faces[triangle]], weights)
        colour = _bilinear(albedo, uv)
        lit = colour * (sh_basis(normal) @ light.reshape(9, 3))
        maps[:, rows, columns] = np.concatenate([normal, colour, lit], axis=1).T
        return maps

    def rgba(
        self, vertices: Floats, albedo: Floats, camera: Floats, light: Floats, size: int
    ) -> Floats:
        """(4, size, size): the clamped Lambertian image and its alpha."""
        rows, columns, triangle, weights = self._seen(project(vertices, camera), size)
        image = np.zeros((4, size, size), np.float32)
        normal = _mix(self._normals(vertices)[self.topology.faces[triangle]], weights)
        uv = _mix(self.topology.uv[self.topology.uv_faces[triangle]], weights)
        lit = _bilinear(albedo, uv) * (sh_basis(normal) @ light.reshape(9, 3))
        image[:3, rows, columns] = lit.clip(0, 1).T
        image[3, rows, columns] = 1
        return image

    def _normals(self, vertices: Floats) -> Floats:
        a, b, c = (vertices[self.topology.faces[:, i]] for i in range(3))
        across = np.cross(b - a, c - a)
        index = self.topology.faces.T.ravel()
        normals = np.stack(
            [np.bincount(index, np.tile(across[:, axis], 3), len(vertices)) for axis in range(3)],
            axis=1,
        )
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return (normals / np.maximum(length, 1e-6)).astype(np.float32)

    def _seen(
        self, image: Floats, size: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Floats]:
        """Rows and columns of the covered pixels, the triangle and the weights there."""
        pixels = (image[:, :2] + 1) * (size / 2) - 0.5
        corners = pixels[self.topology.faces]
        low = np.ceil(corners.min(axis=1)).clip(0, size).astype(np.intp)
        high = np.floor(corners.max(axis=1)).clip(-1, size - 1).astype(np.intp)
        extent = (high - low + 1).clip(0)
        count = extent.prod(axis=1)
        triangle = np.repeat(np.arange(len(count)), count)
        within = np.arange(len(triangle)) - np.repeat(count.cumsum() - count, count)
        width = extent[triangle, 0]
        columns = low[triangle, 0] + within % width
        rows = low[triangle, 1] + within // width

        a, b, c = (corners[:, i] for i in range(3))
        with np.errstate(divide="ignore", invalid="ignore"):
            per_area = 1 / _cross(b - a, c - a)
            points = np.stack([columns, rows], axis=1).astype(np.float32)
            from_a = points - a[triangle]
            beta = _cross(from_a, (c - a)[triangle]) * per_area[triangle]
            gamma = _cross((b - a)[triangle], from_a) * per_area[triangle]
            weights = np.stack([1 - beta - gamma, beta, gamma], axis=1)
            inside = (weights >= 0).all(axis=1)
        rows, columns, triangle = rows[inside], columns[inside], triangle[inside]
        weights = weights[inside]
        depth = (image[self.topology.faces[triangle], 2] * weights).sum(axis=1)

        order = np.argsort(depth, kind="stable")
        _, first = np.unique((rows * size + columns)[order], return_index=True)
        kept = order[first]
        return rows[kept], columns[kept], triangle[kept], weights[kept].astype(np.float32)


def _cross(a: Floats, b: Floats) -> Floats:
    product: Floats = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product


def _mix(attributes: Floats, weights: Floats) -> Floats:
    mixed: Floats = np.einsum("pca,pc->pa", attributes, weights)
    return mixed


def _bilinear(albedo: Floats, uv: Floats) -> Floats:
    _, height, width = albedo.shape
    padded = np.pad(albedo, ((0, 0), (1, 1), (1, 1))).transpose(1, 2, 0)
    x = (uv[:, 0] * width + 0.5).clip(0, width + 0.999)
    y = ((1 - uv[:, 1]) * height + 0.5).clip(0, height + 0.999)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right_share, bottom_share = (x - left)[:, None], (y - top)[:, None]
    upper = padded[top, left] * (1 - right_share) + padded[top, left + 1] * right_share
    lower = padded[top + 1, left] * (1 - right_share) + padded[top + 1, left + 1] * right_share
    colour: Floats = upper * (1 - bottom_share) + lower * bottom_share
    return colour
