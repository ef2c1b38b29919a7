# SPDX-License-Identifier: Apache-2.0
"""Hair of an avatar as files can hold it: lines, cards or a shell.

Frame    of the head: metres, y up, the face towards +z. Letters: S strands, P points of a strand,
         N vertices, F triangles. Colours are sRGB from 0 to 1, one or one of each vertex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import AlphaMode, EncodedImage
from mien_server.avatar.arrays import colours, real_numbers, whole_numbers

__all__ = ["CardHair", "Hair", "ShellHair", "StrandHair"]


@dataclass(frozen=True, slots=True, eq=False)
class StrandHair:
    """Lines.

    Attributes:
        points: (S, P, 3) float32, the root first; S is 1 or more, P 2 or more.
        colour: (3,) or (S, P, 3).

    Raises:
        ValueError: a shape or a number that is not allowed.
    """

    points: NDArray[np.float32]
    colour: NDArray[np.float32]

    def __post_init__(self) -> None:
        points = real_numbers(self.points, (None, None, 3), "points of strands")
        if points.shape[0] < 1 or points.shape[1] < 2:
            raise ValueError(
                f"points of strands have shape {points.shape}; at least one strand of two points "
                "is needed, leave hair away from a bald head"
            )
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "colour", colours(self.colour, points, "colour of strands"))


@dataclass(frozen=True, slots=True, eq=False)
class CardHair:
    """Ribbons of triangles that carry an image of many strands.

    Attributes:
        vertices: (N, 3) float32.
        faces: (F, 3) int32.
        uv: (N, 2) float32, v up.
        colour: (3,) or (N, 3), by which the texture's is multiplied.
        texture: with alpha; None leaves the cards whole.
        alpha_mode: MASK cuts out at half the alpha, BLEND needs sorting in the viewer.
        normals: (N, 3) float32; None for those of the triangles. They are brought to unit length.

    Raises:
        ValueError: a shape or a number that is not allowed.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    colour: NDArray[np.float32]
    texture: EncodedImage | None = None
    alpha_mode: AlphaMode = "MASK"
    normals: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check_surface(self, "cards")
        uv = real_numbers(self.uv, (len(self.vertices), 2), "uv of cards")
        object.__setattr__(self, "uv", uv)
        if self.texture is not None and not self.texture.has_alpha:
            raise ValueError("the texture of cards has no alpha; give an RGBA image, or None")


@dataclass(frozen=True, slots=True, eq=False)
class ShellHair:
    """One solid surface.

    Attributes:
        vertices: (N, 3) float32.
        faces: (F, 3) int32.
        colour: (3,) or (N, 3).
        normals: (N, 3) float32; None for those of the triangles. They are brought to unit length.

    Raises:
        ValueError: a shape or a number that is not allowed.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colour: NDArray[np.float32]
    normals: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check_surface(self, "a shell")


Hair = StrandHair | CardHair | ShellHair


def _check_surface(hair: CardHair | ShellHair, what: str) -> None:
    vertices = real_numbers(hair.vertices, (None, 3), f"vertices of {what}")
    faces = whole_numbers(hair.faces, (None, 3), len(vertices), f"faces of {what}")
    if not len(faces):
        raise ValueError(f"{what} without a triangle; leave hair away from a bald head")
    object.__setattr__(hair, "vertices", vertices)
    object.__setattr__(hair, "faces", faces)
    object.__setattr__(hair, "colour", colours(hair.colour, vertices, f"colour of {what}"))
    if hair.normals is not None:
        normals = real_numbers(hair.normals, (len(vertices), 3), f"normals of {what}")
        object.__setattr__(hair, "normals", normals)
