# SPDX-License-Identifier: Apache-2.0
"""Avatars as GLB: glTF 2.0 in one file, for engines, browsers and viewers.

The head is one mesh with a primitive for each material, skinned by its joints; hair is a mesh that
hangs on one of them. Units and axes are the head's own: metres, y up, the face towards +z.
"""

from __future__ import annotations

from typing import Any

from mien_server.avatar.formats.glb_document import Document
from mien_server.avatar.formats.gltf_hair import add_hair
from mien_server.avatar.formats.gltf_head import add_head
from mien_server.avatar.formats.gltf_materials import Materials
from mien_server.avatar.formats.gltf_primitive import Compression
from mien_server.avatar.formats.gltf_skin import add_skin
from mien_server.avatar.model import AvatarModel, Metadata

__all__ = ["to_glb"]


def to_glb(
    model: AvatarModel, *, compression: Compression = "none", pack_morphs: bool = False
) -> bytes:
    """Write an avatar as GLB.

    Args:
        model: the avatar.
        compression: "draco" packs triangles, but no morph targets and lines; readers need a
            decoder for KHR_draco_mesh_compression.
        pack_morphs: store morph targets in 16 bits, in steps of 31 micrometres; readers need to
            know KHR_mesh_quantization.

    Raises:
        ValueError: an unknown compression, or a morph target that cannot be packed.
    """
    if compression not in ("none", "draco"):
        raise ValueError(f"compression is {compression!r}; it must be 'none' or 'draco'")
    document = Document({"generator": "mien", "extras": _extras(model.metadata)})
    materials = Materials(document)
    mesh = add_head(document, materials, model, compression, pack_morphs=pack_morphs)
    head: dict[str, Any] = {"name": "head", "mesh": mesh}
    scene = [document.add("nodes", head)]
    if model.joints is not None:
        head["skin"], joints = add_skin(document, model.joints)
        scene.append(joints[0])
    if model.hair is not None:
        mesh = add_hair(document, materials, model.hair, compression)
        hair: dict[str, Any] = {"name": "hair", "mesh": mesh}
        node = document.add("nodes", hair)
        if model.joints is None:
            scene.append(node)
        else:
            carrier = model.joints.hair_joint
            hair["translation"] = (-model.joints.positions[carrier]).tolist()
            document.lists["nodes"][joints[carrier]].setdefault("children", []).append(node)
    document.add("scenes", {"name": "avatar", "nodes": scene})
    return document.to_bytes(scene=0)


def _extras(metadata: Metadata) -> dict[str, Any]:
    return {
        "generatorDigest": metadata.generator_digest,
        "synthetic": metadata.is_synthetic,
        "absentTargets": list(metadata.absent_targets),
        "licences": list(metadata.licences),
    }
