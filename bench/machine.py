# SPDX-License-Identifier: Apache-2.0
"""The machine a figure was measured on, in one line."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

__all__ = ["machine", "versions"]


def machine() -> str:
    """Processor, cores we may use, memory, system."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if "model name" in line]
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores, "
        f"{memory_gib:.0f} GiB, no GPU used, {platform.system()} {platform.release()}"
    )


def versions() -> str:
    """Of what the figures depend on."""
    packages = (
        "mien",
        "nvidia-pytriton",
        "onnxruntime",
        "opencv-python-headless",
        "numpy",
        "warp-lang",
    )
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"Python {platform.python_version()}, {listed}"
