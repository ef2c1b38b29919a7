# SPDX-License-Identifier: Apache-2.0
"""style_sampler: its file, its graph, and what generated images state of the weights."""

import numpy as np
import pytest

from mien_export.errors import CheckpointError
from mien_export.generator_digests import digest_parameters
from mien_export.manifest import read_manifest
from mien_export.parity import run_onnx
from mien_export.registry import SPECS
from mien_export.style_distribution import read_style_distribution

from .tiny import build

SCALE = 206  # of the camera


def planted(path, factor=None):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=236)
    mean[SCALE] = 8.0
    if factor is None:
        factor = np.linalg.cholesky(np.cov(rng.normal(size=(236, 2000))))
    np.savez(path, mean=mean, factor=factor)
    return mean, factor @ factor.T


def sampled(target, count):
    noise = np.random.default_rng(1).normal(size=(count, 236)).astype(np.float32)
    (answer,) = run_onnx(target / "style_sampler/1/model.onnx", [{"noise": noise}])
    return answer["codes"].astype(np.float64)


def test_codes_have_the_mean_and_the_covariance_of_the_file(tmp_path, target):
    mean, covariance = planted(tmp_path / "styles.npz")
    build(target, SPECS, models={"style_sampler"}, checkpoints={
        "style_sampler": tmp_path / "styles.npz"
    })  # fmt: skip

    codes = sampled(target, 8000)

    free = np.arange(236) != SCALE
    assert np.abs(codes.mean(axis=0) - mean)[free].max() < 0.06
    assert np.abs(np.cov(codes.T) - covariance)[np.ix_(free, free)].max() < 0.09
    assert not read_manifest(target / "style_sampler").untrained


def test_the_camera_is_never_turned_inside_out(tmp_path, target):
    factor = np.eye(236)
    factor[SCALE, SCALE] = 50
    planted(tmp_path / "styles.npz", factor)
    build(target, SPECS, models={"style_sampler"}, checkpoints={
        "style_sampler": tmp_path / "styles.npz"
    })  # fmt: skip

    scales = sampled(target, 200)[:, SCALE]

    assert scales.min() == 4.0
    assert scales.max() > 50


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(236)}, "lacks factor"),
        ({"mean": np.zeros(235), "factor": np.eye(236)}, r"mean has shape \(235,\)"),
        ({"mean": np.zeros(236), "factor": np.eye(235)}, r"factor has shape \(235, 235\)"),
        ({"mean": np.full(236, np.nan), "factor": np.eye(236)}, "finite numbers"),
    ],
)
def test_what_is_no_distribution_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "styles.npz", **arrays)

    with pytest.raises(CheckpointError, match=message):
        read_style_distribution(tmp_path / "styles.npz")


def test_images_state_all_weights_and_tokens_only_those_of_identities():
    weights = {"face_denoiser": "a", "face_recognizer": "b", "deca_encoder": "c"}

    first = digest_parameters("generate_faces", weights)
    other_denoiser = digest_parameters("generate_faces", {**weights, "face_denoiser": "z"})
    other_recognizer = digest_parameters("generate_faces", {**weights, "face_recognizer": "z"})

    assert first["generator"] != other_denoiser["generator"] != other_recognizer["generator"]
    assert first["identity_space"] == other_denoiser["identity_space"]
    assert first["identity_space"] != other_recognizer["identity_space"]
    sampler = digest_parameters("sample_identities", {**weights, "style_sampler": "s"})
    assert sampler == {"identity_space": first["identity_space"]}
    assert digest_parameters("verify_faces", weights) == {}
