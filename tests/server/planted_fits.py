# SPDX-License-Identifier: Apache-2.0
"""Models behind `fit_faces` whose answers are known: the head is a disc of rings.

Everything about a photograph follows from the colour of its first pixel: where the crop lies, and
what the encoder says of it. In the mirror image of a crop it sees somebody else.
"""

import io
import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from mien_server.deca_codes import CODE_PARTS

RENDER_PX = 512
RADIUS_M = 0.1
HEAD_RGB = (1.0, 0.25, 0.5)
VERTICES = 40
MIRRORED = 500  # between the seeds of a face and of its mirror image


def photograph(seed=0, size=(300, 260)):
    """PNG bytes of noise; `seed` shows in the first pixel."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    pixels[0, 0] = (seed, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def seed_of(encoded):
    return Image.open(io.BytesIO(encoded)).getpixel((0, 0))[0]


def image_from_crop(seed):
    return np.array([[0.7, 0.0, 60.0 + seed], [0.0, 0.7, 30.0 + 2 * seed]], np.float32)


def codes_of(seed):
    codes = np.random.default_rng(1000 + seed).normal(0, 0.1, 236).astype(np.float32)
    codes[CODE_PARTS["camera"]] = (7.0 + seed / 10, 0.01, -0.02)
    return codes


def shape_of(seed):
    """(300,) what MICA says of the same face."""
    return np.random.default_rng(2000 + seed).normal(0, 0.1, 300).astype(np.float32)


def head_of(shape, expression, pose):
    """A disc in the plane z = shape[0], its size and place from the other inputs."""
    angles = np.arange(VERTICES) * 2 * math.pi / VERTICES
    ring = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(VERTICES)])
    radius = RADIUS_M * (1 + expression[0]) * (1 + shape[200])
    return radius * ring + (pose[0] / 100, pose[6] / 100, shape[0])


@dataclass
class PlantedModels:
    """Stands for the other models of the server; keeps what it was asked."""

    calls: list = field(default_factory=list)
    together: list = field(default_factory=list)

    def __call__(self, calls):
        self.together.append([call.model_name for call in calls])
        answers = []
        for call in calls:
            self.calls.append(call)
            answer = getattr(self, call.model_name)(**call.inputs)
            answers.append({name: answer[name] for name in call.outputs})
        return answers

    def inputs_of(self, model):
        (call,) = [call for call in self.calls if call.model_name == model]
        return call.inputs

    def face_cropper(self, image, face_policy, on_error):
        assert (on_error == b"report").all()
        answers = [self._crop(encoded) for encoded in image[:, 0]]
        return {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}

    def _crop(self, encoded):
        good = not encoded.startswith(b"bad")
        seed = seed_of(encoded) if good else 0
        numbers = {
            "face_224": np.repeat([seed, seed + MIRRORED], 112) + np.zeros((3, 224, 1)),
            "crop_112": np.full((3, 112, 112), seed),
            "image_from_face_224": image_from_crop(seed),
            "box_xyxy": np.arange(4) + seed,
            "landmarks": np.full((5, 2), seed),
            "landmarks_68": np.full((68, 2), seed),
        }
        return {
            **{name: np.float32(a if good else a * np.nan) for name, a in numbers.items()},
            "face_count": np.array([int(good)], np.int32),
            "error": np.array([b"" if good else b"mien.NO_FACE: none in " + encoded], object),
        }

    def deca_encoder(self, face_224):
        return {"codes": np.stack([codes_of(int(crop[0, 0, 0])) for crop in face_224])}

    def mica_encoder(self, crop_112):
        return {"shape": np.stack([shape_of(int(crop[0, 0, 0])) for crop in crop_112])}

    def flame_decoder(self, shape, expression, pose):
        heads = np.stack([head_of(*each) for each in zip(shape, expression, pose, strict=True)])
        return {
            "vertices": heads.astype(np.float32),
            "contour_landmarks_3d": heads[:, np.arange(68) % VERTICES].astype(np.float32),
        }

    def texture_decoder(self, texture):
        return {"albedo": np.broadcast_to(texture[:, :1, None, None], (len(texture), 3, 256, 256))}

    def style_renderer(self, vertices, albedo, camera, light):
        assert len(vertices) == len(albedo) == len(camera) == len(light)
        pairs = zip(vertices, camera, strict=True)
        return {"rgba_512": np.stack([self._render(*pair) for pair in pairs])}

    def _render(self, vertices, camera):
        scale, tx, ty = camera.astype(np.float64)
        centre = vertices.mean(axis=0)
        radius = scale * np.linalg.norm(vertices[0] - centre)
        rows, columns = np.indices((RENDER_PX, RENDER_PX)) * 2 / RENDER_PX + 1 / RENDER_PX - 1
        x, y = scale * (centre[0] + tx), -scale * (centre[1] + ty)
        inside = np.hypot(columns - x, rows - y) < radius
        rgb = np.array(HEAD_RGB, np.float32)[:, None, None] * inside
        return np.concatenate([rgb, inside[None].astype(np.float32)])
