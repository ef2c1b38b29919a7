# SPDX-License-Identifier: Apache-2.0
"""The segmenter: portraits of synthetic people to hair, the rest of a person, and all else.

Letters  B batch.

Photographs show less than the portrait crop does. What is missing about them is black, as it is
when served, or of any other colour, so that the network learns to make nothing of it. Half of the
hair is painted over, and some of it gets a fringe: see `mien_starter.hair_painting`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.networks.hair_segmenter import HAIR_SEGMENTER, NUM_CLASSES, HairSegmenter
from mien_server.hair.portrait_crop import PORTRAIT_SIZE_PX, portrait_window_from_landmarks
from mien_server.warping import moved
from mien_starter.degradation import Degradation, degraded
from mien_starter.hair_masks import HairMasks
from mien_starter.hair_painting import painted_hair, with_fringe
from mien_starter.mirroring import mirrored_image
from mien_starter.shards import Photographs
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors
from mien_starter.world.masks import HAIR

GRAPHS = {"hair_segmenter": "segmenter"}
RECIPE = Recipe(steps=4000, batch=24, learning_rate=3e-3, seed=7, warmup_steps=200, bfloat16=True)

DICE_WEIGHT = 0.5
DEGRADATION = Degradation(
    occlusion=0.1, colour=0.7, grey=0.1, blur=0.15, low_resolution=0.15, noise=0.25, jpeg=0.25
)
MIRRORED_SHARE = 0.5
PAINTED_SHARE, FRINGED_SHARE = 0.5, 0.25  # a fringe is always painted
# What landmarks get wrong, in sides of the crop; they also stand for faces of other proportions.
SHIFT, SCALE, ANGLE_DEG = 0.06, 0.15, 8.0
BLACK_SHARE = 0.5  # of what lies beyond photographs


class HairSegmenterTask:
    """Photographs, their labels, the network.

    Args:
        recipe: its numbers.
        network: gives (B, 3, 256, 256) logits.
        photographs: with faces.
        masks: labels of at least some of them.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, photographs: Photographs, masks: HairMasks
    ) -> None:
        self.recipe, self.network, self.trained = recipe, network, network
        self._photographs, self._masks = photographs, masks
        self._labelled = masks.of(photographs)
        self.data = f"{len(self._labelled)} photographs with labels of hair"

    def batch(self, step: int) -> Arrays:
        """Crops (B, 256, 256, 3) uint8 and classes (B, 256, 256) uint8."""
        recipe = self.recipe
        rng = rng_of_step(step, recipe.seed)
        places = indices_of_step(step, recipe.batch, len(self._labelled), recipe.seed)
        samples = [self._sample(int(index), rng) for index in self._labelled[places]]
        crops, classes = zip(*samples, strict=True)
        return {"crops": np.stack(crops), "classes": np.stack(classes)}

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """Cross-entropy of every pixel, and Dice's overlap of hair and of body."""
        images = (batch["crops"].permute(0, 3, 1, 2).float() - 127.5) / 127.5
        truth = batch["classes"].long()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            logits = self.network(images)
        logits = logits.float()
        pixels = nn.functional.cross_entropy(logits, truth)
        found = logits.softmax(dim=1)[:, 1:]
        wanted = nn.functional.one_hot(truth, NUM_CLASSES).permute(0, 3, 1, 2)[:, 1:].float()
        common = (found * wanted).sum(dim=(0, 2, 3))
        dice = 1 - (2 * common + 1) / (found.sum(dim=(0, 2, 3)) + wanted.sum(dim=(0, 2, 3)) + 1)
        with torch.no_grad():
            is_found, is_wanted = logits.argmax(dim=1) == 1, truth == 1
            union = (is_found | is_wanted).sum().clamp_min(1)
            iou = (is_found & is_wanted).sum() / union
        return {
            "loss": pixels + DICE_WEIGHT * dice.mean(),
            "pixels": pixels,
            "dice": dice.mean(),
            "hair_iou": iou,
        }

    def _sample(
        self, index: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        labels = self._photographs.labels
        image = self._photographs.image_rgb(index)
        classes = self._masks.labels(int(labels["identity"][index]), int(labels["shot"][index]))
        window = jittered_window(labels["landmarks_68"][index], rng)
        colour = (
            (0, 0, 0) if rng.random() < BLACK_SHARE else tuple(rng.integers(0, 256, 3).tolist())
        )
        crop = shown(image, window, colour)
        seen = classes_shown(classes, window)
        if (seen == HAIR).any():
            chance = rng.random()
            if chance < FRINGED_SHARE:
                seen = with_fringe(seen, moved(window, labels["landmarks_68"][index]), rng)
            if chance < PAINTED_SHARE:
                crop = painted_hair(crop, seen, rng)
        if rng.random() < MIRRORED_SHARE:
            crop, seen = mirrored_image(crop), np.ascontiguousarray(seen[:, ::-1])
        return degraded(crop, DEGRADATION, rng), seen


def jittered_window(
    landmarks_68: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(2, 3) portrait window about (68, 2) landmarks that are a little off."""
    window = portrait_window_from_landmarks(landmarks_68)
    angle = math.radians(rng.normal(0, ANGLE_DEG / 2))
    scale = math.exp(rng.uniform(-SCALE, SCALE))
    linear = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    middle = np.full(2, PORTRAIT_SIZE_PX / 2)
    shift = middle - linear @ middle + rng.uniform(-SHIFT, SHIFT, 2) * PORTRAIT_SIZE_PX
    return np.column_stack([linear @ window[:, :2], linear @ window[:, 2] + shift])


def shown(
    image: NDArray[np.uint8], window: NDArray[np.float64], around: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """(256, 256, 3) what a window shows of a photograph, with a colour about it."""
    crop: NDArray[np.uint8] = cv2.warpAffine(
        image,
        _by_centres(window),
        (PORTRAIT_SIZE_PX, PORTRAIT_SIZE_PX),
        flags=cv2.INTER_LINEAR,
        borderValue=around,
    )
    return crop


def classes_shown(classes: NDArray[np.uint8], window: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(256, 256) classes in a window; what lies beyond the photograph is background."""
    seen: NDArray[np.uint8] = cv2.warpAffine(
        classes,
        _by_centres(window),
        (PORTRAIT_SIZE_PX, PORTRAIT_SIZE_PX),
        flags=cv2.INTER_NEAREST,
    )
    return seen


def _by_centres(window: NDArray[np.float64]) -> NDArray[np.float64]:
    # OpenCV counts pixels by their centres.
    moved = window.copy()
    moved[:, 2] += window[:, :2] @ (0.5, 0.5) - 0.5
    return moved


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the network from the seed and open photographs and labels."""
    photographs, masks = Photographs(data).of_split("train"), HairMasks(data)
    torch.manual_seed(recipe.seed)
    return HairSegmenterTask(recipe, HairSegmenter(HAIR_SEGMENTER), photographs, masks)


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """The network's tensors, as they are."""
    return {"hair_segmenter": state}
