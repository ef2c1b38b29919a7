# SPDX-License-Identifier: Apache-2.0
"""Normals, albedo and Lambertian images of heads, as DECA's renderer makes them.

`decalib/utils/renderer.py`, `SRenderY.forward` with lights. Letters: B heads, V vertices. Arguments
are read and never written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from mien_server.rendering.camera import project
from mien_server.rendering.kernels import maps as maps_kernels
from mien_server.rendering.kernels import normals as normals_kernels
from mien_server.rendering.kernels import rasterizer as rasterizer_kernels
from mien_server.rendering.normals import normals_on_device
from mien_server.rendering.rasterizer import checked_vertices, fill_z_buffer
from mien_server.rendering.topology import Topology
from mien_server.rendering.warp_runtime import device_array, load_kernels

__all__ = ["ALBEDO", "LAMBERTIAN", "NORMALS", "Scene", "make_scene", "rgba_images", "style_maps"]

# Channels of the style maps.
NORMALS, ALBEDO, LAMBERTIAN = slice(0, 3), slice(3, 6), slice(6, 9)


@dataclass(frozen=True, slots=True)
class Scene:
    """Heads placed before the camera, ready to be rendered at any size.

    Attributes:
        count: B.
        heads: the arguments of the shading kernels, on the device.
        device: Warp's name.
    """

    count: int
    heads: Any
    device: str


def make_scene(
    vertices: ArrayLike,
    albedo: ArrayLike,
    camera: ArrayLike,
    light: ArrayLike,
    topology: Topology,
    *,
    device: str = "cpu",
) -> Scene:
    """Place heads before the camera and compute their normals, once for all images of them.

    Args:
        vertices: (B, V, 3) metres in world space: y up, z towards the viewer.
        albedo: (B, 3, h, w) RGB texture, 0..1, row 0 at v = 1.
        camera: (B, 3) s, tx, ty; see `mien_server.rendering.camera`.
        light: (B, 27) or (B, 9, 3); see `mien_server.rendering.lighting`.
        topology: of all the heads.
        device: Warp's name, such as "cpu" or "cuda:0".

    Returns:
        The scene, which may share memory with the arguments; do not write to them while it is used.

    Raises:
        ValueError: a shape that is not allowed, or no such device.
    """
    points = checked_vertices(vertices)
    count = len(points)
    texture = np.ascontiguousarray(albedo, dtype=np.float32)
    cameras = np.asarray(camera, dtype=np.float32)
    lights = np.ascontiguousarray(light, dtype=np.float32)
    _check("vertices", points.shape, [(count, topology.vertex_count, 3)])
    _check("albedo", texture.shape, [(count, 3, *texture.shape[2:4])])
    _check("camera", cameras.shape, [(count, 3)])
    _check("light", lights.shape, [(count, 9, 3), (count, 27)])
    for module in (rasterizer_kernels, normals_kernels, maps_kernels):
        load_kernels(module, device)
    faces = device_array(topology.faces, wp.vec3i, device)
    heads = maps_kernels.Heads()
    heads.projected = device_array(project(points, cameras), wp.vec3f, device)
    heads.normals = normals_on_device(device_array(points, wp.vec3f, device), faces, device)
    heads.faces = faces
    heads.uv = device_array(topology.uv, wp.vec2f, device)
    heads.uv_faces = device_array(topology.uv_faces, wp.vec3i, device)
    heads.albedo = device_array(texture, wp.float32, device)
    heads.light = device_array(lights.reshape(count, 9, 3), wp.vec3f, device)
    return Scene(count, heads, device)


def style_maps(scene: Scene, size: int = 128) -> NDArray[np.float32]:
    """Normals, albedo and Lambertian image: channels `NORMALS`, `ALBEDO` and `LAMBERTIAN`.

    Normals are those of the vertices in world space (x right, y up, z to the viewer), interpolated
    and, as in DECA, not made unit length again. Albedo is looked up bilinearly between texel
    centres (align_corners off), black beyond the border of the texture. The Lambertian image is
    albedo times shading and is not clamped. Everything is 0 where there is no head.

    Returns:
        (B, 9, size, size) float32.

    Raises:
        ValueError: the size is not allowed.
    """
    return _shaded(maps_kernels.shade_style, scene, size, channels=9)


def rgba_images(scene: Scene, size: int) -> NDArray[np.float32]:
    """The Lambertian image clamped to 0..1, and an alpha of 1 on the head and 0 beside it.

    Returns:
        (B, 4, size, size) float32.

    Raises:
        ValueError: the size is not allowed.
    """
    return _shaded(maps_kernels.shade_rgba, scene, size, channels=4)


def _shaded(kernel: Any, scene: Scene, size: int, *, channels: int) -> NDArray[np.float32]:
    heads = scene.heads
    z_buffer = fill_z_buffer(
        heads.projected,
        heads.faces,
        height=size,
        width=size,
        cull_backfaces=False,
        device=scene.device,
    )
    images = wp.empty((scene.count, channels, size, size), dtype=wp.float32, device=scene.device)
    wp.launch(
        kernel,
        dim=(scene.count, size, size),
        inputs=[z_buffer, heads],
        outputs=[images],
        device=scene.device,
    )
    result: NDArray[np.float32] = images.numpy()
    return result


def _check(name: str, shape: tuple[int, ...], allowed: list[tuple[int, ...]]) -> None:
    if shape not in allowed:
        raise ValueError(f"{name} has shape {shape}; it must be {' or '.join(map(str, allowed))}")
