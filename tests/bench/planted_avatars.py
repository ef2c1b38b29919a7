# SPDX-License-Identifier: Apache-2.0
"""A client and heads whose answers are known, in place of a server's."""

from types import SimpleNamespace

import numpy as np
import trimesh

from mien import AvatarQuality, NoFaceError

__all__ = ["PlantedAvatar", "PlantedClient", "PlantedHeads", "glb_of"]


def glb_of(vertices):
    """A file with one mesh of these vertices, in strips."""
    count = len(vertices) - len(vertices) % 3
    faces = np.arange(count).reshape(-1, 3)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    return trimesh.Scene({"head": mesh}).export(file_type="glb")


class PlantedAvatar:
    """An avatar whose emotions leave its file at rest, or do not.

    Args:
        number: stands for the avatar's code.
        vertices: of its file.
        strays_m: how far an emotion moves the file's head at rest.
        quality: PSNR, SSIM and DIFD.
    """

    def __init__(self, number=0, vertices=None, strays_m=0.0, quality=(20.0, 0.8, 0.3)):
        self.avatar_code = f"{number}"
        self.shape = np.zeros(300, np.float32)
        self._vertices = np.zeros((3, 3)) if vertices is None else np.asarray(vertices)
        self._strays = strays_m
        self.file = glb_of(self._vertices)
        self.quality = AvatarQuality(1 - quality[2] ** 2 / 2, quality[2], *quality[:2])

    def with_emotion(self, emotions):
        assert np.sum(emotions) == 1
        return SimpleNamespace(file=glb_of(self._vertices + np.array([0, 0, self._strays])))


class PlantedClient:
    """Answers photographs in turn.

    Args:
        answers: a (landmarks, vector, avatar) each, or None where no face is found.
    """

    def __init__(self, answers):
        self._answers, self._current = iter(answers), None

    def embed(self, image):
        assert image.startswith(b"\x89PNG")
        self._current = next(self._answers)
        if self._current is None:
            raise NoFaceError("no face", code="NO_FACE")
        landmarks, vector, _ = self._current
        return SimpleNamespace(face=SimpleNamespace(landmarks=landmarks), vector=vector)

    def avatar(self, image, **options):
        avatar = self._current[2]
        if isinstance(avatar, Exception):
            raise avatar
        return avatar


class PlantedHeads:
    """Heads whose expressions are said.

    Args:
        neutral: (V, 3).
        detected: (V, 3).
        move: (6,) intensities to (V, 3) metres; may look at the code that it is asked with.
    """

    def __init__(self, neutral, detected, move):
        self._fitted = SimpleNamespace(neutral=neutral, detected=detected)
        self._move = move

    def of(self, avatar):
        return self._fitted

    def movement(self, code, emotions):
        return self._move(np.asarray(emotions), code), f"{code}+{np.argmax(emotions)}"
