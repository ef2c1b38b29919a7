# SPDX-License-Identifier: Apache-2.0
"""From photographs of a person and the heads fitted to them to the texture of the person's head.

Each photograph is projected onto the texture, its light is found again with the help of the albedo
model and divided out, and what covers the face is left out. The photographs are merged, the model
gets the colours of the skin in them, and fills what none of them shows; what the photographed
expression folded is smoothed.

Letters  S side of the texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.texture.atlas import FaceAtlas
from mien_server.avatar.texture.covering import uncovered
from mien_server.avatar.texture.delighting import delit, refined_light
from mien_server.avatar.texture.evening import evened
from mien_server.avatar.texture.filling import completed
from mien_server.avatar.texture.matching import matched_colours
from mien_server.avatar.texture.merging import merged
from mien_server.avatar.texture.projection import PhotographedHead, Samples, project_photograph

__all__ = ["FaceTexture", "face_texture"]

Array = NDArray[Any]

# Light and hair are looked for at this size; both are found again once the other one is known.
COARSE = 128
ROUNDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class FaceTexture:
    """The texture of a head.

    Attributes:
        albedo: (S, S, 3) float32 RGB 0..1 as it is encoded, row 0 at v = 1, islands padded.
        weight: (S, S) float32 0..1, how much of a texel comes from photographs.
        lights: (9, 3) float32 for each photograph: under this light the head looks as in it.
    """

    albedo: NDArray[np.float32]
    weight: NDArray[np.float32]
    lights: tuple[NDArray[np.float32], ...]


def face_texture(
    heads: Sequence[PhotographedHead],
    model_albedo: Array,
    atlas: FaceAtlas,
    *,
    delight: bool = True,
) -> FaceTexture:
    """Make the texture of a person's head.

    Args:
        heads: one or more photographs of the person with the heads fitted to them.
        model_albedo: (s, s, 3) RGB 0..1 of the albedo model, of any size.
        atlas: of the head model and the size of the texture.
        delight: take the light of the photographs out; without that their shadows stay, and a
            viewer's light comes on top.

    Raises:
        ValueError: there is no photograph, or a shape is not allowed.
    """
    model = _resized(model_albedo, atlas.size)
    coarse, step = _coarse(atlas)
    all_samples, lights = [], []
    for head in heads:
        samples = project_photograph(head, atlas)
        light, free = _light_and_face(_strided(samples, step), model[::step, ::step], head, coarse)
        lights.append(light)
        weight = samples.weight * cv2.resize(free, (atlas.size, atlas.size))
        samples = replace(samples, weight=weight)
        all_samples.append(delit(samples, light, model) if delight else samples)
    seen, weight = merged(all_samples)
    matched = matched_colours(model, seen, weight, atlas.skin)
    albedo = evened(completed(seen, weight, matched, atlas), atlas)
    return FaceTexture(atlas.texels.padded(albedo), weight, tuple(lights))


def _light_and_face(
    samples: Samples, model: Array, head: PhotographedHead, atlas: FaceAtlas
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(9, 3) light, and (S, S) 0..1 where the face is not covered; both at the coarse size."""
    light = np.asarray(head.light, np.float32).reshape(9, 3)
    free = np.ones_like(samples.weight)
    for _ in range(ROUNDS):
        light = refined_light(replace(samples, weight=samples.weight * free), model, light)
        albedo = delit(samples, light, model)
        weight = albedo.weight * free
        matched = matched_colours(model, albedo.colour, weight, atlas.skin)
        free = uncovered(albedo.colour, albedo.weight, matched, atlas)
    return refined_light(replace(samples, weight=samples.weight * free), model, light), free


def _coarse(atlas: FaceAtlas) -> tuple[FaceAtlas, int]:
    """Every n-th texel of an atlas, and n."""
    step = max(1, atlas.size // COARSE)
    part = (slice(None, None, step),) * 2
    shares = {
        name: getattr(atlas, name)[part] for name in ("photograph", "skin", "plain", "position")
    }
    return replace(atlas, **shares), step


def _strided(samples: Samples, step: int) -> Samples:
    part = (slice(None, None, step),) * 2
    arrays = {name: getattr(samples, name)[part] for name in ("colour", "weight", "normal")}
    return replace(samples, **arrays)


def _resized(albedo: Array, size: int) -> NDArray[np.float32]:
    given = np.asarray(albedo, np.float32)
    if given.ndim != 3 or given.shape[2] != 3:
        raise ValueError(f"model_albedo has shape {given.shape}; it must be (s, s, 3)")
    larger = cv2.resize(given, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger.clip(0, 1), np.float32)
