# SPDX-License-Identifier: Apache-2.0
import dataclasses

import onnx
import pytest
from google.protobuf import text_format
from onnx import helper
from tritonclient.grpc import model_config_pb2

from mien_export.config_text import set_parameters, with_model_file, with_tensorrt
from mien_export.contract import (
    ensemble_mismatches,
    graph_mismatches,
    parse_config,
    read_config,
)
from mien_export.errors import ContractError
from mien_export.plan import read_sources
from mien_export.registry import PIPELINE_DEPENDENCIES, SPECS

from .tiny import CONTRACTS

SOURCES = read_sources(CONTRACTS)
RECOGNIZER = (CONTRACTS / "face_recognizer/config.pbtxt").read_text()
VERIFY = (CONTRACTS / "verify_faces/config.pbtxt").read_text()


def test_every_graph_has_a_spec_and_every_spec_a_graph():
    assert {name for name, item in SOURCES.items() if item.kind == "graph"} == set(SPECS)


def test_every_stated_dependency_is_a_model_and_sets_parameters_it_has():
    for model, dependencies in PIPELINE_DEPENDENCIES.items():
        for item in dependencies:
            assert item.model in SOURCES
            assert set(item.sets) <= set(SOURCES[model].parameters)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.model)
def test_tolerances_name_the_outputs_of_the_contract_and_give_reasons(spec):
    outputs = {tensor.name for tensor in SOURCES[spec.model].outputs}

    assert spec.default_network in spec.networks
    assert spec.precisions[0] == "fp32"
    for tolerances in spec.tolerances.values():
        assert set(tolerances) == outputs
        assert all(item.reason for item in tolerances.values())
        for item in tolerances.values():
            assert {item.min_cosine, item.max_abs, item.max_relative} != {None}


def test_a_misspelt_field_is_an_error_that_names_the_file():
    with pytest.raises(ContractError, match=r"here\.pbtxt is not a Triton model.*max_batchsize"):
        parse_config('name: "x" max_batchsize: 3', "here.pbtxt")


def test_a_config_in_the_wrong_directory_is_an_error(tmp_path):
    path = tmp_path / "other" / "config.pbtxt"
    path.parent.mkdir()
    path.write_text(RECOGNIZER)

    with pytest.raises(ContractError, match=r"names the model 'face_recognizer'.*'other'"):
        read_config(path)


def test_setting_a_parameter_changes_that_value_and_nothing_else():
    text = set_parameters(VERIFY, {"threshold": "0.4"}, "config.pbtxt")

    assert text == VERIFY.replace('"0.35"', '"0.4"')
    assert parse_config(text, "").parameters["threshold"] == "0.4"


@pytest.mark.parametrize("value", ["", 'a "quoted" \\ value', "two\nlines", "ünï"])
def test_any_text_can_be_a_value(value):
    text = set_parameters(VERIFY, {"threshold": value}, "config.pbtxt")

    assert parse_config(text, "").parameters["threshold"] == value


def test_parameters_are_found_however_they_are_spaced():
    text = 'parameters{key:"a"value{string_value:"1"}}\nparameters {\n key: "b"\n value: {\n' \
           ' string_value: "2" } }'  # fmt: skip

    found = parse_config(set_parameters(text, {"a": "x", "b": "y"}, ""), "").parameters

    assert found == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ('parameters { key: "a" value { string_value: "1" } }\n' * 2, 2)],
)
def test_a_parameter_that_does_not_stand_there_once_is_an_error(text, count):
    with pytest.raises(ContractError, match=rf"config has {count} places that read parameters"):
        set_parameters(text, {"a": "2"}, "config")


def test_a_parameter_in_a_comment_is_not_a_parameter():
    text = '# parameters { key: "a" value { string_value: "1" } }'

    with pytest.raises(ContractError, match="seems to be a comment"):
        set_parameters(text, {"a": "2"}, "config")


def test_another_graph_file_keeps_every_comment():
    text = with_model_file(RECOGNIZER, "model.fp16.onnx", "config.pbtxt")

    assert text == RECOGNIZER.replace('"model.onnx"', '"model.fp16.onnx"')


def test_a_tensorrt_config_maps_compute_capabilities_to_engines():
    text = with_tensorrt(RECOGNIZER, {"9.0": "a.plan", "8.9": "b.plan"}, "config.pbtxt")
    parsed = parse_config(text, "")

    assert (parsed.inputs, parsed.outputs) == (
        SOURCES["face_recognizer"].inputs,
        SOURCES["face_recognizer"].outputs,
    )
    config = model_config_pb2.ModelConfig()
    text_format.Parse(text, config)
    assert config.backend == "tensorrt"
    assert config.default_model_filename == "model.plan"
    assert dict(config.cc_model_filenames) == {"9.0": "a.plan", "8.9": "b.plan"}


def make_graph(
    name="crop_112", dtype=onnx.TensorProto.FLOAT, dims=("batch", 3, 112, 112), output="embedding"
):
    sides = [
        [helper.make_tensor_value_info(name, dtype, dims)],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["batch", 512])],
    ]
    return helper.make_graph([], "g", *sides)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"name": "data"}, "input names are ['data']", id="input"),
        pytest.param({"output": "683"}, "output names are ['683']", id="output"),
        pytest.param({"dtype": onnx.TensorProto.FLOAT16}, "is FLOAT16", id="dtype"),
        pytest.param({"dims": (1, 3, 112, 112)}, "the first must be a free batch", id="batch"),
        pytest.param({"dims": ("b", 3, 128, 128)}, "the contract says [3, 112, 112]", id="dims"),
        pytest.param({"dims": ("b", 3, "h", "w")}, "the contract says [3, 112, 112]", id="free"),
        pytest.param({"dims": ("b", 3)}, "the contract says [3, 112, 112]", id="rank"),
    ],
)
def test_a_graph_that_differs_is_described(change, problem):
    assert graph_mismatches(SOURCES["face_recognizer"], make_graph()) == []

    (found,) = graph_mismatches(SOURCES["face_recognizer"], make_graph(**change))
    assert problem in found


def test_the_real_ensembles_connect():
    for contract in SOURCES.values():
        if contract.kind == "ensemble":
            assert ensemble_mismatches(contract, SOURCES) == []


def broken_ensemble(old: str, new: str, **models) -> list[str]:
    text = (CONTRACTS / "embed_faces/config.pbtxt").read_text()
    assert old in text
    contract = parse_config(text.replace(old, new), "")
    return ensemble_mismatches(contract, {**SOURCES, **models})


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('model_name: "face_recognizer"', 'model_name: "nobody"', "'nobody' is not in the repos"),
        ('key: "crop_112"  value: "crop_112"', 'key: "crop_113" value: "crop_112"', "no input"),
        ('key: "crop_112"  value: "crop_112"', 'key: "crop_112" value: "crop_9"', "to nothing"),
        ('key: "crop_112"  value: "crop_112"', 'key: "crop_112" value: "alignment"', "TYPE_STR"),
        ('key: "embedding" value: "embedding"', 'key: "embedding" value: "error"', "two sources"),
        ("dims: [ 512 ]", "dims: [ 128 ]", "dims [128] but is given [512]"),
        ("max_batch_size: 32", "max_batch_size: 64", "exceeds that of step"),
    ],
)
def test_an_ensemble_that_does_not_connect_is_described(old, new, problem):
    problems = broken_ensemble(old, new)

    assert any(problem in found for found in problems), problems


def test_a_required_input_cannot_hang_on_an_optional_one():
    cropper = SOURCES["face_cropper"]
    inputs = tuple(dataclasses.replace(item, optional=False) for item in cropper.inputs)
    contract = dataclasses.replace(cropper, inputs=inputs)

    problems = ensemble_mismatches(SOURCES["embed_faces"], {**SOURCES, "face_cropper": contract})

    assert len(problems) == 2
    assert all("is optional" in problem for problem in problems)
