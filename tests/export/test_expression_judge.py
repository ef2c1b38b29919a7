# SPDX-License-Identifier: Apache-2.0
"""The judge of expressions: its parts in float64, its graph through the real export path."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torch import nn

from mien_export.contract import graph_mismatches, read_config
from mien_export.errors import CheckpointError
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.linear_svm import fold_svm
from mien_export.networks.compcnn import CLASSES, CompCnn
from mien_export.networks.expression_judge import (
    EXPRESSION_JUDGE_COMB,
    EXPRESSION_JUDGE_SUB,
    ExpressionJudge,
    ExpressionJudgeConfig,
    GreyPair,
    PlattScaling,
)
from mien_export.parity import compare, example_batch, example_cases, run_onnx
from mien_export.spec import WeightsRequest
from mien_export.specs.expression_judge import SPEC

from .test_compcnn import TINY, lively
from .tiny import CONTRACTS
from .weights import count_parameters

torch.set_num_threads(1)
CONTRACT = read_config(CONTRACTS / "expression_judge/config.pbtxt")
SMALL = dataclasses.replace(CONTRACT, max_batch_size=5)
CONFIGS = {"sub": EXPRESSION_JUDGE_SUB, "comb": EXPRESSION_JUDGE_COMB}
PARAMETERS = {"sub": 1_264_903, "comb": 1_307_911}
SLOPE, INTERCEPT = 1.7, -0.4


def svm_of(size, seed=5):
    """A planted SVM of standardised features."""
    rng = np.random.default_rng(seed)
    return {
        "coefficients": rng.normal(0, size**-0.5, (1, size)),
        "intercept": rng.normal(size=1),
        "mean": rng.uniform(0, 0.2, size),
        "scale": rng.uniform(0.1, 0.4, size),
    }


def judge_of(config):
    """Networks that are sure of something, a planted SVM and its calibration."""
    judge = lively(ExpressionJudge(config))
    fold_svm(judge.svm, **svm_of(judge.svm.in_features))
    judge.calibration.set(SLOPE, INTERCEPT)
    return judge


def inputs(count, seed=0):
    return example_batch(CONTRACT, count, seed)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


@pytest.fixture(scope="module", params=CONFIGS)
def graph(request, tmp_path_factory):
    """Name, judge, its file and its fp32 graph."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    judge = judge_of(CONFIGS[name])
    save_file(judge.state_dict(), folder / "w.safetensors")
    first = SPEC.networks[name].write_onnx(
        SMALL,
        WeightsRequest(checkpoint=folder / "w.safetensors"),
        SPEC.tolerances["fp32"],
        folder / "model.onnx",
    )
    assert first.parity, first.parity.failures
    assert first.parity.batches == (1, 1, 5)
    assert first.parameters == PARAMETERS[name]
    return name, judge, folder / "w.safetensors", folder / "model.onnx"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_judge_is_three_networks_of_one_family_and_a_plane(name):
    combinations = {"sub": (0, 0, 0), "comb": (2_048, 8_192, 32_768)}[name]

    assert PARAMETERS[name] == 3 * 421_506 + sum(combinations) + 3 * 128 + 1
    assert count_parameters(ExpressionJudge, CONFIGS[name]) == PARAMETERS[name]
    with torch.device("meta"):
        networks = ExpressionJudge(CONFIGS[name]).networks
    assert [network.position for network in networks] == [1, 2, 3]
    assert all(isinstance(network, CompCnn) for network in networks)


@pytest.mark.parametrize("comparison", CONFIGS)
def test_margin_and_probabilities_are_those_of_the_parts(comparison):
    judge = judge_of(ExpressionJudgeConfig(comparison, TINY))
    onset, apex = (torch.from_numpy(a) / 127.5 - 1 for a in inputs(4).values())
    svm = svm_of(3 * 16)

    with torch.inference_mode():
        probabilities, margin, probability = judge(onset, apex)
        parts = [network(onset, apex) for network in judge.networks]
        features = judge.features(onset, apex)

    logits = np.stack([logits.double().numpy() for logits, _ in parts], axis=1)  # (B, 3, 2)
    spontaneous = sigmoid(logits[..., 1] - logits[..., 0])
    seen = np.concatenate([features.double().numpy() for _, features in parts], axis=1)
    standardised = (seen - svm["mean"]) / svm["scale"]
    wanted = standardised @ svm["coefficients"].T + svm["intercept"]
    assert np.array_equal(features.numpy(), seen)
    assert wanted.std() > 0.1
    assert_allclose(probabilities.numpy(), spontaneous, atol=1e-6)
    assert_allclose(margin.numpy(), wanted, atol=1e-5)
    assert_allclose(probability.numpy(), sigmoid(SLOPE * wanted + INTERCEPT), atol=1e-5)


def test_posed_is_the_first_class_and_all_that_comes_out_is_of_the_second():
    class Says(nn.Module):
        """Logits of a planted probability, and one feature that is large where it is sure."""

        def __init__(self, spontaneous):
            super().__init__()
            self.spontaneous = torch.tensor(spontaneous)

        def forward(self, onset, apex):
            classes = torch.stack([1 - self.spontaneous, self.spontaneous]).log()
            return classes.expand(len(onset), 2), self.spontaneous.expand(len(onset), 1)

    judge = ExpressionJudge(ExpressionJudgeConfig("sub", dataclasses.replace(TINY, hidden=(1, 1))))
    judge.networks = nn.ModuleList(Says(value) for value in (0.75, 0.25, 0.9))
    fold_svm(judge.svm, np.ones((1, 3)), -1.5)

    probabilities, margin, probability = judge(torch.zeros(2, 1), torch.zeros(2, 1))

    assert CLASSES == ("posed", "spontaneous")
    torch.testing.assert_close(probabilities, torch.tensor([[0.75, 0.25, 0.9]]).expand(2, 3))
    torch.testing.assert_close(margin, torch.full((2, 1), 0.4))
    torch.testing.assert_close(probability, torch.full((2, 1), 0.4).sigmoid())
    comment = (CONTRACTS / "expression_judge/config.pbtxt").read_text()
    assert "Posed is class 0, spontaneous class 1" in comment


def test_a_calibration_is_platts_with_the_signs_of_a_margin():
    calibration = PlattScaling()
    margins = torch.linspace(-3, 3, 7)[:, None]
    torch.testing.assert_close(calibration(margins), margins.sigmoid())

    calibration.set(2.0, 0.5)

    a, b = -2.0, -0.5  # as Platt has them
    torch.testing.assert_close(calibration(margins), 1 / (1 + torch.exp(a * margins + b)))
    assert (calibration(margins).diff(dim=0) > 0).all()


@pytest.mark.parametrize(
    ("slope", "intercept"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (1.0, float("inf"))]
)
def test_a_calibration_that_contradicts_its_margins_is_refused(slope, intercept):
    with pytest.raises(ValueError, match="expected finite numbers and a slope above 0"):
        PlattScaling().set(slope, intercept)


def test_grey_values_come_as_minus_one_to_one():
    class Passes(nn.Module):
        def forward(self, onset, apex):
            return onset, apex, onset - apex

    grey = torch.tensor([0.0, 127.5, 255.0])
    onset, apex, _ = GreyPair(Passes())(grey, grey.flip(0))

    assert torch.equal(onset, torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.equal(apex, torch.tensor([1.0, 0.0, -1.0]))


def test_a_graph_is_the_contract_and_its_margin_one_matrix_product(graph):
    nodes = onnx.load(graph[-1]).graph.node
    by_output = {output: node for node in nodes for output in node.output}

    assert graph_mismatches(CONTRACT, onnx.load(graph[-1]).graph) == []
    assert by_output["margin"].op_type == "Gemm"
    assert sum(node.op_type == "Gemm" for node in nodes) == 3 * 3 + 1
    assert not [n.op_type for n in nodes if n.op_type in ("Dropout", "RandomUniform", "Bernoulli")]


def test_a_graph_says_what_its_weights_file_does(graph):
    """Against the judge that was saved, not the one that was loaded."""
    _, judge, _, path = graph
    case = inputs(5, seed=3)
    with torch.inference_mode():
        wanted = judge(*(torch.from_numpy(array) / 127.5 - 1 for array in case.values()))

    (answer,) = run_onnx(path, [case])

    for name, tensor in zip(("probabilities", "margin", "probability"), wanted, strict=True):
        assert_allclose(answer[name], tensor.numpy(), atol=1e-4)
    assert answer["margin"].std() > 0.1
    assert answer["probabilities"].std() > 0.01
    assert_allclose(answer["probability"], sigmoid(SLOPE * answer["margin"] + INTERCEPT), atol=1e-6)


def test_a_sample_does_not_know_its_batch(graph):
    batch = inputs(5)
    alone = [{key: array[i : i + 1] for key, array in batch.items()} for i in range(5)]
    together, *apart = run_onnx(graph[-1], [batch, *alone])

    for key, array in together.items():
        assert_allclose(array, np.concatenate([a[key] for a in apart]), atol=1e-5)


def test_onset_and_apex_are_not_the_same(graph):
    case = inputs(5)
    first, second = run_onnx(graph[-1], [case, {"onset": case["apex"], "apex": case["onset"]}])

    assert (np.abs(first["margin"] - second["margin"]) > 1e-3).all()


def test_half_precision_keeps_its_tolerance(graph, tmp_path):
    half = tmp_path / "half.onnx"
    convert_to_fp16(
        graph[-1], SMALL, half, fp32_op_types=SPEC.fp32_op_types, fp32_up_to=SPEC.fp32_up_to
    )
    cases = example_cases(SMALL)
    report = compare(run_onnx(graph[-1], cases), run_onnx(half, cases), SPEC.tolerances["fp16"])

    assert report, report.failures
    model = onnx.load(half)
    kinds = {item.name: item.data_type for item in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    halves = {node.op_type for node in products if kinds[node.input[1]] == onnx.TensorProto.FLOAT16}
    assert halves == {"Conv"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("calibration.slope"), r"1 missing: calibration\.slope"),
        (lambda t: t.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (lambda t: t.update({"svm.bias": torch.zeros(2)}), r"svm\.bias \(2,\) instead of \(1,\)"),
        (lambda t: t["svm.weight"].fill_(torch.nan), "NaN or infinite values in svm.weight"),
    ],
    ids=["missing", "unexpected", "mis-shaped", "nan"],
)
def test_a_file_is_loaded_strictly(change, message, tmp_path):
    tensors = ExpressionJudge(EXPRESSION_JUDGE_SUB).state_dict()
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    weights = WeightsRequest(checkpoint=tmp_path / "w.safetensors")

    with pytest.raises(CheckpointError, match=message):
        SPEC.networks["sub"].write_onnx(
            SMALL, weights, SPEC.tolerances["fp32"], tmp_path / "model.onnx"
        )


def test_a_file_of_the_other_family_is_refused(graph, tmp_path):
    name, _, file, _ = graph
    other = {"sub": "comb", "comb": "sub"}[name]
    kind = {"sub": "missing", "comb": "unexpected"}[name]

    with pytest.raises(CheckpointError, match=rf"3 {kind}: networks\.0\.comparison"):
        SPEC.networks[other].write_onnx(
            SMALL, WeightsRequest(checkpoint=file), SPEC.tolerances["fp32"], tmp_path / "m.onnx"
        )
