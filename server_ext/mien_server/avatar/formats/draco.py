# SPDX-License-Identifier: Apache-2.0
"""Triangles as a Draco bitstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import DracoPy
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.formats.glb_document import Attribute

__all__ = ["DracoTriangles", "encoded"]

# Steps of 4 micrometres on a head of a quarter of a metre, and a quarter of a texel of 4096.
POSITION_BITS, NORMAL_BITS, UV_BITS = 16, 10, 14
# Higher ones are slower and, on heads and cards, no smaller.
LEVEL = 3
# Draco knows these; everything else is a generic attribute to it, kept bit for bit.
KNOWN = {"POSITION": "POSITION", "NORMAL": "NORMAL", "TEXCOORD_0": "TEX_COORD"}
FIRST_GENERIC_ID = 16


@dataclass(frozen=True, slots=True, eq=False)
class DracoTriangles:
    """What a file must say about a bitstream.

    Attributes:
        data: the bitstream.
        ids: of the attributes in it.
        attributes: as a decoder gives them.
        faces: (F, 3) as a decoder gives them.
    """

    data: bytes
    ids: dict[str, int]
    attributes: dict[str, Attribute]
    faces: NDArray[np.int32]

    @property
    def vertex_count(self) -> int:
        """Of the decoded triangles; more or fewer than were encoded if their order was not kept."""
        return len(self.attributes["POSITION"].values)


def encoded(
    attributes: Mapping[str, Attribute], faces: NDArray[np.int32], *, keep_order: bool
) -> DracoTriangles:
    """Encode triangles, and decode them to know what readers will see.

    Args:
        attributes: by glTF's names, POSITION among them.
        faces: (F, 3) rows of the vertices.
        keep_order: whether vertices must keep their numbers, at the cost of size.

    Raises:
        RuntimeError: the decoder gives something else than was encoded.
    """
    generic_names = [name for name in attributes if name not in KNOWN]
    generic_ids = {name: FIRST_GENERIC_ID + i for i, name in enumerate(generic_names)}
    data = DracoPy.encode(
        attributes["POSITION"].values,
        faces.astype(np.uint32),
        quantization_bits=POSITION_BITS,
        compression_level=LEVEL,
        preserve_order=keep_order,
        tex_coord=_doubles(attributes.get("TEXCOORD_0")),
        normals=_doubles(attributes.get("NORMAL")),
        tex_coord_quantization_bits=UV_BITS,
        normal_quantization_bits=NORMAL_BITS,
        generic_attributes={
            identifier: attributes[name].values for name, identifier in generic_ids.items()
        }
        or None,
    )
    return _described(data, attributes, generic_ids, len(faces))


def _described(
    data: bytes, given: Mapping[str, Attribute], generic_ids: dict[str, int], triangles: int
) -> DracoTriangles:
    mesh: Any = DracoPy.decode(data)
    by_id = {entry["unique_id"]: entry for entry in mesh.attributes}
    ids = dict(generic_ids)
    for name, kind in KNOWN.items():
        wanted = DracoPy.AttributeType[kind]
        found = [i for i, entry in by_id.items() if entry["attribute_type"] == wanted]
        if name in given and found:
            ids[name] = found[0]
    if ids.keys() != given.keys() or len(mesh.faces) > triangles:
        raise RuntimeError(
            f"Draco gave back {sorted(ids)} and {len(mesh.faces)} triangles of {sorted(given)} and "
            f"{triangles}"
        )
    decoded = {
        name: replace(
            given[name],
            values=by_id[ids[name]]["data"].astype(given[name].values.dtype, copy=False),
        )
        for name in given
    }
    return DracoTriangles(data, {name: ids[name] for name in given}, decoded, mesh.faces)


def _doubles(attribute: Attribute | None) -> NDArray[np.float64] | None:
    return None if attribute is None else attribute.values.astype(np.float64)
