# SPDX-License-Identifier: Apache-2.0
"""A batch's rows back into the answers of its requests, as each request wants its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError, serving_error_from_message
from mien_server.options import OnError, on_error_option

__all__ = ["Answer", "answers_of_rows", "outcome", "text_rows"]

Array = NDArray[Any]
Answer = dict[str, Array] | ServingError


def answers_of_rows(
    on_error: Sequence[Sequence[str]], rows: Mapping[str, Array], *, callee: str, item: str
) -> list[Answer]:
    """Cut the rows of a batch into those of its requests.

    Args:
        on_error: per request the option's value for each of its rows; they must agree.
        rows: outputs of all requests end to end; "error" (N, 1) holds messages, b"" where good.
        callee: model that a message is from, if it does not say.
        item: what a row is about, such as "pair".

    Returns:
        Per request its rows, or the refusal that fails it: that of the option, or with `raise` that
        of its first refused row.
    """
    answers: list[Answer] = []
    start = 0
    for values in on_error:
        stop = start + len(values)
        own = {name: array[start:stop] for name, array in rows.items()}
        answers.append(_refusal(values, own["error"], callee, item) or own)
        start = stop
    return answers


def text_rows(values: Sequence[bytes]) -> Array:
    """(N, 1) bytes, as Triton takes texts."""
    return np.array([[value] for value in values], dtype=np.object_).reshape(-1, 1)


def _refusal(values: Sequence[str], errors: Array, callee: str, item: str) -> ServingError | None:
    try:
        on_error = on_error_option(values)
    except ServingError as refusal:
        return refusal
    if on_error is OnError.REPORT:
        return None
    for index, message in enumerate(errors.ravel()):
        if message:
            error = serving_error_from_message(message.decode(), callee=callee)
            several = len(errors) > 1
            return error.about(f"{item} {index + 1} of {len(errors)}") if several else error
    return None


def outcome(
    answer: Callable[[Mapping[str, Array]], dict[str, Array]], inputs: Mapping[str, Array]
) -> Answer:
    """What a request is answered with, or its refusal, which is none of the others' concern."""
    try:
        return answer(inputs)
    except ServingError as refusal:
        return refusal
