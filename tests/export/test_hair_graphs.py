# SPDX-License-Identifier: Apache-2.0
"""Graphs of hair through the real export path: tiny ones, and the starters in their own size."""

import dataclasses
import functools

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose

from mien_export.contract import graph_mismatches, read_config
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.networks.hair_segmenter import (
    HAIR_SEGMENTER,
    HairSegmenter,
    HairSegmenterConfig,
    Likelihoods,
)
from mien_export.networks.hair_vae_decoder import HairVaeDecoder
from mien_export.networks.hair_vae_encoder import HairVaeEncoder
from mien_export.parity import compare, example_cases, run_onnx
from mien_export.spec import WeightsRequest
from mien_export.specs import hair_segmenter, hair_vae_decoder, hair_vae_encoder

from .test_hair_vae import TINY as TINY_VAE
from .tiny import CONTRACTS
from .weights import count_parameters

SPECS = {
    spec.SPEC.model: spec.SPEC for spec in (hair_segmenter, hair_vae_decoder, hair_vae_encoder)
}
STARTERS = {
    "hair_vae_decoder": "vae_narrow",
    "hair_vae_encoder": "vae_narrow",
    "hair_segmenter": "segmenter",
}
TINY_SEGMENTER = HairSegmenterConfig(widths=(4, 4, 4, 4, 4), blocks=(0, 0, 0, 0, 1), expansion=1)
TINY_LATENT = dataclasses.replace(TINY_VAE, latent=512)  # as the contracts have it
TINY = {
    "hair_vae_decoder": (HairVaeDecoder, TINY_LATENT),
    "hair_vae_encoder": (HairVaeEncoder, TINY_LATENT),
    "hair_segmenter": (HairSegmenter, TINY_SEGMENTER),
}


def contract_of(model, max_batch_size=4):
    contract = read_config(CONTRACTS / model / "config.pbtxt")
    return dataclasses.replace(contract, max_batch_size=max_batch_size)


def write(network, model, path):
    contract, tolerances = contract_of(model), SPECS[model].tolerances["fp32"]
    return network.write_onnx(contract, WeightsRequest(seed=1), tolerances, path)


@pytest.fixture(scope="module", params=TINY)
def tiny(request, tmp_path_factory):
    """Name, file and report of a graph of the real spec in a tiny size."""
    model = request.param
    make, config = TINY[model]
    network = SPECS[model].networks[STARTERS[model]]
    network = dataclasses.replace(network, config=config, make=functools.partial(make, config))
    path = tmp_path_factory.mktemp(model) / "model.onnx"
    return model, path, write(network, model, path)


def test_a_graph_computes_what_its_source_does_and_is_the_contract(tiny):
    model, path, first = tiny

    assert first.parity, first.parity.failures
    assert graph_mismatches(contract_of(model), onnx.load(path).graph) == []


def test_a_graph_draws_no_random_numbers(tiny):
    _, path, _ = tiny

    assert not [n.op_type for n in onnx.load(path).graph.node if n.op_type.startswith("Random")]


def test_a_sample_does_not_know_its_batch(tiny):
    model, path, _ = tiny
    *_, batch = example_cases(contract_of(model))
    alone = [{name: array[i : i + 1] for name, array in batch.items()} for i in range(4)]
    together, *apart = run_onnx(path, [batch, *alone])

    for name, array in together.items():
        scale = np.abs(array).max()
        assert_allclose(array, np.concatenate([a[name] for a in apart]), atol=1e-5 * scale)


def keeps_its_tolerance_in_fp16(model, path, half):
    spec, cases = SPECS[model], example_cases(contract_of(model))
    convert_to_fp16(path, contract_of(model), half, fp32_op_types=spec.fp32_op_types)
    report = compare(run_onnx(path, cases), run_onnx(half, cases), spec.tolerances["fp16"])

    assert report, report.failures


def test_a_tiny_graph_keeps_its_tolerance_in_fp16(tiny, tmp_path):
    model, path, _ = tiny

    keeps_its_tolerance_in_fp16(model, path, tmp_path / "half.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("model", STARTERS)
def test_starters_keep_their_tolerances(model, tmp_path):
    network = SPECS[model].networks[STARTERS[model]]
    first = write(network, model, tmp_path / "model.onnx")

    assert first.parity, first.parity.failures
    keeps_its_tolerance_in_fp16(model, tmp_path / "model.onnx", tmp_path / "half.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "parameters"), [("hair_vae_encoder", 13_285_984), ("hair_vae_decoder", 16_037_381)]
)
def test_the_full_vae_computes_what_its_source_does(model, parameters, tmp_path):
    first = write(SPECS[model].networks["vae"], model, tmp_path / "model.onnx")

    assert first.parity, first.parity.failures
    assert first.parameters == parameters


def test_the_segmenter_is_within_two_megabytes():
    assert 2 * count_parameters(HairSegmenter, HAIR_SEGMENTER) < 2e6


def test_probabilities_of_hair_and_body_are_the_last_two_of_three_classes():
    class Sure(torch.nn.Module):
        """Sees -1..1; hair where it is bright, body where it is dark, nothing where it is grey."""

        def forward(self, x):
            grey = x.mean(dim=1)
            return 100 * torch.stack([0.5 - grey.abs(), grey - 0.5, -grey - 0.5], dim=1)

    image = torch.tensor([0.0, 127.5, 255.0]).expand(1, 3, 4, 3)
    masks = Likelihoods(Sure())(image)

    torch.testing.assert_close(masks[0, 0], torch.tensor([0.0, 0.0, 1.0]).expand(4, 3))
    torch.testing.assert_close(masks[0, 1], torch.tensor([1.0, 0.0, 0.0]).expand(4, 3))


def test_a_segmenter_moves_with_what_it_sees():
    """Shifted by a coarsest cell, away from the borders."""
    torch.manual_seed(0)
    network = HairSegmenter(TINY_SEGMENTER).eval()
    image = torch.zeros(1, 3, 256, 256)
    image[:, :, 100:140, 90:130] = torch.rand(3, 40, 40)
    moved = torch.roll(image, (32, 32), dims=(2, 3))
    inner = slice(96, 160)
    with torch.inference_mode():
        before, after = network(image)[..., inner, inner], network(moved)[..., 128:192, 128:192]

    assert before.std() > 1e-3
    torch.testing.assert_close(before, after, rtol=0, atol=1e-4)


def test_a_crop_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="multiple of 32"):
        HairSegmenterConfig(image_px=200)
