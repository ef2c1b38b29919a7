# SPDX-License-Identifier: Apache-2.0
"""What avatars need to know of their head model: the file `avatar.npz`, written by a build.

Letters  V vertices, F triangles, T texture coordinates, J joints, A facial actions. Frame of the
         head: metres, y up, face towards +z.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.arrays import real_numbers, whole_numbers
from mien_server.hair.head import Head
from mien_server.rendering import Topology

__all__ = ["HEAD_FILE", "HeadAsset"]

HEAD_FILE = "avatar.npz"
JOINT_COUNT = 5
# What moves by less anywhere does not move.
STILL_M = 1e-6

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class HeadAsset:
    """A head model without its bases, which are in the graph `flame_decoder`.

    Attributes:
        vertices: (V, 3) the mean head at rest.
        topology: triangles and texture coordinates.
        scalp: (V,) where hair grows; all false where the model does not say.
        eyes: (V,) eyeballs; likewise.
        joint_regressor: (J, V) joints from vertices.
        joint_weights: (V, J) rows sum to 1.
        landmark_faces: (68,) triangles of the landmarks at rest.
        landmark_weights: (68, 3) places inside them.
        action_names: A of ARKit's names.
        action_deltas: (A, V, 3) what a whole action moves on the mean head.
        licence: of the head model; "" where its file does not say.
    """

    vertices: Floats
    topology: Topology
    scalp: NDArray[np.bool_]
    eyes: NDArray[np.bool_]
    joint_regressor: Floats
    joint_weights: Floats
    landmark_faces: NDArray[np.int32]
    landmark_weights: Floats
    action_names: tuple[str, ...]
    action_deltas: Floats
    licence: str

    @classmethod
    def read(cls, path: Path) -> HeadAsset:
        """Read the file that `mien-export build` wrote.

        Raises:
            ValueError: it is missing, damaged, or its arrays do not fit together.
        """
        remedy = "build the repository again with a head: mien-export build"
        try:
            # Opened here, because numpy forgets to close a file it cannot read.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return _asset({name: archive[name] for name in archive.files})
        except FileNotFoundError:
            raise ValueError(f"{path} is missing; {remedy}") from None
        except KeyError as error:
            raise ValueError(f"{path} has no array {error}; {remedy}") from error
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} describes no head: {error}; {remedy}") from error

    @property
    def landmarks(self) -> Floats:
        """(68, 3) of the mean head at rest."""
        corners = self.vertices[self.topology.faces[self.landmark_faces]]
        return np.asarray(np.einsum("nk,nkc->nc", self.landmark_weights, corners), np.float32)

    def hair_head(self) -> Head:
        """The mean head as hair is put on it."""
        scalp = self.scalp if self.scalp.any() else None
        return Head.of(self.vertices, self.topology.faces, scalp)

    def moving_actions(self) -> list[int]:
        """Rows of the actions that move anything."""
        reach = np.abs(self.action_deltas).max(axis=(1, 2), initial=0)
        return [int(row) for row in np.flatnonzero(reach > STILL_M)]


def _asset(arrays: Mapping[str, NDArray[Any]]) -> HeadAsset:
    vertices = real_numbers(arrays["v_template"], (None, 3), "v_template")
    count = len(vertices)
    topology = Topology(arrays["f"], arrays["vt"], arrays["ft"])
    if topology.vertex_count > count:
        raise ValueError(f"f names {topology.vertex_count} vertices, v_template has {count}")
    names = tuple(str(name) for name in arrays["action_names"].ravel())
    faces = arrays["full_lmk_faces_idx"]
    return HeadAsset(
        vertices=vertices,
        topology=topology,
        scalp=_mask(arrays["region_scalp"], count, "region_scalp"),
        eyes=_mask(arrays["region_eyes"], count, "region_eyes"),
        joint_regressor=real_numbers(arrays["J_regressor"], (JOINT_COUNT, count), "J_regressor"),
        joint_weights=real_numbers(arrays["weights"], (count, JOINT_COUNT), "weights"),
        landmark_faces=whole_numbers(faces, (68,), len(topology.faces), "full_lmk_faces_idx"),
        landmark_weights=real_numbers(
            arrays["full_lmk_bary_coords"], (68, 3), "full_lmk_bary_coords"
        ),
        action_names=names,
        action_deltas=real_numbers(
            arrays["action_deltas"], (len(names), count, 3), "action_deltas"
        ),
        licence=str(arrays["licence"]),
    )


def _mask(given: NDArray[Any], count: int, what: str) -> NDArray[np.bool_]:
    if given.dtype != bool or given.shape != (count,):
        raise ValueError(f"{what} is {given.dtype} {given.shape}; it must be bool ({count},)")
    return given
