# SPDX-License-Identifier: Apache-2.0
"""Repositories with the face networks: from one published file, from random weights, checked."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from mien_export.check import check_repository
from mien_export.errors import CheckpointError
from mien_export.manifest import read_manifest, sha256_of_file
from mien_export.networks.deca import DecaEncoder
from mien_export.networks.deca_detail import DetailGenerator
from mien_export.parity import run_onnx
from mien_export.registry import SPECS

from .tiny import build
from .tiny_faces import TINY_ENCODER, TINY_GENERATOR

ENTRIES = {
    "deca_encoder": ("E_flame", "resnet50", DecaEncoder, TINY_ENCODER),
    "detail_encoder": (
        "E_detail", "resnet50", DecaEncoder, dataclasses.replace(TINY_ENCODER, outputs=128)
    ),
    "detail_decoder": ("D_detail", "deca", DetailGenerator, TINY_GENERATOR),
}  # fmt: skip


def make_specs():
    """The real specs, the published networks in a tiny size."""
    specs = dict(SPECS)
    for model, (_, name, make, config) in ENTRIES.items():
        network = dataclasses.replace(
            SPECS[model].networks[name], config=config, make=functools.partial(make, config)
        )
        specs[model] = dataclasses.replace(SPECS[model], networks={name: network})
    return specs


@pytest.fixture
def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(3)
    return {entry: make(config).eval() for entry, _, make, config in ENTRIES.values()}


@pytest.fixture
def deca_file(networks, tmp_path):
    path = tmp_path / "deca_model.tar"
    torch.save({entry: network.state_dict() for entry, network in networks.items()}, path)
    return path


def test_one_deca_file_fills_three_models(networks, deca_file, target):
    build(
        target,
        make_specs(),
        models=frozenset(ENTRIES),
        checkpoints=dict.fromkeys(ENTRIES, deca_file),
        licences=dict.fromkeys(ENTRIES, "MPI non-commercial"),
    )
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 224, 224)).astype(np.float32)
    codes = np.random.default_rng(1).standard_normal((2, 181)).astype(np.float32)
    inputs = {"face_224": image, "jaw_expression_detail": codes}
    fed = {"face_224": torch.from_numpy(image) / 255, "jaw_expression_detail": torch.tensor(codes)}
    for model, (entry, name, *_) in ENTRIES.items():
        taken = "jaw_expression_detail" if model == "detail_decoder" else "face_224"
        (found,) = run_onnx(target / model / "1/model.onnx", [{taken: inputs[taken]}])
        with torch.inference_mode():
            expected = networks[entry](fed[taken]).numpy()
        np.testing.assert_allclose(next(iter(found.values())), expected, atol=1e-5)
        manifest = read_manifest(target / model)
        assert manifest.weights["network"] == name
        assert manifest.weights["sha256"] == sha256_of_file(deca_file)
        assert manifest.weights["licence"] == "MPI non-commercial"
        assert not manifest.untrained

    assert check_repository(target)


def test_a_deca_file_that_lacks_a_network_publishes_nothing(deca_file, target):
    content = torch.load(deca_file, weights_only=True)
    del content["D_detail"]
    torch.save(content, deca_file)

    with pytest.raises(CheckpointError, match=r"1 missing: D_detail\."):
        build(
            target,
            make_specs(),
            models=frozenset(ENTRIES),
            checkpoints=dict.fromkeys(ENTRIES, deca_file),
        )
    assert not target.exists()


def test_the_landmarker_is_built_in_both_precisions_and_checked_output_by_output(target):
    build(target, models=frozenset({"face_landmarker"}), precisions=("fp32", "fp16"))
    graphs = read_manifest(target / "face_landmarker").graphs

    assert check_repository(target)
    for graph in graphs.values():
        outputs = graph["parity"]["outputs"]
        assert set(outputs) == {"landmarks_68", "landmarks", "face_score"}
        assert all(outputs[name]["max_abs"] < 0.5 for name in outputs)


def test_the_face_networks_are_left_out_unless_asked_for(target):
    build(target)

    assert not {path.name for path in target.iterdir()} & {*ENTRIES, "mica_encoder"}
