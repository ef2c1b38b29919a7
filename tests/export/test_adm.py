# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as f

from mien_export.networks.adm import ADM_NARROW, DCFACE_G_ID, Adm
from mien_export.networks.adm_blocks import AttentionBlock

from .denoiser_oracle import softmax_attention
from .tiny_generators import TINY_ADM, with_lively_weights
from .weights import count_parameters


def both(*names):
    return {f"{name}.{part}" for name in names for part in ("weight", "bias")}


def residual_names(prefix, *, has_shortcut=False):
    parts = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    return both(*(f"{prefix}.{p}" for p in [*parts, *["skip_connection"] * has_shortcut]))


def attention_names(prefix):
    return both(*(f"{prefix}.{part}" for part in ("norm", "qkv", "proj_out")))


def names_of_dcface():
    names = both("time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2")
    for i in range(1, 12):
        # Odd ones are a level's block, even ones halve; levels 2 and 4 are wider than before.
        names |= residual_names(f"input_blocks.{i}.0", has_shortcut=i in (5, 9))
    for i in range(12):
        names |= residual_names(f"output_blocks.{i}.0", has_shortcut=True)
    names |= residual_names("middle_block.0") | residual_names("middle_block.2")
    names |= attention_names("middle_block.1") | attention_names("input_blocks.9.1")
    names |= attention_names("output_blocks.2.1") | attention_names("output_blocks.3.1")
    for i, position in ((1, 1), (3, 2), (5, 1), (7, 1), (9, 1)):
        names |= residual_names(f"output_blocks.{i}.{position}")
    return names


class Oracle:
    """The network from its state_dict alone, in float64."""

    def __init__(self, state, groups, head_channels):
        self.state = {name: tensor.double() for name, tensor in state.items()}
        self.groups, self.head_channels = groups, head_channels

    def pair(self, name):
        return self.state[f"{name}.weight"], self.state[f"{name}.bias"]

    def has(self, name):
        return f"{name}.weight" in self.state

    def linear(self, x, name):
        weight, bias = self.pair(name)
        return x @ weight.T + bias

    def norm(self, x, name):
        weight, bias = (p.reshape(1, -1, 1, 1) for p in self.pair(name))
        grouped = x.reshape(len(x), self.groups, -1)
        mean = grouped.mean(2, keepdim=True)
        var = ((grouped - mean) ** 2).mean(2, keepdim=True)
        return ((grouped - mean) / (var + 1e-5).sqrt()).reshape(x.shape) * weight + bias

    def swish(self, x):
        return x / (1 + torch.exp(-x))

    def run(self, x, t):
        half = self.state["time_embed.0.weight"].shape[1] // 2
        angles = t.double() * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        wave = torch.cat([angles.cos(), angles.sin()], dim=1)
        self.time = self.linear(self.swish(self.linear(wave, "time_embed.0")), "time_embed.2")
        x, left, i = x.double(), [], 0
        while self.has(f"input_blocks.{i}.0.in_layers.0") or i == 0:
            if i == 0:
                x = f.conv2d(x, *self.pair("input_blocks.0.0"), padding=1)
            else:
                # Blocks and halvings alternate, with one block per level.
                x = self.residual(x, f"input_blocks.{i}.0", "halve" if i % 2 == 0 else "")
                x = self.attention(x, f"input_blocks.{i}.1")
            left.append(x)
            i += 1
        x = self.residual(x, "middle_block.0")
        x = self.residual(self.attention(x, "middle_block.1"), "middle_block.2")
        for i in range(len(left)):
            x = self.residual(torch.cat([x, left.pop()], dim=1), f"output_blocks.{i}.0")
            x = self.attention(x, f"output_blocks.{i}.1")
            for position in (1, 2):
                if self.has(f"output_blocks.{i}.{position}.in_layers.0"):
                    x = self.residual(x, f"output_blocks.{i}.{position}", "double")
        return f.conv2d(self.swish(self.norm(x, "out.0")), *self.pair("out.2"), padding=1)

    def resize(self, x, how):
        b, c, h, w = x.shape
        if how == "halve":
            return x.reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5))
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3) if how == "double" else x

    def residual(self, x, name, how=""):
        y = self.resize(self.swish(self.norm(x, f"{name}.in_layers.0")), how)
        y = f.conv2d(y, *self.pair(f"{name}.in_layers.2"), padding=1)
        both = self.linear(self.swish(self.time), f"{name}.emb_layers.1")[:, :, None, None]
        half = y.shape[1]
        y = self.norm(y, f"{name}.out_layers.0") * (1 + both[:, :half]) + both[:, half:]
        y = f.conv2d(self.swish(y), *self.pair(f"{name}.out_layers.3"), padding=1)
        x = self.resize(x, how)
        if self.has(f"{name}.skip_connection"):
            x = f.conv2d(x, *self.pair(f"{name}.skip_connection"))
        return x + y

    def attention(self, x, name):
        if not self.has(f"{name}.qkv"):
            return x
        weight, bias = self.pair(f"{name}.qkv")
        flat = self.norm(x, f"{name}.norm").flatten(2)
        qkv = torch.einsum("oc,bcn->bon", weight[:, :, 0], flat) + bias[:, None]
        heads = x.shape[1] // self.head_channels
        rows = qkv.reshape(len(x), heads, 3, self.head_channels, -1)
        q, k, v = (rows[:, :, i].flatten(1, 2) for i in range(3))
        attended = torch.from_numpy(softmax_attention(q, k, v, heads))
        weight, bias = self.pair(f"{name}.proj_out")
        out = torch.einsum("oc,bcn->bon", weight[:, :, 0], attended) + bias[:, None]
        return x + out.reshape(x.shape)


def make(seed=0):
    return with_lively_weights(Adm(TINY_ADM), seed)


def inputs(batch=3, px=16):
    generator = torch.Generator().manual_seed(batch)
    t = torch.tensor([[999.0], [500.0], [0.0]])[:batch]
    return torch.randn(batch, 3, px, px, generator=generator), t


def run(network, x, t):
    with torch.inference_mode():
        return network(x, t)


def test_the_parameter_count_is_that_of_the_published_network():
    assert count_parameters(Adm, DCFACE_G_ID) == 93_563_910


def test_the_narrow_one_is_a_sixteenth():
    assert count_parameters(Adm, ADM_NARROW) < 93_563_910 / 15


def test_names_are_those_of_guided_diffusion():
    with torch.device("meta"):
        names = set(Adm(DCFACE_G_ID).state_dict())

    assert names == names_of_dcface()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("time_embed.0.weight", (512, 128)),
        ("input_blocks.9.1.qkv.weight", (1536, 512, 1)),
        ("input_blocks.5.0.skip_connection.weight", (256, 128, 1, 1)),
        ("output_blocks.0.0.in_layers.2.weight", (512, 1024, 3, 3)),
        ("output_blocks.11.0.emb_layers.1.weight", (256, 512)),
        ("out.2.weight", (6, 128, 3, 3)),
    ],
)
def test_tensors_have_the_published_shapes(name, shape):
    with torch.device("meta"):
        assert tuple(Adm(DCFACE_G_ID).state_dict()[name].shape) == shape


def test_noise_and_variance_are_what_the_description_says_by_hand():
    network, (x, t) = make(), inputs()
    oracle = Oracle(network.state_dict(), TINY_ADM.groups, TINY_ADM.head_channels)
    expected = oracle.run(x, t)

    assert expected.std() > 0.1
    torch.testing.assert_close(run(network, x, t), expected.float(), atol=2e-3, rtol=2e-3)


def test_queries_keys_and_values_come_head_by_head():
    """The other order has the same shapes and gives another picture."""
    block = with_lively_weights(AttentionBlock(8, 4, 2))
    x = torch.randn(1, 8, 3, 3)
    with torch.no_grad():
        block.qkv.weight[8:12].zero_()  # the first head's values
        block.qkv.bias[8:12].zero_()
        nn.init.eye_(block.proj_out.weight[:, :, 0])
        block.proj_out.bias.zero_()
        change = block(x) - x

    assert torch.equal(change[:, :4], torch.zeros(1, 4, 3, 3))
    assert change[:, 4:].abs().min() > 0


def test_a_sample_does_not_know_its_batch():
    network, (x, t) = make(), inputs()
    together = run(network, x, t)
    apart = torch.cat([run(network, x[i : i + 1], t[i : i + 1]) for i in range(3)])

    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


def test_sides_may_differ_from_the_published_one():
    x, t = torch.randn(1, 3, 24, 40), torch.zeros(1, 1)

    assert run(make(), x, t).shape == (1, 6, 24, 40)


def test_the_timestep_matters():
    network, (x, _) = make(), inputs(1)
    found = [run(network, x, torch.tensor([[t]])) for t in (0.0, 1.0, 999.0)]

    assert min((found[0] - found[1]).abs().max(), (found[1] - found[2]).abs().max()) > 1e-2


def test_a_fresh_network_predicts_nothing():
    x, t = inputs()

    assert torch.equal(Adm(TINY_ADM)(x, t), torch.zeros(3, 6, 16, 16))


def test_every_parameter_takes_part():
    network, (x, t) = make(), inputs()
    network(x, t).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if not p.grad.abs().max() > 0]

    assert idle == []
    # Softmax over keys does not see what is added to all of them; the rest of qkv is not idle.
    keys = network.middle_block[1].qkv.bias.grad[4:8]
    np.testing.assert_allclose(keys.numpy(), 0, atol=1e-3 * float(network.out[2].bias.grad.norm()))


def test_channels_that_no_number_of_heads_fills_are_refused():
    with pytest.raises(ValueError, match="8 channels attend in heads of 3; expected a multiple"):
        AttentionBlock(8, 3, 2)
