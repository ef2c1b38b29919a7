# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from mien_export.networks.attention import attend
from mien_export.networks.denoiser import (
    IDIFF_FACE,
    MORPHFACE,
    MORPHFACE_LDM_TOKENS,
    MORPHFACE_STARTER,
    UIFACE,
    Denoiser,
    DenoiserConfig,
)
from mien_export.networks.denoiser_blocks import ContextAttention, ResidualBlock
from mien_export.networks.timesteps import Sinusoids

from .denoiser_oracle import context_inside, denoise, softmax_attention
from .tiny_generators import TINY_DENOISER, with_lively_weights
from .weights import count_parameters

PUBLISHED = 216_341_187
# Down, middle, up.
ATTENTION_WIDTHS = [192, 192, 384, 384, 768, 768, 768, 768, 768, 384, 384, 384, 192, 192, 192, 96]
TOKENS_OF_A_CONTEXT = len(ATTENTION_WIDTHS) * (256 * 8192 + 8192 + 2 * 256)
LDM_TOKENS = dataclasses.replace(TINY_DENOISER, tokens=0)
IDENTITY_ONLY = dataclasses.replace(TINY_DENOISER, contexts="identity")
WITHOUT_LEARNED_EMPTY = dataclasses.replace(IDENTITY_ONLY, learns_empty=False)
STATES = [(1, 1), (1, 0), (0, 1), (0, 0)]


def both(*names):
    return {f"{name}.{part}" for name in names for part in ("weight", "bias")}


def residual_names(prefix, *, has_shortcut):
    parts = ["norm1", "conv1", "time_emb.1", "scale_emb", "shift_emb", "norm2.norm", "conv2"]
    return both(*(f"{prefix}.{part}" for part in [*parts, *["shortcut"] * has_shortcut]))


def attention_names(prefix):
    parts = ["x_proj_in", "x_norm", "x_proj_out", "c_proj_in", "c_norm", "ff.0", "ff.2"]
    for kind in ("self_attention", "cross_attention"):
        parts += [f"{kind}.{part}" for part in ("to_q", "to_k", "to_v", "proj_out")]
    return both(*(f"{prefix}.{part}" for part in parts))


def names_of_uiface():
    names = both("image_proj", "time_emb.lin1", "time_emb.lin2", "context_emb", "norm", "final")
    for i in range(11):
        if i in (2, 5, 8):
            names |= both(f"down.{i}.conv")
            continue
        # A level begins by doubling the channels.
        names |= residual_names(f"down.{i}.res", has_shortcut=i in (3, 6, 9))
        names |= attention_names(f"down.{i}.attn") if i > 1 else set()
    for part in ("res1", "res2"):
        names |= residual_names(f"middle.{part}", has_shortcut=False)
    names |= attention_names("middle.attn")
    for i in range(15):
        if i in (3, 7, 11):
            names |= both(f"up.{i}.conv")
            continue
        names |= residual_names(f"up.{i}.res", has_shortcut=True)
        names |= attention_names(f"up.{i}.attn") if i < 11 else set()
    return names


def make(config=TINY_DENOISER, seed=0):
    return with_lively_weights(Denoiser(config), seed)


def inputs(batch=4, contexts=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(batch, 3, 8, 8, generator=generator)
    t = torch.randint(0, 1000, (batch, 1), generator=generator).float()
    given = [torch.randn(batch, 512, generator=generator) for _ in range(contexts)]
    return z, t, given


def keeps(*states):
    """One (B, 1) column per context from the states of B samples."""
    return [
        torch.tensor(column, dtype=torch.float32)[:, None] for column in zip(*states, strict=True)
    ]


def run(network, z, t, contexts, states):
    with torch.inference_mode():
        return network(z, t, contexts, keeps(*states))


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        pytest.param(IDIFF_FACE, PUBLISHED, id="IDiff-Face"),
        pytest.param(UIFACE, PUBLISHED + 256, id="UIFace"),
        # A second projection, a second empty context, and tokens made twice in every attention.
        pytest.param(
            MORPHFACE,
            PUBLISHED + 256
            + (512 * 256 + 256) + 256
            + TOKENS_OF_A_CONTEXT,
            id="MorphFace",
        ),
        # Keys and values from 512 channels instead of 256, no projections, no norms of tokens.
        pytest.param(
            MORPHFACE_LDM_TOKENS,
            PUBLISHED
            - (512 * 256 + 256) + 2 * 512
            - TOKENS_OF_A_CONTEXT
            + 2 * 256 * sum(ATTENTION_WIDTHS),
            id="MorphFace-LDM-tokens",
        ),
    ],
)  # fmt: skip
def test_parameter_counts_are_those_of_the_published_networks(config, parameters):
    assert count_parameters(Denoiser, config) == parameters


def test_the_starter_fits_16_mb_in_half_precision():
    assert 4_000_000 < count_parameters(Denoiser, MORPHFACE_STARTER) < 8_000_000


@pytest.mark.parametrize(
    ("config", "empty"), [(IDIFF_FACE, set()), (UIFACE, {"empty_context_embedding"})]
)
def test_names_are_those_of_the_public_networks(config, empty):
    """IDiff-Face's empty context is zeros and not in its files."""
    with torch.device("meta"):
        names = set(Denoiser(config).state_dict())

    assert names == names_of_uiface() | empty


def test_two_contexts_double_the_names_of_the_one():
    with torch.device("meta"):
        one, two, plain = (
            set(Denoiser(c).state_dict()) for c in (UIFACE, MORPHFACE, MORPHFACE_LDM_TOKENS)
        )
    doubled = ("context_emb.", "empty_context_embedding", ".c_proj_in.", ".c_norm.")
    theirs = {name for name in one if any(part in name for part in doubled)}
    expected = one - theirs
    empty = {f"empty_context_embedding_{kind}" for kind in ("id", "sty")}
    for name, kind in itertools.product(theirs, ("id", "sty")):
        stem, dot, last = name.rpartition(".")
        expected.add(f"{stem}_{kind}.{last}" if dot else f"{last}_{kind}")

    assert two == expected
    assert plain == one - theirs | empty


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("down.10.attn.c_proj_in.weight", (256 * 32, 256)),
        ("down.10.attn.cross_attention.to_k.weight", (768, 256, 1)),
        ("down.10.res.time_emb.1.weight", (768, 384)),
        ("up.0.res.conv1.weight", (768, 1536, 3, 3)),
        ("up.2.res.conv1.weight", (384, 1152, 3, 3)),
        ("up.3.conv.weight", (384, 384, 4, 4)),
        ("up.14.res.norm1.weight", (192,)),
        ("empty_context_embedding", (256,)),
    ],
)
def test_tensors_have_the_published_shapes(name, shape):
    with torch.device("meta"):
        assert tuple(Denoiser(UIFACE).state_dict()[name].shape) == shape


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(TINY_DENOISER, id="tokens"),
        pytest.param(LDM_TOKENS, id="LDM-tokens"),
        pytest.param(dataclasses.replace(TINY_DENOISER, blocks=2), id="two-blocks"),
        pytest.param(
            dataclasses.replace(IDENTITY_ONLY, multipliers=(1, 2), attention=(True, False)),
            id="identity",
        ),
    ],
)
def test_noise_is_what_the_description_says_by_hand(config):
    network = make(config)
    state = network.state_dict()
    z, t, contexts = inputs(contexts=len(config.suffixes))
    states = [state[: len(config.suffixes)] for state in STATES]
    inside = {
        suffix: context_inside(state, suffix, context, column)
        for suffix, context, column in zip(
            config.suffixes, contexts, zip(*states, strict=True), strict=True
        )
    }
    expected = denoise(
        state, z, t, inside, groups=config.groups, head_channels=config.head_channels
    )

    found = run(network, z, t, contexts, states)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected.float(), atol=2e-3, rtol=2e-3)


def test_one_batch_holds_all_four_states():
    network = make()
    z, t, contexts = inputs(1)
    together = run(
        network,
        z.expand(4, -1, -1, -1),
        t.expand(4, 1),
        [c.expand(4, -1) for c in contexts],
        STATES,
    )
    apart = torch.cat([run(network, z, t, contexts, [state]) for state in STATES])

    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    distances = torch.pdist(together.flatten(1))
    assert distances.min() > 0.01


@pytest.mark.parametrize("config", [TINY_DENOISER, LDM_TOKENS], ids=["tokens", "LDM-tokens"])
@pytest.mark.parametrize("dropped", [0, 1], ids=["identity", "style"])
@pytest.mark.parametrize("rubbish", [0.0, 1e30, float("nan")])
def test_a_dropped_context_is_the_learned_empty_one_whatever_is_given(config, dropped, rubbish):
    network = make(config)
    z, t, contexts = inputs()
    states = [tuple(int(i != dropped) for i in range(2))] * 4
    before = run(network, z, t, contexts, states)
    contexts[dropped] = torch.full((4, 512), rubbish)

    assert torch.equal(run(network, z, t, contexts, states), before)
    empty = getattr(network, f"empty_context_embedding{config.suffixes[dropped]}")
    with torch.no_grad():
        empty.add_(1.0)
    assert not torch.allclose(run(network, z, t, contexts, states), before, atol=1e-3)


@pytest.mark.parametrize("config", [TINY_DENOISER, LDM_TOKENS], ids=["tokens", "LDM-tokens"])
def test_a_kept_context_does_not_know_the_empty_one(config):
    network = make(config)
    z, t, contexts = inputs()
    before = run(network, z, t, contexts, [(1, 1)] * 4)
    for suffix in config.suffixes:
        with torch.no_grad():
            getattr(network, f"empty_context_embedding{suffix}").fill_(float("nan"))

    assert torch.equal(run(network, z, t, contexts, [(1, 1)] * 4), before)


def test_the_contexts_are_not_interchangeable():
    network = make()
    z, t, (c_id, c_sty) = inputs()
    before = run(network, z, t, [c_id, c_sty], [(1, 1)] * 4)

    assert (run(network, z, t, [c_sty, c_id], [(1, 1)] * 4) - before).abs().max() > 0.01


def test_plain_tokens_meet_the_same_keys_and_so_are_interchangeable():
    """As in LDM: which of the two a token is, its own values must say."""
    network = make(LDM_TOKENS)
    z, t, (c_id, c_sty) = inputs()
    before = run(network, z, t, [c_id, c_sty], [(1, 1)] * 4)

    torch.testing.assert_close(
        run(network, z, t, [c_sty, c_id], [(1, 1)] * 4), before, atol=1e-4, rtol=1e-4
    )


def test_idiff_face_drops_to_zeros():
    network = make(WITHOUT_LEARNED_EMPTY)
    z, t, contexts = inputs(contexts=1)
    dropped = run(network, z, t, contexts, [(0,)] * 4)
    with torch.no_grad():
        network.context_emb.weight.zero_()
        network.context_emb.bias.zero_()

    assert torch.equal(run(network, z, t, contexts, [(1,)] * 4), dropped)


def test_a_sample_does_not_know_its_batch():
    network = make()
    z, t, contexts = inputs(4)
    together = run(network, z, t, contexts, STATES)
    for i, state in enumerate(STATES):
        one = slice(i, i + 1)
        alone = run(network, z[one], t[one], [c[one] for c in contexts], [state])
        torch.testing.assert_close(together[one], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [96, 128])
def test_timesteps_become_cosines_and_then_sines(channels):
    found = Sinusoids(channels)(torch.tensor([[0.0], [1.0], [500.0], [999.0], [12.5]]))
    for row, t in zip(found, (0.0, 1.0, 500.0, 999.0, 12.5), strict=True):
        angles = [t * math.exp(-math.log(1e4) * k / (channels // 2)) for k in range(channels // 2)]
        expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        # Frequencies are single precision, and an angle is up to 999.
        np.testing.assert_allclose(row.numpy(), expected, atol=2e-4)


def test_the_frequencies_are_in_no_checkpoint():
    assert Sinusoids(96).state_dict() == {}


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_that_of_an_independent_implementation(heads):
    generator = torch.Generator().manual_seed(heads)
    q = torch.randn(2, 12, 7, generator=generator) * 3
    k, v = (torch.randn(2, 12, 5, generator=generator) for _ in range(2))
    split = (x.reshape(2, heads, 12 // heads, -1) for x in (q, k, v))

    np.testing.assert_allclose(
        attend(*split).numpy(), softmax_attention(q.double(), k.double(), v.double(), heads),
        atol=1e-5,
    )  # fmt: skip


def test_attention_stays_finite_where_a_product_in_half_precision_would_not():
    """256 channels of 20 each: their product is 102,400, and the largest half is 65,504."""
    q = torch.full((1, 1, 256, 2), 20.0, dtype=torch.float16)
    v = torch.ones(1, 1, 256, 2, dtype=torch.float16)

    assert torch.equal(attend(q, q, v), torch.ones(1, 256, 2, dtype=torch.float16))


def test_a_fresh_network_predicts_nothing_and_passes_gradients():
    """Residual branches start at zero, so training starts from the identity."""
    torch.manual_seed(0)
    network = Denoiser(TINY_DENOISER)
    z, t, contexts = inputs()
    eps = network(z, t, contexts, keeps(*STATES))
    eps.sum().backward()

    assert torch.equal(eps, torch.zeros_like(eps))
    assert network.final.bias.grad.abs().max() > 0
    block = ResidualBlock(4, 4, 8, 2)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x, torch.randn(2, 8)), x)
    attention = ContextAttention(4, 8, ("",), tokens=3, head_channels=2, groups=2)
    assert torch.equal(attention(x, [torch.randn(2, 8)]), x)


def test_every_parameter_takes_part():
    network = make()
    z, t, contexts = inputs()
    network(z, t, contexts, keeps(*STATES)).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if not p.grad.abs().max() > 0]

    # Softmax over keys does not see what is added to all of them.
    assert all(name.endswith("to_k.bias") for name in idle)


def test_the_noise_depends_on_the_timestep():
    network = make()
    z, _, contexts = inputs(1)
    found = [
        run(network, z, torch.tensor([[t]]), contexts, [(1, 1)]) for t in (0.0, 1.0, 500.0, 999.0)
    ]

    for a, b in itertools.combinations(found, 2):
        assert (a - b).abs().max() > 1e-2


def test_every_norm_has_torchs_eps_and_32_groups():
    with torch.device("meta"):
        norms = [m for m in Denoiser(UIFACE).modules() if isinstance(m, nn.GroupNorm)]

    assert {(norm.eps, norm.num_groups) for norm in norms} == {(1e-5, 32)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contexts": "style"}, "contexts is 'style'; expected one of identity, identity_style"),
        ({"attention": (True,)}, "attention has 1 entries and multipliers 4"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DenoiserConfig(**changes)


def test_channels_that_no_number_of_heads_fills_are_refused():
    with pytest.raises(ValueError, match="8 channels attend in heads of 3; expected a multiple"):
        Denoiser(dataclasses.replace(TINY_DENOISER, head_channels=3))
