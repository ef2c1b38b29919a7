# SPDX-License-Identifier: Apache-2.0
import json
import shutil
from pathlib import Path

import onnx
import pytest

from mien_export.build import build_repository
from mien_export.check import check_repository
from mien_export.errors import TargetError
from mien_export.manifest import read_manifest, sha256_of_file
from mien_export.registry import PIPELINE_DEPENDENCIES

from .tiny import RecordingReporter, make_handmade_model, make_request, make_specs


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("built") / "repository"
    build_repository(
        make_request(path, precisions=("fp32", "fp16")),
        make_specs(),
        PIPELINE_DEPENDENCIES,
        RecordingReporter(),
    )
    return path


@pytest.fixture
def repository(built, tmp_path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(built, tmp_path / "repository"))


def problems(repository: Path) -> dict[str, list[str]]:
    report = check_repository(repository)
    assert not report
    assert report.to_json()["ok"] is False
    return {model.model: list(model.problems) for model in report.models if not model.ok}


def reseal(model_dir: Path, **changes) -> None:
    """Make the manifest fit the files again, as somebody would who hides what he changed."""
    manifest = json.loads((model_dir / "manifest.json").read_text())
    manifest["files"] = {name: sha256_of_file(model_dir / name) for name in manifest["files"]}
    (model_dir / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def test_a_built_repository_is_whole(repository):
    report = check_repository(repository)

    assert report
    assert [model.model for model in report.models] == [
        "embed_faces",
        "face_cropper",
        "face_recognizer",
        "verify_faces",
    ]
    assert any("model.fp16.onnx" in note for note in report.models[2].notes)


def test_a_changed_byte_is_found(repository):
    path = repository / "face_recognizer/1/model.fp16.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    (problem,) = problems(repository)["face_recognizer"]
    assert problem.startswith("1/model.fp16.onnx is not the file that was built")


def test_a_missing_file_is_found(repository):
    (repository / "verify_faces/1/model.py").unlink()

    assert problems(repository) == {"verify_faces": ["1/model.py is missing"]}


def test_a_file_nobody_listed_is_found(repository):
    (repository / "verify_faces/1/extra.py").write_text("")

    assert problems(repository) == {"verify_faces": ["1/extra.py is not in the manifest"]}


def test_a_file_beside_the_models_is_found(repository):
    (repository / "notes.txt").write_text("")

    assert check_repository(repository).problems == ("notes.txt is no model",)


def test_a_missing_manifest_is_found_and_so_is_whoever_depends_on_it(repository):
    (repository / "face_cropper/manifest.json").unlink()
    found = problems(repository)

    assert "manifest.json is missing" in found["face_cropper"][0]
    assert "depends on 'face_cropper'" in found["embed_faces"][0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"schema": 2}, "schema is 2; expected 1", id="schema"),
        pytest.param({"surprise": 1}, "unknown fields ['surprise']", id="unknown"),
        pytest.param({"untrained": "no"}, "untrained is 'no'; expected bool", id="type"),
        pytest.param({"weights": None}, "weights is None; expected dict", id="weights"),
    ],
)
def test_a_manifest_of_another_shape_is_found(change, problem, repository):
    reseal(repository / "face_recognizer", **change)

    assert problem in problems(repository)["face_recognizer"][0]


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_manifest_that_is_no_object_is_found(text, repository):
    (repository / "verify_faces/manifest.json").write_text(text)

    assert "Build it again" in problems(repository)["verify_faces"][0]


def test_a_graph_that_is_not_the_contract_is_found_behind_a_fitting_manifest(repository):
    model_dir = repository / "face_recognizer"
    model = make_handmade_model(0)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, model_dir / "1/model.onnx")
    reseal(model_dir)

    assert "must be a free batch" in problems(repository)["face_recognizer"][0]


def test_a_graph_of_other_weights_is_found_behind_a_fitting_manifest(repository):
    """Only running both precisions can tell."""
    model_dir = repository / "face_recognizer"
    onnx.save(make_handmade_model(99), model_dir / "1/model.onnx")
    reseal(model_dir)

    assert "1/model.fp16.onnx: embedding has cosine" in problems(repository)["face_recognizer"][0]


def test_a_file_that_is_no_graph_is_found(repository):
    model_dir = repository / "face_recognizer"
    (model_dir / "1/model.onnx").write_bytes(b"\xff" * 100)
    reseal(model_dir)

    assert problems(repository)["face_recognizer"]


@pytest.mark.parametrize("model", ["face_recognizer", "verify_faces"])
def test_hiding_that_weights_are_random_is_found(model, repository):
    config = repository / model / "config.pbtxt"
    mark = '"untrained" value { string_value: '
    config.write_text(config.read_text().replace(f'{mark}"true"', f'{mark}"false"'))
    reseal(repository / model)

    assert problems(repository)[model] == ["untrained differs between manifest and config"]


def test_claiming_to_be_trained_behind_an_untrained_graph_is_found(repository):
    reseal(repository / "embed_faces", untrained=False)

    assert "claims to be trained" in " ".join(problems(repository)["embed_faces"])


def test_an_ensemble_that_no_longer_connects_is_found(repository):
    config = repository / "face_recognizer/config.pbtxt"
    config.write_text(config.read_text().replace('name: "embedding"', 'name: "vector"'))
    reseal(repository / "face_recognizer")
    found = problems(repository)

    assert "has no output 'embedding'" in found["embed_faces"][0]
    assert "differs from config.pbtxt" in found["face_recognizer"][0]


def test_a_variant_that_names_no_graph_is_found(repository):
    variant = repository / "face_recognizer/configs/fp16.pbtxt"
    variant.write_text(variant.read_text().replace("model.fp16.onnx", "model.bf16.onnx"))
    reseal(repository / "face_recognizer")

    assert problems(repository)["face_recognizer"] == [
        "configs/fp16.pbtxt names a graph that is not there"
    ]


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()

    with pytest.raises(TargetError, match=r"holds no model with a manifest\.json"):
        check_repository(tmp_path)
    with pytest.raises(TargetError, match="is no directory"):
        check_repository(tmp_path / "nothing")


def test_a_manifest_reads_back_as_it_was_written(built):
    for model in built.iterdir():
        assert read_manifest(model).to_json() == (model / "manifest.json").read_text()
