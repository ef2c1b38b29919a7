# SPDX-License-Identifier: Apache-2.0
"""The files a head comes in: array archives, FLAME's pickles, and what lies beside them."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_export.errors import CheckpointError
from mien_export.inert_values import plain_array
from mien_export.restricted_pickle import read_array_mapping

Array = npt.NDArray[Any]

LANDMARK_FILE = "landmark_embedding.npy"
TEMPLATE_FILE = "head_template.obj"
LANDMARK_KEYS = tuple(
    f"{kind}_lmk_{what}"
    for kind in ("static", "dynamic", "full")
    for what in ("faces_idx", "bary_coords")
)
_MODEL_KEYS = (
    "v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table",
)  # fmt: skip


def files_of_head(path: Path) -> tuple[Path, ...]:
    """Give the head file and those beside it that are read with it."""
    own = set(_archive_names(path)) if path.suffix == ".npz" else set()
    beside = [] if set(LANDMARK_KEYS) <= own else [LANDMARK_FILE]
    beside += [] if "ft" in own else [TEMPLATE_FILE]
    return (path, *(path.parent / name for name in beside if (path.parent / name).is_file()))


def read_head_arrays(path: Path, landmarks: Path | None = None) -> dict[str, Array]:
    """Read every array of a head by its name in FLAME's schema.

    Args:
        path: ``.npz`` or ``.pkl``.
        landmarks: ``.npy`` (pickled) or ``.npz``; None: inside the file, or beside it.

    Raises:
        CheckpointError: a file is missing, hostile or damaged.
    """
    arrays = _arrays(path, _MODEL_KEYS)
    beside = path.parent / LANDMARK_FILE
    if landmarks is None and not set(LANDMARK_KEYS) <= arrays.keys() and beside.is_file():
        landmarks = beside
    if landmarks is not None:
        arrays |= _arrays(landmarks, LANDMARK_KEYS)
    template = path.parent / TEMPLATE_FILE
    if "ft" not in arrays and template.is_file() and "f" in arrays:
        arrays |= _uv_of_template(template, arrays["f"])
    return arrays


def read_archive(path: Path) -> dict[str, Array]:
    """Read a ``.npz`` of plain arrays.

    Raises:
        CheckpointError: it is missing, damaged, or holds objects.
    """
    require_file(path)
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path.name} is not an archive of plain arrays: {error}. Save it with numpy.savez, "
            "without objects."
        ) from error


def require_file(path: Path) -> None:
    """Raise CheckpointError unless the file is there."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is no file; give the path of the file.")


def _archive_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []  # reading it says what is wrong


def _arrays(path: Path, wanted: Collection[str]) -> dict[str, Array]:
    if path.suffix == ".npz":
        return read_archive(path)
    if path.suffix not in (".pkl", ".npy"):
        raise CheckpointError(
            f"{path.name} ends in {path.suffix!r}; expected .npz, .pkl, or .npy for landmarks."
        )
    require_file(path)
    mapping = read_array_mapping(path.read_bytes(), path.name)
    return {key: _array(mapping, key, path.name) for key in wanted if key in mapping}


def _array(mapping: Mapping[str, Any], key: str, file: str) -> Array:
    try:
        return plain_array(mapping[key])
    except Exception as error:  # bytes of an unknown origin can contradict themselves in any way
        raise CheckpointError(
            f"{file}: {key} cannot be read as an array: {error}. Get the file from its publisher "
            "again."
        ) from error


def _uv_of_template(path: Path, triangles: Array) -> dict[str, Array]:
    """Read the UV layout of ``head_template.obj``: lines ``vt u v`` and ``f v/vt v/vt v/vt``."""
    coordinates: list[list[float]] = []
    corners: list[list[list[int]]] = []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            kind, *rest = line.split() or [""]
            if kind == "vt":
                coordinates.append([float(number) for number in rest[:2]])
            elif kind == "f":
                corners.append([[int(n) for n in corner.split("/")[:2]] for corner in rest])
        both = np.array(corners, np.int64).reshape(-1, 3, 2) - 1  # an OBJ counts from 1
    except ValueError as error:
        raise CheckpointError(
            f"{path.name} is no OBJ of triangles v/vt: {error}. Take FLAME's own, or move it away."
        ) from error
    if not np.array_equal(both[..., 0], triangles):
        raise CheckpointError(
            f"{path.name} has {len(both)} triangles that are not those of the head "
            f"({len(triangles)}). Take the template of the same model, or move it away."
        )
    return {"vt": np.array(coordinates, np.float32).reshape(-1, 2), "ft": both[..., 1]}
