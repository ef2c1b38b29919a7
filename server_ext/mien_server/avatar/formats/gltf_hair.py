# SPDX-License-Identifier: Apache-2.0
"""The mesh of an avatar's hair in a glTF document: lines, cards or a shell."""

from __future__ import annotations

import numpy as np

from mien_server.avatar.formats.colour import linear
from mien_server.avatar.formats.corners import unit_normals
from mien_server.avatar.formats.glb_document import Attribute, Document
from mien_server.avatar.formats.gltf_head import image_from_uv
from mien_server.avatar.formats.gltf_materials import Materials
from mien_server.avatar.formats.gltf_primitive import Compression, add_lines, add_triangles
from mien_server.avatar.formats.hair_material import hair_material
from mien_server.avatar.hair_geometry import CardHair, Hair, StrandHair

__all__ = ["add_hair"]

WHOLE = 65535


def add_hair(document: Document, materials: Materials, hair: Hair, compression: Compression) -> int:
    """Put the mesh of the hair into a document; returns its index."""
    attributes = _colours(hair)
    if isinstance(hair, StrandHair):
        strands, points, _ = hair.points.shape
        attributes["POSITION"] = Attribute(hair.points.reshape(-1, 3), bounds=True)
        primitive = add_lines(document, attributes, strands, points)
    else:
        attributes["POSITION"] = Attribute(hair.vertices, bounds=True)
        attributes["NORMAL"] = Attribute(unit_normals(hair.vertices, hair.faces, hair.normals))
        # Coordinates that no texture uses would only take room.
        if isinstance(hair, CardHair) and hair.texture is not None:
            attributes["TEXCOORD_0"] = Attribute(image_from_uv(hair.uv))
        primitive = add_triangles(document, attributes, hair.faces, compression, keep_order=False)
    primitive["material"] = materials.index(hair_material(hair, mean_colour=False))
    return document.add("meshes", {"name": "hair", "primitives": [primitive]})


def _colours(hair: Hair) -> dict[str, Attribute]:
    """Colours of points in linear light, 16 bits each, because hair is dark."""
    if hair.colour.ndim == 1:
        return {}
    light = np.rint(linear(hair.colour.reshape(-1, 3)) * WHOLE).astype(np.uint16)
    opaque = np.pad(light, ((0, 0), (0, 1)), constant_values=WHOLE)
    return {"COLOR_0": Attribute(opaque, normalized=True)}
