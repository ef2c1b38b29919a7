# SPDX-License-Identifier: Apache-2.0
"""The recogniser: aligned crops to embeddings in which one person is one direction (ArcFace).

Beside the classes, the embedding is asked for the parameters that its person was made from. With a
few thousand people, classes alone are learnt by heart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mien_export.head_model import HeadModel, read_head
from mien_export.networks.iresnet import IRESNET18_NARROW, IResNet
from mien_starter.crops import aligned_crop, jittered_points
from mien_starter.degradation import Degradation, degraded
from mien_starter.mirroring import mirrored_image
from mien_starter.recipes.deca_encoder import HEAD, TEXTURE
from mien_starter.shards import Photographs
from mien_starter.training.arcface import ArcFace
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.fast_prelu import with_fast_prelu
from mien_starter.training.head_geometry import HeadDistance, vertex_weights
from mien_starter.training.person_parameters import NUM_SHAPE, PersonParameters
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors
from mien_starter.training.schedule import rising

GRAPHS = {"face_recognizer": "iresnet18_narrow"}
RECIPE = Recipe(
    steps=8000,
    batch=96,
    learning_rate=2e-3,
    seed=2,
    warmup_steps=300,
    weight_decay=0.05,
    bfloat16=True,
)

MARGIN, SCALE = 0.5, 32.0
MARGIN_FROM, MARGIN_FULL = 0.1, 0.5  # shares of the run between which the margin grows
DEGRADATION = Degradation(
    occlusion=0.1, colour=0.4, grey=0.08, blur=0.12, low_resolution=0.15, noise=0.2, jpeg=0.2
)
MIRRORED_SHARE = 0.5
# Of the parameters' losses; ArcFace's own is about 10, and far steeper.
SHAPE_WEIGHT, TEXTURE_WEIGHT = 4.0, 2.0


class RecognizerTask:
    """Photographs, the network, the identities it must tell apart.

    Args:
        recipe: its numbers.
        network: gives (B, D) embeddings of crops in -1..1.
        features: D.
        head: the model that shapes belong to.
        photographs: several of each person.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        features: int,
        head: HeadModel,
        photographs: Photographs,
    ) -> None:
        people, self._class = np.unique(photographs.labels["identity"], return_inverse=True)
        self.recipe, self.network = recipe, with_fast_prelu(network)
        self._identities = ArcFace(len(people), features)
        self._shape = photographs.labels["shape"][:, :NUM_SHAPE]
        self._texture = photographs.labels["codes"][:, TEXTURE]
        distance = HeadDistance(head.shapedirs[..., :NUM_SHAPE], vertex_weights(head))
        self._person = PersonParameters(
            features, distance, torch.from_numpy(self._shape), torch.from_numpy(self._texture)
        )
        self.trained = nn.ModuleList([self.network, self._identities, self._person])
        self.data = f"{len(photographs)} photographs of {len(people)} people"
        self._photographs = photographs

    def batch(self, step: int) -> Arrays:
        """Crops (B, 112, 112, 3) uint8, identity (B,), shape (B, 100), texture (B, 50)."""
        recipe = self.recipe
        rng = rng_of_step(step, recipe.seed)
        indices = indices_of_step(step, recipe.batch, len(self._photographs), recipe.seed)
        crops = []
        for index in indices:
            landmarks = jittered_points(self._photographs.labels["landmarks"][index], rng)
            crop = aligned_crop(self._photographs.image_rgb(int(index)), landmarks)
            crop = mirrored_image(crop) if rng.random() < MIRRORED_SHARE else crop
            crops.append(degraded(crop, DEGRADATION, rng))
        return {
            "crops": np.stack(crops),
            "identity": self._class[indices],
            "shape": self._shape[indices],
            "texture": self._texture[indices],
        }

    def losses(self, batch: Tensors, step: int) -> Tensors:
        """ArcFace with a margin that grows, since a full one from the start hinders learning."""
        images = (batch["crops"].permute(0, 3, 1, 2).float() - 127.5) / 127.5
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            features = self.network(images).float()
        steps = self.recipe.steps
        margin = MARGIN * rising(step, int(MARGIN_FROM * steps), int(MARGIN_FULL * steps))
        arcface, right = self._identities(features, batch["identity"], margin, SCALE)
        shape, texture = self._person(features, batch["shape"], batch["texture"])
        loss = arcface + SHAPE_WEIGHT * shape + TEXTURE_WEIGHT * texture
        return {
            "loss": loss, "arcface": arcface, "shape": shape, "texture": texture, "right": right,
        }  # fmt: skip


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the network from the seed and open the data."""
    torch.manual_seed(recipe.seed)
    network = IResNet(IRESNET18_NARROW)
    photographs = Photographs(data).of_split("train")
    return RecognizerTask(
        recipe, network, IRESNET18_NARROW.num_features, read_head(HEAD), photographs
    )


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """The network's tensors, as they are."""
    return {"face_recognizer": state}
