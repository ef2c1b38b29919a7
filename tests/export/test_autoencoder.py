# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from mien_export.networks.autoencoder import (
    KL_F4,
    KL_F4_STARTER,
    VQ_F4,
    VQ_F4_STARTER,
    Codebook,
    LatentDecoder,
    LatentEncoder,
)
from mien_export.networks.autoencoder_blocks import AttentionBlock, Double, Halve, ResnetBlock

from .tiny_generators import TINY_KL, TINY_VQ, with_lively_weights
from .weights import count_parameters


def both(name):
    return {f"{name}.weight", f"{name}.bias"}


def block_names(prefix, *, has_shortcut=False):
    parts = ["norm1", "conv1", "norm2", "conv2", *(["nin_shortcut"] if has_shortcut else [])]
    return set().union(*(both(f"{prefix}.{part}") for part in parts))


def middle_names(prefix):
    attention = (both(f"{prefix}.attn_1.{part}") for part in ("norm", "q", "k", "v", "proj_out"))
    return block_names(f"{prefix}.block_1") | block_names(f"{prefix}.block_2").union(*attention)


@pytest.mark.parametrize(
    ("make", "config", "parameters"),
    [
        pytest.param(LatentEncoder, VQ_F4, 22_337_423, id="VQ-f4-encoder"),
        pytest.param(LatentDecoder, VQ_F4, 32_960_783 + 8192 * 3, id="VQ-f4-decoder"),
        # Six channels instead of three leave the last convolution, and the 1x1 behind it.
        pytest.param(
            LatentEncoder, KL_F4, 22_337_423 + 3 * (512 * 9 + 1) + (42 - 12), id="KL-f4-encoder"
        ),
        pytest.param(LatentDecoder, KL_F4, 32_960_783, id="KL-f4-decoder"),
    ],
)
def test_parameter_counts_are_those_of_the_published_networks(make, config, parameters):
    assert count_parameters(make, config) == parameters


@pytest.mark.parametrize("config", [VQ_F4_STARTER, KL_F4_STARTER])
@pytest.mark.parametrize("make", [LatentEncoder, LatentDecoder])
def test_starters_are_a_fraction_of_the_published_networks(make, config):
    assert 1_000_000 < count_parameters(make, config) < 2_000_000


def test_encoder_names_are_those_of_latent_diffusion():
    with torch.device("meta"):
        names = set(LatentEncoder(VQ_F4).state_dict())
    expected = both("encoder.conv_in") | both("encoder.norm_out") | both("encoder.conv_out")
    expected |= both("quant_conv") | middle_names("encoder.mid")
    for level in range(3):
        for i in range(2):
            widens = level > 0 and i == 0
            expected |= block_names(f"encoder.down.{level}.block.{i}", has_shortcut=widens)
    expected |= both("encoder.down.0.downsample.conv") | both("encoder.down.1.downsample.conv")

    assert names == expected


@pytest.mark.parametrize("config", [VQ_F4, KL_F4])
def test_decoder_names_are_those_of_latent_diffusion(config):
    with torch.device("meta"):
        names = set(LatentDecoder(config).state_dict())
    expected = both("decoder.conv_in") | both("decoder.norm_out") | both("decoder.conv_out")
    expected |= both("post_quant_conv") | middle_names("decoder.mid")
    for level in range(3):
        for i in range(3):
            narrows = level < 2 and i == 0
            expected |= block_names(f"decoder.up.{level}.block.{i}", has_shortcut=narrows)
    expected |= both("decoder.up.1.upsample.conv") | both("decoder.up.2.upsample.conv")
    expected |= {"quantize.embedding.weight"} if config.codes else set()

    assert names == expected


def test_shapes_of_the_tensors_that_join_the_halves():
    with torch.device("meta"):
        encoders = [LatentEncoder(config).state_dict() for config in (VQ_F4, KL_F4)]
        decoder = LatentDecoder(VQ_F4).state_dict()

    assert [tuple(e["encoder.conv_out.weight"].shape) for e in encoders] == [
        (3, 512, 3, 3), (6, 512, 3, 3),
    ]  # fmt: skip
    assert [tuple(e["quant_conv.weight"].shape) for e in encoders] == [(3, 3, 1, 1), (6, 6, 1, 1)]
    assert tuple(decoder["quantize.embedding.weight"].shape) == (8192, 3)
    assert tuple(decoder["post_quant_conv.weight"].shape) == (3, 3, 1, 1)


@pytest.mark.parametrize("make", [LatentEncoder, LatentDecoder])
def test_every_norm_has_eps_1e_6(make):
    """Torch's default is 1e-5, and the denoisers have that."""
    with torch.device("meta"):
        norms = [m for m in make(VQ_F4).modules() if isinstance(m, nn.GroupNorm)]

    assert {(norm.eps, norm.num_groups) for norm in norms} == {(1e-6, 32)}


def test_halving_pads_below_and_to_the_right_only():
    halve = Halve(1)
    nn.init.ones_(halve.conv.weight)
    nn.init.zeros_(halve.conv.bias)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    padded = np.zeros((5, 5))
    padded[:4, :4] = image[0, 0]
    expected = [[padded[y : y + 3, x : x + 3].sum() for x in (0, 2)] for y in (0, 2)]

    torch.testing.assert_close(halve(image)[0, 0], torch.tensor(expected, dtype=torch.float32))


def test_doubling_repeats_pixels_before_it_convolves():
    double = Double(1)
    nn.init.zeros_(double.conv.bias)
    nn.init.zeros_(double.conv.weight)
    nn.init.ones_(double.conv.weight[:, :, 1, 1])
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)

    assert torch.equal(
        double(image)[0, 0], image[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1)
    )


def group_norm(x, layer):
    """(B, C, H, W) in float64, by hand."""
    grouped = x.reshape(len(x), layer.num_groups, -1)
    mean, var = grouped.mean(axis=2, keepdims=True), grouped.var(axis=2, keepdims=True)
    y = ((grouped - mean) / np.sqrt(var + layer.eps)).reshape(x.shape)
    scale, shift = (p.detach().double().numpy().reshape(1, -1, 1, 1) for p in layer.parameters())
    return y * scale + shift


def convolve_1x1(x, layer):
    weight, bias = (p.detach().double().numpy() for p in layer.parameters())
    return np.einsum("oc,bchw->bohw", weight[:, :, 0, 0], x) + bias[:, None, None]


def test_attention_is_softmax_over_all_pixels_by_hand():
    block = with_lively_weights(AttentionBlock(8, 2))
    x = torch.randn(2, 8, 3, 5)
    wide = x.double().numpy()
    y = group_norm(wide, block.norm)
    q, k, v = (convolve_1x1(y, part).reshape(2, 8, 15) for part in (block.q, block.k, block.v))
    logits = np.einsum("bcn,bcm->bnm", q, k) / np.sqrt(8)
    weights = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    attended = np.einsum("bnm,bcm->bcn", weights, v).reshape(2, 8, 3, 5)
    expected = wide + convolve_1x1(attended, block.proj_out)

    np.testing.assert_allclose(block(x).detach().numpy(), expected, atol=1e-4)


def test_a_block_whose_convolutions_are_zero_is_its_shortcut():
    same, wider = ResnetBlock(4, 4, 2), ResnetBlock(4, 6, 2)
    for block in (same, wider):
        for parameter in block.conv2.parameters():
            nn.init.zeros_(parameter)
    x = torch.randn(2, 4, 5, 5)

    assert torch.equal(same(x), x)
    torch.testing.assert_close(wider(x), wider.nin_shortcut(x))


def test_the_codebook_chooses_the_nearest_code_for_every_pixel():
    codebook = with_lively_weights(Codebook(500))
    z = torch.randn(3, 3, 6, 7) * 0.5
    codes = codebook.embedding.weight.detach().double().numpy()
    vectors = z.double().numpy().transpose(0, 2, 3, 1)
    distances = ((vectors[..., None, :] - codes) ** 2).sum(axis=-1)
    nearest = distances.argmin(axis=-1)

    np.testing.assert_array_equal(codebook.indices(z).numpy(), nearest.reshape(3, -1))
    np.testing.assert_array_equal(
        codebook(z).detach().numpy(), codes[nearest].transpose(0, 3, 1, 2).astype(np.float32)
    )


def test_codes_quantise_to_themselves():
    codebook = with_lively_weights(Codebook(64))
    codes = codebook.embedding.weight.detach()
    z = codes.T.reshape(1, 3, 8, 8)

    assert torch.equal(codebook.indices(z)[0], torch.arange(64))
    assert torch.equal(codebook(z), z)


def test_the_search_tells_codes_apart_whose_squares_cancel():
    """Far from the origin, 1e-3 apart: |z|^2 - 2 z.e + |e|^2 loses that in fp32."""
    codebook = Codebook(16)
    step = torch.arange(16.0)[:, None] * 1e-3
    codebook.embedding.weight.data = torch.full((16, 3), 100.0) + step
    z = codebook.embedding.weight.detach().T.reshape(1, 3, 4, 4) + 2e-4

    assert torch.equal(codebook.indices(z)[0], torch.arange(16))
    codes, vectors = codebook.embedding.weight.detach(), z.flatten(2)[0].T
    expanded = (vectors**2).sum(1)[:, None] - 2 * vectors @ codes.T + (codes**2).sum(1)
    assert not torch.equal(expanded.argmin(1), torch.arange(16))


def test_a_half_precision_decoder_searches_in_fp32():
    codebook = Codebook(64).half()
    z = torch.randn(1, 3, 8, 8).half()
    codes, vectors = codebook.embedding.weight.double(), z.double().flatten(2)[0].T
    nearest = ((vectors[:, None] - codes) ** 2).sum(2).argmin(1)

    assert torch.equal(codebook.indices(z)[0], nearest)
    assert codebook(z).dtype == torch.float16


def test_kl_gives_the_mean_and_vq_the_latent_itself():
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    for config, channels in ((TINY_KL, 6), (TINY_VQ, 3)):
        encoder = with_lively_weights(LatentEncoder(config))
        moments = encoder.moments(image)

        assert moments.shape == (2, channels, 16, 16)
        assert torch.equal(encoder(image), moments[:, :3])


def test_only_the_vq_decoder_quantises():
    z = torch.randn(2, 3, 16, 16)
    vq, kl = (with_lively_weights(LatentDecoder(config)) for config in (TINY_VQ, TINY_KL))
    nearest = vq.quantize(z)

    torch.testing.assert_close(vq(z), vq(nearest))
    assert (vq(z) - vq.decoder(vq.post_quant_conv(z))).abs().max() > 1e-2
    torch.testing.assert_close(kl(z), kl.decoder(kl.post_quant_conv(z)))
    assert kl(z).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("make", "shape"), [(LatentEncoder, (3, 64, 64)), (LatentDecoder, (3, 16, 16))]
)
def test_a_sample_does_not_know_its_batch(make, shape):
    network = with_lively_weights(make(TINY_VQ))
    batch = torch.randn(4, *shape)
    with torch.inference_mode():
        together = network(batch)
        apart = torch.cat([network(batch[i : i + 1]) for i in range(4)])

    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-4)


def test_an_autoencoder_can_have_other_depths():
    config = dataclasses.replace(TINY_KL, multipliers=(1, 2), blocks=2)
    encoder, decoder = LatentEncoder(config), LatentDecoder(config)

    assert decoder(encoder(torch.rand(1, 3, 32, 32))).shape == (1, 3, 32, 32)
