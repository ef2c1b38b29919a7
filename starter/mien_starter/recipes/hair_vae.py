# SPDX-License-Identifier: Apache-2.0
"""The hair VAE: maps of which way hair runs, to all strands of the style.

Letters  B batch, K steps of a strand; the grid is 32 x 32.

Half of the styles are seen mirrored: column 31 - j of the scalp mirrors column j. Maps are moved,
turned and scaled a little, as crops about found landmarks are; their directions are bent in patches
and their outline is eaten, as a filter bank and a segmenter do it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mien_export.networks.hair_vae import HairVae
from mien_export.networks.hair_vae_config import HAIR_VAE_STARTER, HairVaeConfig
from mien_export.networks.hair_vae_decoder import HairVaeDecoder
from mien_export.networks.hair_vae_strands import features_of
from mien_server.hair.orientation import decoded_map, encoded_map
from mien_starter.grooms import Grooms
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors
from mien_starter.training.strand_losses import StrandTruth, StrandWeights, strand_losses

GRAPHS = {"hair_vae_encoder": "vae_narrow", "hair_vae_decoder": "vae_narrow"}
RECIPE = Recipe(
    steps=8000,
    batch=32,
    learning_rate=1.5e-3,
    seed=8,
    warmup_steps=200,
    weight_decay=0.02,
    clip_norm=2.0,
    bfloat16=True,
)

WEIGHTS = StrandWeights()
MIRRORED_SHARE = 0.5
SHIFT, SCALE, ANGLE_DEG = 0.03, 0.06, 4.0  # of the crop
BENT_DEG, BENT_PX = 12.0, 16.0  # errors of directions, and how far they reach
EATEN_SHARE, EATEN_PX = 0.5, 2
_STATISTICS_STYLES = 1024
_FIRST_LOG_VARIANCE = -4.0
_SMALLEST_DEVIATION = 1e-6


class HairVaeTask:
    """Styles and views, the network, its losses.

    Args:
        recipe: its numbers.
        config: sizes of the network; its steps are those of the grooms.
        grooms: what is learned from.
    """

    def __init__(self, recipe: Recipe, config: HairVaeConfig, grooms: Grooms) -> None:
        self.recipe, self._latent = recipe, config.latent
        self.network = self.trained = HairVae(config)
        # Latents that begin as noise alone teach the decoder nothing.
        torch.nn.init.constant_(self.network.log_variance.bias, _FIRST_LOG_VARIANCE)
        take_statistics(self.network.decoder, grooms)
        self._grooms = grooms
        self.data = f"{len(grooms)} views of {len(grooms) // grooms.views} hairstyles"

    def batch(self, step: int) -> Arrays:
        """Maps (B, 256, 256, 3) uint8, truth of `StrandTruth`, and noise (B, latent)."""
        recipe = self.recipe
        rng = rng_of_step(step, recipe.seed)
        indices = indices_of_step(step, recipe.batch, len(self._grooms), recipe.seed)
        samples = [self._sample(int(index), rng) for index in indices]
        arrays = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        noise = rng.standard_normal((recipe.batch, self._latent), np.float32)
        return {**arrays, "noise": noise}

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """The weighted sum of `strand_losses` and its parts."""
        features = features_of(batch["maps"].permute(0, 3, 1, 2).float())
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            mean, log_variance = self.network.posterior(features)
            mean, log_variance = mean.float(), log_variance.float().clamp(-12, 4)
            z = mean + (0.5 * log_variance).exp() * batch["noise"]
            decoded = self.network.decoder(z)
        truth = StrandTruth(batch["steps"], batch["grows"] > 0, batch["seen"] > 0)
        return strand_losses(decoded, mean, log_variance, truth, WEIGHTS)

    def _sample(self, index: int, rng: np.random.Generator) -> Arrays:
        groom, seen = self._grooms.groom(index), self._grooms.seen(index)
        steps, grows, map_rgb = groom.steps, groom.grows, self._grooms.map_rgb(index)
        if rng.random() < MIRRORED_SHARE:
            map_rgb, steps, grows, seen = (
                mirrored_map(map_rgb), mirrored_steps(steps), grows[:, ::-1], seen[..., ::-1],
            )  # fmt: skip
        return {
            "maps": as_if_found(map_rgb, rng),
            "steps": np.ascontiguousarray(steps),
            "grows": grows.astype(np.uint8),
            "seen": seen.astype(np.uint8),
        }


def take_statistics(decoder: HairVaeDecoder, grooms: Grooms) -> None:
    """Put roots, the mean style and the deviations from it into the decoder's buffers."""
    styles = min(len(grooms) // grooms.views, _STATISTICS_STYLES)
    shape = decoder.get_buffer("step_mean").shape
    total, square, count = np.zeros(shape), np.zeros(shape), np.zeros(shape[2:])
    for style in range(styles):
        groom = grooms.groom(style * grooms.views)
        # Both as they are and mirrored: the mean style has two equal halves.
        for steps, grows in (
            (groom.steps, groom.grows),
            (mirrored_steps(groom.steps), groom.grows[:, ::-1]),
        ):
            total += steps
            square += np.square(steps, dtype=np.float64)
            count += grows
    mean = total / np.maximum(count, 1)
    spread = (square - count * mean**2).sum(axis=(2, 3)) / max(count.sum(), 1)
    deviation = np.sqrt(np.maximum(spread, 0)).ravel() + _SMALLEST_DEVIATION
    with torch.no_grad():
        decoder.get_buffer("roots").copy_(torch.from_numpy(grooms.roots.ravel()))
        decoder.get_buffer("step_mean").copy_(torch.from_numpy(mean))
        decoder.get_buffer("step_deviation").copy_(torch.from_numpy(deviation))


def mirrored_steps(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4, K, 32, 32) of the mirrored style."""
    mirrored = steps[..., ::-1].copy()
    mirrored[0] *= -1
    return mirrored


def mirrored_map(map_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(256, 256, 3) of the mirrored style: places and directions."""
    angles, hair, body = decoded_map(map_rgb[:, ::-1])
    return encoded_map(math.pi - angles, hair, body)


def as_if_found(map_rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A map (256, 256, 3) with the errors of landmarks, of the filter bank and of the segmenter."""
    angle = math.radians(rng.normal(0, ANGLE_DEG / 2))
    scale = math.exp(rng.uniform(-SCALE, SCALE))
    side = map_rgb.shape[0]
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])  # counter-clockwise, as rows point down
    middle = np.full(2, (side - 1) / 2)
    shift = middle - linear @ middle + rng.uniform(-SHIFT, SHIFT, 2) * side
    moved = cv2.warpAffine(
        map_rgb, np.column_stack([linear, shift]), (side, side), flags=cv2.INTER_NEAREST
    )
    angles, hair, body = decoded_map(moved)
    if rng.random() < EATEN_SHARE:
        eaten = int(rng.integers(1, EATEN_PX + 1))
        kernel = np.ones((2 * eaten + 1, 2 * eaten + 1), np.uint8)
        change = cv2.erode if rng.random() < 0.5 else cv2.dilate
        grown = change(hair.astype(np.uint8), kernel) > 0
        angles = _spread(angles, hair, grown)
        hair = grown
    coarse = rng.normal(0, 1, (int(side / BENT_PX), int(side / BENT_PX))).astype(np.float32)
    bent = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    bent *= math.radians(BENT_DEG) * float(rng.uniform(0, 1))
    return encoded_map(angles + angle + bent, hair, body & ~hair)


def _spread(
    angles: NDArray[np.float32], hair: NDArray[np.bool_], grown: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Angles where hair was added: those nearby."""
    if not (grown & ~hair).any():
        return angles
    known = hair.astype(np.float32)
    doubled = [cv2.blur(part * known, (7, 7)) for part in (np.cos(2 * angles), np.sin(2 * angles))]
    nearby: NDArray[np.float32] = np.arctan2(doubled[1], doubled[0]) / 2
    return np.where(hair, angles, nearby)


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the network from the seed, open the grooms and take their statistics."""
    grooms = Grooms(data).of_split("train")
    torch.manual_seed(recipe.seed)
    return HairVaeTask(recipe, HAIR_VAE_STARTER, grooms)


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """Both halves; how sure the encoder is stays behind."""
    return {
        f"hair_vae_{half}": {
            name.removeprefix(f"{half}."): value
            for name, value in state.items()
            if name.startswith(f"{half}.")
        }
        for half in ("encoder", "decoder")
    }
