# SPDX-License-Identifier: Apache-2.0
"""What is built again, built alone, carried over, and built only where a file is given."""

import hashlib
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien_export.check import check_repository
from mien_export.contract import read_config
from mien_export.errors import (
    CheckpointError,
    TargetError,
)
from mien_export.manifest import read_manifest
from mien_export.parity import example_images

from .released_detectors import make_yunet
from .tiny import (
    CONTRACTS,
    NETWORKS,
    HandmadeNetwork,
    RecordingReporter,
    build,
    make_specs,
    read_tree,
    rebuilt,
)


def test_nothing_is_built_twice_and_unchanged_files_are_the_same_files(target):
    build(target)
    before = (target / "face_recognizer/1/model.onnx").stat()
    again = build(target)

    assert rebuilt(again) == set()
    assert (target / "face_recognizer/1/model.onnx").stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"random_seed": 1}, {"face_recognizer"}, id="seed"),
        pytest.param({"precisions": ("fp32", "fp16")}, {"face_recognizer"}, id="precision"),
        pytest.param({"networks": {"face_recognizer": "other"}}, {"face_recognizer"}, id="network"),
        pytest.param({"licences": {"face_recognizer": "MIT"}}, {"face_recognizer"}, id="licence"),
        pytest.param(
            {"parameters": {"verify_faces": {"threshold": "0.5"}}}, {"verify_faces"}, id="parameter"
        ),
        pytest.param(
            {"force": True},
            {"embed_faces", "face_cropper", "face_recognizer", "verify_faces"},
            id="force",
        ),
    ],
)
def test_what_changes_is_built_again_and_nothing_else(options, expected, target):
    build(target)

    assert rebuilt(build(target, **options)) == expected


def test_a_changed_model_py_is_built_again(target, tmp_path):
    source = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, source)
    build(target, source=source)
    with (source / "verify_faces/1/model.py").open("a") as stream:
        stream.write("# changed\n")

    assert rebuilt(build(target, source=source)) == {"verify_faces"}


def test_a_damaged_file_is_built_again(target):
    build(target)
    (target / "face_recognizer/1/model.onnx").write_bytes(b"damaged")

    assert rebuilt(build(target)) == {"face_recognizer"}
    assert check_repository(target)


def test_two_builds_of_the_same_request_are_the_same_bytes(tmp_path):
    options = {"networks": {"face_recognizer": "iresnet"}, "precisions": ("fp32", "fp16")}
    build(tmp_path / "a", **options)
    build(tmp_path / "b", **options)

    assert read_tree(tmp_path / "a") == read_tree(tmp_path / "b")


def test_one_model_can_be_built_alone(target):
    build(target, models=frozenset({"face_recognizer"}))

    assert os.listdir(target) == ["face_recognizer"]


def test_a_named_pipeline_brings_what_it_calls(target):
    build(target, models=frozenset({"verify_faces"}))

    assert sorted(os.listdir(target)) == [
        "embed_faces",
        "face_cropper",
        "face_recognizer",
        "verify_faces",
    ]


def test_a_threshold_can_be_changed_later_without_naming_the_weights_again(target, checkpoint):
    build(
        target,
        networks={"face_recognizer": "iresnet"},
        checkpoints={"face_recognizer": checkpoint},
        random_seed=None,
    )
    graph = (target / "face_recognizer/1/model.onnx").stat().st_ino
    again = build(
        target,
        models=frozenset({"verify_faces"}),
        parameters={"verify_faces": {"threshold": "0.3"}},
        random_seed=None,
    )

    assert rebuilt(again) == {"verify_faces"}
    assert (target / "face_recognizer/1/model.onnx").stat().st_ino == graph
    assert read_manifest(target / "verify_faces").untrained is False


def test_pipelines_follow_the_weights_of_a_graph_that_is_rebuilt_alone(target, checkpoint):
    """Their other settings stay."""
    build(target, parameters={"verify_faces": {"threshold": "0.3"}})
    build(
        target,
        models=frozenset({"face_recognizer"}),
        networks={"face_recognizer": "iresnet"},
        checkpoints={"face_recognizer": checkpoint},
        random_seed=None,
    )
    parameters = read_config(target / "verify_faces/config.pbtxt").parameters

    assert parameters["untrained"] == "false"
    assert parameters["threshold"] == "0.3"
    assert check_repository(target)


def test_a_damaged_model_is_not_carried_over(target):
    build(target)
    (target / "face_recognizer/1/model.onnx").write_bytes(b"damaged")

    with pytest.raises(TargetError, match="face_recognizer is damaged"):
        build(target, models=frozenset({"verify_faces"}))


@pytest.fixture
def detector(tmp_path) -> Path:
    path = tmp_path / "yunet.onnx"
    onnx.save(make_yunet(), path)
    return path


def test_the_detector_is_built_only_where_its_file_is_given(target, detector):
    build(target)
    assert "face_detector" not in os.listdir(target)
    assert read_config(target / "face_cropper/config.pbtxt").parameters["detector"] == "cascade"

    build(target, checkpoints={"face_detector": detector})

    cropper = read_config(target / "face_cropper/config.pbtxt")
    assert cropper.parameters["detector"] == "face_detector"
    assert read_manifest(target / "face_cropper").depends_on == ("face_detector",)
    weights = read_manifest(target / "face_detector").weights
    assert weights["network"] == "yunet"
    assert weights["sha256"] == hashlib.sha256(detector.read_bytes()).hexdigest()
    assert read_manifest(target / "face_detector").untrained is False
    report = check_repository(target)
    assert report, report


def test_a_precision_that_a_graph_has_not_is_left_out_and_said(target, detector, tmp_path):
    crops = example_images(8, 112, seed=9).astype(np.uint8).transpose(0, 2, 3, 1)
    np.save(tmp_path / "crops.npy", crops)
    reporter = RecordingReporter()
    build(
        target,
        reporter=reporter,
        models=frozenset({"face_detector"}),
        checkpoints={"face_detector": detector},
        precisions=("fp32", "int8"),
        calibration={"face_recognizer": tmp_path / "crops.npy"},
    )

    assert reporter.notes == ["face_detector: not offered in int8; left out"]
    assert list(read_manifest(target / "face_detector").graphs) == ["1/model.onnx"]


def test_a_detector_without_a_file_says_that_it_needs_one(target):
    with pytest.raises(CheckpointError, match=r"face_detector has no weights.*PATH\.$"):
        build(target, models=frozenset({"face_detector"}))


def test_a_second_builder_waits_for_the_first(target):
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert go_on.wait(60)

    first = threading.Thread(
        target=build, args=(target, make_specs(slow=HandmadeNetwork(on_half=hold)))
    )
    first.start()
    assert inside.wait(60)
    reporter, second = RecordingReporter(), None

    def note(text: str) -> None:
        RecordingReporter.note(reporter, text)
        go_on.set()  # it has found the door closed

    reporter.note = note
    second = build(target, reporter=reporter)
    first.join(60)

    assert "another mien-export is building" in reporter.notes[0]
    assert rebuilt(second) == {"face_recognizer"}  # of another network; the rest was there
    assert check_repository(target)


def test_every_spec_choice_changes_the_fingerprint():
    spec = make_specs()["face_recognizer"]

    assert len({spec.fingerprint(name) for name in NETWORKS}) == len(NETWORKS)
