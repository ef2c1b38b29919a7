# SPDX-License-Identifier: Apache-2.0
"""Starting NVIDIA Warp quietly, and compiling kernels before they are needed.

Warp compiles each kernel module once and keeps the result below `$WARP_CACHE_PATH`, or else below
the user's cache folder (`~/.cache/warp/VERSION`). Processes that compile the same module at the
same time each build in a folder of their own and rename it into place, so they cannot disturb each
other.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import warp as wp
from numpy.typing import NDArray

__all__ = ["device_array", "load_kernels"]

# What Warp's native part prints on every machine without a GPU.
_NO_DRIVER = b"Warp CUDA warning: Could not find or load the NVIDIA CUDA driver"

_lock = threading.Lock()
_loaded: set[tuple[str, str]] = set()  # (module, device)


def load_kernels(module: ModuleType, device: str) -> None:
    """Make the kernels of a Python module ready to launch; quick when they already are.

    Args:
        module: holds functions made with `warp.kernel`.
        device: Warp's name, such as "cpu" or "cuda:0".

    Raises:
        ValueError: this machine has no such device.
        RuntimeError: the folder of compiled kernels cannot be written.
    """
    key = (module.__name__, device)
    if key in _loaded:
        return
    with _lock:  # Warp itself does not guard the first load against other threads
        if key in _loaded:
            return
        try:
            _start()
            if not wp.is_device_available(device):
                names = ", ".join(str(found) for found in wp.get_devices())
                raise ValueError(f"device is {device!r}; this machine has {names}")
            wp.load_module(module, device=device)
        except OSError as error:
            raise RuntimeError(
                f"the folder of compiled kernels cannot be written: {error}. Set WARP_CACHE_PATH "
                "to a folder that this user may write"
            ) from error
        _loaded.add(key)


def device_array(array: NDArray[Any], dtype: Any, device: str) -> Any:
    """A Warp array of a C-contiguous numpy array: the same memory on a CPU, a copy on a GPU.

    Only after `load_kernels`: by itself, Warp would start with a banner.
    """
    return wp.array(array, dtype=dtype, device=device, copy=False)


def _start() -> None:
    if wp.config.log_level == wp.LOG_INFO:  # the default, which prints a banner on stdout
        wp.config.log_level = wp.LOG_WARNING
    with _without_driver_notice():
        wp.init()


@contextmanager
def _without_driver_notice() -> Iterator[None]:
    """Hold back standard error, and pass on everything but the notice that there is no GPU."""
    try:
        original = os.dup(2)
    except OSError:  # closed, so nobody would see it
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            kept = [line for line in held if not line.startswith(_NO_DRIVER)]
            if kept:
                os.write(2, b"".join(kept))
