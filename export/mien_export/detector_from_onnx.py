# SPDX-License-Identifier: Apache-2.0
"""A released detector ONNX file to the graph of ``face_detector``.

Preprocessing goes in front, decoding behind, the batch becomes free, and the result is compared
with the file itself: its raw outputs, image by image, decoded in numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import compose, helper

from mien_export.batchable import free_batch
from mien_export.contract import ModelContract
from mien_export.detector_decode import IMAGE_PX, STRIDES, Array, DetectorFamily, Heads
from mien_export.errors import CheckpointError, ConversionError
from mien_export.manifest import sha256_of_file
from mien_export.onnx_files import opset_of, save_onnx, without_debris
from mien_export.onnx_writer import PREFIX, OnnxWriter
from mien_export.parity import Arrays, Tolerances, compare, example_images, example_noise, run_onnx
from mien_export.spec import FirstGraph, WeightsRequest

_OLDEST_OPSET = 11  # Clip and Slice take their bounds as inputs from here on
_INNER = "detector/"


@dataclass(frozen=True)
class DetectorNetwork:
    """A network choice whose weights file is already a graph.

    Attributes:
        summary: one line for ``mien-export list``.
        licence_note: what is known of the licences of published files.
        family: how files of this kind see and speak.
    """

    summary: str
    licence_note: str
    family: DetectorFamily
    takes_random_weights: bool = False

    def fingerprint(self) -> str:
        """Name the family; its code is part of the exporter."""
        return f"{self.family.name} {self.summary}"

    def weights_files(self, checkpoint: Path) -> tuple[Path, ...]:
        """Give the checkpoint: nothing lies beside it."""
        return (checkpoint,)

    def write_onnx(
        self, contract: ModelContract, weights: WeightsRequest, tolerances: Tolerances, path: Path
    ) -> FirstGraph:
        """Convert the file and compare, alone and in a full batch."""
        if weights.checkpoint is None:
            raise CheckpointError("a detector has no random weights; give its ONNX file.")
        source = read_released(weights.checkpoint)
        raw = _Original(source, self.family)
        convert_detector(source, raw.heads, self.family, contract, path)
        half = max(contract.max_batch_size // 2, 1)
        images = np.concatenate(
            [example_images(half, IMAGE_PX, seed=0), example_noise(half, IMAGE_PX, seed=1)]
        )
        # One by one through the original, then alone and together through the new graph.
        singles = [raw.decoded(images[i : i + 1]) for i in range(len(images))]
        together = {name: np.concatenate([item[name] for item in singles]) for name in singles[0]}
        name = contract.inputs[0].name
        cases: list[Arrays] = [{name: images[:1]}, {name: images}]
        try:
            found = run_onnx(path, cases)
        except _ORT_ERRORS as error:
            raise _not_batchable(weights.checkpoint.name, error) from error
        parity = compare([singles[0], together], found, tolerances)
        floats = onnx.TensorProto.FLOAT
        constants = [item for item in source.graph.initializer if item.data_type == floats]
        parameters = sum(int(np.prod(item.dims)) for item in constants)
        return FirstGraph(parameters, parity, sha256_of_file(weights.checkpoint))


_ORT_ERRORS = (
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException,
)


def _not_batchable(what: str, error: Exception) -> ConversionError:
    first_line = str(error).splitlines()[0]
    return ConversionError(
        f"{what} cannot be made to take batches: {first_line} The graph mixes the images of a "
        "batch in a way that is not known here. Export it with a free batch dimension."
    )


def read_released(path: Path) -> onnx.ModelProto:
    """Read and validate a released detector file.

    Raises:
        CheckpointError: not an ONNX file.
        ConversionError: not an image detector of 640 x 640.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is not a valid ONNX file: {error}. Detectors come as ONNX."
        ) from error
    weights = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    dims = [[dim.dim_value or -1 for dim in item.type.tensor_type.shape.dim] for item in inputs]
    wanted = (1, 3, IMAGE_PX, IMAGE_PX)
    fits = len(dims) == 1 and len(dims[0]) == 4
    if not fits or any(got not in (-1, want) for got, want in zip(dims[0], wanted, strict=True)):
        raise ConversionError(
            f"{path.name} has inputs {dims}; expected one image of [1 or free, 3, 640 or free, "
            "640 or free]. Take the 640 x 640 export of the detector."
        )
    if opset_of(model) < _OLDEST_OPSET:
        raise ConversionError(
            f"{path.name} has opset {opset_of(model)}; expected {_OLDEST_OPSET} or later. "
            "Convert it with onnx.version_converter first."
        )
    # Before IR version 4 weights were inputs as well; nothing else may stand beside the image.
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)
    return without_debris(model)


class _Original:
    """The file as it is, one image at a time."""

    def __init__(self, model: onnx.ModelProto, family: DetectorFamily) -> None:
        self.family = family
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            self.heads = identify_heads(self._run(np.zeros((1, 3, IMAGE_PX, IMAGE_PX))), family)
        except _ORT_ERRORS as error:
            first_line = str(error).splitlines()[0]
            raise ConversionError(f"onnxruntime does not run the file: {first_line}") from error

    def _run(self, image: Array) -> dict[str, Array]:
        names = [item.name for item in self._session.get_outputs()]
        feed = {self._session.get_inputs()[0].name: image.astype(np.float32)}
        return dict(zip(names, self._session.run(names, feed), strict=True))

    def decoded(self, image_rgb: Array) -> dict[str, Array]:
        """Decode the raw outputs for (1, 3, 640, 640) RGB 0..255."""
        outputs = self._run(self.family.preprocess_numpy(image_rgb))
        raw = {
            key: outputs[name].reshape(1, -1, outputs[name].shape[-1])
            for key, name in self.heads.items()
        }
        decoded = self.family.decode_numpy(raw)
        return {name: array.astype(np.float32) for name, array in decoded.items()}


def identify_heads(outputs: Mapping[str, Array], family: DetectorFamily) -> Heads:
    """Tell which output is which, by what it holds for one image.

    YuNet's outputs have names; SCRFD's are numbered, but every pair of stride and kind has its own
    count of candidates and last dimension.

    Raises:
        ConversionError: the outputs are not those of the family.
    """
    heads: dict[tuple[str, int], str] = {}
    for kind, size in family.head_sizes.items():
        for stride in STRIDES:
            rows = family.candidates(stride)
            found = [
                name
                for name, array in outputs.items()
                if array.shape in ((rows, size), (1, rows, size))
                and (family.name != "yunet" or name == f"{kind}_{stride}")
            ]
            if len(found) != 1:
                raise _foreign(outputs, family)
            heads[kind, stride] = found[0]
    if len(heads) != len(outputs):
        raise _foreign(outputs, family)
    return heads


def _foreign(outputs: Mapping[str, Array], family: DetectorFamily) -> ConversionError:
    found = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
    wanted = ", ".join(
        f"{kind} [{family.candidates(stride)}, {size}]"
        for kind, size in family.head_sizes.items()
        for stride in STRIDES
    )
    hint = ""
    if family.name == "scrfd" and len(outputs) == 6:
        hint = " Six outputs are an SCRFD without landmarks; take one with them (its name has kps)."
    return ConversionError(
        f"the file has {len(outputs)} outputs: {found}; {family.name} has "
        f"{len(family.head_sizes) * len(STRIDES)}: {wanted}, each perhaps with a leading 1.{hint} "
        "Choose the family with --network face_detector=NAME."
    )


def convert_detector(
    source: onnx.ModelProto,
    heads: Heads,
    family: DetectorFamily,
    contract: ModelContract,
    path: Path,
) -> None:
    """Write the batchable, decoded graph that the contract asks for."""
    dims = contract.inputs[0].dims
    model = onnx.ModelProto()
    model.CopyFrom(source)
    free_batch(model, dims)
    # The file's own names must not collide with the contract's.
    inner = compose.add_prefix(model, _INNER)
    graph = inner.graph
    image, taken = contract.inputs[0].name, graph.input[0].name
    writer = OnnxWriter(graph)
    family.preprocess(writer, image, taken)
    writer.prepend()
    family.decode(writer, {key: f"{_INNER}{name}" for key, name in heads.items()})
    writer.append()
    _set_interface(graph, family, contract)
    save_onnx(without_debris(inner), contract, path)


def _set_interface(graph: onnx.GraphProto, family: DetectorFamily, contract: ModelContract) -> None:
    count = sum(family.candidates(stride) for stride in STRIDES)
    del graph.input[:], graph.output[:], graph.value_info[:]
    for side, specs in ((graph.input, contract.inputs), (graph.output, contract.outputs)):
        for spec in specs:
            dims: list[Any] = ["batch", *(count if dim == -1 else dim for dim in spec.dims)]
            side.append(helper.make_tensor_value_info(spec.name, onnx.TensorProto.FLOAT, dims))


# Nodes added here keep fp32 in an fp16 graph: pixels above 512 have steps of 0.5 there.
FP32_NODE_PREFIX = PREFIX
