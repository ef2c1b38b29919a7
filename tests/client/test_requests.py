# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire, read there independently, and answers that do not fit."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from numpy.testing import assert_array_equal
from tritonclient.grpc import model_config_pb2

from mien import ContractError, InvalidOptionError, MienError
from mien import _requests as requests
from tests.fakes.fake_triton import Reply, Tensor, boolean, bytes_elements, fp32, text

REPOSITORY = Path(__file__).parents[2] / "model_repository"


def inputs_on_the_wire(request):
    """Name -> (datatype, shape, elements), in no particular order."""
    return {
        tensor.name: (tensor.datatype, tuple(tensor.shape), bytes_elements(raw))
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
    }


def asked_outputs(request):
    return {output.name for output in request.outputs}


def test_verify_puts_both_images_and_the_policy_on_the_wire(call, triton):
    call("verify", b"probe bytes", b"reference\0bytes", face_policy="single")

    request = triton.calls[-1].request
    assert request.model_name == "verify_faces"
    assert re.fullmatch(r"[0-9a-f]{32}", request.id)
    assert inputs_on_the_wire(request) == {
        "probe_image": ("BYTES", (1, 1), [b"probe bytes"]),
        "reference_image": ("BYTES", (1, 1), [b"reference\0bytes"]),
        "face_policy": ("BYTES", (1, 1), [b"single"]),
    }
    assert asked_outputs(request) == set(triton_outputs("verify_faces")) - {"error"}


def test_a_wanted_rate_goes_on_the_wire_as_one_number_and_only_if_wanted(call, triton):
    call("verify", b"a", b"b", fmr=1e-4)
    call("verify", b"a", b"b")

    wanted, unwanted = (c.request for c in triton.calls)
    (index,) = [i for i, tensor in enumerate(wanted.inputs) if tensor.name == "fmr"]
    assert (wanted.inputs[index].datatype, [*wanted.inputs[index].shape]) == ("FP32", [1, 1])
    assert wanted.raw_input_contents[index] == struct.pack("<f", 1e-4)
    assert "fmr" not in inputs_on_the_wire(unwanted)


@pytest.mark.parametrize("fmr", [0, 1, -1e-3, 10, float("nan")])
def test_what_is_no_rate_is_refused_at_the_door(call, triton, fmr):
    with pytest.raises(InvalidOptionError, match="between 0 and 1") as caught:
        call("verify", b"a", b"b", fmr=fmr)

    assert caught.value.code == "INVALID_OPTION"
    assert triton.calls == []


def test_embed_puts_the_image_and_the_policy_on_the_wire(call, triton):
    call("embed", b"image bytes")

    request = triton.calls[-1].request
    assert request.model_name == "embed_faces"
    assert inputs_on_the_wire(request) == {
        "image": ("BYTES", (1, 1), [b"image bytes"]),
        "face_policy": ("BYTES", (1, 1), [b"largest"]),
    }
    assert asked_outputs(request) == set(triton_outputs("embed_faces")) - {"error"}


@pytest.mark.parametrize("overlay", [False, True])
def test_fit_puts_the_image_on_the_wire_and_asks_for_the_overlay_only_when_told(
    call, triton, overlay
):
    call("fit", b"image bytes", face_policy="single", overlay=overlay)

    request = triton.calls[-1].request
    assert request.model_name == "fit_faces"
    assert inputs_on_the_wire(request) == {
        "image": ("BYTES", (1, 1), [b"image bytes"]),
        "face_policy": ("BYTES", (1, 1), [b"single"]),
    }
    unasked = {"error"} if overlay else {"error", "overlay"}
    assert asked_outputs(request) == set(triton_outputs("fit_faces")) - unasked
    assert len(triton.calls) == 1


@pytest.mark.parametrize("method", ["verify", "embed"])
def test_triton_is_told_the_remaining_time_in_microseconds(call, triton, method):
    call(method, *{"verify": [b"a", b"b"], "embed": [b"a"]}[method], deadline_s=20)

    infer = triton.calls_of("ModelInfer")[0]
    timeout = infer.request.parameters["timeout"]
    assert timeout.WhichOneof("parameter_choice") == "int64_param"
    assert 1_000_000 < timeout.int64_param <= 20_000_000
    assert infer.time_remaining_s < 21  # gRPC rounds deadlines up on the wire


def test_every_request_has_an_id_of_its_own(client, triton):
    answers = [client.verify(b"a", b"b") for _ in range(3)]

    ids = [call.request.id for call in triton.calls]
    assert len(set(ids)) == 3
    assert [answer.request_id for answer in answers] == ids


def test_verification_holds_what_the_server_said(call):
    answer = call("verify", b"a", b"b")

    assert (answer.similarity, answer.threshold, answer.is_match) == (0.75, 0.5, True)
    assert answer.untrained is False
    assert answer.probe.box_xyxy == (10.0, 20.0, 110.0, 140.0)
    assert answer.reference.box_xyxy == (1.0, 2.0, 51.0, 62.0)
    assert_array_equal(answer.probe.landmarks, np.arange(10).reshape(5, 2))
    assert answer.probe.landmarks.dtype == np.float32
    assert answer.probe.alignment is None


def test_calibrated_verification_holds_rate_and_likelihood_ratio(call, triton):
    numbers = {"fmr": 0.125, "log10_likelihood_ratio": -1.5}
    reply = Reply({name: fp32(value, shape=(1, 1)) for name, value in numbers.items()})
    triton.script("verify_faces", reply)

    calibrated, not_calibrated = call("verify", b"a", b"b"), call("verify", b"a", b"b")

    assert (calibrated.fmr, calibrated.log10_likelihood_ratio) == (0.125, -1.5)
    assert calibrated.to_dict().items() >= numbers.items()
    assert not_calibrated.fmr is not_calibrated.log10_likelihood_ratio is None


def test_embedding_holds_what_the_server_said(call):
    answer = call("embed", b"a")

    assert answer.vector.shape == (512,)
    assert answer.vector.dtype == np.float32
    assert answer.vector[511] == 1.0
    assert answer.untrained is False
    face = answer.face
    assert face.box_xyxy == (10.0, 20.0, 110.0, 140.0)
    assert (face.alignment, face.detection_score, face.face_count) == ("eyes", 0.875, 2)


def test_fitted_face_holds_what_the_server_said(call):
    answer = call("fit", b"a", overlay=True)

    assert_array_equal(answer.codes, np.arange(236))
    assert_array_equal(answer.vertices, np.arange(12).reshape(4, 3))
    assert_array_equal(answer.vertices_px, np.arange(100, 112).reshape(4, 3))
    assert_array_equal(answer.landmarks_68, np.full((68, 2), 10))
    assert answer.overlay == b"\x89PNG and so on"
    assert answer.untrained is False
    assert answer.face.box_xyxy == (10.0, 20.0, 110.0, 140.0)
    assert answer.face.face_count == 2
    assert_array_equal(answer.face.landmarks, np.arange(10).reshape(5, 2))


def test_codes_of_a_fitted_face_are_named_in_decas_order(client):
    answer = client.fit(b"a")

    assert_array_equal(answer.shape, np.arange(300))
    assert_array_equal(answer.texture, np.arange(100, 150))
    assert_array_equal(answer.expression, np.arange(150, 200))
    assert_array_equal(answer.pose, np.arange(200, 206))
    assert_array_equal(answer.camera, [206, 207, 208])
    assert_array_equal(answer.light, np.arange(209, 236).reshape(9, 3))


@pytest.mark.parametrize("source", ["deca", "mica", "mean", None])
def test_the_source_of_the_shape_is_asked_for_by_name(call, triton, source):
    call("fit", b"a", shape_source=source)

    sent = inputs_on_the_wire(triton.calls[-1].request).get("shape_source")
    assert sent == (None if source is None else ("BYTES", (1, 1), [source.encode()]))


def test_a_source_of_the_shape_that_there_is_not_is_refused(call, triton):
    with pytest.raises(InvalidOptionError, match="'flame'; allowed are 'deca', 'mica', 'mean'"):
        call("fit", b"a", shape_source="flame")

    assert triton.calls == []


def test_landmark_error_is_the_mean_distance_or_none_without_a_landmarker(client, triton):
    unknown = fp32(*[float("nan")] * 136, shape=(1, 68, 2))
    triton.script("fit_faces", Reply(), Reply({"landmarks_68": unknown}))

    with_landmarker, without = client.fit(b"a"), client.fit(b"a")

    assert with_landmarker.landmark_error_px == 5.0  # 3 and 4 pixels apart
    assert without.landmark_error_px is None
    assert without.to_dict()["landmarks_68"] == [[None, None]] * 68


def test_a_head_may_have_any_number_of_vertices_but_only_three_coordinates(call, triton):
    many = fp32(*[1.0] * 30, shape=(1, 10, 3))
    triton.script("fit_faces", Reply({"vertices": many}))

    assert call("fit", b"a").vertices.shape == (10, 3)

    for shape in ((1, 15, 2), (2, 5, 3), (30,)):
        triton.script("fit_faces", Reply({"vertices": fp32(*[1.0] * 30, shape=shape)}))
        with pytest.raises(ContractError, match="vertices"):
            call("fit", b"a")
    triton.script("fit_faces", Reply({"vertices": Tensor("FP32", (1, 10, 3), bytes(30 * 4 - 4))}))
    with pytest.raises(ContractError, match="116 bytes"):
        call("fit", b"a")


@pytest.mark.parametrize(
    "name", ["codes", "shape", "vertices", "vertices_px", "fitted_landmarks_68"]
)
def test_a_fit_of_numbers_that_are_none_is_refused(call, triton, name):
    shape = {"codes": (1, 236), "shape": (1, 300), "fitted_landmarks_68": (1, 68, 2)}.get(
        name, (1, 4, 3)
    )
    triton.script("fit_faces", Reply({name: fp32(*[NAN] * int(np.prod(shape)), shape=shape)}))

    with pytest.raises(ContractError, match=f"{name}.*NaN"):
        call("fit", b"a")


def test_arrays_of_results_are_read_only(client):
    answer, fit = client.embed(b"a"), client.fit(b"a")

    for array in (answer.vector, answer.face.landmarks, fit.codes, fit.vertices, fit.pose):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_untrained_verification_says_so(call, triton):
    triton.script("verify_faces", Reply({"untrained": boolean(True)}))

    assert call("verify", b"a", b"b").untrained is True


def test_missing_landmarks_become_null_in_json(client, triton):
    nothing = fp32(*[float("nan")] * 10, shape=(1, 5, 2))
    triton.script("verify_faces", Reply({"probe_landmarks": nothing}))

    answer = client.verify(b"a", b"b").to_dict()

    assert answer["probe"]["landmarks"] == [[None, None]] * 5
    assert answer["reference"]["landmarks"][4] == [8.0, 9.0]


@pytest.mark.parametrize("policy", ["biggest", "", "LARGEST", None])
def test_unknown_face_policy_is_refused_at_the_door(call, triton, policy):
    with pytest.raises(InvalidOptionError, match="'largest', 'single'"):
        call("verify", b"a", b"b", face_policy=policy)

    assert triton.calls == []


def drop_raw(response):
    del response.raw_output_contents[-1]


def drop_output(response):
    del response.outputs[-1]
    del response.raw_output_contents[-1]


def repeat_output(response):
    response.outputs.append(response.outputs[0])
    response.raw_output_contents.append(response.raw_output_contents[0])


def rename_output(response):
    response.outputs[0].name = "score"


def change_id(response):
    response.id = "another"


NAN = float("nan")
MALFORMED = {
    "a raw tensor short": Reply(edit=drop_raw),
    "an output short": Reply(edit=drop_output),
    "an output twice": Reply(edit=repeat_output),
    "another name": Reply(edit=rename_output),
    "another id": Reply(edit=change_id),
    "another dtype": Reply({"similarity": Tensor("FP64", (1, 1), bytes(8))}),
    "another shape": Reply({"similarity": fp32(1, shape=(1,))}),
    "a batch of two": Reply({"similarity": fp32(1, 1, shape=(2, 1))}),
    "bytes missing": Reply({"similarity": Tensor("FP32", (1, 1), b"\0\0")}),
    "bytes left over": Reply({"is_match": Tensor("BOOL", (1, 1), b"\1\1")}),
    "similarity NaN": Reply({"similarity": fp32(NAN, shape=(1, 1))}),
    "threshold infinite": Reply({"threshold": fp32(float("inf"), shape=(1, 1))}),
    "box NaN": Reply({"probe_box_xyxy": fp32(1, 2, NAN, 4, shape=(1, 4))}),
}


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED)
def test_malformed_verification_is_refused(call, triton, reply):
    triton.script("verify_faces", reply)

    with pytest.raises(ContractError) as caught:
        call("verify", b"a", b"b")

    assert caught.value.model_name == "verify_faces"
    assert caught.value.request_id == triton.calls[-1].request.id


@pytest.mark.parametrize(
    "alignment",
    [b"", b"\1\0", struct.pack("<I", 9) + b"eyes", struct.pack("<I", 1) + b"eyes", bytes(8)],
    ids=["nothing", "half a length", "too long", "too short", "two elements"],
)
def test_malformed_text_in_an_embedding_is_refused(call, triton, alignment):
    triton.script("embed_faces", Reply({"alignment": Tensor("BYTES", (1, 1), alignment)}))

    with pytest.raises(ContractError, match="alignment"):
        call("embed", b"a")


def test_embedding_of_another_size_is_refused(call, triton):
    triton.script("embed_faces", Reply({"embedding": fp32(*[0.0] * 128, shape=(1, 128))}))

    with pytest.raises(ContractError, match=r"\(1, 128\).*\(1, 512\)"):
        call("embed", b"a")


def test_text_that_is_no_utf8_does_not_break_an_embedding(client, triton):
    triton.script("embed_faces", Reply({"alignment": text(b"\xff")}))

    assert client.embed(b"a").face.alignment == "\ufffd"


def triton_config(model):
    source = (REPOSITORY / model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(source, model_config_pb2.ModelConfig())


def triton_tensors(tensors):
    datatype = model_config_pb2.DataType.Name
    return {
        t.name: (datatype(t.data_type).removeprefix("TYPE_").replace("STRING", "BYTES"), [*t.dims])
        for t in tensors
    }


def triton_outputs(model):
    return triton_tensors(triton_config(model).output)


def specs(tensors):
    return {spec.name: (spec.datatype, [*spec.dims]) for spec in tensors}


@pytest.mark.parametrize("pipeline", ["verify", "embed", "fit"])
def test_tensors_of_the_client_are_those_of_the_contract(pipeline):
    model = getattr(requests, f"{pipeline.upper()}_MODEL")
    config = triton_config(model)
    inputs = specs(getattr(requests, f"{pipeline.upper()}_INPUTS"))
    outputs = specs(getattr(requests, f"{pipeline.upper()}_OUTPUTS"))

    assert inputs.items() <= triton_tensors(config.input).items()
    assert {t.name for t in config.input if not t.optional} <= set(inputs)
    assert outputs.items() <= triton_tensors(config.output).items()


def test_fake_triton_answers_what_the_contract_says(triton):
    """The fake is hand-written; without this it could drift away together with the client."""
    from tests.fakes.fake_triton import _DEFAULT_OUTPUTS

    for model, outputs in _DEFAULT_OUTPUTS.items():
        contract = triton_outputs(model)
        assert set(outputs) == set(contract)
        for name, tensor in outputs.items():
            datatype, dims = contract[name]
            sizes = [*tensor.shape[len(tensor.shape) - len(dims) :]]
            free = [size if dim == -1 else dim for dim, size in zip(dims, sizes, strict=True)]
            assert (tensor.datatype, sizes) == (datatype, free)


def test_every_refusal_on_this_side_is_a_mien_error(client):
    with pytest.raises(MienError):
        client.embed(b"")
