# SPDX-License-Identifier: Apache-2.0
"""One primitive of a mesh, plain or with Draco (KHR_draco_mesh_compression)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.formats.draco import encoded
from mien_server.avatar.formats.glb_document import (
    ARRAY_BUFFER,
    ELEMENT_ARRAY_BUFFER,
    Attribute,
    Document,
    index_array,
)

__all__ = ["Compression", "add_lines", "add_triangles"]

Compression = Literal["none", "draco"]
LINES = 1
DRACO = "KHR_draco_mesh_compression"


def add_triangles(
    document: Document,
    attributes: Mapping[str, Attribute],
    faces: NDArray[np.int32],
    compression: Compression,
    *,
    keep_order: bool = True,
) -> dict[str, Any]:
    """Put triangles into a document.

    Args:
        document: grows.
        attributes: by glTF's names; all of N vertices.
        faces: (F, 3) rows of the vertices.
        compression: how they are kept.
        keep_order: whether Draco must leave vertices as they are numbered, as morph targets need.

    Returns:
        The primitive, still without a material.
    """
    if compression == "none":
        return _plain(document, attributes, faces.ravel())
    packed = encoded(attributes, faces, keep_order=keep_order)
    document.extensions.add(DRACO)
    names = {name: document.promised(value) for name, value in packed.attributes.items()}
    indices = index_array(packed.faces.ravel(), largest=packed.vertex_count - 1)
    return {
        "attributes": names,
        "indices": document.promised(Attribute(indices)),
        "extensions": {
            DRACO: {"bufferView": document.view(packed.data), "attributes": packed.ids},
        },
    }


def add_lines(
    document: Document, attributes: Mapping[str, Attribute], strands: int, points: int
) -> dict[str, Any]:
    """Put strands of equally many points into a document, each step of one a line of its own.

    Draco knows no lines.
    """
    first = np.arange(strands * points).reshape(strands, points)[:, :-1]
    pairs = np.stack([first, first + 1], axis=-1)
    return {**_plain(document, attributes, pairs.ravel()), "mode": LINES}


def _plain(
    document: Document, attributes: Mapping[str, Attribute], indices: NDArray[Any]
) -> dict[str, Any]:
    names = {name: document.accessor(value, ARRAY_BUFFER) for name, value in attributes.items()}
    count = len(attributes["POSITION"].values)
    small = index_array(indices, largest=count - 1)
    return {
        "attributes": names,
        "indices": document.accessor(Attribute(small), ELEMENT_ARRAY_BUFFER),
    }
