# SPDX-License-Identifier: Apache-2.0
"""Where a head's texture may show the photograph: the face, without eyeballs, mouth and scalp.

Made from the head at rest and its 68 landmarks (iBUG 300-W), which every head model has. Lengths
are measured in thirds of the face, from the brows to the base of the nose, which after the
painters' rule is also the way from the brows up to the hair.

Letters  V vertices, T texture coordinates, F triangles. Frame of the head: y up, face towards +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.rendering import Topology

__all__ = ["FaceMeasures", "TextureRegions", "ramp", "texture_regions"]

Array = NDArray[Any]

BROWS, NOSE_BASE, CHIN, JAW_ENDS = slice(17, 27), 33, 8, (0, 16)
# Nobody's hair begins at the same height, so the photograph fades before it should.
HAIRLINE = (0.95, 0.55)  # thirds above the brows: none of the photograph, all of it
BELOW_CHIN = (-0.35, -0.05)  # thirds above the chin
NECK = 0.25  # thirds below the chin that only a neck reaches
BESIDE_EARS = (-0.05, 0.30)  # thirds in front of the ends of the jaw's contour


@dataclass(frozen=True, slots=True)
class FaceMeasures:
    """Heights and depths of a head at rest, in metres.

    Attributes:
        brows: y of their upper edge.
        nose_base: y.
        chin: y.
        jaw_ends: z where the contour meets the ears.
    """

    brows: float
    nose_base: float
    chin: float
    jaw_ends: float

    @property
    def third(self) -> float:
        """Metres from the brows to the base of the nose."""
        return self.brows - self.nose_base

    @classmethod
    def of(cls, landmarks_68: Array) -> FaceMeasures:
        """Measure (68, 3) landmarks of a head at rest.

        Raises:
            ValueError: another shape, or a face that is upside down.
        """
        points = np.asarray(landmarks_68, np.float64)
        if points.shape != (68, 3):
            raise ValueError(f"landmarks_68 have shape {points.shape}; they must be (68, 3)")
        measures = cls(
            brows=float(points[BROWS, 1].max()),
            nose_base=float(points[NOSE_BASE, 1]),
            chin=float(points[CHIN, 1]),
            jaw_ends=float(points[list(JAW_ENDS), 2].mean()),
        )
        if not measures.brows > measures.nose_base > measures.chin:
            raise ValueError(
                f"brows, nose and chin lie at y = {measures.brows:.3f}, {measures.nose_base:.3f} "
                f"and {measures.chin:.3f}; the head must be upright, y up"
            )
        return measures


@dataclass(frozen=True, slots=True, eq=False)
class TextureRegions:
    """What each texture coordinate may show.

    Attributes:
        photograph: (T,) float32, 0..1: how much of a photograph.
        skin: (T,) float32, 0 or 1: skin, whose colour is matched to that of the photograph.
    """

    photograph: NDArray[np.float32]
    skin: NDArray[np.float32]


def texture_regions(
    topology: Topology, neutral_vertices: Array, neutral_landmarks_68: Array
) -> TextureRegions:
    """Tell skin from the rest, and the face from other skin.

    The largest island of the layout is skin, and so is one that reaches below the chin: a neck.
    Others are eyeballs, teeth, tongue, mouth and sockets.

    Args:
        topology: of the head.
        neutral_vertices: (V, 3) metres, the mean head at rest.
        neutral_landmarks_68: (68, 3) metres of that head.

    Raises:
        ValueError: a shape that does not fit, or a head that is upside down.
    """
    vertices = np.asarray(neutral_vertices, np.float64)
    if vertices.shape != (topology.vertex_count, 3):
        raise ValueError(
            f"neutral_vertices have shape {vertices.shape}; the topology has "
            f"{topology.vertex_count} vertices of 3 coordinates"
        )
    measures = FaceMeasures.of(neutral_landmarks_68)
    points = np.zeros((len(topology.uv), 3))
    points[topology.uv_faces] = vertices[topology.faces]
    island = _islands(topology)
    sizes = np.bincount(island[topology.uv_faces[:, 0]], minlength=int(island.max()) + 1)
    main = island == sizes.argmax()
    bottoms = np.full(len(sizes), np.inf)
    np.minimum.at(bottoms, island, points[:, 1])
    skin = main | (bottoms < measures.chin - NECK * measures.third)[island]
    photograph = np.where(main, _on_face(points, measures), 0.0)
    return TextureRegions(photograph.astype(np.float32), skin.astype(np.float32))


def ramp(values: Array, zero: float, one: float) -> Array:
    """A smooth step from 0 at `zero` to 1 at `one`, which may be the smaller."""
    t = np.clip((values - zero) / (one - zero), 0, 1)
    stepped: Array = t * t * (3 - 2 * t)
    return stepped


def _on_face(points: Array, measures: FaceMeasures) -> Array:
    y, z, third = points[:, 1], points[:, 2], measures.third
    shares = (
        ramp((y - measures.brows) / third, *HAIRLINE),
        ramp((y - measures.chin) / third, *BELOW_CHIN),
        ramp((z - measures.jaw_ends) / third, *BESIDE_EARS),
    )
    together: Array = np.prod(shares, axis=0)
    return together


def _islands(topology: Topology) -> NDArray[np.intp]:
    """(T,) number of the connected part of the layout that each coordinate belongs to."""
    label = np.arange(len(topology.uv))
    corners = topology.uv_faces
    while True:
        lowest = label[corners].min(axis=1, keepdims=True)
        spread = label.copy()
        np.minimum.at(spread, corners, np.broadcast_to(lowest, corners.shape))
        spread = spread[spread]  # a label's own label: halves the way to the lowest one
        if (spread == label).all():
            numbers: NDArray[np.intp] = np.unique(label, return_inverse=True)[1]
            return numbers
        label = spread
