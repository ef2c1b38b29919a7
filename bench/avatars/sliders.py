# SPDX-License-Identifier: Apache-2.0
"""What the sliders of emotions do to served avatars, and what they leave alone.

Letters  A avatars, V vertices, L landmarks.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from bench.avatars.fitted_heads import ServedHeads
from bench.avatars.heads import landmarks_68
from bench.avatars.shown import EMOTION_NAMES
from mien import Avatar
from mien_export.head_model import HeadModel
from mien_starter.emotions.faces import codes_of_actions
from mien_starter.emotions.movements import Faces, actions_of_emotions, as_expected, movements_mm

__all__ = ["Sliders", "at_rest_in", "measure_sliders", "reaches_mm"]

Array = NDArray[Any]

STEPS = 20


@dataclass(frozen=True, slots=True)
class Sliders:
    """Figures of A avatars, one slider at a time from 0 to 1.

    Attributes:
        avatars: A.
        moved_mm: by emotion, mean movement of the face at 1.
        rising: share of steps that move the face farther than the step before.
        expected: share of the movements an emotion is known by that go the right way at 1.
        beyond_mm: by emotion, the farthest that anything moves at 1 beyond what the emotion's own
            actions can move it there.
        rest_mm: the farthest that the file's head at rest moved through any emotion.
        zero_mm: the farthest that anything moves where all sliders are at 0.
        order_mm: the farthest that an emotion differs if another one was worn before.
    """

    avatars: int
    moved_mm: Mapping[str, float]
    rising: float
    expected: float
    beyond_mm: Mapping[str, float]
    rest_mm: float
    zero_mm: float
    order_mm: float


def reaches_mm(faces: Faces, shape: Array) -> NDArray[np.float64]:
    """How far an emotion's own actions, all of them in full, can move a head.

    Args:
        faces: of the head model.
        shape: (300,) of the person.

    Returns:
        (6, V) sums of what each action moves by itself.
    """
    names = faces.head.action_names
    codes = codes_of_actions(faces.head, np.eye(len(names), dtype=np.float32))
    shapes = np.tile(np.asarray(shape, np.float32), (len(names), 1))
    moved = faces.decode(shapes, codes)[0] - faces.decode(shapes[:1], np.zeros_like(codes[:1]))[0]
    by_action = np.linalg.norm(moved.astype(np.float64), axis=2) * 1000
    reaches: NDArray[np.float64] = actions_of_emotions(names) @ by_action
    return reaches


def at_rest_in(glb: bytes) -> NDArray[np.float64]:
    """Vertices of a file as it shows them while all sliders are at 0, in its own order."""
    meshes = trimesh.load_scene(io.BytesIO(glb), file_type="glb", process=False).geometry
    return np.concatenate([np.asarray(meshes[name].vertices) for name in sorted(meshes)])


def measure_sliders(
    avatars: Sequence[Avatar],
    heads: ServedHeads,
    head: HeadModel,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Sliders:
    """Move every slider of every avatar.

    Args:
        avatars: A of them, as GLB.
        heads: of the server that made them.
        head: the head model.
        on_progress: told how many avatars are done.
    """
    faces = Faces(head)
    face = head.regions["face"]
    moved: dict[str, list[float]] = {name: [] for name in EMOTION_NAMES}
    beyond = dict.fromkeys(EMOTION_NAMES, 0.0)
    rising: list[Array] = []
    expected: list[Array] = []
    rest, zero, order = 0.0, 0.0, 0.0
    for done, avatar in enumerate(avatars, 1):
        reaches = reaches_mm(faces, avatar.shape)
        neutral = heads.of(avatar).neutral
        landmarks = landmarks_68(head, neutral)
        still, code = heads.movement(avatar.avatar_code, np.zeros(len(EMOTION_NAMES)))
        zero = max(zero, _farthest_mm(still))
        file = at_rest_in(avatar.file)
        for index, name in enumerate(EMOTION_NAMES):
            movements = _slid(heads, avatar.avatar_code, index)
            by_step = np.linalg.norm(movements[:, face], axis=2).mean(axis=1) * 1000
            rising.append(np.diff(by_step, prepend=0) > 0)
            full = movements[-1]
            moved[name].append(float(by_step[-1]))
            found = movements_mm(landmarks_68(head, neutral + full)[None], landmarks[None])
            expected.append(as_expected(name, found)[0])
            excess = np.linalg.norm(full, axis=1) * 1000 - reaches[index]
            beyond[name] = max(beyond[name], float(excess.max()))
            after, code = heads.movement(code, np.eye(len(EMOTION_NAMES))[index])
            order = max(order, _farthest_mm(after - full))
            changed = avatar.with_emotion(np.eye(len(EMOTION_NAMES))[index].tolist())
            rest = max(rest, _farthest_mm(at_rest_in(changed.file) - file))
        on_progress(done)
    return Sliders(
        avatars=len(avatars),
        moved_mm={name: float(np.mean(values)) for name, values in moved.items()},
        rising=float(np.mean(np.concatenate(rising))),
        expected=float(np.mean(np.concatenate(expected))),
        beyond_mm=beyond,
        rest_mm=rest,
        zero_mm=zero,
        order_mm=order,
    )


def _slid(heads: ServedHeads, code: str, index: int) -> NDArray[np.float32]:
    """(STEPS, V, 3) what one slider moves, step by step up to 1."""
    settings = np.zeros((STEPS, len(EMOTION_NAMES)), np.float32)
    settings[:, index] = np.arange(1, STEPS + 1) / STEPS
    return np.stack([heads.movement(code, row)[0] for row in settings])


def _farthest_mm(movement: Array) -> float:
    return float(np.linalg.norm(movement, axis=-1).max(initial=0)) * 1000
