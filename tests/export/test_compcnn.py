# SPDX-License-Identifier: Apache-2.0
"""CompCNN against its paper: sizes, the comparison layer, one set of weights, dropout."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.utils.flop_counter import FlopCounterMode

from mien_export.networks.compcnn import (
    CLASSES,
    COMPARISONS,
    POSITIONS,
    SIX_LAYERS,
    Comb,
    CompCnn,
    CompCnnConfig,
    DiffCnn,
    SixLayersConfig,
    difference_image,
)

from .weights import count_parameters

torch.set_num_threads(1)
TINY = dataclasses.replace(SIX_LAYERS, widths=(6, 7, 8), hidden=(20, 16))


def lively(network, seed=0):
    """Weights that keep activations at their size, and biases that count."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            is_bias = name.endswith("bias")
            deviation = 0.1 if is_bias else (2 / parameter[0].numel()) ** 0.5
            parameter.normal_(0, deviation, generator=generator)
    return network.eval()


def compcnn(comparison, position, sizes=TINY):
    return lively(CompCnn(CompCnnConfig(comparison, position, sizes)))


def pair(count=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return tuple(2 * torch.rand(count, 1, 44, 44, generator=generator) - 1 for _ in range(2))


def same_bits(a, b):
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


@pytest.mark.parametrize(
    ("position", "parameters"), [(1, 423_554), (2, 429_698), (3, 454_274)], ids=str
)
def test_parameter_counts_are_a_combination_more_than_those_of_subtraction(position, parameters):
    assert count_parameters(CompCnn, CompCnnConfig("comb", position)) == parameters
    assert count_parameters(CompCnn, CompCnnConfig("sub", position)) == 421_506
    assert count_parameters(DiffCnn, SIX_LAYERS) == 421_506
    assert parameters - 421_506 == 2 * SIX_LAYERS.widths[position - 1] ** 2


@pytest.mark.parametrize(("position", "millions"), [(1, 19.9), (2, 32.7), (3, 35.6)], ids=str)
def test_a_later_comparison_costs_a_second_path_for_longer(position, millions):
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), counter:
        CompCnn(CompCnnConfig("comb", position))(*torch.empty(2, 1, 1, 44, 44))

    multiplications = counter.get_total_flops() / 2
    assert multiplications / 1e6 == pytest.approx(millions, abs=0.05)


def by_hand(network, comparison, position, onset, apex):
    """The paper's network in float64 without torch's layers: logits and features."""
    tensors = {name: t.double().numpy() for name, t in network.state_dict().items()}

    def stage(x, i):
        weight, bias = (tensors[f"stages.{i}.convolution.{part}"] for part in ("weight", "bias"))
        windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))
        x = np.einsum("bchwij,ocij->bohw", windows, weight) + bias[:, None, None]
        b, c, h, w = x.shape
        return x.clip(0).reshape(b, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))

    def compare(x, y):
        if comparison == "sub":
            return x - y
        alpha, beta = np.split(tensors["comparison.combine.weight"][..., 0, 0], 2, axis=1)
        return np.einsum("rk,bkhw->brhw", alpha, x) + np.einsum("rk,bkhw->brhw", beta, y)

    paths = [onset.double().numpy(), apex.double().numpy()]
    for i in range(3):
        paths = [stage(x, i) for x in paths]
        if i + 1 == position:
            paths = [compare(*paths).clip(0)]
    x = paths[0].reshape(len(onset), -1)
    for layer in ("hidden.1", "hidden.4"):
        name = f"fully_connected.{layer}"
        x = (x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]).clip(0)
    last = "fully_connected.classes"
    return x @ tensors[f"{last}.weight"].T + tensors[f"{last}.bias"], x


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_a_network_is_that_of_the_paper_by_hand(comparison, position):
    network, images = compcnn(comparison, position), pair()

    with torch.inference_mode():
        found = network(*images)
    wanted = by_hand(network, comparison, position, *images)

    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-5)
    assert 0 < (found[1] > 0).float().mean() < 1, "some features must be cut off, some not"


@pytest.mark.parametrize("position", POSITIONS)
def test_combining_with_alpha_one_and_beta_minus_one_is_subtraction_bit_for_bit(position):
    sub, comb = (compcnn(comparison, position, SIX_LAYERS) for comparison in COMPARISONS)
    missing, unexpected = comb.load_state_dict(sub.state_dict(), strict=False)
    with torch.inference_mode():
        before = comb(*pair())
        comb.comparison.reset_to_subtraction()
        wanted, found = sub(*pair()), comb(*pair())

    assert (missing, unexpected) == (["comparison.combine.weight"], [])
    assert all(same_bits(a, b) for a, b in zip(found, wanted, strict=True))
    assert not torch.equal(before[0], wanted[0])


def test_both_paths_have_the_same_weights():
    """So swapping the images is the same as swapping alpha and beta."""
    for position in POSITIONS:
        network, (onset, apex) = compcnn("comb", position), pair()
        with torch.inference_mode():
            logits, features = network(onset, apex)
            weight = network.comparison.combine.weight
            weight.copy_(torch.cat(weight.chunk(2, dim=1)[::-1], dim=1))
            swapped_logits, swapped_features = network(apex, onset)
            other_logits, _ = network(onset, apex)

        torch.testing.assert_close(swapped_logits, logits)
        torch.testing.assert_close(swapped_features, features)
        assert (other_logits - logits).abs().max() > 1e-2


@pytest.mark.parametrize("position", POSITIONS)
def test_subtraction_says_the_same_of_everybody_who_does_not_change(position):
    network, images = compcnn("sub", position), pair()

    with torch.inference_mode():
        (first, _), (second, _) = (network(x, x) for x in images)
        changed, _ = network(*images)

    assert same_bits(first, second)
    torch.testing.assert_close(first, first[:1].expand_as(first))
    assert (changed - first).abs().max() > 1e-2


@pytest.mark.parametrize("position", POSITIONS)
def test_in_training_the_same_neurons_drop_out_in_both_paths(position):
    """Otherwise a face that does not change would seem to."""
    network = compcnn("sub", position).train()
    seen = []
    network.comparison.register_forward_hook(lambda _, inputs, z: seen.append((inputs[0], z)))
    onset, apex = pair()
    network(onset, onset)
    network(onset, apex)
    network.eval()(onset, onset)
    (dropped, nothing), (_, change), (whole, _) = seen

    assert not nothing.any()
    assert change.any()
    assert ((dropped == 0) & (whole != 0)).any()


def test_dropout_has_the_rates_of_the_paper_and_none_outside_training():
    network = DiffCnn(SIX_LAYERS).train()
    for name, parameter in network.named_parameters():
        torch.nn.init.constant_(parameter, 0 if name.endswith("weight") else 1)
    hidden = network.fully_connected.hidden
    seen = {}
    for place, part in enumerate((*network.stages, hidden[3], hidden[6])):
        part.register_forward_hook(
            lambda _, __, out, place=place: seen.update({place: torch.as_tensor(out[0])})
        )
    torch.manual_seed(0)
    onset, apex = pair(64)
    network(difference_image(onset, apex))

    for place, rate in enumerate((0.05, 0.15, 0.25, 0.5, 0.25)):
        kept = seen[place][seen[place] != 0]
        torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)))
    first_three = [(seen[place] == 0).float().mean().item() for place in range(3)]
    assert first_three == pytest.approx([0.05, 0.15, 0.25], abs=0.01)
    network.eval()(difference_image(onset, apex))
    assert all((out == 1).all() for out in seen.values())


def test_the_baseline_sees_differences_only():
    network = lively(DiffCnn(TINY))
    onset, apex = (x / 2 for x in pair())
    with torch.inference_mode():
        logits, features = network(difference_image(onset, apex))
        brighter, _ = network(difference_image(onset + 0.25, apex + 0.25))
        other, _ = network(difference_image(apex, onset))

    assert logits.shape == (3, len(CLASSES))
    assert features.shape == (3, 16)
    torch.testing.assert_close(brighter, logits, rtol=0, atol=1e-4)
    assert (other - logits).abs().max() > 1e-2
    white, black = torch.ones(1), -torch.ones(1)
    assert difference_image(white, black) == 1
    assert difference_image(black, white) == -1


def test_the_baseline_is_a_network_without_a_second_path():
    network, sub = DiffCnn(TINY).eval(), compcnn("sub", 3)
    grey, image = torch.zeros(2, 1, 44, 44), pair(2)[0]
    with torch.inference_mode():
        for stage in sub.stages:
            stage.convolution.bias.zero_()  # the second path then finds nothing in a grey image
        network.load_state_dict(sub.state_dict())

        torch.testing.assert_close(network(image), sub(image, grey))


def test_names_in_a_file_are_one_set_of_convolutions():
    convolutions = {f"stages.{i}.convolution.{p}" for i in range(3) for p in ("weight", "bias")}
    layers = ("hidden.1", "hidden.4", "classes")
    connected = {f"fully_connected.{name}.{p}" for name in layers for p in ("weight", "bias")}

    assert set(compcnn("sub", 1).state_dict()) == convolutions | connected
    combined = convolutions | connected | {"comparison.combine.weight"}
    assert set(compcnn("comb", 3).state_dict()) == combined
    assert Comb(4).combine.weight.shape == (4, 8, 1, 1)


def test_other_sizes_load_other_files():
    sizes = SixLayersConfig(
        widths=(2, 3, 4), kernels_px=(3, 3, 2), hidden=(5, 4), image_px=32, dropout=(0,) * 5
    )
    assert (sizes.last_map_px, sizes.flat) == (2, 16)  # 32 30 15 13 6 5 2
    logits, features = CompCnn(CompCnnConfig("comb", 2, sizes))(*torch.rand(2, 6, 1, 32, 32))

    assert logits.shape == (6, 2)
    assert features.shape == (6, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CompCnnConfig("add", 1), "comparison is 'add'; expected one of sub, comb"),
        (lambda: CompCnnConfig("sub", 0), "position is 0; expected 1, 2 or 3"),
        (lambda: CompCnnConfig("sub", 4), "position is 4; expected 1, 2 or 3"),
        (lambda: SixLayersConfig(image_px=20), "image_px 20 .* leaves nothing behind"),
    ],
    ids=["comparison", "too early", "too late", "too small"],
)
def test_what_is_no_network_of_the_paper_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
