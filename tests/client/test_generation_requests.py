# SPDX-License-Identifier: Apache-2.0
"""What `generate` puts on the wire, read there independently, and what it refuses to send."""

import struct
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from mien import (
    Client,
    Embedding,
    FakeTransport,
    IdentityToken,
    InvalidImageError,
    InvalidOptionError,
    NewIdentity,
)
from mien import _generation_events as events
from mien import _generation_requests as requests
from tests.fakes.fake_triton import bytes_elements, generation_event

CONTRACT = Path(__file__).parents[2] / "model_repository" / "generate_faces" / "config.pbtxt"
VECTOR = np.linspace(-1, 1, 512, dtype=np.float32)
CODES = np.linspace(-1, 1, 236)


def contract_tensors(side):
    config = text_format.Parse(CONTRACT.read_text("utf-8"), model_config_pb2.ModelConfig())
    datatype = model_config_pb2.DataType.Name
    return {
        t.name: (datatype(t.data_type).removeprefix("TYPE_").replace("STRING", "BYTES"), [*t.dims])
        for t in getattr(config, side)
    }


@pytest.fixture
def sent(generate, triton):
    """``sent(b"me", count=2)``: name -> (datatype, shape, raw bytes) of what arrives."""

    def sent(*args, **kwargs):
        generate(*args, **kwargs)
        request = triton.calls[-1].request
        assert request.model_name == "generate_faces"
        assert request.parameters["triton_enable_empty_final_response"].bool_param is True
        return {
            tensor.name: (tensor.datatype, [*tensor.shape], raw)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }

    return sent


def element(text):
    return struct.pack("<I", len(text)) + text


def test_what_was_left_out_is_not_sent(sent):
    assert sent(b"me") == {
        "identity_image": ("BYTES", [1], element(b"me")),
        "progress": ("BOOL", [1], b"\1"),
        "image_format": ("BYTES", [1], element(b"png")),
    }


def test_every_option_is_sent_as_the_contract_says(sent):
    options = {
        "replace_shape": False, "face_policy": "single", "count": 1, "seed": 2**64 - 1,
        "solver": "ddim", "steps": np.int64(7), "eta": 0.5, "guidance_weight": 2,
        "switch_at": 300, "blending_order": "identity_first", "progress": False,
        "preview_every": 3, "image_format": "raw",
    }  # fmt: skip

    wire = sent(b"me", style=b"them", style_parts=["pose", "light"], **options)

    assert wire.pop("identity_image")[2] == element(b"me")
    assert wire.pop("style_image")[2] == element(b"them")
    assert wire.pop("style_parts") == ("BYTES", [2], element(b"pose") + element(b"light"))
    assert wire == {
        "replace_shape": ("BOOL", [1], b"\0"),
        "face_policy": ("BYTES", [1], element(b"single")),
        "count": ("INT32", [1], struct.pack("<i", 1)),
        "seed": ("UINT64", [1], struct.pack("<Q", 2**64 - 1)),
        "solver": ("BYTES", [1], element(b"ddim")),
        "steps": ("INT32", [1], struct.pack("<i", 7)),
        "eta": ("FP32", [1], struct.pack("<f", 0.5)),
        "guidance_weight": ("FP32", [1], struct.pack("<f", 2)),
        "switch_at": ("INT32", [1], struct.pack("<i", 300)),
        "blending_order": ("BYTES", [1], element(b"identity_first")),
        "progress": ("BOOL", [1], b"\0"),
        "preview_every": ("INT32", [1], struct.pack("<i", 3)),
        "image_format": ("BYTES", [1], element(b"raw")),
    }


@pytest.mark.parametrize(
    ("identity", "name", "expected"),
    [
        (IdentityToken("sealed"), "identity_token", ("BYTES", [1], element(b"sealed"))),
        (NewIdentity(2**64 - 1), "identity_seed", ("UINT64", [1], b"\xff" * 8)),
        (NewIdentity(0), "identity_seed", ("UINT64", [1], bytes(8))),
    ],
    ids=["token", "largest seed", "smallest seed"],
)
def test_identities_that_are_no_photographs(sent, identity, name, expected):
    wire = sent(identity)

    assert wire[name] == expected
    assert {n for n in wire if n.startswith("identity")} == {name}


@pytest.mark.parametrize("wrapped", [False, True], ids=["array", "Embedding"])
def test_an_embedding_is_sent_only_under_its_own_name(sent, wrapped):
    embedding = Embedding(VECTOR, None, untrained=False, request_id="") if wrapped else VECTOR

    wire = sent(identity_embedding=embedding)

    assert wire["identity_embedding"] == ("FP32", [512], VECTOR.tobytes())
    with pytest.raises(InvalidOptionError, match="as identity_embedding="):
        sent(embedding)


@pytest.mark.parametrize("rows", [None, 1], ids=["(236,)", "(1, 236)"])
def test_style_codes_are_sent_as_rows(sent, rows):
    style = CODES if rows is None else CODES[None]

    assert sent(b"me", style=style)["style_codes"] == (
        "FP32", [1, 236], CODES.astype("<f4").tobytes(),
    )  # fmt: skip


def test_one_style_per_face_is_sent_as_so_many_rows():
    transport = FakeTransport()

    list(Client(transport=transport).generate(b"me", style=np.stack([CODES] * 3), count=3))

    (shape,) = [[*t.shape] for t in transport.rpcs[0].request.inputs if t.name == "style_codes"]
    assert shape == [3, 236]


def test_a_style_of_pixels_is_a_photograph(sent):
    wire = sent(b"me", style=np.zeros((236, 236, 3), np.uint8))

    (image,) = bytes_elements(wire["style_image"][2])
    assert image.startswith(b"\x89PNG")


@pytest.mark.parametrize(("image_format", "unasked"), [("png", "pixels"), ("raw", "image")])
def test_images_are_asked_for_in_one_format(generate, triton, image_format, unasked):
    generate(b"me", image_format=image_format)

    asked = {output.name for output in triton.calls[0].request.outputs}
    assert asked == set(contract_tensors("output")) - {unasked}


REFUSED = {
    "nobody": ((), {}, "neither of identity and identity_embedding"),
    "two": ((b"me",), {"identity_embedding": VECTOR}, "both of identity"),
    "template": ((VECTOR,), {}, "an array of float32 with shape (512,)"),
    "short embedding": ((), {"identity_embedding": VECTOR[:128]}, "(128,); expected"),
    "embedding of text": ((), {"identity_embedding": "me.jpg"}, "is a str; expected"),
    "identity's seed": ((NewIdentity(-1),), {}, "seed of NewIdentity is -1"),
    "no face": ((b"me",), {"count": 0}, "count is 0"),
    "half a face": ((b"me",), {"count": 1.5}, "count is 1.5"),
    "too many": ((b"me",), {"count": 2**31}, "whole numbers from 1 to 2147483647"),
    "seed too large": ((b"me",), {"seed": 2**64}, "to 18446744073709551615"),
    "seed negative": ((b"me",), {"seed": -1}, "seed is -1"),
    "no steps": ((b"me",), {"steps": 0}, "steps is 0"),
    "previews": ((b"me",), {"preview_every": -1}, "preview_every is -1"),
    "switch": ((b"me",), {"switch_at": -1}, "switch_at is -1"),
    "eta": ((b"me",), {"eta": float("nan")}, "eta is nan"),
    "weight": ((b"me",), {"guidance_weight": float("inf")}, "guidance_weight is inf"),
    "solver": ((b"me",), {"solver": "euler"}, "'dpm_solver_2m', 'ddim', 'ddim_uiface'"),
    "order": ((b"me",), {"blending_order": "both"}, "'style_first', 'identity_first'"),
    "policy": ((b"me",), {"face_policy": "all"}, "'largest', 'single'"),
    "format": ((b"me",), {"image_format": "jpeg"}, "'png', 'raw'"),
    "no format": ((b"me",), {"image_format": None}, "'png', 'raw'"),
    "parts": ((b"me",), {"style": b"x", "style_parts": ["hair"]}, "style_parts is ['hair']"),
    "no parts": ((b"me",), {"style": b"x", "style_parts": []}, "Leave it out"),
    "codes": ((b"me",), {"style": CODES[:100]}, "(100,); expected codes"),
    "rows": ((b"me",), {"style": np.stack([CODES] * 2), "count": 3}, "or (3, 236)"),
    "deadline": ((b"me",), {"deadline_s": 0}, "deadline_s is 0"),
}


@pytest.mark.parametrize(("args", "options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_no_server_would_take_is_refused_at_the_door(generate, triton, args, options, words):
    with pytest.raises(InvalidOptionError) as caught:
        generate(*args, **options)

    assert words in str(caught.value)
    assert triton.calls == []


def test_pixels_of_another_dtype_are_refused_as_an_image(generate, triton):
    with pytest.raises(InvalidImageError, match="identity is an array of int64"):
        generate(np.zeros((300, 300, 3), np.int64))

    assert triton.calls == []


@pytest.mark.parametrize("side", ["input", "output"])
def test_tensors_of_the_client_are_those_of_the_contract(side):
    ours = {"input": requests.GENERATE_INPUTS, "output": events.GENERATE_OUTPUTS}[side]

    assert {s.name: (s.datatype, [*s.dims]) for s in ours} == contract_tensors(side)


def test_the_fake_tells_events_as_the_contract_says():
    contract = contract_tensors("output")
    for kind in ("started", "progress", "preview", "face"):
        for name, tensor in generation_event(kind).items():
            datatype, dims = contract[name]
            free = [size if d == -1 else d for d, size in zip(dims, tensor.shape, strict=True)]
            assert (tensor.datatype, [*tensor.shape]) == (datatype, free)


def test_a_token_is_text_that_repr_does_not_show():
    token = IdentityToken("sealed")

    assert str(token) == "sealed"
    assert token == IdentityToken("sealed")
    assert "sealed" not in repr(token)
