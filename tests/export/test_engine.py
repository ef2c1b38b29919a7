# SPDX-License-Identifier: Apache-2.0
"""The engine builder against a stand-in for TensorRT, which refuses what TensorRT refuses."""

import ctypes
import json

import numpy as np
import pytest

from mien_export.build import build_repository
from mien_export.check import check_repository
from mien_export.contract import parse_config, read_config
from mien_export.cuda_driver import CudaDriver
from mien_export.engine_from_onnx import (
    EngineTools,
    build_engine,
    engine_file_name,
    network_flags,
    profile_batches,
    require_version,
)
from mien_export.errors import ConversionError, MissingToolError, ParityError
from mien_export.manifest import read_manifest
from mien_export.onnx_files import save_onnx
from mien_export.registry import PIPELINE_DEPENDENCIES

from .fake_tensorrt import FakeDevice, NoFlags, make_tensorrt
from .tiny import CONTRACTS, RecordingReporter, make_handmade_model, make_request, make_specs

CONTRACT = read_config(CONTRACTS / "face_recognizer/config.pbtxt")
VERSIONS = ["10.13.3.9", "11.4.0.106"]


def build(target, trt, precisions=("fp32", "tensorrt")):
    return build_repository(
        make_request(target, precisions=precisions),
        make_specs(),
        PIPELINE_DEPENDENCIES,
        RecordingReporter(),
        load_engines=lambda: EngineTools(trt, FakeDevice()),
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precisions", [("fp32", "tensorrt"), ("fp32", "fp16", "tensorrt")])
def test_an_engine_is_built_compared_and_recorded(version, precisions, tmp_path):
    target = tmp_path / "repository"
    build(target, make_tensorrt(version), precisions)
    name = f"model.trt{version}.sm90.plan"
    manifest = read_manifest(target / "face_recognizer")
    record = manifest.graphs[f"1/{name}"]

    assert (record["tensorrt"], record["compute_capability"]) == (version, "9.0")
    assert record["parity"]["outputs"]["embedding"]["min_cosine"] > 0.999
    assert record["parity"]["batches"] == [1, 1, 32]
    assert f"1/{name}" in manifest.files
    assert ("1/model.fp16.onnx" in manifest.files) == ("fp16" in precisions)
    text = (target / "face_recognizer/configs/tensorrt.pbtxt").read_text()
    assert f'cc_model_filenames {{ key: "9.0" value: "{name}" }}' in text
    assert parse_config(text, "").outputs == CONTRACT.outputs
    assert FakeDevice.memory == {}
    assert check_repository(target)


def test_an_engine_is_not_built_twice_but_again_for_another_tensorrt(tmp_path):
    target = tmp_path / "repository"
    builds = [build(target, make_tensorrt(version)) for version in (VERSIONS[0], *VERSIONS)]
    fresh = [any(not item.is_reused for item in built) for built in builds]

    assert fresh == [True, False, True]


def test_an_engine_that_computes_something_else_is_not_published(tmp_path):
    with pytest.raises(ParityError, match="face_recognizer tensorrt"):
        build(tmp_path / "repository", make_tensorrt(VERSIONS[1], error=-1.0))
    assert not (tmp_path / "repository").exists()


@pytest.fixture
def graph(tmp_path):
    save_onnx(make_handmade_model(0), CONTRACT, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_what_the_parser_complains_about_is_passed_on(graph, tmp_path):
    trt = make_tensorrt(VERSIONS[1], rejects="no importer for Foo")

    with pytest.raises(ConversionError, match=r"does not take the graph.*no importer for Foo"):
        build_engine(trt, graph, CONTRACT, tmp_path / "e.plan", tmp_path / "cache")


def test_a_failed_build_is_an_error(graph, tmp_path):
    trt = make_tensorrt(VERSIONS[0], builds=False)

    with pytest.raises(ConversionError, match="could not build an engine"):
        build_engine(trt, graph, CONTRACT, tmp_path / "e.plan", tmp_path / "cache")
    assert not (tmp_path / "e.plan").exists()


def test_measured_kernels_are_remembered_and_those_of_another_device_are_not(graph, tmp_path):
    cache, trt = tmp_path / "cache", make_tensorrt(VERSIONS[1])
    for expected in (1, 2):
        build_engine(trt, graph, CONTRACT, tmp_path / "e.plan", cache)
        assert json.loads(cache.read_bytes())["kernels"] == expected
    cache.write_text(json.dumps({"device": "8.9", "kernels": 40}))
    build_engine(trt, graph, CONTRACT, tmp_path / "e.plan", cache)

    assert json.loads(cache.read_bytes()) == {"device": "9.0", "kernels": 1}


@pytest.mark.parametrize(
    ("largest", "preferred", "expected"),
    [
        (32, (), (1, 16, 32)),
        (32, (4, 8), (1, 8, 32)),
        (32, (64,), (1, 16, 32)),
        (1, (), (1, 1, 1)),
        (0, (), (1, 1, 1)),
        (3, (), (1, 1, 3)),
    ],
)
def test_profiles_follow_the_batch_sizes_of_the_config(largest, preferred, expected):
    assert profile_batches(largest, preferred) == expected


def test_strong_typing_is_asked_for_where_it_has_to_be():
    assert network_flags(make_tensorrt(VERSIONS[0])) == 1 << 1
    assert network_flags(make_tensorrt(VERSIONS[1])) == 0
    assert not hasattr(NoFlags, "STRONGLY_TYPED")


def test_engines_are_named_by_what_they_are_tied_to():
    assert engine_file_name("11.4.0.106", "12.0") == "model.trt11.4.0.106.sm120.plan"


@pytest.mark.parametrize("version", ["8.6.1", "9.3.0", "0", ""])
def test_a_tensorrt_without_strong_typing_is_refused(version):
    with pytest.raises(MissingToolError, match="expected 10 or later"):
        require_version(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_current_tensorrt_is_taken(version):
    require_version(version)


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_the_error_says_what_is_missing():
    with pytest.raises(MissingToolError, match="needs an NVIDIA GPU"):
        CudaDriver()


@pytest.mark.gpu
@pytest.mark.skipif(not has_driver(), reason="needs an NVIDIA GPU and its driver")
def test_the_driver_moves_arrays_to_the_device_and_back():
    device, array = CudaDriver(), np.arange(1000, dtype=np.float32)
    found = np.empty_like(array)
    with device.context(), device.buffer(array.nbytes) as address:
        device.upload(address, array)
        device.download(found, address)

    assert np.array_equal(found, array)
    assert float(device.compute_capability) >= 5
