# SPDX-License-Identifier: Apache-2.0
"""Inputs of each graph, such as it gets when it serves; for comparing weights.

Letters  N samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.hair.portrait_crop import PORTRAIT_SIZE_PX, portrait_window_from_landmarks
from mien_server.warping import warped
from mien_starter.crops import (
    DECA_SIZE_PX,
    LOOSE_SIZE_PX,
    aligned_crop,
    deca_window,
    loose_window,
)
from mien_starter.evaluation.held_out import HeldOut
from mien_starter.evaluation.networks import predictor, wrapped
from mien_starter.face_reader import Faces, crops_of, shipped_reader
from mien_starter.grooms import Grooms
from mien_starter.shards import Photographs
from mien_starter.training.recipe import Tensors

__all__ = ["example_inputs"]

Inputs = tuple[NDArray[Any], ...]


def example_inputs(
    name: str, states: Mapping[str, Tensors], photographs: HeldOut
) -> Mapping[str, Inputs]:
    """By graph of a recipe, (N, ...) for each of its inputs, made of N photographs.

    Args:
        name: of the recipe.
        states: by graph its weights.
        photographs: all of them are used; of hair_vae, hairstyles.
    """
    if isinstance(photographs, Grooms):
        seen = np.stack([photographs.map_rgb(index) for index in range(len(photographs))])
        encode = predictor(wrapped("hair_vae_encoder", states["hair_vae_encoder"]))
        return {"hair_vae_encoder": (seen,), "hair_vae_decoder": encode(seen)}
    if name == "autoencoder":
        crops = crops_of(photographs, range(len(photographs)))
        encode = predictor(wrapped("latent_encoder", states["latent_encoder"]))
        return {"latent_encoder": (crops,), "latent_decoder": encode(crops)}
    if name == "face_denoiser":
        encode = predictor(wrapped("style_encoder", states["style_encoder"]))
        faces, maps = _read(photographs)
        asked = _noisy(len(maps))
        (style,) = encode(maps)
        return {
            "face_denoiser": (*asked[:2], faces.embeddings, style, *asked[2:]),
            "style_encoder": (maps,),
        }
    return {graph: (_crops(name, photographs),) for graph in states}


def _crops(name: str, photographs: Photographs) -> NDArray[np.uint8]:
    """(N, side, side, 3) crops of the kind that a network of faces gets."""
    labels, rng = photographs.labels, np.random.default_rng(0)
    crops = []
    for index in range(len(photographs)):
        image, points = photographs.image_rgb(index), labels["landmarks_68"][index]
        if name == "face_landmarker":
            crop = warped(image, loose_window(points, rng), LOOSE_SIZE_PX)
        elif name == "deca_encoder":
            crop = warped(image, deca_window(points), DECA_SIZE_PX)
        elif name == "hair_segmenter":
            crop = warped(image, portrait_window_from_landmarks(points), PORTRAIT_SIZE_PX)
        else:
            crop = aligned_crop(image, labels["landmarks"][index])
        crops.append(crop)
    return np.stack(crops)


def _read(photographs: Photographs) -> tuple[Faces, NDArray[np.float32]]:
    reader = shipped_reader()
    faces = reader.read(photographs, range(len(photographs)))
    return faces, reader.maps.of(faces.codes)


def _noisy(count: int) -> Inputs:
    """(N, 3, 32, 32) latents of noise, (N, 1) timesteps, and twice (N, 1) what is kept."""
    z = np.random.default_rng(0).standard_normal((count, 3, 32, 32), np.float32)
    t = np.round(np.linspace(999, 0, count, dtype=np.float32))[:, None]
    number = np.arange(count)[:, None]
    keeps = ((number % 4 < 2), (number % 2 == 0))  # all four of them in turn
    return (z, t, *(keep.astype(np.float32) for keep in keeps))
