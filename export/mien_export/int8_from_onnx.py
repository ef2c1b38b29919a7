# SPDX-License-Identifier: Apache-2.0
"""fp32 ONNX graph to int8 convolutions and matrix products, as Q/DQ pairs.

Symmetric everywhere, weights per output channel, biases in fp32: the form that a strongly typed
TensorRT network accepts. onnxruntime computes the same from it on a CPU, but with fp32 biases it
does not fuse the convolutions: there the graph is smaller than the fp32 one, not faster.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from mien_export.contract import ModelContract
from mien_export.onnx_files import save_onnx, without_debris

_QUANTIZED = ["Conv", "Gemm"]
_CALIBRATION_BATCH = 8


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Feeds the calibration inputs in batches."""

    def __init__(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        chunks = range(0, len(next(iter(inputs.values()))), _CALIBRATION_BATCH)
        self._feeds = iter(
            {name: array[i : i + _CALIBRATION_BATCH] for name, array in inputs.items()}
            for i in chunks
        )

    def get_next(self) -> dict[str, Any] | None:
        """Give the next batch, or None at the end."""
        return next(self._feeds, None)


def convert_to_int8(
    source: Path, contract: ModelContract, inputs: Mapping[str, npt.NDArray[Any]], path: Path
) -> None:
    """Quantize a graph.

    Args:
        source: the fp32 graph; convolutions and BatchNorms are fused before quantization.
        contract: what the result must equal, too.
        inputs: by name (N, ...), as the graph takes them.
        path: file to write.
    """
    with tempfile.TemporaryDirectory(prefix="int8-", dir=path.parent) as scratch, _quiet():
        prepared, quantized = Path(scratch) / "prepared.onnx", Path(scratch) / "quantized.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantized),
            _Batches(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,  # TensorRT has no int32 DequantizeLinear
                # Sums of the residual path stay in fp32; only what enters a product is int8.
                "OpTypesToExcludeOutputQuantization": _QUANTIZED,
            },
        )
        model = onnx.load(quantized)
    save_onnx(without_debris(model), contract, path)


@contextmanager
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    # onnxruntime.quantization logs advice to the root logger.
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Its calibrator hands one-element arrays to float().
            warnings.filterwarnings("ignore", "Conversion of an array", DeprecationWarning)
            yield
    finally:
        root.setLevel(level)
