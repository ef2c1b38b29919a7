# SPDX-License-Identifier: Apache-2.0
"""MICA: the starter recogniser's embedding to the 300 coefficients of shape.

As published (Zielonka et al. 2022, section 4.1), the recognition network is kept as it is, and the
loss is the distance of the vertices with more weight on the face. Embeddings of all photographs are
computed once; what is trained after that takes minutes.

Letters  N photographs, B batch, D length of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.head_model import HeadModel, read_head
from mien_export.networks.mica import MICA_STARTER, Mica
from mien_starter.crops import aligned_crop, jittered_points
from mien_starter.degradation import Degradation, degraded
from mien_starter.errors import StarterError
from mien_starter.mirroring import mirrored_image
from mien_starter.recipes.deca_encoder import HEAD
from mien_starter.shards import Photographs
from mien_starter.training.batches import indices_of_step
from mien_starter.training.checkpoint import read_average
from mien_starter.training.head_geometry import HeadDistance, vertex_weights
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors

GRAPHS = {"mica_encoder": "mica_narrow"}
RECIPE = Recipe(
    steps=8000,
    batch=256,
    learning_rate=2e-3,
    seed=4,
    warmup_steps=100,
    weight_decay=0.02,
    log_every=100,
    checkpoint_every=2000,
)

# Seen once more with the errors of landmarks and cameras, so that both are what serving meets.
DEGRADATION = Degradation(blur=0.1, low_resolution=0.15, noise=0.2, jpeg=0.2)
VIEWS = 2
EMBEDDINGS_FILE = "embeddings.npz"
_BATCH = 64


class MicaTask:
    """Embeddings, the regressor, the shapes they should give.

    Args:
        recipe: its numbers.
        network: whose `arcface` is trained already; its `regressor` learns.
        head: the model that the coefficients belong to.
        embeddings: (N, D) of unit length.
        shapes: (N, 300).
    """

    def __init__(
        self,
        recipe: Recipe,
        network: Mica,
        head: HeadModel,
        embeddings: NDArray[np.float32],
        shapes: NDArray[np.float32],
    ) -> None:
        self.recipe, self.network = recipe, network
        for parameter in network.arcface.parameters():
            parameter.requires_grad = False
        self.trained = network.regressor
        self.data = f"{len(embeddings)} embeddings"
        self._embeddings, self._shapes = embeddings, shapes
        self._distance = HeadDistance(head.shapedirs[..., :300], vertex_weights(head))
        centred = torch.from_numpy(shapes - shapes.mean(axis=0))
        self._usual_mm = float(self._distance(centred).mean())

    def batch(self, step: int) -> Arrays:
        """Embeddings (B, D) and shapes (B, 300)."""
        recipe = self.recipe
        indices = indices_of_step(step, recipe.batch, len(self._embeddings), recipe.seed)
        return {"embeddings": self._embeddings[indices], "shapes": self._shapes[indices]}

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """Vertices, in shares of what the mean head is off."""
        shape = self.network.regressor(batch["embeddings"])
        shape_mm = self._distance(shape - batch["shapes"]).mean()
        return {"loss": shape_mm / self._usual_mm, "shape_mm": shape_mm}


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:
    """Take the recogniser's trunk from its run, and embed every photograph where it is not done."""
    torch.manual_seed(recipe.seed)
    network = Mica(MICA_STARTER)
    state, about = read_average(work / "face_recognizer")
    network.arcface.load_state_dict(state)
    network.arcface.eval()
    photographs = Photographs(data).of_split("train")
    embeddings = _embeddings(network, photographs, work / "mica_encoder", str(about), recipe.seed)
    shapes = np.repeat(photographs.labels["shape"], VIEWS, axis=0)
    return MicaTask(recipe, network, read_head(HEAD), embeddings, shapes)


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """The network's tensors, as they are."""
    return {"mica_encoder": state}


def _embeddings(
    network: Mica, photographs: Photographs, directory: Path, trunk: str, seed: int
) -> NDArray[np.float32]:
    """(N * VIEWS, D), from the run's folder if these photographs were embedded before."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / EMBEDDINGS_FILE
    key = f"{trunk}, {len(photographs)} photographs, {VIEWS} views, seed {seed}"
    if path.is_file():
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["key"]) != key:
                raise StarterError(
                    f"{path} belongs to another recogniser or data set: {archive['key']}; asked "
                    f"for was {key}. Delete {directory} to start again."
                )
            kept: NDArray[np.float32] = archive["embeddings"]
            return kept
    embeddings = embed(network.arcface, photographs, seed)
    unfinished = directory / f".{EMBEDDINGS_FILE}"
    with unfinished.open("wb") as file:
        np.savez(file, embeddings=embeddings, key=np.array(key))
    unfinished.replace(path)
    return embeddings


@torch.no_grad()
def embed(trunk: nn.Module, photographs: Photographs, seed: int) -> NDArray[np.float32]:
    """(N * VIEWS, D) embeddings of unit length: one exact view of each, then imperfect ones."""
    found = []
    for start in range(0, len(photographs), _BATCH):
        rng = np.random.default_rng([seed, start])
        crops = [
            _view(photographs, index, view, rng)
            for index in range(start, min(start + _BATCH, len(photographs)))
            for view in range(VIEWS)
        ]
        images = (torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        found.append(nn.functional.normalize(trunk(images)).numpy())
    return np.concatenate(found)


def _view(
    photographs: Photographs, index: int, view: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    image, landmarks = photographs.image_rgb(index), photographs.labels["landmarks"][index]
    if view == 0:
        return aligned_crop(image, landmarks)
    crop = degraded(aligned_crop(image, jittered_points(landmarks, rng)), DEGRADATION, rng)
    return mirrored_image(crop) if rng.random() < 0.5 else crop
