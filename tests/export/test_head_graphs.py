# SPDX-License-Identifier: Apache-2.0
"""flame_decoder and texture_decoder through the real build, against numpy in float64."""

import hashlib

import numpy as np
import onnx
import pytest

from mien_export.check import check_repository
from mien_export.contract import read_config
from mien_export.errors import CheckpointError, ParityError
from mien_export.head_model import read_head
from mien_export.manifest import read_manifest
from mien_export.parity import example_cases, run_onnx
from mien_export.texture_space import read_texture_space

from .flame_oracle import decode_all
from .small_heads import ROOT, head_arrays, save_albedo, save_head
from .tiny import CONTRACTS, build

FLAME = read_config(CONTRACTS / "flame_decoder/config.pbtxt")
TEXTURE = read_config(CONTRACTS / "texture_decoder/config.pbtxt")
REAL = {"flame_decoder": "head.npz", "texture_decoder": "albedo.npz"}
BOTH = frozenset(REAL)
# What a graph that TensorRT takes and that does not depend on values is free of.
FOREIGN_OPS = {"If", "Loop", "Scan", "Einsum", "NonZero", "Shape", "IsNaN", "ScatterND"}


@pytest.fixture(scope="module", params=["small", "starter"])
def files(request, tmp_path_factory):
    if request.param == "starter":
        return {model: ROOT / "starter/weights" / name for model, name in REAL.items()}
    folder = tmp_path_factory.mktemp("files")
    arrays = head_arrays()
    return {
        "flame_decoder": save_head(folder / "head.npz", arrays),
        "texture_decoder": save_albedo(folder / "albedo.npz"),
    }


@pytest.fixture(scope="module")
def built(files, tmp_path_factory):
    target = tmp_path_factory.mktemp("built") / "repository"
    build(target, models=BOTH, checkpoints=files, precisions=("fp32", "fp16"), random_seed=None)
    return target


@pytest.mark.parametrize(
    ("file", "atol"), [("model.onnx", 1e-6), ("model.fp16.onnx", 1e-4)], ids=["fp32", "fp16"]
)
def test_the_head_graph_is_the_papers_in_every_batch(built, files, file, atol):
    head, cases = read_head(files["flame_decoder"]), example_cases(FLAME, seed=50)
    cases[-1] = {name: array[:6] for name, array in cases[-1].items()}
    for case in cases:
        case["pose"] = case["pose"] * np.float32(0.5)  # radians
    found = run_onnx(built / "flame_decoder/1" / file, cases)

    for case, outputs in zip(cases, found, strict=True):
        for name, wanted in decode_all(head, case).items():
            np.testing.assert_allclose(outputs[name], wanted, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize(
    ("file", "atol"), [("model.onnx", 1e-5), ("model.fp16.onnx", 2e-3)], ids=["fp32", "fp16"]
)
def test_the_albedo_graph_is_the_linear_space_clamped(built, files, file, atol):
    space, cases = read_texture_space(files["texture_decoder"]), example_cases(TEXTURE, seed=50)
    cases = [{name: array[:3] for name, array in case.items()} for case in cases]
    found = run_onnx(built / "texture_decoder/1" / file, cases)

    for case, outputs in zip(cases, found, strict=True):
        flat = space.basis.astype(np.float64) @ case["texture"].T + space.mean[..., None]
        wanted = np.clip(flat, 0, 1).transpose(3, 2, 0, 1)
        np.testing.assert_allclose(outputs["albedo"], wanted, rtol=0, atol=atol)


def test_the_graphs_are_products_and_gathers_only(built):
    for model in BOTH:
        graph = onnx.load(built / model / "1/model.onnx").graph
        assert not {node.op_type for node in graph.node} & FOREIGN_OPS


def test_half_precision_halves_the_bases_and_nothing_else(built):
    for model in BOTH:
        half, single = (
            (built / model / "1" / name).stat().st_size
            for name in ("model.fp16.onnx", "model.onnx")
        )
        graph = onnx.load(built / model / "1/model.fp16.onnx").graph
        halves = [item for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT16]

        saved = 2 * sum(int(np.prod(item.dims)) for item in halves)
        assert abs(single - half - saved) < 5000  # the casts
        assert saved > 0.35 * single
        assert len(halves) == (2 if model == "flame_decoder" else 1)


def test_products_in_true_half_precision_would_stay_within_a_tenth_of_a_millimetre(files):
    """onnxruntime computes fp16 graphs in fp32 on a CPU; this is what a GPU does."""
    head = read_head(files["flame_decoder"])
    case = example_cases(FLAME, seed=50)[-1]
    codes = np.concatenate([case["shape"], case["expression"]], axis=1)
    exact = np.tensordot(codes, head.shapedirs.astype(np.float64), axes=(1, 2))
    halves = codes.astype(np.float16).astype(np.float32), head.shapedirs.astype(np.float16)
    product = np.tensordot(halves[0], halves[1].astype(np.float32), axes=(1, 2))

    error = np.abs(product.astype(np.float16).astype(np.float64) - exact)
    assert 0 < error.max() < 1e-4


def test_a_repository_with_them_checks_out_and_is_trained(built, files):
    report = check_repository(built)

    assert report, report
    for model in BOTH:
        weights = read_manifest(built / model).weights
        assert weights["source"] == "checkpoint"
        assert weights["sha256"] == hashlib.sha256(files[model].read_bytes()).hexdigest()
        assert read_manifest(built / model).untrained is False


def test_the_other_yaw_convention_is_a_choice_of_network(target, tmp_path):
    head = save_head(tmp_path / "head.npz")
    build(target, models=frozenset({"flame_decoder"}), checkpoints={"flame_decoder": head},
          networks={"flame_decoder": "flame_negative_yaw"}, random_seed=None)  # fmt: skip
    case = {name: array[:1] for name, array in example_cases(FLAME)[0].items()}
    case["pose"] = np.zeros((1, 15), np.float32)
    case["pose"][0, 1] = 0.4
    found = run_onnx(target / "flame_decoder/1/model.onnx", [case])[0]["contour_landmarks_3d"]

    wanted, other = (
        decode_all(read_head(head), case, sign)["contour_landmarks_3d"] for sign in (-1, 1)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.abs(found - other).max() > 1e-3


@pytest.mark.parametrize("model", sorted(BOTH))
def test_data_is_never_random(target, model):
    with pytest.raises(CheckpointError, match=rf"{model} has no weights.*{model}=PATH\.$"):
        build(target, models=frozenset({model}), random_seed=0)
    assert not target.exists()


def test_a_file_of_another_kind_fails_the_build_and_publishes_nothing(target, tmp_path):
    albedo = save_albedo(tmp_path / "albedo.npz")

    with pytest.raises(CheckpointError, match=r"albedo\.npz lacks J_regressor"):
        build(target, models=frozenset({"flame_decoder"}), checkpoints={"flame_decoder": albedo})
    assert not target.exists()


def test_coefficients_too_large_for_a_half_are_told_apart(target, tmp_path):
    """A basis in millimetres: the graph is right, its fp16 variant is not and is not published."""
    arrays = head_arrays()
    head = save_head(tmp_path / "head.npz", shapedirs=arrays["shapedirs"] * 1000)

    with pytest.raises(ParityError, match="flame_decoder fp"):
        build(target, models=frozenset({"flame_decoder"}), checkpoints={"flame_decoder": head},
              precisions=("fp32", "fp16"), random_seed=None)  # fmt: skip
    assert not target.exists()
