# SPDX-License-Identifier: Apache-2.0
"""Avatars to be written to files: the starter head, its actions and emotions, kinds of hair."""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mien_server.avatar.appearance import EncodedImage, Material
from mien_server.avatar.hair_geometry import CardHair, ShellHair, StrandHair
from mien_server.avatar.model import AvatarModel, Joints, Metadata, Morphs, Part
from mien_server.rendering import Topology

__all__ = [
    "BROWN",
    "card_hair",
    "encoded_image",
    "head_asset",
    "joints",
    "morphs",
    "parts",
    "shell_hair",
    "starter_avatar",
    "strand_hair",
    "strands",
]

ROOT = Path(__file__).parents[3]
EMOTIONS = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
BROWN = np.float32([0.24, 0.15, 0.1])


@cache
def head_asset() -> dict[str, np.ndarray]:
    with np.load(ROOT / "starter" / "weights" / "head.npz") as archive:
        return {name: archive[name] for name in archive.files}


@cache
def encoded_image(
    kind: str = "PNG", mode: str = "RGB", side: int = 64, seed: int = 0
) -> EncodedImage:
    """Blots of colour; with alpha, the left half is transparent."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 255, (8, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    if mode == "RGBA":
        alpha = np.zeros((side, side), np.uint8)
        alpha[:, side // 2 :] = 255
        image.putalpha(Image.fromarray(alpha))
    file = io.BytesIO()
    image.convert(mode).save(file, kind)
    return EncodedImage(file.getvalue())


@cache
def flat_normal_map(side: int = 64) -> EncodedImage:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (128, 128, 255)).save(file, "PNG")
    return EncodedImage(file.getvalue())


@cache
def morphs() -> Morphs:
    """Six emotions and ARKit's 52, as linear expressions of the head."""
    asset = head_asset()
    basis = asset["shapedirs"][..., 300:400].astype(np.float32)
    actions = np.einsum("vck,ka->avc", basis, asset["expression_from_actions"])
    emotions = np.einsum("avc,ae->evc", actions, asset["actions_from_emotions"])
    names = EMOTIONS + tuple(asset["action_names"].tolist())
    return Morphs(names, np.concatenate([emotions, actions]).astype(np.float32))


def joints() -> Joints:
    asset = head_asset()
    return Joints(asset["J_regressor"] @ asset["v_template"], asset["weights"])


def parts(*, normal_map: bool = False, texture: EncodedImage | None = None) -> tuple[Part, ...]:
    """Skin, eyes and the inner mouth, which share a material with the eyes."""
    islands = head_asset()["island"]
    skin = np.isin(islands, ["skin", "neck", "socket_left", "socket_right"])
    eyes = np.isin(islands, ["eye_left", "eye_right"])
    texture = texture or encoded_image()
    shiny = Material("wet", texture, roughness=0.3)
    matt = Material("skin", texture, flat_normal_map() if normal_map else None)
    owned = {"skin": (skin, matt), "eyes": (eyes, shiny), "mouth": (~(skin | eyes), shiny)}
    return tuple(
        Part(name, np.flatnonzero(triangles).astype(np.int32), material)
        for name, (triangles, material) in owned.items()
    )


def starter_avatar(*, full: bool = True, **changes: object) -> AvatarModel:
    """The mean head; with joints and 58 morph targets unless `full` is off."""
    asset = head_asset()
    model = AvatarModel(
        asset["v_template"],
        Topology(asset["f"], asset["vt"], asset["ft"]),
        parts(),
        joints() if full else None,
        morphs() if full else None,
        metadata=Metadata("sha256:0", absent_targets=("tongueOut",), licences=("Made up.",)),
    )
    return replace(model, **changes)


def strands(count: int = 40, points: int = 12, seed: int = 0) -> np.ndarray:
    """(S, P, 3) hair that falls from the scalp."""
    asset = head_asset()
    generator = np.random.default_rng(seed)
    scalp = asset["v_template"][asset["region_scalp"]]
    roots = scalp[generator.integers(len(scalp), size=count)]
    roots = roots + generator.uniform(-0.001, 0.001, roots.shape)  # no two of them are the same
    fall = np.linspace(0, 1, points)[None, :, None] * np.float32([0, -0.12, 0])
    outwards = (
        np.float32([0.15, 0, 0.15]) * roots[:, None] * np.sqrt(np.linspace(0, 1, points))[:, None]
    )
    return (roots[:, None] + fall + outwards).astype(np.float32)


def strand_hair(count: int = 40, *, shaded: bool = False) -> StrandHair:
    points = strands(count)
    shade = np.linspace(0.5, 1, points.shape[1], dtype=np.float32)[None, :, None] * BROWN
    return StrandHair(points, np.broadcast_to(shade, points.shape) if shaded else BROWN)


def card_hair(count: int = 40, points: int = 12, *, width_m: float = 0.006, **changes) -> CardHair:
    """A ribbon for each strand."""
    middle = strands(count, points)
    side = np.float32([width_m / 2, 0, 0])
    vertices = np.stack([middle - side, middle + side], axis=2)  # (S, P, 2, 3)
    rows = np.arange(count * points * 2).reshape(count, points, 2)
    a, b, c, d = rows[:, :-1, 0], rows[:, :-1, 1], rows[:, 1:, 0], rows[:, 1:, 1]
    faces = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], axis=2)
    v = np.broadcast_to(np.linspace(1, 0, points)[None, :, None], rows.shape)
    u = np.broadcast_to(np.array([0.0, 1.0]), rows.shape)
    uv = np.stack([u, v], axis=-1)
    hair = CardHair(
        vertices.reshape(-1, 3).astype(np.float32),
        faces.reshape(-1, 3).astype(np.int32),
        uv.reshape(-1, 2).astype(np.float32),
        BROWN,
    )
    return replace(hair, **changes)


def shell_hair(**changes: object) -> ShellHair:
    """The scalp, a centimetre farther out."""
    asset = head_asset()
    faces = asset["f"][asset["region_scalp"][asset["f"]].all(axis=1)]
    used, inverse = np.unique(faces, return_inverse=True)
    hair = ShellHair(
        asset["v_template"][used] * np.float32(1.08),
        inverse.reshape(-1, 3).astype(np.int32),
        BROWN,
    )
    return replace(hair, **changes)
