# SPDX-License-Identifier: Apache-2.0
"""FLAME's five joints on our head: weights, joint regressor, and pose correctives of the jaw.

Letters  V vertices. Joints: root, neck, jaw, left eye, right eye (the subject's).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from mien_starter.head.anny_source import AnnySource
from mien_starter.head.assembly import Assembly
from mien_starter.head.parts import EYE_RINGS_DEG, EYE_SEGMENTS

Array = npt.NDArray[Any]

PARENTS = (-1, 0, 1, 1, 1)
# Rotation of the jaw that the action jawOpen at intensity 1 stands for.
JAW_OPEN_RAD = np.deg2rad(22.0)
# Where the joints are on the mean head, metres; the eyes' are the middles of the eyeballs.
NECK = np.array([0.0, -0.060, -0.036])
JAW = np.array([0.0, -0.020, 0.002])


@dataclass(frozen=True)
class Skinning:
    """Arrays of the same names as in FLAME.

    Attributes:
        weights: (V, 5), rows sum to 1.
        joint_regressor: (5, V), rows sum to 1.
        pose_directions: (V, 3, 36).
    """

    weights: Array
    joint_regressor: Array
    pose_directions: Array


def skin(source: AnnySource, assembly: Assembly, mean: Array, jaw_open: Array) -> Skinning:
    """Weights from the source's rig, joints as means of vertices, and the jaw's correctives.

    Args:
        source: of the rig.
        assembly: of the head.
        mean: (V, 3) mean head.
        jaw_open: (V, 3) displacement of the action jawOpen at intensity 1.
    """
    weights = _weights(source, assembly)
    regressor = _joint_regressor(assembly, mean)
    directions = np.zeros((len(mean), 3, 36))
    moved = _rotated_jaw(mean, regressor @ mean, weights)
    residual = jaw_open - (moved - mean)
    hard = np.isin(np.arange(len(mean)), assembly.vertices_of("teeth_lower", "tongue"))
    residual[hard] = 0.0
    # The pose feature of joint j is (R - I), row-major, at 9 (j - 1); a rotation about x by a has
    # sin(a) at its entry (2, 1): what it adds is proportional to that. Correctives act before
    # skinning, so they are turned back by the rotation that skinning will apply.
    back = _about_x(-JAW_OPEN_RAD)
    turned = np.where(weights[:, 2:3] > 0.5, residual @ back.T, residual)
    directions[:, :, 9 + 7] = turned / np.sin(JAW_OPEN_RAD)
    return Skinning(weights, regressor, directions)


def _weights(source: AnnySource, assembly: Assembly) -> Array:
    groups = source.bone_weights({"root": "root", "neck02": "neck", "jaw": "jaw"})
    stacked = np.stack([groups[name] for name in ("root", "neck", "jaw")], axis=1)
    moved = assembly.from_source @ stacked
    weights = np.zeros((len(moved), 5))
    weights[:, :3] = moved
    for joint, island in ((3, "eye_left"), (4, "eye_right")):
        weights[assembly.vertices_of(island)] = np.eye(5)[joint]
    weights[assembly.vertices_of("teeth_upper")] = np.eye(5)[1]
    weights[assembly.vertices_of("teeth_lower", "tongue")] = np.eye(5)[2]
    weights = np.clip(weights, 0.0, None)
    result: Array = weights / weights.sum(axis=1, keepdims=True)
    return result


def _joint_regressor(assembly: Assembly, mean: Array) -> Array:
    """Each joint is the mean of vertices around it, moved to the place wanted on the mean head."""
    regressor = np.zeros((5, len(mean)))
    skin_vertices = assembly.vertices_of("skin", "neck")
    rim = assembly.vertices_of("neck")
    rim = rim[mean[rim][:, 1] < np.quantile(mean[rim][:, 1], 0.3)]
    regressor[0, rim] = 1.0 / len(rim)
    for joint, place in ((1, NECK), (2, JAW)):
        regressor[joint, skin_vertices] = _symmetric_weights(mean[skin_vertices], place)
    for joint, island in ((3, "eye_left"), (4, "eye_right")):
        ball = assembly.vertices_of(island)
        regressor[joint, ball] = _sphere_centre(mean[ball])
    return regressor


def _symmetric_weights(points: Array, place: Array) -> Array:
    """Non-negative weights that sum to 1 with the place as their mean, of vertices beside it."""
    distance = np.linalg.norm((points - place)[:, 1:], axis=1)
    near = np.flatnonzero(distance < np.sort(distance)[300])
    bell = np.exp(-0.5 * (distance[near] / 0.012) ** 2)
    # A faint preference for near vertices, a strong demand for the place.
    design = np.vstack([1e3 * points[near].T * bell, 1e3 * bell[None], 0.05 * np.eye(len(near))])
    goal = np.concatenate([1e3 * place, [1e3], np.full(len(near), 0.05 / bell.sum())])
    weights, _ = nnls(design, goal)
    result = np.zeros(len(points))
    result[near] = weights * bell
    return np.asarray(result / result.sum())


def _sphere_centre(points: Array) -> Array:
    """Weights over the vertices of an eyeball (pole first, then rings) whose mean is its middle."""
    weights = np.zeros(len(points))
    ring = EYE_RINGS_DEG.index(90.0)
    weights[1 + ring * EYE_SEGMENTS : 1 + (ring + 1) * EYE_SEGMENTS] = 1.0 / EYE_SEGMENTS
    return weights


def _rotated_jaw(mean: Array, joints: Array, weights: Array) -> Array:
    around = (mean - joints[2]) @ _about_x(JAW_OPEN_RAD).T + joints[2]
    result: Array = mean + weights[:, 2:3] * (around - mean)
    return result


def _about_x(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
