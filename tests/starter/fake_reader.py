# SPDX-License-Identifier: Apache-2.0
"""Networks that read faces, small enough to be written down: people are told by their colour."""

import numpy as np

from mien_export.texture_space import NUM_TEXTURE, SIDE_PX, TextureSpace
from mien_starter.face_reader import FaceReader
from mien_starter.style_maps import StyleMaps
from tests.export.small_heads import make_head

DIGESTS = {"face_recognizer": "a", "deca_encoder": "b", "head": "c", "albedo": "d"}
_DIRECTIONS = np.random.default_rng(8).normal(0, 1, (3, 512))


def make_space():
    """Texels that are all alike, so that a vertex has one colour whatever its coordinates."""
    rng = np.random.default_rng(3)
    shape = (SIDE_PX, SIDE_PX, 3)
    mean = np.broadcast_to(rng.uniform(0.3, 0.7, 3).astype(np.float32), shape)
    basis = rng.normal(0, 0.05, (3, NUM_TEXTURE)).astype(np.float32)
    return TextureSpace(mean, np.broadcast_to(basis, (*shape, NUM_TEXTURE)))


def recognize(crops):
    """Of the colour in the middle, as a direction."""
    middle = crops[:, 40:60, 40:70].mean(axis=(1, 2)) - 127.5
    vectors = middle @ _DIRECTIONS
    return ((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),)


def fit(crops):
    """Codes that depend on the crop, before a camera that sees the head."""
    colour = crops.mean(axis=(1, 2)) / 255
    codes = np.repeat(colour, 79, axis=1)[:, :236].astype(np.float32) - 0.5
    codes[:, 200:206] *= 0.3
    codes[:, 206:209] = (6, 0, 0)
    return (codes,)


def encode(crops):
    """(N, 3, 32, 32): every fourth pixel."""
    return (crops[:, ::4, ::4].transpose(0, 3, 1, 2).astype(np.float32) / 64 - 2,)


def decode(latents):
    return (np.repeat(np.repeat((latents + 2) * 64, 4, axis=2), 4, axis=3).clip(0, 255),)


def make_reader(digests=DIGESTS):
    return FaceReader(recognize, fit, StyleMaps(make_head(), make_space()), digests)
