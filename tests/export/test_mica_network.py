# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from mien_export.networks.iresnet import IRESNET18_NARROW, IResNet
from mien_export.networks.mica import MICA, MICA_STARTER, MappingNetwork, Mica

from .tiny_faces import TINY_MICA, TINY_TRUNK
from .weights import count_parameters, names_without_counters


def test_the_regressor_has_the_published_number_of_parameters():
    assert count_parameters(lambda config: MappingNetwork(512, config), MICA) == 515_100


def test_mica_is_iresnet100_and_the_regressor():
    assert count_parameters(Mica, MICA) == 65_156_160 + 515_100


def test_the_starter_is_the_starter_recognisers_trunk_and_a_smaller_regressor():
    trunk = count_parameters(IResNet, IRESNET18_NARROW)

    assert trunk <= 7_000_000
    assert trunk < count_parameters(Mica, MICA_STARTER) < trunk + 515_100


def test_names_are_those_of_mica():
    names = names_without_counters(Mica(TINY_MICA))
    trunk = {f"arcface.{name}" for name in names_without_counters(IResNet(TINY_TRUNK))}
    regressor = {
        f"regressor.{layer}.{part}"
        for layer in ("network.0", "network.1", "output")
        for part in ("weight", "bias")
    }

    assert names == trunk | regressor
    with torch.device("meta"):
        published = {name for name in Mica(MICA).state_dict() if name.startswith("regressor.")}
    assert published == regressor | {
        f"regressor.network.{i}.{part}" for i in (2, 3) for part in ("weight", "bias")
    }


def test_only_the_direction_of_the_embedding_decides_the_shape():
    torch.manual_seed(0)
    network = Mica(TINY_MICA).eval()
    crops = torch.rand(3, 3, 112, 112) * 2 - 1
    before = network(crops)
    with torch.no_grad():
        network.arcface.features.weight.mul_(7)
        network.arcface.features.bias.mul_(7)
        network.arcface.features.running_mean.zero_()

    assert before.shape == (3, 300)
    torch.testing.assert_close(network(crops), before)


def test_an_embedding_of_zeros_stays_finite():
    network = Mica(TINY_MICA).eval()
    with torch.no_grad():
        network.arcface.features.weight.zero_()
        network.arcface.features.bias.zero_()

    assert torch.isfinite(network(torch.zeros(1, 3, 112, 112))).all()


def test_the_regressor_is_linear_layers_with_leaky_relu_between():
    torch.manual_seed(0)
    network = MappingNetwork(512, MICA)
    x = torch.randn(4, 512)
    y = x.double()
    for i in range(4):
        layer = network.network[i]
        y = y @ layer.weight.double().T + layer.bias.double()
        y = torch.where(y > 0, y, 0.2 * y)
    y = y @ network.output.weight.double().T + network.output.bias.double()

    torch.testing.assert_close(network(x), y.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_sample_does_not_know_its_batch(batch):
    torch.manual_seed(0)
    network = Mica(TINY_MICA).eval()
    crops = torch.rand(batch, 3, 112, 112) * 2 - 1

    torch.testing.assert_close(network(crops)[:1], network(crops[:1]), atol=1e-6, rtol=1e-5)
