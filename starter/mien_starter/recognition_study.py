# SPDX-License-Identifier: Apache-2.0
"""What generated people are worth: recognisers trained on them, and on as many rendered ones.

Both see equally many aligned faces of equally many people, from the same seed, for as many steps,
with the same losses and augmentation. Only who is who is known of generated faces, so that ArcFace
alone teaches both: the parameters of a person, from which the starter recogniser learns too, are
left out. Neither comes near that one, which saw 13,000 people.

Paper    MorphFace (arXiv 2504.00430), section A.1: 40 epochs.
Letters  B batch.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mien_export.networks.iresnet import IRESNET18_NARROW, IResNet, IResNetConfig
from mien_export.wrappers import FaceRecognizer
from mien_server.alignment import template
from mien_starter.crops import GENERATED_SIZE_PX, aligned_crop, jittered_points
from mien_starter.degradation import degraded
from mien_starter.evaluation.networks import predicted, predictor
from mien_starter.mirroring import mirrored_image
from mien_starter.recipes.face_recognizer import (
    DEGRADATION,
    MARGIN,
    MARGIN_FROM,
    MARGIN_FULL,
    MIRRORED_SHARE,
    RECIPE,
    SCALE,
)
from mien_starter.recognition_study_faces import AlignedFaces
from mien_starter.recognition_study_figures import study_figures
from mien_starter.shards import Photographs
from mien_starter.training.arcface import ArcFace
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.fast_prelu import with_fast_prelu
from mien_starter.training.loop import train
from mien_starter.training.recipe import Arrays, Recipe, Tensors
from mien_starter.training.schedule import rising

__all__ = ["EPOCHS", "StudyTask", "recipe_of_study", "study", "verified"]

EPOCHS = 40
_WARMUP_SHARE = 0.1  # at most, of runs that are much shorter than the recogniser's own


class StudyTask:
    """Aligned faces, a network, the identities that it must tell apart.

    Args:
        recipe: its numbers.
        config: of the network.
        faces: several of each person.
    """

    def __init__(self, recipe: Recipe, config: IResNetConfig, faces: AlignedFaces) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.network = recipe, with_fast_prelu(IResNet(config))
        self._arcface = ArcFace(int(faces.identity.max()) + 1, config.num_features)
        self.trained = nn.ModuleList([self.network, self._arcface])
        self.data = f"{faces.origin}, {faces.digest()[:16]}"
        self._faces = faces

    def batch(self, step: int) -> Arrays:
        """Crops (B, 112, 112, 3) uint8, identity (B,)."""
        recipe = self.recipe
        rng = rng_of_step(step, recipe.seed)
        indices = indices_of_step(step, recipe.batch, len(self._faces), recipe.seed)
        crops = []
        for index in indices:
            landmarks = jittered_points(template(GENERATED_SIZE_PX), rng)
            crop = aligned_crop(self._faces.crops[index], landmarks)
            crop = mirrored_image(crop) if rng.random() < MIRRORED_SHARE else crop
            crops.append(degraded(crop, DEGRADATION, rng))
        return {"crops": np.stack(crops), "identity": self._faces.identity[indices]}

    def losses(self, batch: Tensors, step: int) -> Tensors:
        """ArcFace, with the growing margin of the starter recogniser."""
        images = (batch["crops"].permute(0, 3, 1, 2).float() - 127.5) / 127.5
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            features = self.network(images).float()
        steps = self.recipe.steps
        margin = MARGIN * rising(step, int(MARGIN_FROM * steps), int(MARGIN_FULL * steps))
        loss, right = self._arcface(features, batch["identity"], margin, SCALE)
        return {"loss": loss, "right": right}


def recipe_of_study(num_faces: int, *, epochs: float, seed: int) -> Recipe:
    """The starter recogniser's recipe, for as many passes over so many faces."""
    steps = max(round(epochs * num_faces / RECIPE.batch), 1)
    warmup_steps = min(RECIPE.warmup_steps, int(_WARMUP_SHARE * steps))
    return dataclasses.replace(RECIPE, steps=steps, warmup_steps=warmup_steps, seed=seed)


def study(
    recipe: Recipe,
    faces: Mapping[str, AlignedFaces],
    photographs: Photographs,
    work: Path,
    *,
    config: IResNetConfig = IRESNET18_NARROW,
    workers: int = 1,
    compiled: bool = False,
    on_progress: Callable[[str, int, str], object] = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """Train on each set, one after the other, and verify people whom none of them knows.

    Args:
        recipe: for all.
        faces: by name of the set.
        photographs: of held-out people.
        work: holds a run for each set; those that were cut off go on.
        config: of the network.
        workers: processes that make batches.
        compiled: fuse the network's operations.
        on_progress: told the set, its finished steps, and how it is going.

    Returns:
        Figures by set, then those of the network before training, "untrained".

    Raises:
        StarterError: the photographs are not of held-out people, or a run was begun otherwise.
    """
    photographs.of_split("held_out")
    figures = {}
    for name, own in faces.items():
        task = StudyTask(recipe, config, own)
        if compiled:
            task.network.compile()
        average = train(
            task,
            work / name,
            workers=workers,
            on_progress=functools.partial(on_progress, name),
        )
        figures[name] = verified(config, average.state, photographs)
    torch.manual_seed(recipe.seed)
    figures["untrained"] = verified(config, IResNet(config).state_dict(), photographs)
    return figures


def verified(config: IResNetConfig, state: Tensors, photographs: Photographs) -> dict[str, float]:
    """Figures of a network's weights on photographs, cropped about their true landmarks."""
    network = IResNet(config)
    network.load_state_dict(state)
    landmarks = photographs.labels["landmarks"]
    crops = (aligned_crop(photographs.image_rgb(i), landmarks[i]) for i in range(len(photographs)))
    (embeddings,) = predicted(predictor(FaceRecognizer(network).eval()), crops)
    return study_figures(embeddings, photographs.labels["identity"])
