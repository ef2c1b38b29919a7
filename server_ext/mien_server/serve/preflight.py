# SPDX-License-Identifier: Apache-2.0
"""What must be true before Triton is started, each failure with its cure."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mien_server.serve.errors import ServeError
from mien_server.serve.installation import Installation

__all__ = ["check_installation", "check_numpy", "check_port", "free_ports", "missing_libraries"]

DEBIAN_PACKAGES = {
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libz.so.1": "zlib1g",
    "libgomp.so.1": "libgomp1",
    "libexpat.so.1": "libexpat1",
}


def check_numpy(found: str | None = None) -> None:
    """Refuse numpy 2, with which the embedded Python backend returns empty tensors.

    Args:
        found: version string; None reads the installed one.

    Raises:
        ServeError: it is missing or too new.
    """
    if found is None:
        try:
            found = version("numpy")
        except PackageNotFoundError:
            raise ServeError("numpy is not installed; pip install 'mien[server]'") from None
    if int(found.split(".")[0]) >= 2:
        raise ServeError(
            f"numpy {found} is installed; the embedded server's Python backend returns empty "
            "tensors with numpy 2. pip install 'numpy<2', or pip install 'mien[server]'"
        )


def check_installation(installation: Installation) -> None:
    """Every shared library of the server and of its Python stub can be found.

    Raises:
        ServeError: some cannot; the message names the Debian packages that bring them.
    """
    if installation.kind == "embedded":
        check_numpy()
    missing: list[str] = []
    for binary in (installation.binary, installation.python_stub):
        missing += missing_libraries(binary, installation.environment)
    if missing:
        packages = sorted({_debian_package(library) for library in missing})
        raise ServeError(
            f"{installation.binary.name} needs {', '.join(sorted(set(missing)))}, not found on "
            f"this machine; on Debian or Ubuntu: apt-get install {' '.join(packages)}"
            + (
                " (an interpreter of your own must be built with --enable-shared)"
                if any("libpython" in library for library in missing)
                else ""
            )
        )


def missing_libraries(binary: Path, environment: dict[str, str]) -> list[str]:
    """Shared libraries that the dynamic linker would not find, by `ldd`."""
    ldd = shutil.which("ldd")
    if ldd is None:  # not a glibc system: the start itself will tell
        return []
    listing = subprocess.run(
        [ldd, str(binary)], env=environment, capture_output=True, text=True, check=False
    ).stdout
    return re.findall(r"^\s*(\S+) => not found", listing, re.MULTILINE)


def _debian_package(library: str) -> str:
    python = re.match(r"libpython(3\.\d+)\.so", library)
    if python:
        return f"libpython{python.group(1)}"
    return DEBIAN_PACKAGES.get(library, f"(the package of {library}: apt-file search {library})")


def check_port(host: str, port: int, what: str) -> None:
    """The port can be bound.

    Raises:
        ServeError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            raise ServeError(
                f"{what} cannot listen on {host}:{port} ({reason or error}); choose another port, "
                "or 0 for any free one"
            ) from error


def free_ports(host: str, count: int) -> list[int]:
    """Distinct ports that were free a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probes = [socket.socket(family) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def check_platform(platform: str = sys.platform) -> None:
    """Triton runs on Linux.

    Raises:
        ServeError: this is something else.
    """
    if platform != "linux":
        raise ServeError(f"this is {platform}; tritonserver runs on Linux only")
