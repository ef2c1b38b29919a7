# SPDX-License-Identifier: Apache-2.0
"""Avatars without a server: the same graphs and the same business logic, one call after the other.

What serving adds to this is what `python -m bench avatar` measures.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from mien_server.avatar.changing import AvatarChanger
from mien_server.avatar.creating import AvatarCreator, Helpers, Limits
from mien_server.avatar.making import maker_from_contract
from mien_server.contract import ModelContract
from mien_server.detection import DETECTOR_INPUT, DETECTOR_OUTPUTS
from mien_server.errors import ServingError
from mien_server.face_cropper_pipeline import CropRequest, crop_requests, cropper_from_contract
from mien_server.fit_encoding import FitEncoders
from mien_server.fit_pipeline import FitRequest, fit_requests
from mien_server.landmarking import LANDMARKER_INPUT, LANDMARKER_OUTPUTS
from mien_server.model_call import ModelCall
from mien_server.onnx_session import OnnxGraph

__all__ = ["AvatarLoop", "ModelsInProcess", "contract_of", "texts"]

Array = NDArray[Any]

CREATOR = "create_avatar"


def texts(*values: bytes) -> Array:
    """(N,) of bytes, as a request brings them."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def contract_of(folder: Path) -> ModelContract:
    """The contract of a built model, as its server would hand it over."""
    config = text_format.Parse(
        (folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    return ModelContract.from_json(
        json_format.MessageToJson(config, preserving_proto_field_name=True)
    )


class ModelsInProcess:
    """Calls models of a repository in this thread; a graph is read when it is first called.

    Args:
        repository: of `mien-export build`.
        threads: budget of every stage.

    Attributes:
        seconds: by model, what its calls took, with all that they called in turn.
        calls: by model, how many there were.
        latest: by model, the inputs of its latest call.
    """

    def __init__(self, repository: Path, threads: int) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.latest: dict[str, Mapping[str, Array]] = {}
        self._repository, self._threads = repository, threads
        self._graphs: dict[str, OnnxGraph] = {}
        self._cropper = cropper_from_contract(
            contract_of(repository / "face_cropper"),
            threads=threads,
            infer_detector=lambda images: self._columns(
                "face_detector", DETECTOR_INPUT, images, DETECTOR_OUTPUTS
            ),
            infer_landmarker=lambda crops: self._columns(
                "face_landmarker", LANDMARKER_INPUT, crops, LANDMARKER_OUTPUTS
            ),
        )
        fit = contract_of(repository / "fit_faces")
        self._encoders = FitEncoders(
            has_mica=fit.parameter("mica_encoder") != "none",
            mirrored_shape=fit.flag("mirrored_shape"),
        )
        self._untrained = fit.flag("untrained")

    def __call__(self, calls: Sequence[ModelCall]) -> list[Mapping[str, Array]]:
        """The outputs of each call.

        Raises:
            ServingError: one of them is refused.
        """
        return [self._timed(call) for call in calls]

    def _timed(self, call: ModelCall) -> Mapping[str, Array]:
        self.latest[call.model_name] = call.inputs
        begun = time.perf_counter()
        try:
            if call.model_name == "face_cropper":
                return self._cropped(call)
            if call.model_name == "fit_faces":
                return self._fitted(call)
            outputs = self._graph(call.model_name)(call.inputs)
            return {name: outputs[name] for name in call.outputs}
        finally:
            self.seconds[call.model_name] += time.perf_counter() - begun
            self.calls[call.model_name] += 1

    def _columns(
        self, model: str, name: str, array: Array, outputs: Sequence[str]
    ) -> tuple[Array, Array, Array]:
        answer = self._timed(ModelCall(model, {name: array}, tuple(outputs)))
        first, second, third = (answer[output] for output in outputs)
        return first, second, third

    def _cropped(self, call: ModelCall) -> Mapping[str, Array]:
        request = CropRequest(
            images=[bytes(item) for item in call.inputs["image"].ravel()],
            policies=_strings(call, "face_policy"),
            on_error=_strings(call, "on_error"),
            outputs=frozenset(call.outputs),
        )
        return _answered(crop_requests(self._cropper, [request]))

    def _fitted(self, call: ModelCall) -> Mapping[str, Array]:
        request = FitRequest(
            image=call.inputs["image"],
            policies=_strings(call, "face_policy"),
            on_error=_strings(call, "on_error"),
            shape_sources=_strings(call, "shape_source"),
            outputs=frozenset(call.outputs),
        )
        answers = fit_requests([request], self, encoders=self._encoders, untrained=self._untrained)
        return _answered(answers)

    def _graph(self, name: str) -> OnnxGraph:
        if name not in self._graphs:
            folder = self._repository / name
            contract = contract_of(folder)
            self._graphs[name] = OnnxGraph(
                folder / "1" / contract.graph_file, contract, threads=self._threads
            )
        return self._graphs[name]


class AvatarLoop:
    """The three pipelines of avatars as functions.

    Args:
        repository: of `mien-export build`.
        threads: budget of every stage.
    """

    def __init__(self, repository: Path, threads: int) -> None:
        self.models = ModelsInProcess(repository, threads)
        folder = repository / CREATOR
        contract = contract_of(folder)
        maker = maker_from_contract(contract, folder / "1", self.models)
        self.changer = AvatarChanger(maker, self.models)
        detail, decoder, segmenter = (
            contract.parameter(name) != "none"
            for name in ("detail_encoder", "detail_decoder", "hair_segmenter")
        )
        self._creator = AvatarCreator(
            maker,
            self.models,
            Helpers(detail=detail and decoder, segmenter=segmenter),
            Limits(int(contract.number("max_images")), contract.number("max_yaw_deg")),
        )

    def close(self) -> None:
        """Stop its threads."""
        self._creator.close()

    def create(self, photograph: bytes, **options: Array) -> Mapping[str, Array]:
        """Outputs of `create_avatar`, of its last event.

        Raises:
            ServingError: it is refused.
        """
        stream = _LastEvent()
        self._creator.answer({"images": texts(photograph), **options}, stream)
        if stream.refusal is not None:
            raise stream.refusal
        return stream.event


class _LastEvent:
    """A stream to somebody in this process."""

    def __init__(self) -> None:
        self.event: Mapping[str, Array] = {}
        self.refusal: ServingError | None = None

    def is_cancelled(self) -> bool:
        return False

    def send(self, tensors: Mapping[str, Array]) -> None:
        self.event = tensors

    def close(self) -> None:
        pass

    def fail(self, error: ServingError) -> None:
        self.refusal = error


def _strings(call: ModelCall, name: str) -> list[str]:
    if name not in call.inputs:
        return [""] * len(call.inputs["image"])
    return [bytes(item).decode() for item in call.inputs[name].ravel()]


def _answered(answers: Sequence[Mapping[str, Array] | ServingError]) -> Mapping[str, Array]:
    (answer,) = answers
    if isinstance(answer, ServingError):
        raise answer
    return answer
