# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from mien_export.networks.deca import (
    DECA_COARSE,
    DECA_COARSE_STARTER,
    DECA_DETAIL,
    DECA_DETAIL_STARTER,
    DecaEncoder,
    DecaEncoderConfig,
)
from mien_export.networks.deca_detail import (
    DETAIL_GENERATOR,
    DETAIL_GENERATOR_STARTER,
    DetailGenerator,
)

from .tiny_faces import TINY_GENERATOR
from .weights import count_parameters, names_without_counters, norm_names


@pytest.mark.parametrize(
    ("make", "config", "parameters"),
    [
        pytest.param(DecaEncoder, DECA_COARSE, 25_848_108, id="E_flame"),
        pytest.param(DecaEncoder, DECA_DETAIL, 25_737_408, id="E_detail"),
        pytest.param(DetailGenerator, DETAIL_GENERATOR, 1_773_345, id="D_detail"),
    ],
)
def test_parameter_counts_are_those_of_the_published_networks(make, config, parameters):
    assert count_parameters(make, config) == parameters


@pytest.mark.parametrize(
    ("make", "config", "parameters"),
    [
        (DecaEncoder, DECA_COARSE_STARTER, 6_566_876),
        (DecaEncoder, DECA_DETAIL_STARTER, 1_730_168),
        (DetailGenerator, DETAIL_GENERATOR_STARTER, 816_401),
    ],
)
def test_starters_are_a_fraction_of_the_published_networks(make, config, parameters):
    assert count_parameters(make, config) == parameters


def test_a_shrinking_encoder_sees_averages_of_pixels():
    torch.manual_seed(0)
    encoder = DecaEncoder(DECA_COARSE_STARTER).eval()
    image = torch.rand(1, 3, 224, 224)
    averaged = image.reshape(1, 3, 112, 2, 112, 2).mean(dim=(3, 5))
    blocks = averaged.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    with torch.no_grad():
        torch.testing.assert_close(encoder(image), encoder(blocks), rtol=1e-4, atol=1e-5)
        whole = encoder(image)
        encoder.encoder.shrink = torch.nn.Identity()
        torch.testing.assert_close(encoder(averaged), whole, rtol=1e-4, atol=1e-5)


def test_encoder_names_are_those_of_deca_and_torchvision():
    with torch.device("meta"):
        names = names_without_counters(DecaEncoder(DECA_COARSE))
    expected = {"layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"}
    expected |= {"encoder.conv1.weight", *norm_names("encoder.bn1")}
    for layer, blocks in (("layer1", 3), ("layer2", 4), ("layer3", 6), ("layer4", 3)):
        for i in range(blocks):
            block = f"encoder.{layer}.{i}"
            for k in (1, 2, 3):
                expected |= {f"{block}.conv{k}.weight", *norm_names(f"{block}.bn{k}")}
        first = f"encoder.{layer}.0.downsample"
        expected |= {f"{first}.0.weight", *norm_names(f"{first}.1")}

    assert names == expected


def test_detail_names_are_those_of_deca():
    names = names_without_counters(DetailGenerator(TINY_GENERATOR))
    expected = {"l1.0.weight", "l1.0.bias", *norm_names("conv_blocks.0")}
    for i in (2, 6, 10, 14, 18, 21):
        expected |= {f"conv_blocks.{i}.weight", f"conv_blocks.{i}.bias"}
    for i in (3, 7, 11, 15, 19):
        expected |= norm_names(f"conv_blocks.{i}")

    assert names == expected


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution():
    """As in DECA and torchvision; in the original ResNet it is in the first 1x1."""
    with torch.device("meta"):
        block = DecaEncoder(DECA_COARSE).encoder.layer2[0]

    assert [conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3)] == [1, 2, 1]


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_encoders_give_their_codes(block):
    config = DecaEncoderConfig(9, block, blocks=(1, 1, 1, 1), base_width=4, hidden=8)

    assert DecaEncoder(config).eval()(torch.rand(2, 3, 224, 224)).shape == (2, 9)


def test_an_unknown_block_is_refused():
    with pytest.raises(ValueError, match="block is 'wide'; expected one of bottleneck, basic"):
        DecaEncoderConfig(block="wide")


def test_the_upsampling_stages_normalise_with_eps_0_8_and_the_first_does_not():
    norms = [
        m for m in DetailGenerator(DETAIL_GENERATOR).modules() if isinstance(m, nn.BatchNorm2d)
    ]

    assert [norm.eps for norm in norms] == [1e-5, 0.8, 0.8, 0.8, 0.8, 0.8]


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e4])
def test_displacement_stays_within_a_centimetre(scale):
    torch.manual_seed(0)
    generator = DetailGenerator(TINY_GENERATOR).eval()
    with torch.inference_mode():
        found = generator(torch.randn(3, 181) * scale)

    assert found.shape == (3, 1, 256, 256)
    assert found.abs().max() <= 0.01
    if scale > 1:
        assert found.abs().max() > 0.009


def test_displacement_is_an_upsampling_convolution_by_hand():
    """One stage at a time, with the functional forms and statistics that are not trivial."""
    torch.manual_seed(1)
    generator = DetailGenerator(TINY_GENERATOR).eval()
    state = generator.state_dict()
    for value in state.values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape) * 0.5 + 0.1)
    codes = torch.randn(2, 181)
    f = nn.functional

    def norm(x, i, eps):
        mean, var, scale, shift = (
            state[f"conv_blocks.{i}.{part}"].reshape(1, -1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + eps).sqrt() * scale + shift

    def convolve(x, i):
        return f.conv2d(
            x, state[f"conv_blocks.{i}.weight"], state[f"conv_blocks.{i}.bias"], padding=1
        )

    x = codes @ state["l1.0.weight"].T + state["l1.0.bias"]
    x = norm(x.reshape(2, 4, 8, 8), 0, 1e-5)
    for i in (2, 6, 10, 14, 18):
        x = f.interpolate(x, size=2 * x.shape[-1], mode="bilinear", align_corners=False)
        x = f.leaky_relu(norm(convolve(x, i), i + 1, 0.8), 0.2)
    expected = 0.01 * torch.tanh(convolve(x, 21))

    torch.testing.assert_close(generator(codes), expected)
