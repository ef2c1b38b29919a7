# SPDX-License-Identifier: Apache-2.0
"""The landmarker: loose crops of faces and of none, to 68 and 5 points and whether there is a face.

Letters  B batch; the last fifth of every batch shows no face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.networks.landmarker import LANDMARKER, NUM_LANDMARKS_68, FaceLandmarker
from mien_server.warping import moved, warped
from mien_starter.crops import LOOSE_SIZE_PX, loose_window, window_without_face
from mien_starter.degradation import Degradation, degraded
from mien_starter.errors import StarterError
from mien_starter.mirroring import mirrored_image, mirrored_points
from mien_starter.shards import NEGATIVES, Photographs
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.landmark_losses import landmark_unit, wing_loss
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors

GRAPHS = {"face_landmarker": "landmarker"}
RECIPE = Recipe(steps=3200, batch=64, learning_rate=3e-3, seed=1, warmup_steps=200)

NEGATIVE_SHARE = 0.2
BACKGROUND_SHARE = 0.5  # of those without a face; the others lie beside one
FACE_WEIGHT = 0.1
DEGRADATION = Degradation(
    occlusion=0.25, colour=0.8, grey=0.15, blur=0.2, low_resolution=0.2, noise=0.3, jpeg=0.3
)
MIRRORED_SHARE = 0.5


class LandmarkerTask:
    """Photographs, the network, its losses.

    Args:
        recipe: its numbers.
        network: gives (B, 73, 2) points in -1..1 and (B, 1) logits.
        photographs: with faces.
        backgrounds: without.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        photographs: Photographs,
        backgrounds: Photographs,
    ) -> None:
        self.recipe, self.network, self.trained = recipe, network, network
        self.data = f"{len(photographs)} photographs, {len(backgrounds)} backgrounds"
        self._photographs, self._backgrounds = photographs, backgrounds

    def batch(self, step: int) -> Arrays:
        """Crops (B, 128, 128, 3) uint8, points (B, 73, 2) in -1..1, is_face (B,)."""
        recipe = self.recipe
        rng = rng_of_step(step, recipe.seed)
        indices = indices_of_step(step, recipe.batch, len(self._photographs), recipe.seed)
        num_faces = recipe.batch - int(recipe.batch * NEGATIVE_SHARE)
        samples = [self._face(int(index), rng) for index in indices[:num_faces]]
        nothing = np.zeros((73, 2))
        samples += [(self._no_face(int(index), rng), nothing) for index in indices[num_faces:]]
        crops = [degraded(crop, DEGRADATION, rng) for crop, _ in samples]
        return {
            "crops": np.stack(crops),
            "points": np.stack([points for _, points in samples]).astype(np.float32),
            "is_face": (np.arange(recipe.batch) < num_faces).astype(np.float32),
        }

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """Points where there is a face, the score everywhere."""
        images = (batch["crops"].permute(0, 3, 1, 2).float() - 127.5) / 127.5
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            points, logits = self.network(images)
        points, logits = points.float(), logits.float()
        is_face = batch["is_face"]
        there = is_face > 0
        found, truth = points[there], batch["points"][there]
        all_68, all_5 = slice(0, NUM_LANDMARKS_68), slice(NUM_LANDMARKS_68, None)
        unit = landmark_unit(truth[:, all_68])
        points_68 = wing_loss(found[:, all_68], truth[:, all_68], unit).mean()
        points_5 = wing_loss(found[:, all_5], truth[:, all_5], unit).mean()
        face = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], is_face)
        with torch.no_grad():
            off = torch.linalg.vector_norm(found - truth, dim=2).mean(dim=1) / unit
        return {
            "loss": points_68 + points_5 + FACE_WEIGHT * face,
            "points_68": points_68,
            "points_5": points_5,
            "face": face,
            "error": off.mean(),  # in eye distances
        }

    def _face(
        self, index: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        labels = self._photographs.labels
        points_68, points_5 = labels["landmarks_68"][index], labels["landmarks"][index]
        window = loose_window(points_68, rng)
        crop = warped(self._photographs.image_rgb(index), window, LOOSE_SIZE_PX)
        placed = [moved(window, points) for points in (points_68, points_5)]
        if rng.random() < MIRRORED_SHARE:
            crop = mirrored_image(crop)
            placed = [mirrored_points(points, LOOSE_SIZE_PX) for points in placed]
        return crop, np.concatenate(placed) * (2 / LOOSE_SIZE_PX) - 1

    def _no_face(self, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        if rng.random() < BACKGROUND_SHARE:
            image = self._backgrounds.image_rgb(int(rng.integers(len(self._backgrounds))))
            landmarks_68 = None
        else:
            image = self._photographs.image_rgb(index)
            landmarks_68 = self._photographs.labels["landmarks_68"][index]
        window = window_without_face(image.shape[0], landmarks_68, rng)
        return warped(image, window, LOOSE_SIZE_PX)


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the network from the seed and open the data."""
    try:
        backgrounds = Photographs(data, NEGATIVES)
    except StarterError as error:
        raise StarterError(f"{error} Ask it for --negatives.") from error
    torch.manual_seed(recipe.seed)
    return LandmarkerTask(
        recipe, FaceLandmarker(LANDMARKER), Photographs(data).of_split("train"), backgrounds
    )


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """The network's tensors, as they are."""
    return {"face_landmarker": state}
