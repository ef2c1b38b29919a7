# SPDX-License-Identifier: Apache-2.0
"""A world of discs with eyes and a mouth: drawn in a millisecond, labelled exactly."""

import dataclasses
import math
import os

import cv2
import numpy as np

# A face about 0, 1 wide, in iBUG's order; y points down.
_JAW = [(-math.cos(a) * 0.5, math.sin(a) * 0.62 - 0.05) for a in np.linspace(0, math.pi, 17)]
_BROWS = [(x, -0.3 + abs(abs(x) - 0.25) * 0.2) for x in np.linspace(-0.42, 0.42, 10)]
_NOSE = [(0, y) for y in np.linspace(-0.15, 0.1, 4)] + [
    (x, 0.14) for x in np.linspace(-0.1, 0.1, 5)
]


def _ring(x, y, width, height, count):
    """Clockwise from the image-left end."""
    angles = np.linspace(math.pi, 3 * math.pi, count + 1)[:count]
    return [(x + width * math.cos(a), y + height * math.sin(a)) for a in angles]


_MOUTH = _ring(0, 0.32, 0.2, 0.08, 12) + _ring(0, 0.32, 0.14, 0.04, 8)
FACE_68 = np.array(
    [
        *_JAW,
        *_BROWS,
        *_NOSE,
        *_ring(-0.22, -0.15, 0.08, 0.04, 6),
        *_ring(0.22, -0.15, 0.08, 0.04, 6),
        *_MOUTH,
    ]
)
FACE_5 = np.array([(-0.22, -0.15), (0.22, -0.15), (0, 0.1), (-0.2, 0.32), (0.2, 0.32)])


@dataclasses.dataclass(frozen=True)
class FakePhotograph:
    image_rgb: np.ndarray
    identity: int
    codes: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    landmarks: np.ndarray
    landmarks_68: np.ndarray
    face_mask: np.ndarray
    attributes: dict


class FakeWorld:
    """Points count pixels by their centres, as those of the real world do."""

    def __init__(self, size=256):
        self.size = size

    def photograph(self, identity, shot):
        person, rng = np.random.default_rng([1, identity]), np.random.default_rng([identity, shot])
        image = self.background(identity * 1000 + shot)
        width, angle = self.size * rng.uniform(0.45, 0.65), math.radians(rng.uniform(-30, 30))
        centre = self.size * rng.uniform(0.42, 0.58, 2)
        linear = width * np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        points_68, points_5 = (face @ linear.T + centre for face in (FACE_68, FACE_5))
        mask = np.zeros(image.shape[:2], np.uint8)
        outline = np.concatenate(
            [points_68[:17], (FACE_68[26:16:-1] - (0, 0.15)) @ linear.T + centre]
        )
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
        image[mask > 0] = person.integers(60, 255, 3)
        eyes, mouth = person.integers(0, 200, (2, 3)).tolist()
        for ring, colour in (
            (points_68[36:42], eyes),
            (points_68[42:48], eyes),
            (points_68[48:60], mouth),
        ):
            cv2.fillPoly(image, [np.round(ring * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
        cv2.polylines(
            image,
            [np.round(points_68[27:31] * 16).astype(np.int32)],
            False,
            mouth,
            3,
            cv2.LINE_AA,
            4,
        )
        shape = np.zeros(300, np.float32)
        shape[:100] = person.normal(0, 1, 100)
        expression = np.zeros(100, np.float32)
        expression[:50] = rng.normal(0, 1, 50)
        pose = np.zeros(15, np.float32)
        pose[2] = -angle
        camera = np.array([2 * width / self.size, 0, 0])
        camera[1:] = (2 * (centre + 0.5) / self.size - 1) / camera[0] * (1, -1)
        light = rng.normal(0, 1, 27)
        codes = np.concatenate(
            [
                shape[:100],
                person.normal(0, 1, 50),
                expression[:50],
                pose[:3],
                pose[6:9],
                camera,
                light,
            ]
        )
        return FakePhotograph(
            image, identity, codes.astype(np.float32), shape, expression, pose,
            points_5.astype(np.float32), points_68.astype(np.float32), mask,
            {"width": float(width), "note": "fake", "shot": shot},
        )  # fmt: skip

    def background(self, number):
        rng = np.random.default_rng([2, number])
        small = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        return cv2.resize(small, (self.size, self.size), interpolation=cv2.INTER_CUBIC)


class DyingWorld(FakeWorld):
    """Takes its process down like a kill, after some photographs."""

    def __init__(self, size=256, photographs=300):
        super().__init__(size)
        self.left = photographs

    def photograph(self, identity, shot):
        if self.left == 0:
            os._exit(9)
        self.left -= 1
        return super().photograph(identity, shot)
