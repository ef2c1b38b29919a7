# SPDX-License-Identifier: Apache-2.0
"""The DECA encoder: crops to 236 codes whose truth is known.

DECA itself (Feng et al. 2021) learns from images alone, through a renderer. Here every code is
known, so the network is told; what counts most is where the codes put the vertices, and which
colours they give them.

Letters  B batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien_export.head_model import HeadModel, read_head
from mien_export.networks.deca import DECA_COARSE_STARTER, DecaEncoder
from mien_export.networks.flame import Flame
from mien_export.texture_space import TextureSpace, read_texture_space
from mien_server.warping import moved, warped
from mien_starter.crops import DECA_SIZE_PX, camera_in_crop, deca_window
from mien_starter.degradation import Degradation, degraded
from mien_starter.shards import Photographs
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.head_colours import HeadColours
from mien_starter.training.head_geometry import HeadDistance, full_codes, vertex_weights
from mien_starter.training.landmark_losses import landmark_unit
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors

GRAPHS = {"deca_encoder": "resnet16_half"}
# People of this world are symmetric, and so is every shape component of their head.
PARAMETERS = {"deca_encoder": {"fit_faces": {"mirrored_shape": "true"}}}
RECIPE = Recipe(
    steps=24000,
    batch=64,
    learning_rate=2e-3,
    seed=3,
    warmup_steps=300,
    weight_decay=0.05,
    bfloat16=True,
)
_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
HEAD, ALBEDO = _WEIGHTS / "head.npz", _WEIGHTS / "albedo.npz"

SHAPE, TEXTURE, EXPRESSION = slice(0, 100), slice(100, 150), slice(150, 200)
POSE, CAMERA, LIGHT = slice(200, 206), slice(206, 209), slice(209, 236)

# Every loss is about 1 (landmarks, pixels 0.2) for the mean of the data set, so these are shares.
WEIGHTS = {
    "shape": 4.0,
    "expression": 1.0,
    "landmarks": 3.0,
    "pose": 1.0,
    "camera": 0.3,
    "texture": 0.5,
    "light": 0.5,
    "pixels": 3.0,
}
# Colours stay: texture and light are read off them.
DEGRADATION = Degradation(occlusion=0.15, blur=0.15, low_resolution=0.15, noise=0.2, jpeg=0.2)
# Where a code hardly varies, its deviation would blow its errors up: units of shape, radians, ...
SMALLEST_DEVIATION = 0.02
_SAMPLED = 2000  # photographs that mean and deviation are measured on


class StandardisedEncoder(nn.Module):
    """An encoder whose last layer gives codes in deviations from their mean.

    All 236 are then learnt at the same pace; `network_states` writes the two into the last layer.

    Args:
        encoder: gives (B, 236).
        mean: (236,).
        deviation: (236,), > 0.
    """

    def __init__(
        self, encoder: nn.Module, mean: NDArray[np.float64], deviation: NDArray[np.float64]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 224, 224), RGB 0..1, to (B, 236) codes in deviations."""
        return self.encoder(x)  # type: ignore[no-any-return]


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """Tensors of the encoder alone, whose last layer gives the codes themselves."""
    last = "layers.2."
    mean, deviation = state["mean"], state["deviation"]
    tensors = {
        name.removeprefix("encoder."): value
        for name, value in state.items()
        if name.startswith("encoder.")
    }
    tensors[f"{last}weight"] = tensors[f"{last}weight"] * deviation[:, None]
    tensors[f"{last}bias"] = tensors[f"{last}bias"] * deviation + mean
    return {"deca_encoder": tensors}


class DecaTask:
    """Photographs, the encoder, the head whose vertices its codes move.

    Args:
        recipe: its numbers.
        encoder: gives (B, 236) codes of crops in 0..1.
        head: decodes them.
        space: of the head's albedo.
        photographs: with all their codes.
    """

    def __init__(
        self,
        recipe: Recipe,
        encoder: nn.Module,
        head: HeadModel,
        space: TextureSpace,
        photographs: Photographs,
    ) -> None:
        self._photographs = photographs
        sampled = range(0, len(photographs), max(len(photographs) // _SAMPLED, 1))
        codes = np.array([self._codes(i, self._window(i, None)) for i in sampled])
        mean, deviation = codes.mean(axis=0), np.maximum(codes.std(axis=0), SMALLEST_DEVIATION)
        self.recipe = recipe
        self.network = StandardisedEncoder(encoder, mean, deviation)
        self.trained = self.network
        self.data = f"{len(photographs)} photographs"
        weights = vertex_weights(head)
        self._flame = Flame(head).eval()
        self._colours = HeadColours(head, space)
        self._shape_mm = HeadDistance(head.shapedirs[..., :300], weights)
        self._expression_mm = HeadDistance(head.shapedirs[..., 300:], weights)
        self._usual_mm = {
            name: float(distance(_centred(photographs.labels[name])).mean())
            for name, distance in (("shape", self._shape_mm), ("expression", self._expression_mm))
        }

    def batch(self, step: int) -> Arrays:
        """Crops (B, 224, 224, 3) uint8 and their truth."""
        recipe, labels = self.recipe, self._photographs.labels
        rng = rng_of_step(step, recipe.seed)
        indices = indices_of_step(step, recipe.batch, len(self._photographs), recipe.seed)
        crops, codes, points = [], [], []
        for index in map(int, indices):
            window = self._window(index, rng)
            crop = warped(self._photographs.image_rgb(index), window, DECA_SIZE_PX)
            crops.append(degraded(crop, DEGRADATION, rng))
            codes.append(self._codes(index, window))
            points.append(moved(window, labels["landmarks_68"][index]) * (2 / DECA_SIZE_PX) - 1)
        return {
            "crops": np.stack(crops),
            "codes": np.stack(codes).astype(np.float32),
            "points": np.stack(points).astype(np.float32),
            "shape": labels["shape"][indices],
            "expression": labels["expression"][indices],
        }

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """Vertices in shares of what the mean head is off, landmarks, pixels, all codes."""
        images = batch["crops"].permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            found = self.network(images)
        found = found.float()
        mean, deviation = self.network.get_buffer("mean"), self.network.get_buffer("deviation")
        codes, truth = mean + deviation * found, (batch["codes"] - mean) / deviation
        shape, expression, pose = full_codes(codes)
        shape_mm = self._shape_mm(shape - batch["shape"]).mean()
        expression_mm = self._expression_mm(expression - batch["expression"]).mean()
        _, _, landmarks = self._flame(shape, expression, pose)
        points = _in_image(landmarks, codes[:, CAMERA])
        unit = landmark_unit(batch["points"])
        off = torch.linalg.vector_norm(points - batch["points"], dim=2).mean(dim=1) / unit
        parts = {
            "shape": shape_mm / self._usual_mm["shape"],
            "expression": expression_mm / self._usual_mm["expression"],
            "landmarks": off.mean(),
            "pixels": (self._shown(codes, batch) - self._shown(batch["codes"], batch)).abs().mean(),
        }
        for name, part in (
            ("pose", POSE), ("camera", CAMERA), ("texture", TEXTURE), ("light", LIGHT),
        ):  # fmt: skip
            parts[name] = nn.functional.smooth_l1_loss(found[:, part], truth[:, part])
        loss = torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()
        return {"loss": loss, "shape_mm": shape_mm, "expression_mm": expression_mm, **parts}

    def _shown(self, codes: torch.Tensor, batch: Tensors) -> torch.Tensor:
        return self._colours(  # type: ignore[no-any-return]
            codes[:, TEXTURE], codes[:, LIGHT], batch["codes"][:, POSE][:, :3]
        )

    def _window(self, index: int, rng: np.random.Generator | None) -> NDArray[np.float64]:
        return deca_window(self._photographs.labels["landmarks_68"][index], rng)

    def _codes(self, index: int, window: NDArray[np.float64]) -> NDArray[np.float64]:
        codes: NDArray[np.float64] = self._photographs.labels["codes"][index].astype(np.float64)
        codes[CAMERA] = camera_in_crop(
            codes[CAMERA], window, self._photographs.side_px, DECA_SIZE_PX
        )
        return codes


def _centred(coefficients: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(coefficients - coefficients.mean(axis=0))


def _in_image(points: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """(B, 68, 3) metres to (B, 68, 2) in -1..1, y down, by (B, 3) cameras."""
    moved_points = (points[..., :2] + camera[:, None, 1:]) * camera[:, None, :1]
    return moved_points * torch.tensor([1.0, -1.0])


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Build the network from the seed, open the data and the head."""
    torch.manual_seed(recipe.seed)
    encoder = DecaEncoder(DECA_COARSE_STARTER)
    photographs = Photographs(data).of_split("train")
    return DecaTask(recipe, encoder, read_head(HEAD), read_texture_space(ALBEDO), photographs)
