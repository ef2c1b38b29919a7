# SPDX-License-Identifier: Apache-2.0
"""What strands become to be drawn as triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HairSurface", "joined"]


@dataclass(frozen=True, slots=True, eq=False)
class HairSurface:
    """Triangles of hair. V vertices, F triangles.

    Attributes:
        vertices: (V, 3) float32 metres, in the frame of the strands.
        normals: (V, 3) float32 of unit length, for shading.
        triangles: (F, 3) int32; counter-clockwise seen from where the normals point.
        uv: (V, 2) float32 in 0..1, v up (row 0 of a texture is at v = 1), as everywhere in mien;
            None where the surface takes no texture.
        colours: (V, 3) float32 RGB in 0..1, as in an image (sRGB); None where it has none.

    Raises:
        ValueError: shapes that do not fit together, an index out of range, or a value that is not
            finite.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32] | None = None
    colours: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.vertices)
        for name, width in (("vertices", 3), ("normals", 3), ("uv", 2), ("colours", 3)):
            given = getattr(self, name)
            if given is None:
                continue
            array = np.ascontiguousarray(given, np.float32)
            if array.shape != (count, width):
                raise ValueError(f"{name} has shape {array.shape}; it must be {(count, width)}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has values that are not finite")
            _set(self, name, array)
        corners = np.ascontiguousarray(self.triangles, np.int32)
        if corners.ndim != 2 or corners.shape[1] != 3:
            raise ValueError(f"triangles has shape {corners.shape}; it must be (F, 3)")
        if corners.size and not (corners.min() >= 0 and corners.max() < count):
            raise ValueError(
                f"triangles names vertices {corners.min()} to {corners.max()}; there are {count}, "
                "numbered from 0"
            )
        _set(self, "triangles", corners)


def joined(first: HairSurface, second: HairSurface) -> HairSurface:
    """Both as one.

    Raises:
        ValueError: only one of them has texture coordinates, or colours.
    """
    uv, colours = (
        _both(name, getattr(first, name), getattr(second, name)) for name in ("uv", "colours")
    )
    return HairSurface(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.normals, second.normals]),
        np.concatenate([first.triangles, second.triangles + np.int32(len(first.vertices))]),
        uv,
        colours,
    )


def _both(
    name: str, first: NDArray[np.float32] | None, second: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    if first is None and second is None:
        return None
    if first is None or second is None:
        raise ValueError(f"only one of two surfaces has {name}; give both or neither")
    return np.concatenate([first, second])


def _set(surface: HairSurface, name: str, array: NDArray[np.generic]) -> None:
    array.flags.writeable = False
    object.__setattr__(surface, name, array)
