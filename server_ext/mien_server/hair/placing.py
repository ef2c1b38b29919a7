# SPDX-License-Identifier: Apache-2.0
"""Hair put on a head: aligned, its roots on the scalp, and nothing of it inside the head.

Translation and scale (`alignment`) cannot make one head's hair fit another: skulls differ in more
than size. On people drawn at random a tenth of the roots ends up more than 5 mm off the scalp. So
strands are then moved one by one, most at their roots, and what is left inside the skin is pushed
out. All of it is a few milliseconds of work for a thousand strands.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.hair.alignment import Similarity, aligned
from mien_server.hair.closest_points import MeshTree, OnMesh, closest_points
from mien_server.hair.crown_map import CrownMap, draw_crown_map, middle_of_head
from mien_server.hair.head import Head
from mien_server.hair.polylines import curliness_of
from mien_server.hair.strands import Strands

__all__ = [
    "bound_roots",
    "carried_over",
    "placed",
    "pushed_out",
    "root_misfit",
    "settled",
    "with_roots_at",
    "with_roots_on_scalp",
]

_SETTLED_SCALE = (0.6, 1.6)
# Along a strand, what its root was moved by fades out over this many times that distance, and at
# least over this length, so that strands neither bend nor stretch visibly.
_FADE_RATIO, _FADE_M = 12.0, 0.06
# Strands leave the skin gently: how much of the clearance is asked for per metre from the root.
_RISE = 0.3
_SLACK_M = 0.002  # of the map of directions
_OUTSIDE_M = 0.005  # by which skin is nearer than the scalp where hair grows outside of it


def placed(
    strands: Strands,
    head: Head,
    made_on: Head | None = None,
    *,
    roots: OnMesh | None = None,
    clearance: float = 0.0015,
) -> Strands:
    """Hair as it is worn on a head.

    Args:
        strands: S 1 or more, in the frame of `made_on`, or in any with y up where that is None.
        head: that is to have it.
        made_on: the head that it was made on; see `alignment.head_from_hair`.
        roots: `bound_roots` of the strands, to be kept between calls; None: looked for.
        clearance: metres that strands stay above the skin, except near their roots.

    Returns:
        As many strands with as many points.

    Raises:
        ValueError: no strands.
    """
    on_head = aligned(strands, head, made_on)
    if made_on is not None and made_on.is_of_model_of(head):
        bound = bound_roots(strands, made_on) if roots is None else roots
        rooted = with_roots_at(on_head, carried_over(bound, head))
    else:
        rooted = with_roots_on_scalp(settled(on_head, head), head)
    return pushed_out(rooted, head, clearance=clearance, rooted=True)


def root_misfit(strands: Strands, head: Head) -> float:
    """Metres by which roots miss the scalp, in the median, when hair of an unknown head is fitted.

    A few millimetres for hair of people. Centimetres mean that these are no roots; but caps of hair
    that stand on their heads, or look back, fit somewhere too.
    """
    fitted = settled(aligned(strands, head), head)
    on_skin = closest_points(fitted.roots, head.vertices, head.skin).points
    return float(np.median(np.linalg.norm(on_skin - fitted.roots, axis=1)))


def settled(strands: Strands, head: Head, *, rounds: int = 15) -> Strands:
    """Move and scale hair as a whole until its roots fit the scalp in the least-squares sense.

    For hair from a head that is not known, or of another model. Each round takes the closest points
    of the scalp and the planes through them; roots far off count less (Huber, 5 mm). A strip of
    roots says little about size, so that changes are held back a little.

    Args:
        strands: S 1 or more, aligned already.
        head: with the scalp.
        rounds: 1 or more.
    """
    moved = Similarity(1.0, np.zeros(3))
    roots = strands.roots.astype(np.float64)
    for _ in range(rounds):
        here = roots * moved.scale + moved.shift
        normals, offsets = _planes(here, head)
        middle = here.mean(axis=0)
        design = np.column_stack([((here - middle) * normals).sum(axis=1), normals])
        weight = np.minimum(1.0, 0.005 / np.maximum(np.abs(offsets), 1e-9)) / len(here)
        # One unknown is relative, three are metres: prior deviations of 10 % and 3 cm per round.
        prior = 1e-3 * np.diag([0.003 / 0.1, *3 * [0.003 / 0.03]]) ** 2
        step = np.linalg.solve(
            design.T @ (weight[:, None] * design) + prior, design.T @ (weight * offsets)
        )
        # Roots that fit no scalp would come nearest to one as a single point.
        total = np.clip(moved.scale * (1.0 + step[0]), *_SETTLED_SCALE)
        scale = float(total) / moved.scale
        shift = (moved.shift - middle) * scale + middle + step[1:]
        moved = Similarity(moved.scale * scale, shift)
        if np.abs(step).max() < 1e-7:
            break
    return moved(strands)


def bound_roots(strands: Strands, made_on: Head) -> OnMesh:
    """(S,) where the roots lie on the skin of the head that they were made on."""
    return closest_points(strands.roots, made_on.vertices, made_on.skin)


def carried_over(places: OnMesh, head: Head) -> NDArray[np.float32]:
    """(N, 3) the same places of the skin, by triangle, on another head of the same model."""
    corners = head.vertices[head.skin[places.face]]
    carried: NDArray[np.float32] = (corners * places.weights[..., None]).sum(axis=1)
    return carried


def with_roots_on_scalp(strands: Strands, head: Head) -> Strands:
    """Move each strand so that its root lies on the closest point of the scalp.

    A root whose closest skin is a good deal nearer than that grows outside of it, as sideburns and
    stray hairs at the neck do, and is moved there. Ears are next to the scalp: a little nearer does
    not count.
    """
    if not len(strands):
        return strands
    roots = strands.roots
    on_scalp = closest_points(roots, head.vertices, head.scalp_faces).points
    on_skin = closest_points(roots, head.vertices, head.skin).points
    to_scalp, to_skin = (np.linalg.norm(places - roots, axis=1) for places in (on_scalp, on_skin))
    elsewhere = to_scalp > to_skin + _OUTSIDE_M
    return with_roots_at(strands, np.where(elsewhere[:, None], on_skin, on_scalp))


def with_roots_at(strands: Strands, roots: NDArray[np.float32]) -> Strands:
    """Move each strand so that its root is where it should be.

    The move fades out along the strand, smoothly, so that the tip of a long one stays.

    Args:
        strands: S of them.
        roots: (S, 3).
    """
    move = roots - strands.roots
    distance = np.linalg.norm(move, axis=1)
    # A strand that ends before the fade is carried along rather than squeezed.
    reach = np.maximum(_FADE_M, _FADE_RATIO * distance)[:, None]
    t = np.minimum(_along(strands.points) / reach, 1)
    fade = 1 - t * t * (3 - 2 * t)
    points = strands.points + fade[..., None] * move[:, None]
    points[:, 0] = roots
    return Strands(points, curliness_of(points))


def pushed_out(
    strands: Strands, head: Head, *, clearance: float = 0.0, rooted: bool = False
) -> Strands:
    """Lift the points that lie inside a head, or too close above it, straight out of its skin.

    Args:
        strands: S or none.
        head: its whole outer skin counts.
        clearance: metres above the skin that every point shall have, less near the root; negative:
            that many metres inside are let be.
        rooted: the roots lie on the skin already, and are left alone.

    Returns:
        Strands without a point lower than that, but for rounding and sharp folds.
    """
    points = strands.points.reshape(-1, 3).copy()
    wanted = np.minimum(clearance, _RISE * _along(strands.points)).reshape(-1)
    near = _maybe_within(points, head, max(clearance, 0.0))
    if rooted:
        near = near[near % strands.points.shape[1] > 0]
    tree, moved = MeshTree(head.vertices, head.skin), False
    for _ in range(3):  # lifted out of one fold, a point may be in the next
        height, surface = tree.heights_above(points[near])
        low = wanted[near] - height > 1e-6
        if not low.any():
            break
        near, moved = near[low], True
        lift = (wanted[near] - height[low])[:, None]
        points[near] += lift * _outward(points[near], surface[low], height[low], head)
    by_strand = points.reshape(strands.points.shape)
    return Strands(by_strand, curliness_of(by_strand)) if moved else strands


def _outward(
    points: NDArray[np.float32],
    surface: NDArray[np.float32],
    height: NDArray[np.float32],
    head: Head,
) -> NDArray[np.float32]:
    """(N, 3) unit vectors out of the skin; on the skin itself, away from the head's middle."""
    away = np.where(height[:, None] < 0, surface - points, points - surface)
    on_skin = np.abs(height) < 1e-5
    away[on_skin] = (points - middle_of_head(head))[on_skin]
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


def _planes(
    points: NDArray[np.float64], head: Head
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) normals of the scalp at the closest points, and (N,) metres to go along them."""
    on_scalp = closest_points(points, head.vertices, head.scalp_faces)
    corners = head.vertices[head.scalp_faces[on_scalp.face]].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals, ((on_scalp.points - points) * normals).sum(axis=1)


def _along(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, P) metres from the root."""
    steps = np.linalg.norm(np.diff(points, axis=1), axis=2)
    result = np.zeros(points.shape[:2], np.float32)
    np.cumsum(steps, axis=1, out=result[:, 1:])
    return result


def _maybe_within(points: NDArray[np.float32], head: Head, margin: float) -> NDArray[np.intp]:
    """Rows of (N, 3) points that can lie in the head, or within the margin: none is missed."""
    drawn = draw_crown_map(head, head.skin)
    reach = cv2.dilate(drawn.reach, np.ones((3, 3), np.uint8))
    # A cut neck is no skin: there the head reaches as far as the edge of the cut.
    reach[drawn.reach == 0] = np.where(drawn.reach > 0, 0, reach).max()
    far, limit = CrownMap(drawn.middle, reach).at(points)
    return np.flatnonzero(far < limit + (margin + _SLACK_M))
