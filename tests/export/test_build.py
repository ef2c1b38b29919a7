# SPDX-License-Identifier: Apache-2.0
import dataclasses
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import torch

from mien_export.check import check_repository
from mien_export.contract import read_config
from mien_export.errors import (
    CheckpointError,
    ContractError,
    ParityError,
    TargetError,
    UsageError,
)
from mien_export.manifest import read_manifest
from mien_export.parity import example_images

from .tiny import (
    CONTRACTS,
    build,
    make_specs,
    read_tree,
    rebuilt,
)


def test_a_built_repository_is_the_documented_one(target):
    build(target, precisions=("fp32", "fp16"))

    assert sorted(read_tree(target)) == [
        "embed_faces/1/.gitkeep",
        "embed_faces/config.pbtxt",
        "embed_faces/manifest.json",
        "face_cropper/1/model.py",
        "face_cropper/config.pbtxt",
        "face_cropper/manifest.json",
        "face_recognizer/1/model.fp16.onnx",
        "face_recognizer/1/model.onnx",
        "face_recognizer/config.pbtxt",
        "face_recognizer/configs/fp16.pbtxt",
        "face_recognizer/manifest.json",
        "verify_faces/1/model.py",
        "verify_faces/config.pbtxt",
        "verify_faces/manifest.json",
    ]
    assert (target / "embed_faces/1").is_dir()
    assert check_repository(target)


def test_manifests_hold_what_the_contracts_document_says(target):
    build(target)
    manifest = json.loads((target / "face_recognizer/manifest.json").read_text())
    graph = (target / "face_recognizer/1/model.onnx").read_bytes()

    assert manifest["schema"] == 1
    assert manifest["kind"] == "graph"
    assert manifest["public"] is False
    assert manifest["files"]["1/model.onnx"] == hashlib.sha256(graph).hexdigest()
    assert manifest["weights"] == {
        "source": "random",
        "seed": 0,
        "network": "handmade",
        "parameters": 512 * 3 * 49,
        "file": None,
        "sha256": None,
        "beside": {},
        "licence": "none",
        "allow_commercial": True,
    }
    assert manifest["graphs"]["1/model.onnx"]["bytes"] == len(graph)
    assert manifest["graphs"]["1/model.onnx"]["opset"] == 18
    pipeline = json.loads((target / "verify_faces/manifest.json").read_text())
    assert pipeline["depends_on"] == ["embed_faces"]
    assert pipeline["public"] is True
    assert not {"weights", "graphs"} & pipeline.keys()
    assert pipeline["tools"]["torch"] == torch.__version__


def test_files_can_be_read_by_another_user(target):
    build(target)

    assert target.stat().st_mode & 0o055 == 0o055 & ~os.umask(os.umask(0))


def test_random_weights_make_every_pipeline_behind_them_untrained(target):
    build(target)
    untrained = {m: read_manifest(target / m).untrained for m in os.listdir(target)}

    assert untrained == {
        "embed_faces": True,
        "face_cropper": False,
        "face_recognizer": True,
        "verify_faces": True,
    }


def test_a_checkpoint_makes_graph_and_pipelines_trained(target, checkpoint):
    build(
        target,
        networks={"face_recognizer": "iresnet"},
        checkpoints={"face_recognizer": checkpoint},
        licences={"face_recognizer": "Apache-2.0"},
        random_seed=None,
    )

    for model in ("face_recognizer", "embed_faces", "verify_faces"):
        assert read_manifest(target / model).untrained is False
        assert read_config(target / model / "config.pbtxt").parameters["untrained"] == "false"
    weights = read_manifest(target / "face_recognizer").weights
    assert weights["source"] == "checkpoint"
    assert weights["file"] == "trained.pth"
    assert weights["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert weights["licence"] == "Apache-2.0"
    assert weights["allow_commercial"] is False  # until somebody says so


def test_comments_survive_and_only_parameters_change(target):
    build(target, parameters={"verify_faces": {"threshold": "0.41"}})
    built = (target / "verify_faces/config.pbtxt").read_text()

    assert built == (CONTRACTS / "verify_faces/config.pbtxt").read_text().replace("0.35", "0.41")


def test_caches_and_stray_graphs_of_the_source_are_not_copied(target, tmp_path):
    source = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, source)
    for name in ("verify_faces/1/__pycache__/model.cpython-311.pyc", "face_recognizer/1/old.onnx"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"")
    build(target, source=source)

    assert not list(target.rglob("*.pyc"))
    assert not list(target.rglob("old.onnx"))


def test_int8_is_calibrated_and_judged_on_given_images(target, tmp_path):
    crops = example_images(20, 112, seed=9).astype(np.uint8).transpose(0, 2, 3, 1)
    np.save(tmp_path / "crops.npy", crops)
    given = {"face_recognizer": tmp_path / "crops.npy"}
    options = {"precisions": ("fp32", "int8"), "calibration": given}
    build(target, **options)

    record = read_manifest(target / "face_recognizer").graphs["1/model.int8.onnx"]
    assert record["parity"]["batches"] == [4]
    assert record["parity"]["outputs"]["embedding"]["min_cosine"] > 0.95
    config = read_config(target / "face_recognizer/config.pbtxt")
    variant = target / "face_recognizer/configs/int8.pbtxt"
    assert 'default_model_filename: "model.int8.onnx"' in variant.read_text()
    assert config.default_model_filename == "model.onnx"
    assert check_repository(target)
    assert rebuilt(build(target, **options)) == set()
    np.save(tmp_path / "crops.npy", crops[::-1])
    assert rebuilt(build(target, **options)) == {"face_recognizer"}


def test_int8_without_images_is_refused_with_what_to_give(target):
    with pytest.raises(UsageError, match="--calibration face_recognizer=PATH"):
        build(target, precisions=("fp32", "int8"))
    assert not target.exists()


def test_a_graph_that_misses_its_tolerance_fails_the_build_and_changes_nothing(target):
    build(target)
    before = read_tree(target)
    with pytest.raises(ParityError, match="face_recognizer fp32 does not compute"):
        build(target, networks={"face_recognizer": "wrong"})

    assert read_tree(target) == before
    assert [path.name for path in target.parent.glob(".*")] == [".repository.lock"]


def test_a_variant_that_misses_its_tolerance_fails_the_build(target):
    specs = make_specs()
    spec = specs["face_recognizer"]
    strict = {"embedding": dataclasses.replace(spec.tolerances["fp16"]["embedding"], max_abs=1e-9)}
    tolerances = {**spec.tolerances, "fp16": strict}
    specs["face_recognizer"] = dataclasses.replace(spec, tolerances=tolerances)

    with pytest.raises(ParityError, match="face_recognizer fp16"):
        build(target, specs, precisions=("fp32", "fp16"))
    assert not target.exists()


def test_without_weights_the_error_names_both_ways(target):
    with pytest.raises(CheckpointError, match=r"--checkpoint face_recognizer=PATH.*--weights rand"):
        build(target, random_seed=None)


def test_a_missing_checkpoint_is_an_error_even_with_random_weights(target, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        build(target, checkpoints={"face_recognizer": tmp_path / "nothing.pth"})
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"models": frozenset({"nobody"})}, "unknown model 'nobody'; it has apply_emotion"),
        ({"networks": {"nobody": "x"}}, "unknown graph 'nobody'"),
        ({"networks": {"face_recognizer": "resnet"}}, "unknown network of face_recognizer"),
        ({"licences": {"verify_faces": "MIT"}}, "unknown graph 'verify_faces'"),
        ({"parameters": {"verify_faces": {"tresh": "1"}}}, "unknown parameter of verify_faces"),
        ({"parameters": {"verify_faces": {"untrained": "false"}}}, "cannot be set"),
    ],
)
def test_names_that_do_not_exist_are_refused(options, problem, target):
    with pytest.raises(UsageError, match=problem):
        build(target / "deep", **options)
    assert not target.exists()


def test_a_directory_that_is_not_ours_is_not_touched(target):
    target.mkdir()
    (target / "thesis.txt").write_text("precious")

    with pytest.raises(TargetError, match=r"holds thesis\.txt, not made by mien-export"):
        build(target)
    assert read_tree(target) == {"thesis.txt": b"precious"}


def test_a_stray_in_a_repository_of_ours_is_not_thrown_away(target):
    build(target)
    (target / "notes.txt").write_text("precious")

    with pytest.raises(TargetError, match=r"notes\.txt"):
        build(target, random_seed=1)


def test_a_file_as_target_is_refused(target):
    target.write_text("")

    with pytest.raises(TargetError, match="is a file"):
        build(target)


def test_an_empty_directory_as_target_is_filled(target):
    target.mkdir()
    build(target)

    assert check_repository(target)


def test_a_link_to_a_directory_is_followed(target, tmp_path):
    real = tmp_path / "disk" / "repository"
    real.mkdir(parents=True)
    target.symlink_to(real)
    build(target)

    assert target.is_symlink()
    assert check_repository(real)


def test_a_python_model_without_code_is_refused(target, tmp_path):
    source = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, source)
    (source / "verify_faces/1/model.py").unlink()

    with pytest.raises(ContractError, match=r"verify_faces.*model\.py does not exist"):
        build(target, source=source)


def test_an_ensemble_that_does_not_connect_is_refused(target, tmp_path):
    source = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, source)
    path = source / "embed_faces/config.pbtxt"
    path.write_text(path.read_text().replace("dims: [ 512 ]", "dims: [ 128 ]"))

    with pytest.raises(ContractError, match="embed_faces does not connect"):
        build(target, source=source)
