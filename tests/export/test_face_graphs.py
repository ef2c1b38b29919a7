# SPDX-License-Identifier: Apache-2.0
"""The face networks through the real export path: tiny ones, and the starters in their own size."""

import dataclasses
import functools

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from mien_export.checkpoints import rename_nothing
from mien_export.contract import graph_mismatches, read_config
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.networks.deca import DecaEncoder
from mien_export.networks.deca_detail import DETAIL_GENERATOR, DetailGenerator
from mien_export.networks.landmarker import FaceLandmarker
from mien_export.networks.mica import Mica
from mien_export.onnx_from_torch import export_onnx
from mien_export.parity import compare, example_cases, run_onnx
from mien_export.spec import WeightsRequest
from mien_export.specs import (
    deca_encoder,
    detail_decoder,
    detail_encoder,
    face_landmarker,
    mica_encoder,
)
from mien_export.wrappers import LandmarksInPixels, SignedRange, UnitRange

from .tiny import CONTRACTS
from .tiny_faces import TINY_ENCODER, TINY_GENERATOR, TINY_LANDMARKER, TINY_MICA

SPECS = {
    module.SPEC.model: module.SPEC
    for module in (deca_encoder, detail_decoder, detail_encoder, face_landmarker, mica_encoder)
}
TINY = {
    "deca_encoder": (DecaEncoder, TINY_ENCODER),
    "detail_encoder": (DecaEncoder, dataclasses.replace(TINY_ENCODER, outputs=128)),
    "detail_decoder": (DetailGenerator, TINY_GENERATOR),
    "mica_encoder": (Mica, TINY_MICA),
    "face_landmarker": (FaceLandmarker, TINY_LANDMARKER),
}
STARTERS = {
    "deca_encoder": "resnet16_half",
    "detail_encoder": "resnet16_narrow",
    "detail_decoder": "deca_narrow",
    "mica_encoder": "mica_narrow",
    "face_landmarker": "landmarker",
}
PUBLISHED = {
    "deca_encoder": ("resnet50", 25_848_108),
    "detail_encoder": ("resnet50", 25_737_408),
    "detail_decoder": ("deca", 1_773_345),
    "mica_encoder": ("mica", 65_671_260),
}


def contract_of(model, max_batch_size=4):
    contract = read_config(CONTRACTS / model / "config.pbtxt")
    return dataclasses.replace(contract, max_batch_size=max_batch_size)


def tiny_network(model):
    """The network of the real spec, in a tiny size."""
    make, config = TINY[model]
    network = SPECS[model].networks[STARTERS[model]]
    return dataclasses.replace(network, config=config, make=functools.partial(make, config))


def write(network, model, path):
    contract, tolerances = contract_of(model), SPECS[model].tolerances["fp32"]
    return network.write_onnx(contract, WeightsRequest(seed=1), tolerances, path)


@pytest.fixture(scope="module")
def starters(tmp_path_factory):
    """The fp32 graph of each starter with random weights, made once."""
    paths = {}
    for model, name in STARTERS.items():
        paths[model] = tmp_path_factory.mktemp(model) / "model.onnx"
        first = write(SPECS[model].networks[name], model, paths[model])
        assert first.parity, first.parity.failures
    return paths


@pytest.mark.parametrize("model", TINY)
def test_a_tiny_graph_computes_what_its_source_does_and_is_the_contract(model, tmp_path):
    first = write(tiny_network(model), model, tmp_path / "model.onnx")

    assert first.parity, first.parity.failures
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert graph_mismatches(contract_of(model), graph) == []
    assert set(first.parity.outputs) == {tensor.name for tensor in contract_of(model).outputs}


@pytest.mark.parametrize("model", STARTERS)
def test_a_sample_does_not_know_its_batch(model, starters):
    *_, batch = example_cases(contract_of(model, 5))
    alone = [{name: array[i : i + 1] for name, array in batch.items()} for i in range(5)]
    together, *apart = run_onnx(starters[model], [batch, *alone])

    for name, array in together.items():
        scale = np.abs(array).max()
        assert_allclose(array, np.concatenate([a[name] for a in apart]), atol=1e-5 * scale)


@pytest.mark.parametrize("model", STARTERS)
def test_starters_keep_their_tolerance_in_fp16(model, starters, tmp_path):
    spec, path = SPECS[model], tmp_path / "half.onnx"
    convert_to_fp16(
        starters[model],
        contract_of(model),
        path,
        fp32_op_types=spec.fp32_op_types,
    )
    cases = example_cases(contract_of(model))
    report = compare(
        run_onnx(starters[model], cases), run_onnx(path, cases), spec.tolerances["fp16"]
    )

    assert report, report.failures
    assert path.stat().st_size < 16_000_000
    assert path.stat().st_size < 0.6 * starters[model].stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("model", PUBLISHED)
def test_published_sizes_compute_what_their_source_does(model, tmp_path):
    name, parameters = PUBLISHED[model]
    first = write(SPECS[model].networks[name], model, tmp_path / "model.onnx")

    assert first.parity, first.parity.failures
    assert first.parameters == parameters


@pytest.mark.parametrize("model", ["deca_encoder", "detail_encoder", "mica_encoder"])
def test_random_weights_tell_faces_apart_and_stay_tame(model, starters):
    *_, batch = example_cases(contract_of(model, 8))
    (outputs,) = run_onnx(starters[model], [batch])
    (codes,) = outputs.values()

    assert np.abs(codes).max() < 10
    assert (codes.std(axis=0) > 0).all()


def test_the_graph_of_the_detail_generator_keeps_eps_0_8(tmp_path):
    """Small variances: with the usual eps the map would be another one by far."""
    torch.manual_seed(0)
    generator = DetailGenerator(TINY_GENERATOR).eval()
    for norm in generator.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_var, 0.01, 0.1)
            nn.init.uniform_(norm.running_mean, -0.1, 0.1)
    path = tmp_path / "model.onnx"
    export_onnx(generator, contract_of("detail_decoder"), path)
    codes = torch.randn(3, 181)
    (found,) = run_onnx(path, [{"jaw_expression_detail": codes.numpy()}])
    with torch.inference_mode():
        expected = generator(codes).numpy()
        for norm in generator.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eps = 1e-5
        usual = generator(codes).numpy()

    assert_allclose(found["displacement"], expected, atol=1e-7)
    assert np.abs(usual - expected).max() > 1e-3


def test_the_first_norm_of_the_detail_generator_keeps_the_usual_eps(starters):
    nodes = onnx.load(starters["detail_decoder"]).graph.node
    norms = [node for node in nodes if node.op_type == "BatchNormalization"]
    epsilons = [a.f for node in norms for a in node.attribute if a.name == "epsilon"]

    # The other five are folded into the convolutions before them.
    assert epsilons == pytest.approx([1e-5])


def test_displacement_is_bounded_whatever_comes(starters):
    codes = np.full((1, 181), 1e6, np.float32)
    (found,) = run_onnx(starters["detail_decoder"], [{"jaw_expression_detail": codes}])

    assert np.abs(found["displacement"]).max() <= 0.01


def test_the_three_outputs_of_the_landmarker_are_not_mixed_up(tmp_path):
    """Every cell votes the same; point p is p pixels right of the middle and p / 2 above it."""
    network = FaceLandmarker(TINY_LANDMARKER).eval()
    points = torch.arange(73, dtype=torch.float32)
    cells = torch.stack([torch.zeros(73), points / 8, -points / 16], dim=1)
    with torch.no_grad():
        network.votes.weight.zero_()
        network.votes.bias.copy_(cells.flatten())
        network.face.weight.zero_()
        network.face.bias.fill_(np.log(3))
    path = tmp_path / "model.onnx"
    export_onnx(LandmarksInPixels(network), contract_of("face_landmarker"), path)
    (found,) = run_onnx(path, [{"face_128": np.zeros((2, 3, 128, 128), np.float32)}])
    expected = np.stack([64 + points, 64 - points / 2], axis=1)

    for row in range(2):
        assert_allclose(found["landmarks_68"][row], expected[:68], atol=1e-3)
        assert_allclose(found["landmarks"][row], expected[68:], atol=1e-3)
    assert_allclose(found["face_score"], 0.75, atol=1e-6)


class Extremes(nn.Module):
    """Gives what it was fed, channel by channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(dim=(2, 3))


@pytest.mark.parametrize(
    ("wrap", "expected"), [(UnitRange, [0.0, 0.5, 1.0]), (SignedRange, [-1.0, 0.0, 1.0])]
)
def test_wrappers_feed_the_range_a_network_was_trained_with(wrap, expected):
    image = torch.tensor([0.0, 127.5, 255.0]).reshape(1, 3, 1, 1).expand(1, 3, 8, 8)

    torch.testing.assert_close(wrap(Extremes())(image), torch.tensor([expected]))


class Corners(nn.Module):
    """Sees -1..1; finds the outer corners of the crop, and is sure of a face in a bright one."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        points = torch.ones(len(x), 73, 2)
        points[:, :68] = -1
        return points, 100 * x.mean(dim=(1, 2, 3), keepdim=False)[:, None]


def test_landmarks_come_in_pixels_of_the_crop():
    crops = torch.stack([torch.zeros(3, 128, 128), torch.full((3, 128, 128), 255.0)])
    landmarks_68, landmarks, score = LandmarksInPixels(Corners())(crops)

    assert torch.equal(landmarks_68, torch.zeros(2, 68, 2))
    assert torch.equal(landmarks, torch.full((2, 5, 2), 128.0))
    torch.testing.assert_close(score, torch.tensor([[0.0], [1.0]]))


def test_every_network_reads_files_whose_names_are_its_own():
    for spec in SPECS.values():
        assert all(network.rename is rename_nothing for network in spec.networks.values())


def test_the_full_detail_generator_is_within_reach_of_fp16(tmp_path):
    network = SPECS["detail_decoder"].networks["deca"]
    assert network.config == DETAIL_GENERATOR
    first = write(network, "detail_decoder", tmp_path / "model.onnx")
    convert_to_fp16(tmp_path / "model.onnx", contract_of("detail_decoder"), tmp_path / "half.onnx")
    cases = example_cases(contract_of("detail_decoder"))
    report = compare(
        run_onnx(tmp_path / "model.onnx", cases),
        run_onnx(tmp_path / "half.onnx", cases),
        SPECS["detail_decoder"].tolerances["fp16"],
    )

    assert first.parity
    assert report, report.failures
