# SPDX-License-Identifier: Apache-2.0
"""Rendering of meshes with NVIDIA Warp: one kernel source for CPU and GPU.

Meshes come as vertices (B, V, 3) and the triangles (F, 3) that all of them share. The conventions
are DECA's: an orthographic camera, image space -1..1 with y down, smaller z nearer, lighting by
spherical harmonics.
"""

from mien_server.rendering.camera import image_from_pixels, pixels_from_image, project, unproject
from mien_server.rendering.interpolation import interpolate
from mien_server.rendering.lighting import sh_basis, shading
from mien_server.rendering.maps import Scene, make_scene, rgba_images, style_maps
from mien_server.rendering.normals import vertex_normals
from mien_server.rendering.rasterizer import Raster, rasterize
from mien_server.rendering.topology import Topology

__all__ = [
    "Raster",
    "Scene",
    "Topology",
    "image_from_pixels",
    "interpolate",
    "make_scene",
    "pixels_from_image",
    "project",
    "rasterize",
    "rgba_images",
    "sh_basis",
    "shading",
    "style_maps",
    "unproject",
    "vertex_normals",
]
