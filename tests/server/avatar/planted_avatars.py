# SPDX-License-Identifier: Apache-2.0
"""Models behind the avatar pipelines whose answers are known, on the starter's head.

A photograph shows the mean head; `fit_faces` says exactly where it is. The first expression
coefficient opens the head's mouth, each emotion is a coefficient of its own.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from mien_server.avatar.avatar_code import AvatarCodes
from mien_server.avatar.changing import AvatarChanger
from mien_server.avatar.creating import AvatarCreator, Helpers, Limits
from mien_server.avatar.hairdressing import Hairdresser
from mien_server.avatar.head_asset import HeadAsset
from mien_server.avatar.making import AvatarMaker
from mien_server.deca_codes import CODE_PARTS
from mien_server.hair.head import Head
from mien_server.hair.library import HairstyleLibrary
from tests.server.avatar import portraits

KEY = bytes(range(32))
SHAPES = 4  # coefficients of shape that the planted head knows
SHIPPED = Path(__file__).parents[3] / "starter" / "weights" / "hairstyles"
STILL = ("jawOpen", "tongueOut")
DETAIL = 0.001  # metres that the planted wrinkles are high


@cache
def asset() -> HeadAsset:
    """The starter's head, actions as linear expressions, of which two move nothing."""
    arrays = portraits.asset()
    basis = arrays["shapedirs"][..., 300:].astype(np.float32)
    deltas = np.einsum("vck,ka->avc", basis, arrays["expression_from_actions"])
    names = tuple(arrays["action_names"].tolist())
    for still in STILL:
        deltas[names.index(still)] = 0
    return HeadAsset(
        vertices=arrays["v_template"],
        topology=portraits.topology(),
        scalp=arrays["region_scalp"],
        eyes=arrays["region_eyes"],
        joint_regressor=arrays["J_regressor"],
        joint_weights=arrays["weights"],
        landmark_faces=arrays["full_lmk_faces_idx"][0],
        landmark_weights=arrays["full_lmk_bary_coords"][0],
        action_names=names,
        action_deltas=deltas.astype(np.float32),
        licence="CC0",
    )


@cache
def library() -> HairstyleLibrary:
    head = Head.of(asset().vertices, asset().topology.faces, asset().scalp)
    return HairstyleLibrary(SHIPPED, None, head)


@cache
def hairdresser() -> Hairdresser:
    return Hairdresser(library(), asset())


def head_of(shape, expression, pose):
    """(V, 3) the linear head; the jaw's first angle lowers the chin's half of it."""
    basis = portraits.asset()["shapedirs"]
    moved = basis[..., :SHAPES] @ shape[:SHAPES] + basis[..., 300:310] @ expression[:10]
    vertices = asset().vertices + moved
    vertices[:, 1] -= pose[6] * 0.1 * (vertices[:, 1] < vertices[:, 1].mean())
    angle = pose[1]  # of the whole head, about y
    turn = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    return (vertices @ np.transpose(turn)).astype(np.float32)


def landmarks_px(pixels):
    corners = pixels[asset().topology.faces[asset().landmark_faces]]
    return np.einsum("nk,nkc->nc", asset().landmark_weights, corners)[:, :2]


def portrait_of(number=0):
    """The photograph's truth and its PNG; others are turned a little."""
    albedo = 0.8 * portraits.plain() + 0.2 * portraits.pattern()
    head = portraits.photograph(albedo.astype(np.float32), yaw_deg=8.0 * number)
    done, png = cv2.imencode(".png", head.image_rgb[..., ::-1])
    assert done
    return head, bytes(png)


def codes_of(number=0):
    codes = np.zeros(236, np.float32)
    codes[CODE_PARTS["pose"]][1] = np.deg2rad(8.0 * number)
    codes[CODE_PARTS["texture"]] = number
    codes[CODE_PARTS["light"]] = portraits.EVEN_LIGHT.ravel()
    return codes


@dataclass
class PlantedModels:
    """Stands for the other models of the server; keeps what it was asked."""

    together: list = field(default_factory=list)
    expression: float = 0.0

    def __call__(self, calls):
        self.together.append([call.model_name for call in calls])
        answers = [getattr(self, call.model_name)(**call.inputs) for call in calls]
        return [
            {name: answer[name] for name in call.outputs}
            for call, answer in zip(calls, answers, strict=True)
        ]

    def fit_faces(self, image, face_policy, on_error, shape_source=None):
        rows = [self._fit(encoded) for encoded in image[:, 0]]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _fit(self, encoded):
        photographs = {portrait_of(number)[1]: number for number in range(2)}
        is_known = encoded in photographs
        number = photographs.get(encoded, 0)
        head, _ = portrait_of(number)
        codes = codes_of(number)
        codes[CODE_PARTS["expression"]][0] = self.expression
        ring = landmarks_px(head.vertices_px).astype(np.float32)
        eyes = [ring[36:42].mean(axis=0), ring[42:48].mean(axis=0)]
        return {
            "codes": codes,
            "shape": np.full(300, number, np.float32) * 0.1,
            "vertices": head.vertices,
            "vertices_px": head.vertices_px,
            "landmarks": np.stack([*eyes, ring[30], ring[48], ring[54]]),
            "landmarks_68": ring,
            "fitted_landmarks_68": ring,
            "untrained": np.array([False]),
            "error": np.array([b"" if is_known else b"mien.NO_FACE: nobody"], object),
        }

    def face_cropper(self, image, face_policy, on_error):
        return {
            "face_224": np.zeros((1, 3, 224, 224), np.float32),
            "error": np.array([[b""]], object),
        }

    def emotion_mlp(self, emotions, shape):
        expression = np.zeros((len(emotions), 50), np.float32)
        expression[:, 1:7] = emotions
        pose = np.zeros((len(emotions), 6), np.float32)
        pose[:, 1] = 0.5 * emotions[:, 0]  # happiness turns the whole head ...
        pose[:, 3] = 0.2 * emotions[:, 5]  # ... and surprise opens the jaw
        return {"expression": expression, "pose": pose}

    def flame_decoder(self, shape, expression, pose):
        heads = [head_of(*each) for each in zip(shape, expression, pose, strict=True)]
        return {"vertices": np.stack(heads)}

    def texture_decoder(self, texture):
        albedo = portraits.plain().transpose(2, 0, 1)
        return {"albedo": np.stack([albedo] * len(texture))}

    def face_recognizer(self, crop_112):
        small = crop_112.reshape(len(crop_112), 3, 14, 8, 14, 8).mean(axis=(3, 5))
        rows = small.reshape(len(crop_112), -1) - 100
        return {"embedding": rows / np.linalg.norm(rows, axis=1, keepdims=True)}

    def detail_encoder(self, face_224):
        return {"detail": np.ones((1, 128), np.float32)}

    def detail_decoder(self, jaw_expression_detail):
        assert jaw_expression_detail.shape == (1, 181)
        rows = np.sin(np.arange(256) / 4)[:, None] * np.ones(256)
        return {"displacement": (DETAIL * rows)[None, None].astype(np.float32)}


@dataclass
class Stream:
    """Keeps what a caller is told."""

    events: list = field(default_factory=list)
    refusal: Exception | None = None
    is_closed: bool = False
    cancelled: bool = False

    def is_cancelled(self):
        return self.cancelled

    def send(self, tensors):
        assert not self.is_closed
        self.events.append(dict(tensors))

    def close(self):
        self.is_closed = True

    def fail(self, error):
        self.refusal, self.is_closed = error, True


def maker(models=None, pose_values="global jaw", makes_own_hair=False):
    return AvatarMaker(
        asset(),
        hairdresser(),
        models or PlantedModels(),
        AvatarCodes(KEY, "planted"),
        pose_values=pose_values,
        generator="planted",
        untrained=True,
        makes_own_hair=makes_own_hair,
    )


def changer(models=None, makes_own_hair=False):
    models = models or PlantedModels()
    return AvatarChanger(maker(models, makes_own_hair=makes_own_hair), models)


def creator(models=None, max_yaw_deg=50, makes_own_hair=False, **helpers):
    models = models or PlantedModels()
    wanted = Helpers(**{"detail": False, "segmenter": False, **helpers})
    made = maker(models, makes_own_hair=makes_own_hair)
    return AvatarCreator(made, models, wanted, Limits(2, max_yaw_deg))


def texts(*values):
    array = np.empty(len(values), object)
    array[:] = [value.encode() if isinstance(value, str) else value for value in values]
    return array
