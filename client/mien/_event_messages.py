# SPDX-License-Identifier: Apache-2.0
"""Messages of a stream of events -> events of any pipeline. Pure like `_requests`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from mien._errors import ContractError, MienError, error_from_words
from mien._requests import Rpc
from mien._tensors import Array, TensorSpec, named_arrays

__all__ = ["EVENT", "WANT_FINAL", "Message", "event_tensors", "read_event_message", "text_of"]

E = TypeVar("E")

EVENT = TensorSpec("event", "BYTES", (1,), is_batched=False)
# Has the end of a stream marked: Triton then sends a last message that says so.
WANT_FINAL = "triton_enable_empty_final_response"

_IS_FINAL = "triton_final_response"  # a parameter that Triton sets on every message


@dataclass(frozen=True, slots=True)
class Message(Generic[E]):
    """One message of the stream.

    Attributes:
        event: None where it carries none, or one that this client does not know.
        is_final: no message will follow.
    """

    event: E | None
    is_final: bool


def read_event_message(rpc: Rpc, message: Any, read: Callable[[str, Any], E | None]) -> Message[E]:
    """Read a message of the stream that `rpc` has opened.

    Args:
        rpc: what was asked.
        message: ModelStreamInferResponse; None where the stream ended instead.
        read: the event of its kind in a ModelInferResponse, None for a kind it does not know.

    Raises:
        MienError: it is a refusal.
        ContractError: it is no such message, or the stream ended before its final one. The server
            was asked to mark that one, and where it breaks down the stream ends with a status: it
            ended this one in good order, and asking again would change nothing.
    """
    try:
        if message is None:
            raise ContractError(
                "the stream ended without its final message, so events may be missing. Compare the "
                "versions of mien and Triton here and on the server"
            )
        if message.error_message:
            raise error_from_words(message.error_message)
        return _message(rpc, message.infer_response, read)
    except MienError as error:
        error.model_name, error.request_id = rpc.model_name, rpc.request_id
        raise


def event_tensors(response: Any, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """The tensors of an event, those of floating-point numbers finite.

    Raises:
        ContractError: one of `specs` is missing, of another dtype or shape, or not finite.
    """
    tensors = named_arrays(response, specs)
    for name, array in tensors.items():
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise ContractError(
                f"output {name!r} holds NaN or infinity; expected finite numbers. "
                "Check the weights behind the pipeline"
            )
    return tensors


def text_of(tensor: Array) -> str:
    """The text in a tensor of one element."""
    text: str = tensor.item().decode("utf-8", errors="replace")
    return text


def _message(rpc: Rpc, response: Any, read: Callable[[str, Any], E | None]) -> Message[E]:
    if response.id != rpc.request_id:
        raise ContractError(
            f"a message carries the id {response.id!r}; expected {rpc.request_id!r}. Look for a "
            "proxy that mixes answers up"
        )
    is_final = _IS_FINAL in response.parameters and response.parameters[_IS_FINAL].bool_param
    if is_final and not response.outputs:
        return Message(None, is_final)
    kind = text_of(event_tensors(response, (EVENT,))["event"])
    return Message(read(kind, response), is_final)
