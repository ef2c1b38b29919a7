# SPDX-License-Identifier: Apache-2.0
"""Models of hair whose answers are known: hair is above the brows, and all hair is one style."""

from dataclasses import dataclass

import numpy as np

from mien_server.hair.portrait_crop import portrait_window_from_landmarks
from mien_server.hair.strands import GRID, GRID_POINTS
from mien_server.warping import moved
from tests.server.avatar import planted_avatars as planted

STYLE = "bob"
LATENT = 512


def brows_row() -> int:
    """Of the portrait crop."""
    ring = planted.landmarks_px(planted.portrait_of()[0].vertices_px)
    return int(moved(portrait_window_from_landmarks(ring), ring[17:27])[:, 1].min()) - 8


def grid_of(name):
    """(32, 32, 100, 4) of a shipped style."""
    style = planted.library().hairstyle(name)
    grid = np.zeros((GRID * GRID, GRID_POINTS, 4), np.float32)
    grid[style.cells] = np.concatenate(
        [style.strands.points, style.strands.curliness[..., None]], axis=-1
    )
    return grid.reshape(GRID, GRID, GRID_POINTS, 4)


@dataclass
class HairyModels(planted.PlantedModels):
    """Beside the others, hair above the brows; or none, if bald."""

    bald: bool = False

    def hair_segmenter(self, portrait):
        magenta = (portrait[:, 0] > 200) & (portrait[:, 1] < 60) & (portrait[:, 2] > 200)
        nothing = magenta | (portrait.sum(axis=1) == 0)
        above = (np.arange(256) < brows_row())[:, None]
        hair, body = ~nothing & above, ~nothing & ~above
        if self.bald:
            hair, body = np.zeros_like(hair), ~nothing
        return {"masks": np.stack([hair, body], axis=1).astype(np.float32)}

    def hair_vae_encoder(self, orientation_map):
        """The mean of each colour, and zeros."""
        latent = np.zeros((len(orientation_map), LATENT), np.float32)
        latent[:, :3] = orientation_map.mean(axis=(2, 3))
        return {"latent": latent}

    def hair_vae_decoder(self, latent):
        """The style, moved upwards by a millimetre for every hundred of the fourth number."""
        grid = np.repeat(grid_of(STYLE)[None], len(latent), axis=0)
        there = grid.any(axis=(3, 4))
        grid[..., 1] += (latent[:, 3] / 1e5)[:, None, None, None] * there[..., None]
        return {"strands": grid}
