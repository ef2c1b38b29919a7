# SPDX-License-Identifier: Apache-2.0
"""LPIPS against torch's own layers with the names of torchvision's AlexNet; weights are random."""

import numpy as np
import pytest
import torch
from torch import nn

from bench.avatars.lpips import Lpips
from mien_export.errors import CheckpointError

CHANNELS = (64, 192, 384, 256, 256)


def alexnet_features():
    """As torchvision builds them; keys of the state are features.0.weight and so on."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(0)
    return alexnet_features().eval()


@pytest.fixture
def files(features, tmp_path):
    trunk = {f"features.{name}": value for name, value in features.state_dict().items()}
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, count, 1, 1) for i, count in enumerate(CHANNELS)
    }
    torch.save({**trunk, "classifier.6.bias": torch.zeros(5)}, tmp_path / "alexnet.pth")
    torch.save(heads, tmp_path / "alex.pth")
    return tmp_path / "alexnet.pth", tmp_path / "alex.pth", heads


def pictures(seed=0, side=112):
    return np.random.default_rng(seed).integers(0, 256, (2, side, side, 3), np.uint8)


def test_equal_pictures_are_at_no_distance_and_order_does_not_matter(files):
    lpips = Lpips(*files[:2])
    one, other = pictures()

    assert lpips(one, one) == 0
    assert lpips(one, other) == pytest.approx(lpips(other, one), rel=1e-5)
    assert lpips(one, other) > 0.01


def test_the_distance_is_that_of_equation_1(files, features):
    one, other = pictures(1)
    heads = files[2]
    taps, x = [], []
    for image in (one, other):
        planes = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None] / 255 * 2 - 1
        x = planes - torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
        x = x / torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
        found = []
        with torch.no_grad():
            for layer in features:
                x = layer(x)
                if isinstance(layer, nn.ReLU):
                    found.append(x[0].numpy().astype(np.float64))
        taps.append(found)
    expected = 0.0
    for number, (a, b) in enumerate(zip(*taps, strict=True)):
        unit_a, unit_b = (t / np.linalg.norm(t, axis=0, keepdims=True) for t in (a, b))
        weight = heads[f"lin{number}.model.1.weight"].numpy()[0]
        expected += float((weight * (unit_a - unit_b) ** 2).sum(axis=0).mean())

    assert Lpips(*files[:2])(one, other) == pytest.approx(expected, rel=1e-4)


def test_files_of_something_else_are_refused_by_the_tensor_that_is_missing(files, tmp_path):
    trunk, heads, _ = files

    with pytest.raises(ValueError, match=r"features.0.weight of alex.pth is missing"):
        Lpips(heads, heads)
    with pytest.raises(ValueError, match=r"lin0.model.1.weight of alexnet.pth is missing"):
        Lpips(trunk, trunk)
    with pytest.raises(CheckpointError, match="does not exist"):
        Lpips(tmp_path / "nowhere.pth", heads)


def test_pictures_of_two_sizes_are_refused(files):
    with pytest.raises(ValueError, match="the same size"):
        Lpips(*files[:2])(pictures()[0], pictures(side=128)[0])
