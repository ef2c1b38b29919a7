# SPDX-License-Identifier: Apache-2.0
"""Strands as PLY: points as vertices, steps from one to the next as edges, binary little endian.

Format   Turk 1994, *The PLY Polygon File Format*. Beside x, y, z and colour each vertex has the
         property `curliness`. Strands follow each other, the root of each first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.avatar.arrays import colours
from mien_server.hair.strands import Strands

__all__ = ["to_ply"]

VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"]
    + [(channel, "u1") for channel in ("red", "green", "blue")]
    + [("curliness", "<f4")]
)
EDGE = np.dtype([("vertex1", "<i4"), ("vertex2", "<i4")])
TYPES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}


def to_ply(strands: Strands, colour: ArrayLike) -> bytes:
    """Write strands as PLY.

    Args:
        strands: S of P points, metres; a bald head gives a file without any.
        colour: (3,) of all, or (S, P, 3) of each point, sRGB 0..1.

    Raises:
        ValueError: a colour of another shape, or out of range.
    """
    count, points = strands.points.shape[:2]
    vertices = np.zeros(count * points, VERTEX)
    for axis, values in zip("xyz", strands.points.reshape(-1, 3).T, strict=True):
        vertices[axis] = values
    shade = np.broadcast_to(colours(colour, strands.points, "colour"), strands.points.shape)
    for channel, values in zip(("red", "green", "blue"), shade.reshape(-1, 3).T, strict=True):
        vertices[channel] = np.rint(values * 255)
    vertices["curliness"] = strands.curliness.ravel()
    first = np.arange(count * points).reshape(count, points)[:, :-1].ravel()
    edges = np.zeros(len(first), EDGE)
    edges["vertex1"], edges["vertex2"] = first, first + 1
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {count} strands of {points} points, metres, y up, the face towards +z",
        *_element("vertex", vertices),
        *_element("edge", edges),
        "end_header",
    ]
    return "\n".join([*header, ""]).encode("ascii") + vertices.tobytes() + edges.tobytes()


def _element(name: str, rows: NDArray[np.void]) -> list[str]:
    properties = [f"property {TYPES[rows.dtype[key].str]} {key}" for key in rows.dtype.names or ()]
    return [f"element {name} {len(rows)}", *properties]
