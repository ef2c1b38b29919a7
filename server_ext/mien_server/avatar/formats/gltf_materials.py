# SPDX-License-Identifier: Apache-2.0
"""Materials, textures and images of a glTF document (glTF 2.0, sections 3.8 and 3.9)."""

from __future__ import annotations

from typing import Any

from mien_server.avatar.appearance import EncodedImage, Material
from mien_server.avatar.formats.colour import linear
from mien_server.avatar.formats.glb_document import Document

__all__ = ["Materials"]

LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071


class Materials:
    """Adds each material and each image to a document once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._materials: dict[str, int] = {}
        self._textures: dict[bytes, int] = {}

    def index(self, material: Material) -> int:
        """Of the material in the document."""
        if material.name not in self._materials:
            self._materials[material.name] = self._document.add(
                "materials", self._described(material)
            )
        return self._materials[material.name]

    def _described(self, material: Material) -> dict[str, Any]:
        surface: dict[str, Any] = {
            "metallicFactor": 0,
            "roughnessFactor": material.roughness,
        }
        if material.colour != (1, 1, 1):
            surface["baseColorFactor"] = [*linear(material.colour).tolist(), 1]
        if material.texture is not None:
            surface["baseColorTexture"] = {"index": self._texture(material.texture)}
        item: dict[str, Any] = {"name": material.name, "pbrMetallicRoughness": surface}
        if material.normal_map is not None:
            item["normalTexture"] = {"index": self._texture(material.normal_map)}
        if material.alpha_mode != "OPAQUE":
            item["alphaMode"] = material.alpha_mode
        if material.alpha_mode == "MASK":
            item["alphaCutoff"] = material.alpha_cutoff
        if material.double_sided:
            item["doubleSided"] = True
        return item

    def _texture(self, image: EncodedImage) -> int:
        if image.data not in self._textures:
            document = self._document
            if not self._textures:
                document.add(
                    "samplers",
                    {
                        "magFilter": LINEAR,
                        "minFilter": LINEAR_MIPMAP_LINEAR,
                        "wrapS": CLAMP_TO_EDGE,
                        "wrapT": CLAMP_TO_EDGE,
                    },
                )
            source = document.add(
                "images", {"bufferView": document.view(image.data), "mimeType": image.media_type}
            )
            self._textures[image.data] = document.add("textures", {"sampler": 0, "source": source})
        return self._textures[image.data]
