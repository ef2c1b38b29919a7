# SPDX-License-Identifier: Apache-2.0
"""The emotion network: its sizes, what it computes, and that no emotion is exactly no change."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file

from mien_export.contract import graph_mismatches, read_config
from mien_export.errors import CheckpointError
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.networks.emotion_mlp import (
    EMOTION_MLP,
    EMOTION_MLP_SHAPE,
    EMOTIONS,
    EmotionMlp,
    EmotionsFromNeutral,
)
from mien_export.parity import compare, example_cases, run_onnx
from mien_export.spec import WeightsRequest
from mien_export.specs.emotion_mlp import SPEC

from .tiny import CONTRACTS
from .weights import count_parameters

CONTRACT = read_config(CONTRACTS / "emotion_mlp/config.pbtxt")
CONFIGS = {"mlp": EMOTION_MLP, "mlp_shape": EMOTION_MLP_SHAPE}
PUBLISHED = {"mlp": 24_632, "mlp_shape": 31_032}


def lively(name):
    """A network whose biases are not zero, as trained ones are."""
    torch.manual_seed(3)
    return EmotionMlp(CONFIGS[name]).eval()


def inputs(count, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "emotions": rng.uniform(0, 1, (count, 6)).astype(np.float32),
        "shape": rng.normal(0, 1, (count, 50)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """By network: checkpoint, fp32 graph, fp16 graph."""
    made = {}
    for name, network in SPEC.networks.items():
        folder = tmp_path_factory.mktemp(name)
        paths = folder / "w.safetensors", folder / "model.onnx", folder / "model.fp16.onnx"
        save_file(lively(name).state_dict(), paths[0])
        first = network.write_onnx(
            CONTRACT, WeightsRequest(checkpoint=paths[0]), SPEC.tolerances["fp32"], paths[1]
        )
        assert first.parity, first.parity.failures
        assert first.parameters == PUBLISHED[name]
        assert first.parity.batches == (1, 1, 32)
        convert_to_fp16(paths[1], CONTRACT, paths[2])
        made[name] = paths
    return made


@pytest.mark.parametrize("name", CONFIGS)
def test_sizes_are_those_of_three_layers(name):
    inputs_of = {"mlp": 6, "mlp_shape": 6 + 50}[name]
    expected = sum(a * b + b for a, b in ((inputs_of, 128), (128, 128), (128, 56)))

    assert count_parameters(EmotionMlp, CONFIGS[name]) == expected == PUBLISHED[name]
    names = {f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")}
    assert set(lively(name).state_dict()) == names


def test_emotions_are_in_the_order_of_the_thesis_and_of_the_contract():
    assert EMOTIONS == ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
    comment = next(
        line
        for line in (CONTRACTS / "emotion_mlp/config.pbtxt").read_text().splitlines()
        if "in this order" in line
    )
    assert ", ".join(EMOTIONS) in comment
    assert CONTRACT.parameters["pose_values"] == "global jaw"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_network_is_linear_layers_with_relu_between_by_hand(name):
    network, x = lively(name), torch.randn(4, {"mlp": 6, "mlp_shape": 56}[name])
    y = x.double()
    for i in range(3):
        layer = network.layers[i]
        y = y @ layer.weight.double().T + layer.bias.double()
        y = y.clamp_min(0) if i < 2 else y

    torch.testing.assert_close(network(x), y.float(), atol=1e-5, rtol=1e-5)
    assert (network(x) < 0).any(), "coefficients are negative, too"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_graph_says_what_emotions_add_to_the_same_person_without(name, graphs):
    network, case = lively(name), inputs(5)
    emotions, shape = (torch.from_numpy(case[key]) for key in ("emotions", "shape"))
    none = torch.zeros_like(emotions)
    if name == "mlp_shape":
        added = network(torch.cat([emotions, shape], 1)) - network(torch.cat([none, shape], 1))
    else:
        added = network(emotions) - network(none)

    (answer,) = run_onnx(graphs[name][1], [case])

    both = np.concatenate([answer["expression"], answer["pose"]], axis=1)
    assert_allclose(both, added.detach().numpy(), atol=1e-6)
    graph = onnx.load(graphs[name][1]).graph
    assert graph_mismatches(CONTRACT, graph) == []
    assert [item.name for item in graph.input] == ["emotions", "shape"]


@pytest.mark.parametrize("batch", [1, 2, 7, 32])
@pytest.mark.parametrize("precision", [1, 2], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_no_emotion_is_exactly_no_change_whoever_the_person_is(name, precision, batch, graphs):
    case = inputs(batch) | {"emotions": np.zeros((batch, 6), np.float32)}

    (answer,) = run_onnx(graphs[name][precision], [case])

    assert_array_equal(answer["expression"], np.zeros((batch, 50)))
    assert_array_equal(answer["pose"], np.zeros((batch, 6)))


def test_a_difference_of_two_equal_sums_does_not_decide_what_neutral_is():
    """As where a backend orders the two sums differently."""

    class Unsteady(torch.nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return torch.full((len(x), 56), 1 + 1e-6 * self.calls)

    graph = EmotionsFromNeutral(Unsteady())
    emotions = torch.tensor([[0.0] * 6, [0, 0, 1e-3, 0, 0, 0]])

    expression, pose = graph(emotions, torch.zeros(2, 50))

    assert not expression[0].any()
    assert not pose[0].any()
    assert expression[1].all()


def test_only_the_network_of_shape_depends_on_shape(graphs):
    case, other = inputs(3), inputs(3, seed=1)
    mixed = case | {"shape": other["shape"]}
    for name, (_, path, _) in graphs.items():
        first, second = run_onnx(path, [case, mixed])
        is_equal = all(np.array_equal(first[key], second[key]) for key in first)
        assert is_equal == (name == "mlp")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sample_does_not_know_its_batch(name, graphs):
    batch = inputs(5)
    alone = [{key: array[i : i + 1] for key, array in batch.items()} for i in range(5)]
    together, *apart = run_onnx(graphs[name][1], [batch, *alone])

    for key, array in together.items():
        assert_allclose(array, np.concatenate([a[key] for a in apart]), atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_half_precision_keeps_its_tolerance(name, graphs):
    cases = example_cases(dataclasses.replace(CONTRACT, max_batch_size=8))
    _, whole, half = graphs[name]
    report = compare(run_onnx(whole, cases), run_onnx(half, cases), SPEC.tolerances["fp16"])

    assert report, report.failures


def test_random_weights_move_a_jaw_by_tenths_of_a_radian(tmp_path):
    path = tmp_path / "model.onnx"
    network = SPEC.networks[SPEC.default_network]
    network.write_onnx(CONTRACT, WeightsRequest(seed=1), SPEC.tolerances["fp32"], path)

    (answer,) = run_onnx(path, [inputs(32)])

    assert 0.01 < np.abs(answer["pose"]).mean() < 0.3
    assert 0.01 < np.abs(answer["expression"]).mean() < 0.3


def test_a_file_of_the_other_network_is_refused(graphs, tmp_path):
    network, (checkpoint, *_) = SPEC.networks["mlp"], graphs["mlp_shape"]

    with pytest.raises(CheckpointError, match=r"layers\.0\.weight \(128, 56\) instead of"):
        network.write_onnx(
            CONTRACT, WeightsRequest(checkpoint=checkpoint), SPEC.tolerances["fp32"], tmp_path / "m"
        )
