# SPDX-License-Identifier: Apache-2.0
"""The only module that talks to Triton's Python backend (`pb_utils`).

It turns requests into arrays and arrays into responses, so that `model.py` files stay thin and
everything behind them is plain functions. Every function that answers requests returns exactly one
response per request, in order.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from mien_server.errors import ServingError, serving_error_from_message
from mien_server.model_call import ModelCall

__all__ = [
    "TritonEventStream",
    "answer_each",
    "answer_wanted",
    "call_model",
    "call_models",
    "given_arrays",
    "input_array",
    "input_numbers",
    "input_texts",
    "log_warning",
    "stream_model",
]

Array = NDArray[Any]
Outcome = Mapping[str, Array] | ServingError  # of one request: its output tensors, or its refusal
Answer = Callable[[list[Any]], Iterable[Outcome]]


def input_array(request: Any, name: str) -> Array:
    """A tensor the config requires, as an array without a copy."""
    array: Array = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    return array


def given_arrays(request: Any, names: Iterable[str]) -> dict[str, Array]:
    """Copies of the tensors that came, by name: they may outlive the request."""
    tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in names}
    return {
        name: tensor.as_numpy().copy() for name, tensor in tensors.items() if tensor is not None
    }


def input_texts(request: Any, name: str, *, count: int, default: str) -> list[str]:
    """An optional (B, 1) BYTES tensor as B strings, each `default` where it was left out."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return [default] * count
    return [bytes(item).decode("utf-8", "backslashreplace") for item in tensor.as_numpy().ravel()]


def input_numbers(request: Any, name: str, *, count: int) -> list[float | None]:
    """An optional (B, 1) FP32 tensor as B numbers, each None where it was left out."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [None] * count if tensor is None else tensor.as_numpy().ravel().tolist()


def answer_each(requests: Sequence[Any], answer: Answer) -> list[Any]:
    """Answer the requests of a batch together.

    Where that fails unexpectedly, each is answered alone, so that only the one at fault fails.

    Args:
        requests: the batch.
        answer: takes the requests; returns outputs or a refusal for each, in order.
    """
    outcomes = _outcomes(list(requests), answer)
    return [_response(*pair) for pair in zip(requests, outcomes, strict=True)]


def answer_wanted(requests: Sequence[Any], answer: Answer) -> list[Any]:
    """`answer_each`, leaving out those that nobody waits for any more.

    Triton keeps cancelled requests in its queues. Asking it for each is a round trip of about
    0.1 ms, so this is for stages whose work costs far more.
    """
    cancelled = [request.is_cancelled() for request in requests]
    wanted = [request for request, gone in zip(requests, cancelled, strict=True) if not gone]
    responses = iter(answer_each(wanted, answer) if wanted else ())
    gone_away = ServingError("CANCELLED", "the caller went away before the work began")
    return [
        _response(request, gone_away) if gone else next(responses)
        for request, gone in zip(requests, cancelled, strict=True)
    ]


class TritonEventStream:
    """The way back to the caller of a decoupled model, from any thread.

    Args:
        request: of `execute`.
    """

    def __init__(self, request: Any) -> None:
        self._sender = request.get_response_sender()
        self._wanted = set(request.requested_output_names())
        self._lock = threading.Lock()
        self._is_closed = False

    def is_cancelled(self) -> bool:
        """True once nobody listens; a round trip of about 0.1 ms."""
        with self._lock:
            return self._is_closed or bool(self._sender.is_cancelled())

    def send(self, tensors: Mapping[str, Array]) -> None:
        """One response, unless the stream is closed."""
        wanted = [
            pb_utils.Tensor(name, array) for name, array in tensors.items() if name in self._wanted
        ]
        with self._lock:
            if not self._is_closed:
                self._sender.send(pb_utils.InferenceResponse(wanted))

    def close(self) -> None:
        """No response will follow."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def fail(self, error: ServingError) -> None:
        """A refusal, and no response after it."""
        status = getattr(pb_utils.TritonError, error.status)
        refusal = pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), status))
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._sender.send(refusal, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _outcomes(requests: list[Any], answer: Answer) -> list[Outcome]:
    try:
        return list(answer(requests))
    except ServingError as error:  # a call that all of them share was refused
        return [error] * len(requests)
    except Exception as error:
        if len(requests) > 1:
            return [outcome for request in requests for outcome in _outcomes([request], answer)]
        # The traceback is for the operator; it must not travel to the caller.
        pb_utils.Logger.log_error(traceback.format_exc())
        return [ServingError("MODEL_FAILED", f"{type(error).__name__}: {error}")]


def _response(request: Any, outcome: Outcome) -> Any:
    if isinstance(outcome, ServingError):
        status = getattr(pb_utils.TritonError, outcome.status)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(outcome), status))
    wanted = set(request.requested_output_names())
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, array) for name, array in outcome.items() if name in wanted]
    )


def call_model(
    model_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]
) -> dict[str, Array]:
    """Call another model of this server and wait for it (BLS).

    Args:
        model_name: the callee.
        inputs: tensor name -> array, batch first.
        outputs: names of the tensors to return.

    Raises:
        ServingError: the callee refused or failed; the error names it.
    """
    call = ModelCall(model_name, inputs, tuple(outputs))
    return _result(call, _inference(call).exec())


def call_models(calls: Sequence[ModelCall]) -> list[dict[str, Array]]:
    """Call other models of this server at once and wait for all of them (BLS).

    Args:
        calls: at least one; none may need what another answers.

    Returns:
        The outputs of each, in order.

    Raises:
        ServingError: one of them refused or failed; the error names it.
    """
    if len(calls) == 1:
        return [_result(calls[0], _inference(calls[0]).exec())]
    results = asyncio.run(_all_at_once(calls))
    return [_result(*pair) for pair in zip(calls, results, strict=True)]


def stream_model(call: ModelCall) -> Iterator[dict[str, Array]]:
    """Call a decoupled model of this server and give its responses as they come (BLS).

    Raises:
        ServingError: it refused or failed; the error names it.
    """
    responses = iter(_inference(call).exec(decoupled=True))
    try:
        for response in responses:
            if response.has_error() or response.output_tensors():
                yield _result(call, response)
    finally:
        # With a response that nobody took, Triton never unloads the caller.
        for _ in responses:
            pass


async def _all_at_once(calls: Sequence[ModelCall]) -> list[Any]:
    return await asyncio.gather(*(_inference(call).async_exec() for call in calls))


def _inference(call: ModelCall) -> Any:
    return pb_utils.InferenceRequest(
        model_name=call.model_name,
        requested_output_names=list(call.outputs),
        inputs=[pb_utils.Tensor(name, array) for name, array in call.inputs.items()],
    )


def _result(call: ModelCall, result: Any) -> dict[str, Array]:
    if result.has_error():
        raise serving_error_from_message(result.error().message(), callee=call.model_name)
    return {
        name: pb_utils.get_output_tensor_by_name(result, name).as_numpy() for name in call.outputs
    }


def log_warning(message: str) -> None:
    """Write to Triton's log."""
    pb_utils.Logger.log_warn(message)
