# SPDX-License-Identifier: Apache-2.0
"""Repositories with generative networks: from one published file, checked, left out by default."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from mien_export.check import check_repository
from mien_export.errors import CheckpointError
from mien_export.manifest import read_manifest, sha256_of_file
from mien_export.networks.autoencoder import LatentDecoder, LatentEncoder
from mien_export.parity import run_onnx
from mien_export.registry import SPECS

from .tiny import build
from .tiny_generators import TINY_VQ, with_lively_weights

HALVES = {"latent_encoder": LatentEncoder, "latent_decoder": LatentDecoder}
GENERATORS = {*HALVES, "face_denoiser", "style_encoder", "identity_denoiser"}


def make_specs():
    """The real specs, the published autoencoder in a tiny size."""
    specs = dict(SPECS)
    for model, make in HALVES.items():
        network = dataclasses.replace(
            SPECS[model].networks["vq_f4"],
            config=TINY_VQ,
            make=functools.partial(make, TINY_VQ),
        )
        specs[model] = dataclasses.replace(SPECS[model], networks={"vq_f4": network})
    return specs


@pytest.fixture
def halves():
    return {model: with_lively_weights(make(TINY_VQ), 5) for model, make in HALVES.items()}


@pytest.fixture
def ldm_file(halves, tmp_path):
    """A whole latent diffusion model, as trained."""
    state = {"model.diffusion_model.out.weight": torch.ones(2), "betas": torch.ones(1000)}
    for network in halves.values():
        state |= {f"first_stage_model.{key}": value for key, value in network.state_dict().items()}
    path = tmp_path / "ldm.ckpt"
    torch.save({"state_dict": state, "global_step": 7}, path)
    return path


def test_one_file_fills_both_halves_of_the_autoencoder(halves, ldm_file, target):
    build(
        target,
        make_specs(),
        models=frozenset(HALVES),
        checkpoints=dict.fromkeys(HALVES, ldm_file),
        precisions=("fp32", "fp16"),
    )
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 128, 128)).astype(np.float32)
    (latent,) = run_onnx(target / "latent_encoder/1/model.onnx", [{"image_128": image}])
    (picture,) = run_onnx(target / "latent_decoder/1/model.onnx", [latent])
    with torch.inference_mode():
        z = halves["latent_encoder"](torch.from_numpy(image) / 127.5 - 1)
        decoded = halves["latent_decoder"](torch.from_numpy(latent["z"]))

    np.testing.assert_allclose(latent["z"], z.numpy(), atol=1e-4 * float(z.abs().max()))
    wanted = np.clip(decoded.numpy() * 127.5 + 127.5, 0, 255)
    np.testing.assert_allclose(picture["image_128"], wanted, atol=0.1)
    for model in HALVES:
        manifest = read_manifest(target / model)
        assert manifest.weights["sha256"] == sha256_of_file(ldm_file)
        assert set(manifest.graphs) == {"1/model.onnx", "1/model.fp16.onnx"}
        assert not manifest.untrained
    assert check_repository(target)


def test_half_a_file_publishes_nothing(halves, target, tmp_path):
    path = tmp_path / "first_stage_encoder_state_dict.pt"
    torch.save(halves["latent_encoder"].state_dict(), path)

    with pytest.raises(CheckpointError, match=r"quantize\.embedding\.weight"):
        build(
            target,
            make_specs(),
            models=frozenset(HALVES),
            checkpoints=dict.fromkeys(HALVES, path),
        )
    assert not target.exists()


def test_generators_are_left_out_unless_asked_for(target):
    build(target)

    assert not {path.name for path in target.iterdir()} & GENERATORS
