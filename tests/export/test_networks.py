# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from mien_export.networks.ir50 import IR50, IRBackbone, IRConfig
from mien_export.networks.iresnet import (
    IRESNET18,
    IRESNET34,
    IRESNET50,
    IRESNET100,
    IResNet,
    IResNetConfig,
)
from mien_export.parity import example_images
from mien_export.random_weights import fill_randomly
from mien_export.wrappers import FaceRecognizer

from .tiny import TINY_IR, TINY_IRESNET


@pytest.mark.parametrize(
    ("make", "config", "parameters"),
    [
        pytest.param(IResNet, IRESNET18, 24_025_600, id="iresnet18"),
        pytest.param(IResNet, IRESNET34, 34_139_328, id="iresnet34"),
        pytest.param(IResNet, IRESNET50, 43_590_848, id="iresnet50"),
        pytest.param(IResNet, IRESNET100, 65_156_160, id="iresnet100"),
        pytest.param(IRBackbone, IR50, 43_585_600, id="ir50"),
    ],
)
def test_parameter_counts_are_those_of_the_published_networks(make, config, parameters):
    with torch.device("meta"):
        network = make(config)

    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_ir50_is_iresnet50_without_the_first_shortcut_and_the_last_affine():
    shortcut, affine = 64 * 64 + 2 * 64, 2 * 512

    assert shortcut + affine == 43_590_848 - 43_585_600


def test_iresnet_names_are_those_of_arcface_torch():
    names = set(IResNet(TINY_IRESNET).state_dict())

    assert {"conv1.weight", "bn1.weight", "prelu.weight", "fc.bias", "features.weight"} <= names
    assert {f"layer1.0.{part}.weight" for part in ("bn1", "conv1", "bn2", "conv2", "bn3")} <= names
    # Stride 2 alone makes the shortcut a convolution, even where channels are equal.
    assert {"layer1.0.downsample.0.weight", "layer1.0.downsample.1.running_var"} <= names


def test_ir_names_are_those_of_tface():
    names = set(IRBackbone(TINY_IR).state_dict())

    assert {f"body.0.res_layer.{i}.weight" for i in range(6)} <= names
    assert {"input_layer.0.weight", "output_layer.3.bias", "output_layer.4.running_mean"} <= names
    assert not any(name.startswith("body.0.shortcut_layer") for name in names)
    assert "body.3.shortcut_layer.0.weight" in names
    assert "output_layer.4.weight" not in names


def test_the_parameter_free_shortcut_picks_every_second_pixel():
    unit = IRBackbone(TINY_IR).body[0].eval()
    for parameter in unit.res_layer[5].parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(2, 8, 6, 6)

    assert torch.equal(unit(x), x[:, :, ::2, ::2])


@pytest.mark.parametrize("config", [IResNetConfig, IRConfig])
def test_an_image_side_that_four_stages_cannot_halve_is_refused(config):
    with pytest.raises(ValueError, match="image_px is 100; expected a positive multiple of 16"):
        config(blocks=(1, 1, 1, 1), image_px=100)


class Means(nn.Module):
    """Gives the mean of each channel: what the wrapper really feeds the backbone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


@pytest.mark.parametrize(("is_bgr", "order"), [(False, [0, 1, 2]), (True, [2, 1, 0])])
def test_the_wrapper_scales_to_minus_one_to_one_and_orders_colours(is_bgr, order):
    crop = torch.tensor([255.0, 127.5, 51.0]).reshape(1, 3, 1, 1).expand(1, 3, 112, 112)
    scaled = torch.tensor([[1.0, 0.0, -0.6]])[:, order]

    found = FaceRecognizer(Means(), is_bgr=is_bgr)(crop)

    torch.testing.assert_close(found, scaled / scaled.norm())


def test_a_feature_of_zeros_stays_finite():
    found = FaceRecognizer(Means())(torch.full((1, 3, 112, 112), 127.5))

    assert torch.equal(found, torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("make", "config"), [(IResNet, TINY_IRESNET), (IRBackbone, TINY_IR)], ids=["iresnet", "ir"]
)
def test_random_weights_tell_different_images_apart(make, config):
    module = FaceRecognizer(make(config)).eval()
    fill_randomly(module, [example_images(16, 112, seed=3)], seed=3)
    with torch.inference_mode():
        embeddings = module(torch.rand(8, 3, 112, 112) * 255)
    similarities = (embeddings @ embeddings.T) - torch.eye(8)

    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(8))
    assert similarities.max() < 0.999
    assert not module.training


def test_random_weights_follow_their_seed():
    states = []
    for seed in (5, 5, 6):
        network = IResNet(TINY_IRESNET)
        fill_randomly(FaceRecognizer(network), [example_images(16, 112, seed)], seed)
        states.append(network.state_dict())

    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["fc.weight"], states[2]["fc.weight"])
