# SPDX-License-Identifier: Apache-2.0
"""FLAME in float64 numpy, one head at a time, written from the papers with 4 x 4 matrices."""

import numpy as np
from scipy.spatial.transform import Rotation

ROOT, NECK, JAW, EYE_LEFT, EYE_RIGHT = range(5)
PARENT = {NECK: ROOT, JAW: NECK, EYE_LEFT: NECK, EYE_RIGHT: NECK}


def decode(head, shape, expression, pose, yaw_sign=1):
    """Vertices (V, 3), full landmarks (68, 3), contour landmarks (68, 3); metres, float64."""
    get = {name: np.asarray(value, np.float64) for name, value in vars(head).items()
           if isinstance(value, np.ndarray)}  # fmt: skip
    coefficients = np.concatenate([shape, expression]).astype(np.float64)
    shaped = get["v_template"] + get["shapedirs"] @ coefficients
    joints = get["J_regressor"] @ shaped
    local = Rotation.from_rotvec(np.asarray(pose, np.float64).reshape(5, 3)).as_matrix()
    correctives = (local[1:] - np.eye(3)).ravel()
    posed = shaped + get["posedirs"] @ correctives
    world = world_from_joint(local, joints)
    vertices = np.zeros_like(posed)
    for joint in range(5):
        # Undo the rest position, then apply the joint's place in the world.
        moved = to_homogeneous(posed - joints[joint]) @ world[joint].T
        vertices += get["weights"][:, joint : joint + 1] * moved[:, :3]
    row = contour_row(local[ROOT] @ local[NECK], yaw_sign)
    full = points(vertices, head, "full", 0)
    contour = points(vertices, head, "dynamic", row)
    static = points(vertices, head, "static", ...)
    return vertices, full, np.concatenate([contour, static])


def decode_all(head, case, yaw_sign=1) -> dict[str, np.ndarray]:
    """The graph's outputs for its inputs (B, …)."""
    rows = zip(case["shape"], case["expression"], case["pose"], strict=True)
    results = [decode(head, *row, yaw_sign) for row in rows]
    names = ("vertices", "landmarks_3d", "contour_landmarks_3d")
    return {name: np.stack(arrays) for name, arrays in zip(names, zip(*results, strict=True),
                                                           strict=True)}  # fmt: skip


def to_homogeneous(points):
    return np.hstack([points, np.ones((len(points), 1))])


def world_from_joint(local, joints):
    world = {}
    for joint in range(5):
        step = np.eye(4)
        step[:3, :3] = local[joint]
        parent = PARENT.get(joint)
        step[:3, 3] = joints[joint] - (0 if parent is None else joints[parent])
        world[joint] = step if parent is None else world[parent] @ step
    return world


def contour_row(neck, yaw_sign) -> int:
    """Table row of a neck rotation; 0..39 are degrees of positive yaw, 40..78 of negative."""
    sine = np.clip(neck[2, 0], -1, 1)
    degrees = int(np.rint(min(yaw_sign * np.degrees(np.arcsin(-sine)), 39)))
    if degrees >= 0:
        return degrees
    return 78 if degrees < -39 else 39 - degrees


def points(vertices, head, kind, row):
    faces = getattr(head, f"{kind}_lmk_faces_idx")[row]
    bary = getattr(head, f"{kind}_lmk_bary_coords")[row].astype(np.float64)
    return np.array([b @ vertices[head.f[face]] for face, b in zip(faces, bary, strict=True)])
