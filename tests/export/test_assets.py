# SPDX-License-Identifier: Apache-2.0
"""Files of a model that are made from the weights of a graph, and models that go without them."""

import dataclasses
import hashlib
import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mien_export.check import check_repository
from mien_export.contract import read_config
from mien_export.errors import CheckpointError
from mien_export.head_files import files_of_head
from mien_export.head_model import read_head
from mien_export.manifest import read_manifest
from mien_export.onnx_files import save_onnx
from mien_export.parity import ParityReport
from mien_export.registry import SPECS
from mien_export.selection import Needs, select_all, select_named
from mien_export.spec import Asset, Dependency, FirstGraph

from .small_heads import head_arrays, save_flame, save_head, save_landmarks, save_template
from .tiny import CONTRACTS, RecordingReporter, build, make_specs, read_tree, rebuilt

ASSET = "style_renderer/1/topology.npz"
# A Python model in the place of the real one, so that only its asset is in question.
RENDERER = """
name: "style_renderer" backend: "python" max_batch_size: 8
input  [ { name: "vertices" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
output [ { name: "maps"     data_type: TYPE_FP32 dims: [ 9 ] } ]
"""
# An ensemble that calls it.
PAINTER = """
name: "paint_faces" platform: "ensemble" max_batch_size: 8
input  [ { name: "vertices" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
output [ { name: "maps"     data_type: TYPE_FP32 dims: [ 9 ] } ]
ensemble_scheduling { step [ {
  model_name: "style_renderer" model_version: -1
  input_map  { key: "vertices" value: "vertices" }
  output_map { key: "maps"     value: "maps" }
} ] }
parameters { key: "untrained" value { string_value: "true" } }
"""


@dataclasses.dataclass(frozen=True)
class QuickHead:
    """Reads a head like the real network, but writes a graph of three products in no time."""

    summary: str = "quick"
    licence_note: str = "none"
    takes_random_weights: bool = False

    def fingerprint(self) -> str:
        return "quick"

    def weights_files(self, checkpoint):
        return files_of_head(checkpoint)

    def write_onnx(self, contract, weights, tolerances, path) -> FirstGraph:
        sizes = {"vertices": 4, "landmarks_3d": 68, "contour_landmarks_3d": 68}
        nodes, constants = [], []
        for source, (name, points) in zip(contract.inputs, sizes.items(), strict=True):
            matrix = np.ones((source.dims[0], 3 * points), np.float32)
            shape = np.array([-1, points, 3])
            constants += [
                numpy_helper.from_array(matrix, f"{name}_matrix"),
                numpy_helper.from_array(shape, f"{name}_shape"),
            ]
            nodes += [
                helper.make_node("MatMul", [source.name, f"{name}_matrix"], [f"{name}_flat"]),
                helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name]),
            ]
        floats = onnx.TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info(s.name, floats, ["batch", *s.dims])
                  for s in contract.inputs]  # fmt: skip
        outputs = [helper.make_tensor_value_info(name, floats, ["batch", points, 3])
                   for name, points in sizes.items()]  # fmt: skip
        graph = helper.make_graph(nodes, "quick", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        save_onnx(model, contract, path)
        sha256 = hashlib.sha256(weights.checkpoint.read_bytes()).hexdigest()
        return FirstGraph(parameters=1, parity=ParityReport(), checkpoint_sha256=sha256)


def quick_specs():
    specs = make_specs()
    head = dataclasses.replace(specs["flame_decoder"], networks={"flame": QuickHead()})
    return {**specs, "flame_decoder": head}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "contracts"
    kept = ("face_recognizer", "flame_decoder")
    for name in kept:
        shutil.copytree(CONTRACTS / name, folder / name)
    for name, text in (("style_renderer", RENDERER), ("paint_faces", PAINTER)):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text)
    (folder / "style_renderer/1/model.py").write_text("pass\n")
    return folder


@pytest.fixture
def head(tmp_path):
    return save_head(tmp_path / "head.npz")


def build_with(head, target, source, **options):
    options = {"checkpoints": {"flame_decoder": head}, "source": source, **options}
    return build(target, quick_specs(), **options)


def test_the_topology_is_that_of_the_head_the_decoder_was_built_from(target, source, head):
    build_with(head, target, source)
    with np.load(target / ASSET, allow_pickle=False) as topology:
        found = dict(topology)
    wanted = read_head(head)

    assert {name: array.dtype for name, array in found.items()} == {
        "f": np.int32,
        "vt": np.float32,
        "ft": np.int32,
    }
    for name, array in found.items():
        np.testing.assert_array_equal(array, getattr(wanted, name))
    assert "1/topology.npz" in read_manifest(target / "style_renderer").files
    report = check_repository(target)
    assert report, report


def test_the_asset_follows_its_weights(target, source, head, tmp_path):
    build_with(head, target, source)
    assert rebuilt(build_with(head, target, source)) == set()
    before = (target / ASSET).read_bytes()
    finer = save_head(tmp_path / "finer.npz", head_arrays(rings=9))

    assert rebuilt(build_with(finer, target, source)) == {"flame_decoder", "style_renderer"}
    assert (target / ASSET).read_bytes() != before


def with_folder(digest):
    """Specs whose head also makes a folder of files, for the renderer."""

    def write(_, folder):
        folder.mkdir()
        for name in ("a", "b"):
            (folder / name).write_text(digest)

    specs = quick_specs()
    folder = Asset("style_renderer", "1/styles", write, lambda: {"styles": digest})
    head = specs["flame_decoder"]
    return {**specs, "flame_decoder": dataclasses.replace(head, assets=(*head.assets, folder))}


def test_a_folder_of_files_is_made_kept_and_made_anew_like_one_file(target, source, head):
    stray = source / "style_renderer/1/styles"
    stray.mkdir()
    (stray / "stray").write_text("somebody's")
    files = target / "style_renderer/1/styles"
    options = {"checkpoints": {"flame_decoder": head}, "source": source}

    build(target, with_folder("one"), **options)
    assert sorted(os.listdir(files)) == ["a", "b"]
    assert {"1/styles/a", "1/styles/b"} <= read_manifest(target / "style_renderer").files.keys()
    assert rebuilt(build(target, with_folder("one"), **options)) == set()
    only = {"models": frozenset({"face_recognizer"}), "random_seed": 1}
    assert rebuilt(build(target, with_folder("one"), source=source, **only)) == {"face_recognizer"}
    assert rebuilt(build(target, with_folder("two"), **options)) >= {"style_renderer"}
    assert (files / "a").read_text() == "two"
    assert check_repository(target)


def test_the_same_weights_give_the_same_bytes(tmp_path, source, head):
    for name in ("a", "b"):
        build_with(head, tmp_path / name, source)

    assert read_tree(tmp_path / "a") == read_tree(tmp_path / "b")


def test_without_its_weights_a_model_and_what_calls_it_are_left_out_and_said(target, source):
    reporter = RecordingReporter()
    build(target, reporter=reporter, source=source)

    assert os.listdir(target) == ["face_recognizer"]
    assert reporter.notes == [
        "paint_faces is left out: it needs style_renderer, left out for want of weights",
        "style_renderer is left out: it needs flame_decoder, left out for want of weights",
    ]


def test_a_named_model_brings_the_graph_that_its_asset_is_made_from(target, source, head):
    build_with(head, target, source, models=frozenset({"paint_faces"}))

    assert sorted(os.listdir(target)) == ["flame_decoder", "paint_faces", "style_renderer"]


def test_a_named_model_without_its_weights_is_an_error(target, source):
    with pytest.raises(CheckpointError, match="flame_decoder has no weights"):
        build(target, source=source, models=frozenset({"style_renderer"}))
    assert not target.exists()


def test_rebuilding_the_graph_alone_takes_the_asset_along(target, source, head, tmp_path):
    build_with(head, target, source)
    finer = save_head(tmp_path / "finer.npz", head_arrays(rings=9))
    built = build_with(finer, target, source, models=frozenset({"flame_decoder"}))

    assert rebuilt(built) == {"flame_decoder", "style_renderer"}
    with np.load(target / ASSET) as topology:
        assert len(topology["f"]) == len(read_head(finer).f)
    assert check_repository(target)


def test_the_asset_is_carried_where_another_model_is_built_alone(target, source, head):
    build_with(head, target, source)
    before = (target / ASSET).stat().st_ino
    options = {"models": frozenset({"face_recognizer"}), "random_seed": 1}
    build(target, quick_specs(), source=source, **options)

    assert (target / ASSET).stat().st_ino == before
    assert check_repository(target)


def test_a_stray_asset_in_the_contracts_is_not_taken_for_the_built_one(target, source, head):
    (source / ASSET).write_bytes(b"somebody's")
    build_with(head, target, source)

    with np.load(target / ASSET) as topology:
        assert set(topology) == {"f", "vt", "ft"}


def test_a_flame_without_uv_says_what_to_put_beside_it(target, source, tmp_path, monkeypatch):
    flame = save_flame(tmp_path, monkeypatch)

    with pytest.raises(CheckpointError, match=r"no UV layout .*head_template\.obj: put it beside"):
        build_with(flame, target, source)
    assert not target.exists()
    save_template(tmp_path / "head_template.obj", head_arrays())
    build_with(flame, target, source)
    with np.load(target / ASSET) as topology:
        np.testing.assert_array_equal(topology["ft"], head_arrays()["ft"])


def test_a_damaged_asset_is_built_again(target, source, head):
    build_with(head, target, source)
    (target / ASSET).write_bytes(b"damaged")

    assert rebuilt(build_with(head, target, source)) == {"style_renderer"}


def test_every_file_that_a_flame_is_read_from_is_named_and_makes_it_anew(
    target, source, tmp_path, monkeypatch
):
    flame = save_flame(tmp_path, monkeypatch)
    options = {"models": frozenset({"flame_decoder"}), "random_seed": None}
    build_with(flame, target, source, **options)
    assert rebuilt(build_with(flame, target, source, **options)) == set()
    landmarks = tmp_path / "landmark_embedding.npy"
    weights = read_manifest(target / "flame_decoder").weights
    digest = hashlib.sha256(landmarks.read_bytes()).hexdigest()
    save_landmarks(landmarks, head_arrays(seed=4))

    assert weights["file"] == "generic_model.pkl"
    assert weights["sha256"] == hashlib.sha256(flame.read_bytes()).hexdigest()
    assert weights["beside"] == {"landmark_embedding.npy": digest}
    assert rebuilt(build_with(flame, target, source, **options)) == {"flame_decoder"}


def needs(dependencies) -> Needs:
    """Contracts a to e, of which "face_detector" is an optional graph."""
    contract = read_config(CONTRACTS / "face_recognizer/config.pbtxt")
    names = ("a", "b", "c", "d", "face_detector")
    sources = {name: dataclasses.replace(contract, name=name) for name in names}
    return Needs(sources, {"face_detector": SPECS["face_detector"]}, dependencies)


def test_being_left_out_spreads_along_calls_but_not_along_optional_ones():
    stated = {
        "a": (Dependency("b"),),
        "b": (Dependency("face_detector"),),
        "c": (Dependency("face_detector", when_built=True),),
        "d": (Dependency("c"),),
    }

    without = select_all(needs(stated), ())
    assert without.selected == {"c", "d"}
    assert set(without.left_out) == {"a", "b"}
    assert select_all(needs(stated), {"face_detector"}).left_out == {}


def test_models_that_call_each_other_in_a_circle_end_the_search():
    stated = {"a": (Dependency("b"),), "b": (Dependency("a"),)}

    assert {"a", "b"} <= select_all(needs(stated), ()).selected
    assert select_named(needs(stated), {"a"}, (), ()).selected == {"a", "b"}


def test_what_a_named_model_calls_where_it_is_built_comes_with_it_if_there_are_weights():
    stated = {"a": (Dependency("b"),), "b": (Dependency("face_detector", when_built=True),)}

    def selected(existing, weighted):
        return select_named(needs(stated), {"a"}, existing, weighted).selected

    assert selected((), ()) == {"a", "b"}
    assert selected((), {"face_detector"}) == {"a", "b", "face_detector"}
    assert selected({"b"}, {"face_detector"}) == {"a"}


def test_random_weights_of_a_graph_make_no_asset(target, source):
    specs = make_specs()
    asset = dataclasses.replace(SPECS["flame_decoder"].assets[0])
    specs["face_recognizer"] = dataclasses.replace(specs["face_recognizer"], assets=(asset,))
    del specs["flame_decoder"]
    shutil.rmtree(source / "flame_decoder")

    with pytest.raises(CheckpointError, match="is made from the weights file of face_recognizer"):
        build(target, specs, source=source)
