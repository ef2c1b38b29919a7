# SPDX-License-Identifier: Apache-2.0
import pickle
import re
from pathlib import Path

import grpc
import pytest

import mien
from mien import (
    ContractError,
    DeadlineExceededError,
    InvalidRequestError,
    MienError,
    ModelNotFoundError,
    NoFaceError,
    PermissionDeniedError,
    RequestCancelledError,
    ServerError,
    ServerUnavailableError,
    UnauthenticatedError,
)
from mien._errors import CODE_ERRORS, STATUS_ERRORS, error_from_status, error_from_words
from tests.fakes.fake_triton import Refusal

S = grpc.StatusCode
DOCUMENTED = re.findall(
    r"^\| `([A-Z_]+)` \|.*\| ([A-Z_]+) \| `(\w+)` \|$",
    (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
CLASS_OF_STATUS = {
    S.CANCELLED: RequestCancelledError,
    S.UNKNOWN: ServerError,
    S.INVALID_ARGUMENT: InvalidRequestError,
    S.DEADLINE_EXCEEDED: DeadlineExceededError,
    S.NOT_FOUND: ModelNotFoundError,
    S.ALREADY_EXISTS: ServerError,
    S.PERMISSION_DENIED: PermissionDeniedError,
    S.RESOURCE_EXHAUSTED: ServerError,
    S.FAILED_PRECONDITION: ServerError,
    S.ABORTED: ServerError,
    S.OUT_OF_RANGE: InvalidRequestError,
    S.UNIMPLEMENTED: ContractError,
    S.INTERNAL: ServerError,
    S.UNAVAILABLE: ServerUnavailableError,
    S.DATA_LOSS: ServerError,
    S.UNAUTHENTICATED: UnauthenticatedError,
}


def test_every_grpc_status_has_a_class():
    assert set(STATUS_ERRORS) == set(S)


def test_codes_are_the_documented_ones():
    assert DOCUMENTED
    assert {code: cls.__name__ for code, cls in CODE_ERRORS.items()} == {
        code: name for code, _, name in DOCUMENTED
    }


@pytest.mark.parametrize(("status", "expected"), CLASS_OF_STATUS.items(), ids=lambda v: str(v))
def test_status_on_the_wire_raises_its_class(call, triton, status, expected):
    triton.script("verify_faces", *[Refusal(status, "words of the server")] * 3)

    with pytest.raises(MienError, match="words of the server") as caught:
        call("verify", b"a", b"b")

    assert type(caught.value) is expected
    assert caught.value.status == status.name
    assert caught.value.code is None
    assert caught.value.model_name == "verify_faces"
    assert caught.value.request_id == triton.calls[-1].request.id


@pytest.mark.parametrize(("code", "status", "name"), DOCUMENTED, ids=[d[0] for d in DOCUMENTED])
def test_code_on_the_wire_raises_its_class(call, triton, code, status, name):
    details = f"in ensemble 'verify_faces', mien.{code}: probe: this came, do that"
    triton.script("verify_faces", *[Refusal(S[status], details)] * 3)

    with pytest.raises(MienError) as caught:
        call("verify", b"a", b"b")

    assert type(caught.value) is getattr(mien, name)
    assert str(caught.value) == "probe: this came, do that"
    assert caught.value.code == code
    assert caught.value.status == status
    assert caught.value.model_name == "verify_faces"
    assert caught.value.request_id == triton.calls[-1].request.id


def test_code_decides_over_status():
    error = error_from_status(S.INTERNAL, "mien.NO_FACE: none found", address="x:1")

    assert type(error) is NoFaceError


def test_unknown_code_falls_back_to_the_status_and_is_kept():
    error = error_from_status(S.INVALID_ARGUMENT, "mien.FROM_TOMORROW: new", address="x:1")

    assert type(error) is InvalidRequestError
    assert error.code == "FROM_TOMORROW"
    assert str(error) == "new"


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("Request timeout expired", DeadlineExceededError),
        ("This protocol is restricted, expecting header 'x'", PermissionDeniedError),
    ],
    ids=["queue dropped it", "restricted protocol"],
)
def test_unavailable_that_retrying_cannot_cure_is_not_retried(call, triton, details, expected):
    triton.script("verify_faces", Refusal(S.UNAVAILABLE, details))

    with pytest.raises(expected):
        call("verify", b"a", b"b")

    assert len(triton.calls) == 1


@pytest.mark.parametrize("code", CODE_ERRORS)
def test_code_in_words_alone_decides(code):
    error = error_from_words(f"in ensemble 'x', mien.{code}: this came", model_name="m")

    assert type(error) is CODE_ERRORS[code]
    assert (str(error), error.code, error.status) == ("this came", code, None)
    assert error.model_name == "m"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Request for unknown model: 'm' is not found", ModelNotFoundError),
        ("Request for unknown model: 'm' has no available versions", ServerUnavailableError),
        ("Server is stopping, scheduler for model has stopped", ServerUnavailableError),
        ("Exceeds maximum queue size", ServerUnavailableError),
        ("Request timeout expired", DeadlineExceededError),
        ("[request id: x] unexpected shape for input 'seed'", InvalidRequestError),
        ("unexpected inference input 'foo' for model 'm'", InvalidRequestError),
        ("inference input 'seed' data-type is 'INT64'", InvalidRequestError),
        ("something else", ServerError),
        ("mien.FROM_TOMORROW: new", ServerError),
    ],
)
def test_words_of_triton_without_a_known_code_raise_what_they_mean(words, expected):
    error = error_from_words(words)

    assert type(error) is expected
    assert words.removeprefix("mien.FROM_TOMORROW: ") in str(error)


def test_error_without_details_still_says_where_and_what_to_do():
    error = error_from_status(S.INTERNAL, None, address="host:8001")

    assert "host:8001" in str(error)
    assert "log" in str(error)


def test_error_survives_pickling():
    error = NoFaceError("none", model_name="m", request_id="r", status="INTERNAL", code="NO_FACE")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is NoFaceError
    assert copy.to_dict() == error.to_dict()


def test_error_keeps_its_cause(client, triton):
    triton.script("verify_faces", Refusal(S.INTERNAL, "broken"))

    with pytest.raises(ServerError) as caught:
        client.verify(b"a", b"b")

    assert isinstance(caught.value.__cause__, grpc.RpcError)
