# SPDX-License-Identifier: Apache-2.0
"""Recordings of noise, made in no time: a number of an expression always gives the same."""

import os

import numpy as np

from mien_starter.spontaneity.recording import Recording


class FakeRecorder:
    def __init__(self, size_px=160):
        self.size_px = size_px

    def record(self, item):
        rng = np.random.default_rng(item)
        flat = rng.integers(0, 256, (2, 1, 1, 3)) * np.ones((self.size_px, self.size_px, 1))
        return Recording(
            item=item,
            photographs=flat.astype(np.uint8),
            landmarks=rng.normal(0, 9, (2, 5, 2)).astype(np.float32),
            crops=rng.integers(0, 256, (2, 44, 44)).astype(np.uint8),
            actions=rng.random((2, 52)).astype(np.float32),
            cues=rng.normal(0, 1, 6).astype(np.float32),
            pose_deg=rng.normal(0, 3, (2, 3)).astype(np.float32),
        )


class DyingRecorder(FakeRecorder):
    """Takes its process down like a kill, after some recordings."""

    left = 300

    def record(self, item):
        if self.left == 0:
            os._exit(9)
        self.left -= 1
        return super().record(item)
