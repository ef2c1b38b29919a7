# SPDX-License-Identifier: Apache-2.0
"""Which tritonserver runs, and the surroundings it needs.

Embedded: the genuine binary inside the `nvidia-pytriton` wheel, with a backend directory put
together here: Triton's Python backend with the stub of the running interpreter, and our
Python-based backends beside it. Native: a `tritonserver` of the machine, with its own backends.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from mien_server.serve.errors import ServeError

__all__ = ["Installation", "embedded_installation", "find_installation", "native_installation"]

OUR_BACKENDS = Path(__file__).parent.parent / "backends"
NATIVE_PATHS = ("/opt/tritonserver/bin/tritonserver",)


@dataclass(frozen=True, slots=True)
class Installation:
    """A tritonserver that can be started.

    Attributes:
        kind: "embedded" or "native".
        binary: the executable.
        backend_directory: for `--backend-directory`.
        environment: the whole environment of the process.
    """

    kind: str
    binary: Path
    backend_directory: Path
    environment: dict[str, str]

    @property
    def python_stub(self) -> Path:
        """The executable that runs `model.py` files."""
        return self.backend_directory / "python" / "triton_python_backend_stub"


def find_installation(choice: str, runtime_directory: Path) -> Installation:
    """The installation that `--tritonserver` names.

    Args:
        choice: "auto" (native if the machine has one), "embedded", "native", or the path of a
            tritonserver binary.
        runtime_directory: an empty directory for what must be put together.

    Raises:
        ServeError: there is none.
    """
    if choice == "embedded":
        return embedded_installation(runtime_directory)
    if choice in ("auto", "native"):
        found = shutil.which("tritonserver") or next(filter(os.path.exists, NATIVE_PATHS), None)
        if found:
            return native_installation(Path(found))
        if choice == "native":
            raise ServeError(
                f"no tritonserver on PATH nor at {', '.join(NATIVE_PATHS)}; use NVIDIA's Triton "
                "image, or --tritonserver embedded"
            )
        return embedded_installation(runtime_directory)
    return native_installation(Path(choice))


def native_installation(binary: Path) -> Installation:
    """A tritonserver in NVIDIA's layout: `bin/tritonserver` beside `backends/`.

    Raises:
        ServeError: the binary or a backend that every repository needs is missing.
    """
    if not (binary.is_file() and os.access(binary, os.X_OK)):
        raise ServeError(f"{binary} is not an executable tritonserver")
    backends = binary.resolve().parent.parent / "backends"
    for name in ("python", "onnxruntime"):
        if not (backends / name).is_dir():
            raise ServeError(
                f"{binary} has no {name} backend in {backends}; use an image that has it, or "
                "--tritonserver embedded"
            )
    return Installation("native", binary, backends, _environment(os.environ.get("LD_LIBRARY_PATH")))


def embedded_installation(runtime_directory: Path) -> Installation:
    """The tritonserver of the `nvidia-pytriton` wheel.

    Args:
        runtime_directory: an empty directory; the backend directory is made in it.

    Raises:
        ServeError: the wheel is not installed or has no stub for this Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise ServeError(
            "the embedded server is not installed; pip install 'mien[server]' (Linux on x86-64), "
            "or use NVIDIA's Triton image"
        )
    site_packages = Path(spec.origin).parent.parent
    triton = site_packages / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        versions = ", ".join(sorted(p.name for p in (triton / "python_backend_stubs").iterdir()))
        raise ServeError(
            f"this is Python {version} and the embedded server has stubs for {versions}; "
            "make the environment with Python 3.10, 3.11 or 3.12"
        )
    backends = runtime_directory / "backends"
    _copy_files(triton / "backends" / "python", backends / "python")
    shutil.copy(stub, backends / "python")
    for ours in sorted(p for p in OUR_BACKENDS.iterdir() if (p / "model.py").is_file()):
        _copy_files(ours, backends / ours.name)
    # The stub links to libpython, and to a CUDA runtime that only the wheel has.
    library_path = (str(site_packages / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR"))
    return Installation(
        "embedded", triton / "bin" / "tritonserver", backends, _environment(":".join(library_path))
    )


def _copy_files(source: Path, target: Path) -> None:
    """Copies, because Triton refuses a backend library that is a link out of its directory."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, target)


def _environment(library_path: str | None) -> dict[str, str]:
    """The environment for tritonserver and its stubs.

    The stub embeds an isolated Python, deaf to PYTHONPATH: it looks for `python3` on PATH and takes
    that interpreter's site-packages. So the running interpreter's folder must come first, or models
    would meet another environment's numpy.
    """
    environment = dict(os.environ)
    interpreter_folder = str(Path(sys.executable).parent)
    environment["PATH"] = interpreter_folder + os.pathsep + environment.get("PATH", os.defpath)
    if library_path:
        environment["LD_LIBRARY_PATH"] = library_path
    return environment
