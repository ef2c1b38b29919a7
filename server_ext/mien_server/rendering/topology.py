# SPDX-License-Identifier: Apache-2.0
"""The triangles of a head, and where each lies in its texture."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Topology"]

ARRAYS = ("f", "vt", "ft")


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """What all heads of one model share. F triangles, T texture coordinates.

    Attributes:
        faces: (F, 3) int32 vertices, counter-clockwise seen from outside.
        uv: (T, 2) float32 texture coordinates, 0..1 inside the texture, v up.
        uv_faces: (F, 3) int32 rows of `uv` for the same corners as `faces`.

    Raises:
        ValueError: a shape or an index that is not allowed, or a coordinate that is not finite.
    """

    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    uv_faces: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name in ("faces", "uv_faces"):
            given = np.asarray(getattr(self, name))
            if given.ndim != 2 or given.shape[1] != 3 or given.dtype.kind not in "iu":
                raise ValueError(
                    f"{name} is {_kind(given)}; it must hold whole numbers of shape (F, 3)"
                )
            _set(self, name, np.ascontiguousarray(given, np.int32))
        given = np.asarray(self.uv)
        if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind != "f":
            raise ValueError(f"uv is {_kind(given)}; it must hold real numbers of shape (T, 2)")
        _set(self, "uv", np.ascontiguousarray(given, np.float32))
        if len(self.faces) == 0 or len(self.faces) != len(self.uv_faces):
            raise ValueError(
                f"faces has {len(self.faces)} rows and uv_faces {len(self.uv_faces)}; they must "
                "have equally many, at least one"
            )
        if not np.isfinite(self.uv).all():
            raise ValueError("uv has values that are not finite")
        if self.faces.min() < 0:
            raise ValueError(f"faces names vertex {self.faces.min()}; they are numbered from 0")
        if self.uv_faces.min() < 0 or self.uv_faces.max() >= len(self.uv):
            raise ValueError(
                f"uv_faces names rows {self.uv_faces.min()} to {self.uv_faces.max()}; uv has "
                f"{len(self.uv)}, numbered from 0"
            )

    @property
    def vertex_count(self) -> int:
        """V, from the largest vertex that a triangle names."""
        return int(self.faces.max()) + 1

    @classmethod
    def read(cls, path: Path) -> Topology:
        """Read an npz file with the arrays `f` (faces), `vt` (uv) and `ft` (uv_faces).

        Raises:
            ValueError: it is missing, is no such file, or its arrays do not fit together.
        """
        remedy = "build the repository again with a head: mien-export build"
        try:
            # Opened here, because numpy forgets to close a file it cannot read.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                missing = [name for name in ARRAYS if name not in archive.files]
                if missing:
                    raise ValueError(
                        f"it has no array {', '.join(missing)}, only "
                        f"{', '.join(archive.files) or 'none'}"
                    )
                return cls(*(archive[name] for name in ARRAYS))
        except FileNotFoundError:
            raise ValueError(f"{path} is missing; {remedy}") from None
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no topology: {error}; {remedy}") from error


def _set(topology: Topology, name: str, array: NDArray[np.generic]) -> None:
    array.flags.writeable = False
    object.__setattr__(topology, name, array)


def _kind(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {array.shape}"
