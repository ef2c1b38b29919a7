# SPDX-License-Identifier: Apache-2.0
"""LPIPS, where somebody brings its weights: they may not be shipped.

Source   Zhang et al. 2018, *The Unreasonable Effectiveness of Deep Features as a Perceptual
         Metric*, equation 1; version 0.1 on AlexNet, by the names of tensors in its released files:
         `features.N.*` of torchvision's AlexNet, and `linN.model.1.weight`.
Letters  H and W of an image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from mien_export.checkpoints import read_checkpoint

__all__ = ["Lpips"]

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TINY = 1e-10
# Number in `features`, and channels in and out, side, stride and padding of each convolution;
# before the second and the third, the largest of 3 x 3 every 2 is taken.
_CONVOLUTIONS = (
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
)
_POOLED = (3, 6)


class Lpips:
    """Distance of pictures in learned features.

    Args:
        trunk: file with the weights of AlexNet.
        heads: file with the weights of the five linear layers.

    Raises:
        mien_export.errors.CheckpointError: a file cannot be read.
        ValueError: a tensor is missing or has another shape.
    """

    def __init__(self, trunk: Path, heads: Path) -> None:
        weights = read_checkpoint(trunk).tensors
        linear = read_checkpoint(heads).tensors
        self._layers: list[tuple[int, nn.Conv2d, torch.Tensor]] = []
        for number, (place, into, out, side, stride, pad) in enumerate(_CONVOLUTIONS):
            layer = nn.Conv2d(into, out, side, stride, pad)
            shape = tuple(layer.weight.shape)
            layer.weight.data = _tensor(weights, f"features.{place}.weight", shape, trunk)
            layer.bias = nn.Parameter(_tensor(weights, f"features.{place}.bias", shape[:1], trunk))
            name = f"lin{number}.model.1.weight"
            self._layers.append((place, layer, _tensor(linear, name, (1, shape[0], 1, 1), heads)))

    @torch.no_grad()
    def __call__(self, image_rgb: NDArray[Any], other_rgb: NDArray[Any]) -> float:
        """Distance of two (H, W, 3) pictures, 0..255; 0 for equal ones.

        Raises:
            ValueError: they differ in size.
        """
        if image_rgb.shape != other_rgb.shape:
            raise ValueError(
                f"pictures are {image_rgb.shape} and {other_rgb.shape}; give both the same size"
            )
        pair = torch.from_numpy(np.stack([image_rgb, other_rgb]).astype(np.float32))
        x = pair.permute(0, 3, 1, 2) / 127.5 - 1
        x = (x - torch.tensor(_SHIFT)[:, None, None]) / torch.tensor(_SCALE)[:, None, None]
        distance = 0.0
        for place, layer, weight in self._layers:
            if place in _POOLED:
                x = functional.max_pool2d(x, 3, 2)
            x = functional.relu(layer(x))
            unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + _TINY)
            apart = functional.conv2d((unit[:1] - unit[1:]).square(), weight)
            distance += float(apart.mean())
        return distance


def _tensor(weights: Any, name: str, shape: tuple[int, ...], file: Path) -> torch.Tensor:
    if name not in weights or tuple(weights[name].shape) != shape:
        found = tuple(weights[name].shape) if name in weights else "missing"
        raise ValueError(f"{name} of {file.name} is {found}; it must be {shape}")
    tensor: torch.Tensor = weights[name].float()
    return tensor
