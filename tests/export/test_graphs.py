# SPDX-License-Identifier: Apache-2.0
"""Tiny networks through the real export path."""

import dataclasses
import getpass
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from onnx import helper, numpy_helper

from mien_export.batchable import free_batch
from mien_export.contract import graph_mismatches, read_config
from mien_export.errors import ContractError, ParityError
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.int8_from_onnx import convert_to_int8
from mien_export.onnx_from_torch import OPSET, export_onnx
from mien_export.parity import (
    Tolerance,
    compare,
    example_batch,
    example_cases,
    example_images,
    example_noise,
    run_onnx,
)
from mien_export.spec import WeightsRequest
from mien_export.specs.face_recognizer import SPEC, TOLERANCES
from mien_export.wrappers import FaceRecognizer

from .tiny import CONTRACTS, NETWORKS, ROOT, make_handmade_model

CONTRACT = read_config(CONTRACTS / "face_recognizer/config.pbtxt")


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> dict[str, Path]:
    """The fp32 graph of each tiny torch network, made once."""
    paths = {}
    for name in ("iresnet", "ir", "adaface"):
        paths[name] = tmp_path_factory.mktemp(name) / "model.onnx"
        first = write(name, paths[name])
        assert first.parity, first.parity.failures
    return paths


def write(name, path, seed=0):
    return NETWORKS[name].write_onnx(CONTRACT, WeightsRequest(seed=seed), TOLERANCES["fp32"], path)


@pytest.mark.parametrize("name", ["iresnet", "ir", "adaface"])
def test_the_graph_is_the_contract(name, graphs):
    model = onnx.load(graphs[name])
    onnx.checker.check_model(model, full_check=True)

    assert graph_mismatches(CONTRACT, model.graph) == []
    assert [item.version for item in model.opset_import] == [OPSET]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


@pytest.mark.parametrize("name", ["iresnet", "ir", "adaface"])
def test_the_graph_runs_at_any_batch_and_a_sample_does_not_know_its_batch(name, graphs):
    images = example_images(5, 112, seed=1)
    cases = [{"crop_112": images}, *({"crop_112": images[i : i + 1]} for i in range(5))]
    together, *alone = (case["embedding"] for case in run_onnx(graphs[name], cases))

    assert_allclose(together, np.concatenate(alone), atol=1e-5)
    assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_convolutions_have_swallowed_the_batch_norms_behind_them(graphs):
    nodes = onnx.load(graphs["iresnet"]).graph.node
    convolved = {name for node in nodes if node.op_type == "Conv" for name in node.output}
    normalised = {node.input[0] for node in nodes if node.op_type == "BatchNormalization"}

    assert not convolved & normalised


def test_adaface_sees_blue_first(graphs):
    """Same seed, same weights: swapping the colours of the input must give TFace's embedding."""
    image = example_images(2, 112, seed=4)
    swapped = np.ascontiguousarray(image[:, ::-1])
    wrap, network = FaceRecognizer, NETWORKS["ir"].make().eval()
    bgr = wrap(network, is_bgr=True).eval()
    with torch.inference_mode():
        expected = wrap(network).eval()(torch.from_numpy(image))
        found = bgr(torch.from_numpy(swapped))

    torch.testing.assert_close(found, expected)
    (rgb,), (flipped,) = (
        run_onnx(graphs["adaface"], [{"crop_112": array}]) for array in (image, swapped)
    )
    assert np.abs(rgb["embedding"] - flipped["embedding"]).max() > 1e-3


def test_nothing_of_this_machine_is_in_the_graph(graphs):
    content = graphs["iresnet"].read_bytes()
    texts = b"\n".join(re.findall(rb"[ -~]{6,}", content))

    for trace in (ROOT, Path.home(), Path(torch.__file__).parents[1]):
        assert str(trace).encode() not in content
    assert b".py" not in texts
    assert b"Traceback" not in texts
    assert f"/{getpass.getuser()}/".encode() not in texts


def test_the_same_seed_gives_the_same_file_and_another_seed_another(graphs, tmp_path):
    write("iresnet", tmp_path / "same.onnx", seed=0)
    write("iresnet", tmp_path / "other.onnx", seed=1)

    assert (tmp_path / "same.onnx").read_bytes() == graphs["iresnet"].read_bytes()
    assert (tmp_path / "other.onnx").read_bytes() != graphs["iresnet"].read_bytes()


def test_the_exporters_own_threads_do_not_change_the_file(graphs, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        write("iresnet", tmp_path / "model.onnx")
    finally:
        torch.set_num_threads(before)

    assert (tmp_path / "model.onnx").read_bytes() == graphs["iresnet"].read_bytes()


def test_fp16_halves_the_file_and_keeps_the_interface(graphs, tmp_path):
    path = tmp_path / "half.onnx"
    convert_to_fp16(graphs["iresnet"], CONTRACT, path, fp32_op_types=SPEC.fp32_op_types)
    cases = example_cases(dataclasses.replace(CONTRACT, max_batch_size=4))
    report = compare(run_onnx(graphs["iresnet"], cases), run_onnx(path, cases), TOLERANCES["fp16"])

    assert report, report.failures
    assert path.stat().st_size < 0.6 * graphs["iresnet"].stat().st_size
    assert graph_mismatches(CONTRACT, onnx.load(path).graph) == []


def test_in_fp16_preprocessing_and_norm_stay_fp32(graphs, tmp_path):
    path = tmp_path / "half.onnx"
    convert_to_fp16(graphs["iresnet"], CONTRACT, path, fp32_op_types=SPEC.fp32_op_types)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    halves = {
        value.name
        for value in graph.value_info
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    }
    blocked = [node for node in graph.node if node.op_type in SPEC.fp32_op_types]

    assert len(blocked) == len(SPEC.fp32_op_types) + 1  # Div twice
    assert not halves & {name for node in blocked for name in (*node.input, *node.output)}
    convolved = [node.output[0] for node in graph.node if node.op_type == "Conv"]
    assert convolved
    assert set(convolved) <= halves


def test_int8_is_symmetric_per_channel_and_close_on_images_it_has_not_seen(graphs, tmp_path):
    path = tmp_path / "int8.onnx"
    images = {"crop_112": example_images(24, 112, seed=1)}
    convert_to_int8(graphs["iresnet"], CONTRACT, images, path)
    model = onnx.load(path)
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    quantized = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    cases = [{"crop_112": example_images(8, 112, seed=2)}]
    report = compare(run_onnx(graphs["iresnet"], cases), run_onnx(path, cases), TOLERANCES["int8"])

    assert report, report.failures
    assert all(not constants[node.input[2]].any() for node in quantized)
    assert all(constants[node.input[2]].dtype == np.int8 for node in quantized)
    assert max(constants[node.input[1]].size for node in quantized) == 512
    assert graph_mismatches(CONTRACT, model.graph) == []
    assert str(tmp_path).encode() not in path.read_bytes()


def test_int8_reads_int8_into_every_product(graphs, tmp_path):
    path = tmp_path / "int8.onnx"
    images = {"crop_112": example_images(8, 112, seed=1)}
    convert_to_int8(graphs["iresnet"], CONTRACT, images, path)
    nodes = onnx.load(path).graph.node
    dequantized = {n.output[0] for n in nodes if n.op_type == "DequantizeLinear"}
    products = [node for node in nodes if node.op_type in ("Conv", "Gemm")]

    assert products
    assert all(set(node.input[:2]) <= dequantized for node in products)


class WrongName(torch.nn.Module):
    def forward(self, crop_112: torch.Tensor) -> torch.Tensor:
        return crop_112.mean(dim=(2, 3))


def test_a_module_that_is_not_the_contract_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"'embedding' has dims \[3\].*\[512\]"):
        export_onnx(WrongName(), CONTRACT, tmp_path / "model.onnx")


class FixedBatch(torch.nn.Module):
    def forward(self, crop_112: torch.Tensor) -> torch.Tensor:
        return crop_112.reshape(2, -1)[:, :512]


def test_a_module_that_fixes_the_batch_is_refused(tmp_path):
    """torch 2.13 exports it without a word; the contract notices."""
    with pytest.raises(ContractError, match="the first must be a free batch"):
        export_onnx(FixedBatch(), CONTRACT, tmp_path / "model.onnx")


def test_examples_are_seeded_images_of_full_range():
    images, noise = example_images(4, 112, seed=1), example_noise(4, 112, seed=1)

    assert np.array_equal(images, example_images(4, 112, seed=1))
    assert not np.array_equal(images, example_images(4, 112, seed=2))
    for array in (images, noise):
        assert array.shape == (4, 3, 112, 112)
        assert array.dtype == np.float32
        assert 0 <= array.min() < 20
        assert 235 < array.max() <= 255
    steps = [np.abs(np.diff(array, axis=-1)).mean() for array in (images, noise)]
    assert steps[0] < 0.15 * steps[1]  # smooth, as photographs are


def test_a_grey_input_is_shown_images_too():
    """Values of unit variance would all be black to a network of 0..255."""
    contract = read_config(CONTRACTS / "expression_judge/config.pbtxt")
    cases = example_cases(dataclasses.replace(contract, max_batch_size=4))

    for name in ("onset", "apex"):
        arrays = [case[name] for case in (*cases, example_batch(contract, 4, seed=0))]
        assert [array.shape for array in arrays] == [(n, 1, 44, 44) for n in (1, 1, 4, 4)]
        assert all(np.ptp(array) > 150 for array in arrays)
        assert all(array.min() >= 0 and array.max() <= 255 for array in arrays)
    assert not np.array_equal(cases[0]["onset"], cases[0]["apex"])


ONE = {"embedding": np.eye(3, dtype=np.float32)}
ANY = {"embedding": Tolerance("any", min_cosine=0.9, max_abs=0.1)}


@pytest.mark.parametrize(
    ("found", "failure"),
    [
        pytest.param({"other": ONE["embedding"]}, "outputs are", id="name"),
        pytest.param({"embedding": np.eye(3)}, "is float64, expected float32", id="dtype"),
        pytest.param({"embedding": ONE["embedding"][:2]}, "has shape", id="shape"),
        pytest.param({"embedding": -ONE["embedding"]}, "cosine -1.000000", id="direction"),
        pytest.param({"embedding": 2 * ONE["embedding"]}, "off by 1", id="size"),
        pytest.param({"embedding": np.float32(np.nan) * ONE["embedding"]}, "NaN", id="nan"),
    ],
)
def test_parity_names_what_differs(found, failure):
    report = compare([ONE], [found], ANY)

    assert not report
    assert failure in report.failures[0]
    with pytest.raises(ParityError, match="x does not compute what its source does"):
        report.raise_if_failed("x")


def test_parity_of_a_thing_with_itself_is_perfect():
    report = compare([ONE, ONE], [ONE, ONE], ANY)

    assert report
    perfect = {"min_cosine": 1.0, "max_abs": 0.0, "max_relative": 0.0}
    assert report.outputs == {"embedding": perfect}
    assert report.batches == (3, 3)


def test_one_bad_row_of_a_batch_is_enough():
    bad = ONE["embedding"].copy()
    bad[2] = bad[1]

    assert compare([ONE], [{"embedding": bad}], ANY).outputs["embedding"]["min_cosine"] == 0


@pytest.mark.parametrize(("factor", "is_good"), [(1.009, True), (1.011, False), (0.9, False)])
def test_the_length_of_a_difference_is_measured_row_by_row_in_lengths_of_the_wanted(
    factor, is_good
):
    wanted = np.array([[300.0, 400.0], [0.03, 0.04]], np.float32)
    found = wanted * np.array([[1.0], [factor]], np.float32)
    tolerances = {"eps": Tolerance("one in a hundred", max_relative=0.01)}

    report = compare([{"eps": wanted}], [{"eps": found}], tolerances)

    assert bool(report) is is_good
    assert report.outputs["eps"]["max_relative"] == pytest.approx(abs(factor - 1), rel=1e-3)
    assert is_good or "of its length, expected at most 0.01" in report.failures[0]


def test_rows_of_zeros_are_equal_to_themselves_only():
    zeros = {"embedding": np.zeros((2, 3), np.float32)}

    assert compare([zeros], [zeros], ANY)
    assert not compare([zeros], [{"embedding": zeros["embedding"] + np.float32(0.01)}], ANY)


def test_resize_to_fixed_sizes_becomes_a_scale_so_that_batches_pass():
    """Feature pyramids were exported with the size of one image, the batch included."""
    sizes = numpy_helper.from_array(np.array([1, 3, 16, 16], np.int64), "sizes")
    resize = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest")
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 16, 16])
    graph = helper.make_graph([resize], "g", [x], [y], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)

    free_batch(model, (3, 8, 8))

    image = np.random.default_rng(0).random((2, 3, 8, 8)).astype(np.float32)
    found = onnx.reference.ReferenceEvaluator(model).run(None, {"x": image})[0]
    assert np.array_equal(found, image.repeat(2, axis=2).repeat(2, axis=3))


def test_the_handmade_model_of_the_other_tests_is_a_recognizer():
    assert graph_mismatches(CONTRACT, make_handmade_model(0).graph) == []
