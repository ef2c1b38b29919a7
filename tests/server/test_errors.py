# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest

from mien_server.errors import STATUS_OF_CODE, ServingError, serving_error_from_message

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
GRPC_OF_TRITON = {"INVALID_ARG": "INVALID_ARGUMENT"}


def test_the_document_lists_exactly_the_codes_with_their_status():
    rows = re.findall(r"^\| `([A-Z_]+)` \|[^|]*\| ([A-Z_]+) \|", DOCUMENT.read_text(), re.MULTILINE)

    assert dict(rows) == {
        code: GRPC_OF_TRITON.get(status, status) for code, status in STATUS_OF_CODE.items()
    }


@pytest.mark.parametrize("code", STATUS_OF_CODE)
def test_a_refusal_survives_the_words_that_triton_puts_before_it(code):
    error = ServingError(code, "what came: this")

    read = serving_error_from_message(f"in ensemble 'embed_faces', {error}", callee="embed_faces")

    assert (read.code, read.text) == (code, "what came: this")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[request id: 3] Exceeds maximum queue size", "OVERLOADED"),
        ("Request timeout expired", "CANCELLED"),
        ("Server is stopping, scheduler for model has stopped accepting", "STOPPING"),
        ("Stub process 'face_cropper_0' is not healthy.", "MODEL_FAILED"),
        ("mien.UNHEARD_OF: something", "MODEL_FAILED"),
    ],
)
def test_foreign_failures_name_the_callee(message, code):
    error = serving_error_from_message(message, callee="embed_faces")

    assert error.code == code
    assert "embed_faces" in error.text


def test_an_unknown_code_cannot_be_raised():
    with pytest.raises(KeyError):
        ServingError("OOPS", "…")
