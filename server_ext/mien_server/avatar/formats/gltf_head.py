# SPDX-License-Identifier: Apache-2.0
"""The mesh of an avatar's head in a glTF document: a primitive for each material."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import Material
from mien_server.avatar.formats.corners import Corners, corner_tangents, split_corners, unit_normals
from mien_server.avatar.formats.glb_document import Attribute, Document
from mien_server.avatar.formats.gltf_materials import Materials
from mien_server.avatar.formats.gltf_morphs import MorphWriter
from mien_server.avatar.formats.gltf_primitive import Compression, add_triangles
from mien_server.avatar.formats.gltf_skin import skin_attributes
from mien_server.avatar.model import AvatarModel

__all__ = ["add_head", "image_from_uv"]


def add_head(
    document: Document,
    materials: Materials,
    model: AvatarModel,
    compression: Compression,
    *,
    pack_morphs: bool,
) -> int:
    """Put the mesh of the head into a document; returns its index."""
    normals = unit_normals(model.vertices, model.topology.faces)
    morphs = MorphWriter(model.morphs, packed=pack_morphs) if model.morphs else None
    primitives = []
    for material, triangles in model.surfaces():
        corners = split_corners(model.topology, triangles)
        attributes = _attributes(model, normals, corners, material)
        primitive = add_triangles(document, attributes, corners.faces, compression)
        primitive["material"] = materials.index(material)
        if morphs is not None:
            primitive["targets"] = morphs.targets(document, corners.vertices)
        primitives.append(primitive)
    mesh: dict[str, Any] = {"name": "head", "primitives": primitives}
    if model.morphs is not None:
        mesh["weights"] = list(model.morphs.weights)
        mesh["extras"] = {"targetNames": list(model.morphs.names)}
    return document.add("meshes", mesh)


def _attributes(
    model: AvatarModel, normals: NDArray[np.float32], corners: Corners, material: Material
) -> dict[str, Attribute]:
    rows = corners.vertices
    positions, directions = model.vertices[rows], normals[rows]
    attributes = {
        "POSITION": Attribute(positions, bounds=True),
        "NORMAL": Attribute(directions),
        "TEXCOORD_0": Attribute(image_from_uv(corners.uv)),
    }
    if material.normal_map is not None:
        attributes["TANGENT"] = Attribute(corner_tangents(positions, directions, corners))
    if model.joints is not None:
        attributes |= skin_attributes(model.joints.weights[rows])
    return attributes


def image_from_uv(uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Texture coordinates as glTF counts them, v down from the upper edge of the image."""
    return np.column_stack([uv[:, 0], 1 - uv[:, 1]])
