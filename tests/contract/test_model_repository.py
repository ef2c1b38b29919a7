# SPDX-License-Identifier: Apache-2.0
"""The contracts by themselves, and every side against them."""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from mien import _avatar_requests as client_avatars
from mien import _errors as client_errors
from mien import _generation_events as client_events
from mien import _generation_requests as client_generation
from mien import _hairstyles as client_hairstyles
from mien import _identity_requests as client_identities
from mien import _requests as client_requests
from mien_export import registry
from mien_server.cropping import CROP_SIZES
from mien_server.detection import DETECTOR_INPUT, DETECTOR_OUTPUTS
from mien_server.fit_encoding import FitEncoders
from mien_server.fit_pipeline import FitRequest, fit_requests
from mien_server.landmarking import LANDMARKER_INPUT, LANDMARKER_MAX_BATCH, LANDMARKER_OUTPUTS
from mien_server.style_renderer_pipeline import RENDER_INPUTS, RENDER_OUTPUTS
from mien_server.verify_pipeline import EMBED_OUTPUTS
from tests.server.planted_fits import PlantedModels, photograph

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "model_repository"
MODELS = sorted(path.parent.name for path in REPOSITORY.glob("*/config.pbtxt"))
MAX_ADAPTER_LINES = 70
VERBS = {"apply", "create", "embed", "encode", "fit", "generate", "sample", "try", "verify"}
# A public collection, which no weights are behind.
LIBRARY = "hairstyles"


def config(name):
    message = model_config_pb2.ModelConfig()
    return text_format.Parse((REPOSITORY / name / "config.pbtxt").read_text(), message)


def tensors(name, side):
    """name -> (dtype, dims)."""
    return {t.name: (t.data_type, tuple(t.dims)) for t in getattr(config(name), side)}


@pytest.mark.parametrize("name", MODELS)
def test_config_parses_strictly_and_names_its_folder(name):
    assert config(name).name == name


@pytest.mark.parametrize("name", MODELS)
def test_public_pipelines_are_verbs_and_say_whether_they_are_trained(name):
    parameters = {key: value.string_value for key, value in config(name).parameters.items()}

    is_public = parameters.get("public") == "true"

    assert is_public == (name.split("_")[0] in VERBS or name == LIBRARY)
    if (is_public and name != LIBRARY) or config(name).backend == "onnxruntime":
        assert parameters["untrained"] == "true", "an unbuilt contract must not claim weights"


@pytest.mark.parametrize("name", [n for n in MODELS if config(n).platform == "ensemble"])
def test_ensemble_steps_connect_with_equal_types(name):
    known = tensors(name, "input")
    for step in config(name).ensemble_scheduling.step:
        inputs, outputs = tensors(step.model_name, "input"), tensors(step.model_name, "output")
        optional = {t.name for t in config(step.model_name).input if t.optional}
        assert set(inputs) - optional <= set(step.input_map) <= set(inputs)
        for theirs, ours in step.input_map.items():
            assert known[ours] == inputs[theirs]
        for theirs, ours in step.output_map.items():
            known[ours] = outputs[theirs]
        assert config(step.model_name).max_batch_size >= config(name).max_batch_size

    assert tensors(name, "output").items() <= known.items()


@pytest.mark.parametrize("name", MODELS)
def test_no_queue_has_a_timeout(name):
    """Triton 8870: with one, the batcher stalls for 500 ms at a time and slows down for good."""
    policy = config(name).dynamic_batching.default_queue_policy

    assert policy.default_timeout_microseconds == 0


def test_a_full_batch_of_pairs_fits_one_embedding_call():
    assert 2 * config("verify_faces").max_batch_size <= config("embed_faces").max_batch_size


def test_whole_batches_fit_the_calls_that_are_made_with_them():
    callees = {item.model for item in registry.PIPELINE_DEPENDENCIES["fit_faces"]}

    assert callees == {
        "face_cropper", "deca_encoder", "mica_encoder", "flame_decoder", "texture_decoder",
        "style_renderer",
    }  # fmt: skip
    for callee in callees:
        assert config(callee).max_batch_size >= config("fit_faces").max_batch_size
    assert config("face_landmarker").max_batch_size >= LANDMARKER_MAX_BATCH


def test_fits_are_made_by_calls_the_contracts_offer():
    """A run of the pipeline on models whose answers are planted records every call."""
    models = PlantedModels()
    asked = frozenset(tensors("fit_faces", "output"))
    image = np.array([[photograph(1)]], dtype=object)

    (answer,) = fit_requests(
        [FitRequest(image, ["largest"], ["raise"], [""], asked)],
        models,
        encoders=FitEncoders(has_mica=True, mirrored_shape=True),
        untrained=True,
    )

    assert set(answer) == asked
    for name, (_, dims) in tensors("fit_faces", "output").items():
        assert len(answer[name].shape) == 1 + len(dims)
    for call in models.calls:
        inputs = tensors(call.model_name, "input")
        assert set(call.inputs) == set(inputs)
        assert set(call.outputs) <= set(tensors(call.model_name, "output"))
        for name, array in call.inputs.items():
            dims = inputs[name][1]
            sizes = array.shape[1:]
            assert len(sizes) == len(dims)
            assert all(d in (-1, s) for d, s in zip(dims, sizes, strict=True))


def test_every_graph_has_an_export_spec_and_every_spec_a_graph():
    graphs = {name for name in MODELS if config(name).backend == "onnxruntime"}

    assert set(registry.SPECS) == graphs


def test_what_the_server_calls_is_what_the_contracts_offer():
    assert set(EMBED_OUTPUTS) <= set(tensors("embed_faces", "output"))
    assert set(tensors("face_detector", "input")) == {DETECTOR_INPUT}
    assert set(tensors("face_detector", "output")) == set(DETECTOR_OUTPUTS)
    assert set(tensors("face_landmarker", "input")) == {LANDMARKER_INPUT}
    assert set(tensors("face_landmarker", "output")) == set(LANDMARKER_OUTPUTS)
    crops = {n for n in tensors("face_cropper", "output") if n.startswith("crop_")}
    assert crops == {f"crop_{size}" for size in CROP_SIZES}
    for size in CROP_SIZES:
        assert tensors("face_cropper", "output")[f"crop_{size}"][1] == (3, size, size)


def test_the_renderer_takes_and_gives_what_its_contract_says():
    assert set(tensors("style_renderer", "input")) == set(RENDER_INPUTS)
    assert set(tensors("style_renderer", "output")) == set(RENDER_OUTPUTS)


@pytest.mark.parametrize(
    ("model", "side", "specs"),
    [
        ("verify_faces", "input", client_requests.VERIFY_INPUTS),
        ("verify_faces", "output", client_requests.VERIFY_OUTPUTS),
        ("embed_faces", "input", client_requests.EMBED_INPUTS),
        ("embed_faces", "output", client_requests.EMBED_OUTPUTS),
        ("fit_faces", "input", client_requests.FIT_INPUTS),
        ("fit_faces", "output", client_requests.FIT_OUTPUTS),
        ("generate_faces", "input", client_generation.GENERATE_INPUTS),
        ("generate_faces", "output", client_events.GENERATE_OUTPUTS),
        ("sample_identities", "input", client_identities.SAMPLE_IDENTITIES_INPUTS),
        ("sample_identities", "output", client_identities.SAMPLE_IDENTITIES_OUTPUTS),
        ("create_avatar", "input", client_avatars.CREATE_AVATAR_INPUTS),
        ("create_avatar", "output", client_avatars.CREATE_AVATAR_OUTPUTS),
        ("apply_emotion", "input", client_avatars.APPLY_EMOTION_INPUTS),
        ("apply_emotion", "output", client_avatars.CHANGED_AVATAR_OUTPUTS),
        ("try_hairstyle", "input", client_avatars.TRY_HAIRSTYLE_INPUTS),
        ("try_hairstyle", "output", client_avatars.CHANGED_AVATAR_OUTPUTS),
        ("try_hairstyle", "output", (client_avatars.TURNTABLE_OUTPUT,)),
        ("hairstyles", "input", client_hairstyles.HAIRSTYLES_INPUTS),
        ("hairstyles", "output", (client_hairstyles.ENTRIES, client_hairstyles.PREVIEW)),
    ],
)
def test_what_the_client_sends_and_reads_is_what_the_contracts_offer(model, side, specs):
    name_of = {"TYPE_STRING": "BYTES"}
    offered = {}
    for tensor, (dtype, dims) in tensors(model, side).items():
        triton_name = model_config_pb2.DataType.Name(dtype)
        offered[tensor] = (name_of.get(triton_name, triton_name.removeprefix("TYPE_")), dims)

    assert {
        s.name: (s.datatype, tuple(s.shape[-len(offered[s.name][1]) :])) for s in specs
    }.items() <= (offered.items())


def test_the_client_maps_every_error_code_to_the_exception_in_the_document():
    document = (ROOT / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| `(\w+)` \|$", document, re.MULTILINE)

    assert dict(rows) == {code: kind.__name__ for code, kind in client_errors.CODE_ERRORS.items()}


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*/1/model.py")), ids=str)
def test_adapters_are_thin_and_import_only_the_server(path):
    source = path.read_text()
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])

    assert len(source.splitlines()) <= MAX_ADAPTER_LINES
    assert modules <= {"mien_server", "numpy"} | sys.stdlib_module_names


def test_the_table_of_models_is_complete():
    table = (REPOSITORY / "README.md").read_text()

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(MODELS)


def test_the_exporter_borrows_only_the_config_schema_from_tritonclient():
    borrowed = set()
    for path in (ROOT / "export").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tritonclient"):
                borrowed |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
                borrowed |= {name for name in names if name.startswith("tritonclient")}

    assert borrowed == {"tritonclient.grpc.model_config_pb2"}
