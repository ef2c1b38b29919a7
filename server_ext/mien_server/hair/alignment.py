# SPDX-License-Identifier: Apache-2.0
"""Hair to head by translation and scale: equations (1) to (4) of the thesis.

Source   *3D avatar construction of a person ... including hair and face*, section 3.2.2.2. It has z
         up; here y is, in the frame of the head: metres, y up, the face towards +z.

    (1) A       means of the two horizontal coordinates and largest height, of the 5 % of a head's
                vertices that are highest, or of the first 5 % of each strand's points
    (2) T       = A_hair - A_head + C
    (3) S       = W_hair / W_head + C, of widths of bounding boxes from side to side
    (4) p_new   = (p_old + T) / S

`aligned_as_printed` is just that. It is kept for the record, because it does not put hair on a
head: T moves hair away from the head by as much as it already was; dividing after the translation
moves everything towards the origin of the frame; hair is wider than the head it was made on, or
narrower, by its style, and so it is shrunk onto the head or blown up; and the anchors of a head and
of its own hair differ, because few of a head's highest vertices are where hair has its roots.

`aligned` is what was meant: ``p_new = A_head + (p_old - A_hair) / S + C``. It compares like with
like. S is the ratio of the widths of two scalps, of the head that the hair was made on and of the
head it is for, and C is the calibration that the thesis leaves open: by how much the hair's anchor
lies off the one of its own head, in the size of the new one. So a head's own hair maps onto itself.
Where that head is not known, the roots stand for its scalp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien_server.hair.head import Head
from mien_server.hair.strands import Strands

__all__ = [
    "Similarity",
    "aligned",
    "aligned_as_printed",
    "crown_width",
    "hair_anchor",
    "head_anchor",
    "head_from_hair",
    "scalp_width",
]

SHARE = 0.05
# Points that are as high as the last of the 5 %, but for rounding, belong to it: otherwise the
# order of vertices would choose between the two sides of a symmetric head.
_LEVEL = 1e-5  # of the head's height
# x to the left stays, y goes to the back, z up.
_PRINTED_FROM_OURS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_CROWN = 0.45  # widths from the top that count as the crown
# Hair made for people, in metres, but on a head that is not known.
_ALLOWED_SCALE = (0.7, 1.45)


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """p' = scale * p + shift: no rotation, because heads and hair face the front.

    Attributes:
        scale: not 0; mirrored through the origin where it is negative.
        shift: (3,) float64 metres.
    """

    scale: float
    shift: NDArray[np.float64]

    def __call__(self, strands: Strands) -> Strands:
        """Move strands; curliness, a length, is scaled with them."""
        points = strands.points.astype(np.float64) * self.scale + self.shift
        return Strands(points.astype(np.float32), strands.curliness * np.float32(abs(self.scale)))


def head_anchor(vertices: ArrayLike) -> NDArray[np.float64]:
    """A of a head, equation (1): (3,) x and z in the mean, y at the top."""
    places = np.asarray(vertices, np.float64).reshape(-1, 3)
    heights = places[:, 1]
    count = math.ceil(SHARE * len(places))
    last = np.partition(heights, -count)[-count]
    return _anchor(places[heights >= last - _LEVEL * np.ptp(heights)])


def hair_anchor(strands: Strands) -> NDArray[np.float64]:
    """A of hair, equation (1), from the first 5 % of each strand's points, at least its root."""
    count = math.ceil(SHARE * strands.points.shape[1])
    return _anchor(strands.points[:, :count].reshape(-1, 3).astype(np.float64))


def scalp_width(head: Head) -> float:
    """Metres from side to side of where hair grows."""
    return float(np.ptp(head.vertices[head.scalp, 0].astype(np.float64)))


def crown_width(points: ArrayLike) -> float:
    """Metres from side to side of a scalp above the ears, of any vertices or roots on it.

    Taken down to 0.45 widths below the crown, so that ears do not count, which some models have on
    their scalps.

    Args:
        points: (N, 3), N 1 or more.
    """
    places = np.asarray(points, np.float64).reshape(-1, 3)
    places = places[np.argsort(-places[:, 1])]
    depths, x = places[0, 1] - places[:, 1], places[:, 0]
    widths = np.maximum.accumulate(x) - np.minimum.accumulate(x)
    level = _LEVEL * float(depths[-1])
    return float(widths[depths <= _CROWN * widths + level].max())


def head_from_hair(strands: Strands, head: Head, made_on: Head | None = None) -> Similarity:
    """Where hair goes on a head.

    Args:
        strands: S 1 or more.
        head: that is to have it.
        made_on: the head that it was made on, in the frame of the strands; None where it is not
            known: then the roots stand for its scalp. Where vertices cannot be compared, because
            one head is not known or they are of different models, scalps are: the means over their
            area and their `crown_width`, with a ratio that heads of people can have.

    Raises:
        ValueError: no strands.
    """
    if not len(strands):
        raise ValueError("there are no strands to align; a bald head needs none")
    hair = hair_anchor(strands)
    if made_on is not None and made_on.is_of_model_of(head):
        source, target = head_anchor(made_on.vertices), head_anchor(head.vertices)
        s = scalp_width(made_on) / scalp_width(head)
    else:
        grown = strands.roots if made_on is None else made_on.vertices[made_on.scalp]
        source = _anchor(grown.astype(np.float64)) if made_on is None else _scalp_anchor(made_on)
        target = _scalp_anchor(head)
        ratio = crown_width(grown) / crown_width(head.vertices[head.scalp])
        s = float(np.clip(ratio, *_ALLOWED_SCALE))
    c = (hair - source) / s
    return Similarity(1 / s, target - hair / s + c)


def aligned(strands: Strands, head: Head, made_on: Head | None = None) -> Strands:
    """Hair on a head, by translation and scale alone; see `head_from_hair`."""
    return head_from_hair(strands, head, made_on)(strands)


def aligned_as_printed(
    strands: Strands, head_vertices: ArrayLike, *, calibration: float = 0.0
) -> Strands:
    """Equations (1) to (4) with the axes, sign, centre and order in which they are printed.

    Args:
        strands: S 1 or more.
        head_vertices: (V, 3).
        calibration: C, one number, added to all of T and to S.

    Raises:
        ValueError: S comes out as 0.
    """
    places = np.asarray(head_vertices, np.float64)
    anchors = (hair_anchor(strands) - head_anchor(places)) @ _PRINTED_FROM_OURS.T
    translation = (anchors + calibration) @ _PRINTED_FROM_OURS  # a rotation: back by its transpose
    width_of_hair = float(np.ptp(strands.points[..., 0].astype(np.float64)))
    scale = width_of_hair / float(np.ptp(places[:, 0])) + calibration
    if scale == 0:
        raise ValueError(f"S is 0 with a calibration of {calibration}; choose another")
    return Similarity(1 / scale, translation / scale)(strands)


def _anchor(points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, _, z = points.mean(axis=0)
    return np.array([x, points[:, 1].max(), z])


def _scalp_anchor(head: Head) -> NDArray[np.float64]:
    """As `_anchor` of roots that grow evenly over the scalp."""
    corners = head.vertices[head.scalp_faces].astype(np.float64)
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    x, _, z = area @ corners.mean(axis=1) / area.sum()
    return np.array([x, corners[..., 1].max(), z])
