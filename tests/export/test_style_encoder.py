# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from mien_export.networks.style_encoder import (
    STYLE_ENCODER,
    STYLE_ENCODER_STARTER,
    StyleEncoder,
)

from .tiny_generators import TINY_STYLE, with_lively_weights
from .weights import count_parameters


def test_two_convolutions_and_a_linear_layer():
    layers = {"conv1": (9, 32), "conv2": (32, 64)}
    expected = sum(6 * 6 * before * after + after for before, after in layers.values())
    expected += 64 * 8 * 8 * 512 + 512

    assert count_parameters(StyleEncoder, STYLE_ENCODER) == expected == 2_181_856
    assert count_parameters(StyleEncoder, STYLE_ENCODER_STARTER) == 1_072_752
    with torch.device("meta"):
        names = set(StyleEncoder(STYLE_ENCODER).state_dict())
    assert names == {f"{n}.{p}" for n in ("conv1", "conv2", "linear") for p in ("weight", "bias")}


def test_the_context_is_what_the_layers_say_by_hand():
    """Unfolded into products, in float64."""
    network = with_lively_weights(StyleEncoder(TINY_STYLE))
    maps = torch.randn(2, 9, 128, 128)
    x = maps.double()
    for conv, side in ((network.conv1, 32), (network.conv2, 8)):
        patches = torch.nn.functional.unfold(x, kernel_size=6, padding=1, stride=4)
        y = conv.weight.double().flatten(1) @ patches + conv.bias.double()[:, None]
        x = (y / (1 + torch.exp(-y))).reshape(2, -1, side, side)
    expected = x.flatten(1) @ network.linear.weight.double().T + network.linear.bias.double()

    torch.testing.assert_close(network(maps), expected.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channel", range(9))
def test_every_map_counts(channel):
    network = with_lively_weights(StyleEncoder(TINY_STYLE))
    maps = torch.randn(1, 9, 128, 128)
    other = maps.clone()
    other[:, channel] += 1

    assert (network(maps) - network(other)).abs().max() > 1e-3


def test_every_pixel_counts():
    """A kernel of 5 with stride 4 leaves out the last row."""
    network = with_lively_weights(StyleEncoder(TINY_STYLE))
    maps = torch.randn(1, 9, 128, 128, requires_grad=True)
    network(maps).square().sum().backward()

    assert (maps.grad.abs().amax(dim=1) > 0).all()


def test_a_sample_does_not_know_its_batch():
    network = with_lively_weights(StyleEncoder(TINY_STYLE))
    maps = torch.randn(3, 9, 128, 128)
    with torch.inference_mode():
        together = network(maps)
        apart = torch.cat([network(maps[i : i + 1]) for i in range(3)])

    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
