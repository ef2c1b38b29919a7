# SPDX-License-Identifier: Apache-2.0
"""The autoencoder in whose latents the generator works: 128 x 128 pictures to 3 x 32 x 32 and back.

Paper    Rombach et al. 2022, *High-Resolution Image Synthesis with Latent Diffusion Models*,
         section 3.1, the KL form, without the adversarial loss: on two cores a discriminator would
         take half of the steps. Differences of neighbouring pixels stand in for sharpness.
Letters  B batch.

Most steps see patches of 64 x 64. The network is convolutional, and its two attentions look at what
there is, so four patches of four faces cost what one face does and teach more. The last steps see
whole faces, since the attentions must know how many there are to look at.

The crop is insightface's for 128: of the recogniser's scale, with its crop in it, so that features
of the recogniser can judge pictures without a pixel being resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.networks.autoencoder import (
    KL_F4_STARTER,
    LATENT_CHANNELS,
    AutoencoderConfig,
    LatentDecoder,
    LatentEncoder,
)
from mien_export.networks.iresnet import IResNet
from mien_starter.crops import RECOGNIZER_COLUMNS, RECOGNIZER_ROWS, generator_crop
from mien_starter.mirroring import mirrored_image
from mien_starter.shards import Photographs
from mien_starter.shipped import shipped
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.latent_scale import LatentScale, standardised
from mien_starter.training.perceptual import PerceptualDistance
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors
from mien_starter.training.wide_convolutions import with_wide_convolutions

GRAPHS = {"latent_encoder": "kl_f4_narrow", "latent_decoder": "kl_f4_narrow"}
RECIPE = Recipe(
    steps=6000,
    batch=32,
    learning_rate=6e-4,
    seed=5,
    warmup_steps=300,
    weight_decay=0.01,
    clip_norm=1.0,
    bfloat16=True,
)

PATCH_PX = 64
PATCHES_PER_FACE = 4  # of equal work
WHOLE_SHARE = 0.15  # of the steps, the last ones
MIRRORED_SHARE = 0.5

# Colours are -1..1, and every loss is a mean over its elements. LDM adds up 48 values of a picture
# for every 3 of a latent and weighs the latter by 1e-6, which lets latents grow at will; this much
# holds them near unit variance and costs them a noise of a few thousandths.
EDGES_WEIGHT, PERCEPTUAL_WEIGHT, KL_WEIGHT = 0.5, 0.5, 1e-4
_LOG_VARIANCE_RANGE = (-30.0, 20.0)
_FIRST_LOG_VARIANCE = -6.0


class Autoencoder(nn.Module):
    """Both halves, and what is known of the latents between them.

    Args:
        config: of the KL form.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        encoder, decoder = LatentEncoder(config), LatentDecoder(config)
        # Latents that begin as noise alone teach the decoder nothing.
        assert encoder.quant_conv.bias is not None
        encoder.quant_conv.bias.data[LATENT_CHANNELS:] = _FIRST_LOG_VARIANCE
        self.encoder = with_wide_convolutions(encoder)
        self.decoder = with_wide_convolutions(decoder)
        self.scale = LatentScale()

    def forward(
        self, image: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode, draw from the posterior, decode.

        Args:
            image: (B, 3, H, W) RGB in -1..1, sides multiples of 4.
            noise: (B, 3, H / 4, W / 4) of unit variance.

        Returns:
            (B, 3, H, W) picture, and (B, 3, H / 4, W / 4) mean and log-variance of its latent.
        """
        assert isinstance(self.encoder, LatentEncoder)
        mean, log_variance = self.encoder.moments(image).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(*_LOG_VARIANCE_RANGE)
        z = mean + (0.5 * log_variance).exp() * noise
        return self.decoder(z).float(), mean, log_variance


class AutoencoderTask:
    """Photographs, the autoencoder, the recogniser that judges it.

    Args:
        recipe: its numbers.
        config: sizes of the autoencoder.
        recognizer: an iresnet that is trained already.
        recognizer_name: tells it from others.
        photographs: with faces.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: AutoencoderConfig,
        recognizer: IResNet,
        recognizer_name: str,
        photographs: Photographs,
    ) -> None:
        self.recipe = recipe
        self.network = self.trained = Autoencoder(config)
        self.data = f"{len(photographs)} photographs, judged by {recognizer_name}"
        self._perceptual = PerceptualDistance(recognizer)
        self._photographs = photographs
        self._first_whole = recipe.steps - round(WHOLE_SHARE * recipe.steps)

    def batch(self, step: int) -> Arrays:
        """Patches (B, 64, 64, 3) uint8 or faces (B / 4, 128, 128, 3), noise of a latent's size."""
        recipe = self.recipe
        rng = rng_of_step(step, recipe.seed)
        indices = indices_of_step(step, recipe.batch, len(self._photographs), recipe.seed)
        if step >= self._first_whole:
            indices = indices[: max(recipe.batch // PATCHES_PER_FACE, 1)]
        images = [self._face(int(index), rng) for index in indices]
        if step < self._first_whole:
            images = [_patch(image, rng) for image in images]
        side = images[0].shape[0] // 4
        noise = rng.standard_normal((len(images), LATENT_CHANNELS, side, side), np.float32)
        return {"images": np.stack(images), "noise": noise}

    def losses(self, batch: Tensors, step: int) -> Tensors:
        """Pixels, differences of neighbours, the recogniser's features, and the latents' KL."""
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            found, mean, log_variance = self.network(images, batch["noise"])
            perceptual = self._perceptual(_seen(found), _seen(images))
        self.network.scale.take(mean.detach(), step)
        off = found - images
        pixels = off.abs().mean()
        edges = off.diff(dim=2).abs().mean() + off.diff(dim=3).abs().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss = pixels + EDGES_WEIGHT * edges + PERCEPTUAL_WEIGHT * perceptual + KL_WEIGHT * kl
        return {
            "loss": loss, "pixels": pixels, "edges": edges, "perceptual": perceptual, "kl": kl,
        }  # fmt: skip

    def _face(self, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        landmarks = self._photographs.labels["landmarks"][index]
        crop = generator_crop(self._photographs.image_rgb(index), landmarks)
        return mirrored_image(crop) if rng.random() < MIRRORED_SHARE else crop


def _patch(face: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    top, left = rng.integers(0, face.shape[0] - PATCH_PX + 1, 2)
    return face[top : top + PATCH_PX, left : left + PATCH_PX]


def _seen(images: torch.Tensor) -> torch.Tensor:
    """What the recogniser sees of (B, 3, H, W): its own crop of a face, all of a patch."""
    if images.shape[-1] == PATCH_PX:
        return images
    return images[:, :, RECOGNIZER_ROWS, RECOGNIZER_COLUMNS]


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the network from the seed, take the shipped recogniser, open the data."""
    recognizer = shipped("face_recognizer")
    assert isinstance(recognizer.backbone, IResNet)
    photographs = Photographs(data).of_split("train")
    name = f"face_recognizer {recognizer.sha256[:12]}"
    torch.manual_seed(recipe.seed)
    return AutoencoderTask(recipe, KL_F4_STARTER, recognizer.backbone, name, photographs)


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """Both halves, with latents of zero mean and unit variance between them."""
    encoder, decoder = (
        {name.removeprefix(half): value for name, value in state.items() if name.startswith(half)}
        for half in ("encoder.", "decoder.")
    )
    encoder, decoder = standardised(encoder, decoder, state["scale.mean"], state["scale.square"])
    return {"latent_encoder": encoder, "latent_decoder": decoder}
