# SPDX-License-Identifier: Apache-2.0
"""The dozen calls of the CUDA driver that running an engine takes, through ctypes.

The exporter's torch is the CPU build, so device memory comes from ``libcuda`` directly.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_export.errors import ExportError, MissingToolError

_CAPABILITY_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
_CAPABILITY_MINOR = 76


class CudaDriver:
    """The first CUDA device of this machine.

    Raises:
        MissingToolError: there is no driver or no device.
    """

    def __init__(self) -> None:
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise _no_gpu("the NVIDIA driver (libcuda.so.1) is not installed") from error
        self._device = ctypes.c_int()
        if self._cuda.cuInit(0) or self._cuda.cuDeviceGet(ctypes.byref(self._device), 0):
            raise _no_gpu("the NVIDIA driver sees no device")

    @property
    def compute_capability(self) -> str:
        """Such as ``"9.0"``."""
        return f"{self._attribute(_CAPABILITY_MAJOR)}.{self._attribute(_CAPABILITY_MINOR)}"

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    @contextmanager
    def context(self) -> Iterator[None]:
        """Make the device's primary context, which TensorRT uses as well, current."""
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        try:
            self._call("cuCtxSetCurrent", context)
            yield
        finally:
            self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    @contextmanager
    def buffer(self, size_bytes: int) -> Iterator[int]:
        """Give the address of device memory."""
        pointer = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size_bytes))
        try:
            yield pointer.value
        finally:
            self._call("cuMemFree_v2", pointer)

    def upload(self, address: int, array: npt.NDArray[Any]) -> None:
        """Copy a contiguous array to the device."""
        source = np.ascontiguousarray(array)
        size = ctypes.c_size_t(source.nbytes)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), _pointer(source), size)

    def download(self, array: npt.NDArray[Any], address: int) -> None:
        """Fill a contiguous array from the device, after everything before has ended."""
        self._call("cuCtxSynchronize")
        size = ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyDtoH_v2", _pointer(array), ctypes.c_uint64(address), size)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status:
            raise ExportError(f"the CUDA driver's {name} failed with status {status}.")


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _no_gpu(what: str) -> MissingToolError:
    return MissingToolError(
        f"precision tensorrt needs an NVIDIA GPU, because an engine is built on the kind of GPU it "
        f"will run on: {what}. Build on such a machine, or leave tensorrt out: the ONNX graphs "
        "need no GPU."
    )
