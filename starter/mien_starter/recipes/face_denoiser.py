# SPDX-License-Identifier: Apache-2.0
"""The generator's denoiser and the style encoder that is trained with it.

Papers   MorphFace (arXiv 2504.00430), supplement sections A and B; Ho et al. 2020, *Denoising
         Diffusion Probabilistic Models*, algorithm 1; Ho and Salimans 2022, *Classifier-Free
         Diffusion Guidance*, algorithm 1.
Letters  B batch, T timesteps.
Symbols  ``z`` is z_t, a latent with noise; the loss is the mean square error of the velocity
         (Salimans and Ho 2022), which is that of the noise over alpha_bar: the noise's own tells
         next to nothing about large timesteps, where the layout and the colours are decided.

A context is dropped in one sample of ten, each by itself as guidance needs it; both are dropped in
another twentieth, so that faces of nobody in particular are learnt too: new identities are read off
them. Half of the time the identity context comes from another photograph of the same person, for it
must tell who is seen and not which photograph it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.networks.denoiser import MORPHFACE_STARTER, Denoiser, DenoiserConfig
from mien_export.networks.style_encoder import (
    STYLE_ENCODER_STARTER,
    StyleEncoder,
    StyleEncoderConfig,
)
from mien_server.diffusion.schedule import linear_schedule
from mien_starter.errors import StarterError
from mien_starter.face_features import FaceFeatures
from mien_starter.style_maps import maps_from_bytes
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors

GRAPHS = {"face_denoiser": "morphface_narrow", "style_encoder": "conv2_narrow"}
RECIPE = Recipe(
    steps=14000,
    batch=32,
    learning_rate=4e-4,
    seed=6,
    warmup_steps=500,
    weight_decay=0.0,
    ema_decay=0.9995,
    clip_norm=1.0,
    bfloat16=True,
    log_every=50,
    checkpoint_every=500,
)

DROPPED_SHARE = 0.1  # of each context, independently
BOTH_DROPPED_SHARE = 0.05  # of both, besides
OTHER_PHOTOGRAPH_SHARE = 0.5  # of identity contexts
QUARTERS = 4  # of the timesteps, whose losses are shown one by one; the first is the cleanest


class Generator(nn.Module):
    """What learns: the denoiser, and what it is told about style.

    Args:
        denoiser: its sizes, with contexts of identity and style.
        style_encoder: its sizes.
    """

    def __init__(self, denoiser: DenoiserConfig, style_encoder: StyleEncoderConfig) -> None:
        super().__init__()
        self.denoiser = Denoiser(denoiser)
        self.style_encoder = StyleEncoder(style_encoder)

    def forward(
        self,
        z: torch.Tensor,
        t: torch.Tensor,
        identity: torch.Tensor,
        maps: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """Estimate the noise in latents.

        Args:
            z: (B, 3, 32, 32) latents with noise.
            t: (B, 1) float timesteps.
            identity: (B, 512) embeddings of unit length.
            maps: (B, 9, 128, 128) style maps.
            keep: (B, 2) 1 where the context of identity, that of style is kept.

        Returns:
            (B, 3, 32, 32).
        """
        contexts = (identity, self.style_encoder(maps))
        return self.denoiser(z, t, contexts, (keep[:, :1], keep[:, 1:]))  # type: ignore[no-any-return]


class DenoiserTask:
    """Features of faces and the generator.

    Args:
        recipe: its numbers.
        network: the generator.
        features: of people of the train split.

    Raises:
        StarterError: they are of other people.
    """

    def __init__(self, recipe: Recipe, network: Generator, features: FaceFeatures) -> None:
        if features.split != "train":
            raise StarterError(
                f"the features are of people of the split {features.split}; expected train. Give "
                "other ones."
            )
        self.recipe = recipe
        self.network = self.trained = network
        self.data = f"{len(features)} faces with features {features.digest[:12]}"
        self._features = features
        self._alpha_bar = torch.from_numpy(linear_schedule().alpha_bar.astype(np.float32))
        order = np.argsort(features.identity, kind="stable")
        _, starts, self._person = np.unique(
            features.identity[order], return_index=True, return_inverse=True
        )
        self._person = self._person[np.argsort(order, kind="stable")]
        self._photographs_of = np.split(order, starts[1:])

    def batch(self, step: int) -> Arrays:
        """Latents, contexts, timesteps and noise.

        Returns:
            latents (B, 3, 32, 32) float16, maps (B, 9, 128, 128) uint8, identity (B, 512), keep
            (B, 2) float32, noise (B, 3, 32, 32), and t (B,), one of each of B equal shares of the
            timesteps, which makes the loss less noisy.
        """
        recipe, features = self.recipe, self._features
        rng = rng_of_step(step, recipe.seed)
        rows = indices_of_step(step, recipe.batch, len(features), recipe.seed)
        latents = np.stack([features.latent(int(row)) for row in rows])
        shares = (np.arange(len(rows)) + rng.random(len(rows))) / len(rows)
        contexts = [self._of_the_same_person(int(row), rng) for row in rows]
        return {
            "latents": latents,
            "maps": np.stack([features.maps(int(row)) for row in rows]),
            "identity": features.embeddings[contexts],
            "keep": kept_contexts(len(rows), rng),
            "noise": rng.standard_normal(latents.shape, np.float32),
            "t": (shares * len(self._alpha_bar)).astype(np.int64),
        }

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """The square error of the velocity, over all and by quarter of the timesteps."""
        t, noise = batch["t"], batch["noise"]
        alpha_bar = self._alpha_bar[t][:, None, None, None]
        z = alpha_bar.sqrt() * batch["latents"].float() + (1 - alpha_bar).sqrt() * noise
        maps = maps_from_bytes(batch["maps"])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            found = self.network(z, t[:, None].float(), batch["identity"], maps, batch["keep"])
        errors = ((found.float() - noise).square() / alpha_bar).mean(dim=(1, 2, 3))  # (B,)
        quarter = t * QUARTERS // len(self._alpha_bar)
        parts = {f"quarter_{i + 1}": _mean_where(errors, quarter == i) for i in range(QUARTERS)}
        return {"loss": errors.mean(), **parts}

    def _of_the_same_person(self, row: int, rng: np.random.Generator) -> int:
        """The photograph itself, or another one of its person if there is any."""
        others = self._photographs_of[self._person[row]]
        others = others[others != row]
        if len(others) and rng.random() < OTHER_PHOTOGRAPH_SHARE:
            return int(rng.choice(others))
        return row


def kept_contexts(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, 2) 1 where identity, where style is kept."""
    keep = rng.random((count, 2)) >= DROPPED_SHARE
    keep[rng.random(count) < BOTH_DROPPED_SHARE] = False
    return keep.astype(np.float32)


def _mean_where(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return (values * chosen).sum() / chosen.sum().clamp_min(1)


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the networks from the seed and open what ``features`` wrote."""
    features = FaceFeatures(data)
    torch.manual_seed(recipe.seed)
    return DenoiserTask(recipe, Generator(MORPHFACE_STARTER, STYLE_ENCODER_STARTER), features)


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """The two networks' tensors, as they are."""
    return {
        graph: {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        for graph, prefix in (("face_denoiser", "denoiser."), ("style_encoder", "style_encoder."))
    }
