# SPDX-License-Identifier: Apache-2.0
"""Files of the avatar pipelines that a build makes: the head they are made of, and hairstyles.

Letters  V vertices, A facial actions.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mien_export.errors import CheckpointError, UsageError
from mien_export.head_files import TEMPLATE_FILE
from mien_export.head_model import NUM_SHAPE, HeadModel, read_head
from mien_export.manifest import sha256_of_file
from mien_export.networks.flame import DECA_FLAME, Flame
from mien_export.starter_weights import starter_folder

AVATAR_MODELS = ("create_avatar", "apply_emotion", "try_hairstyle")
HEAD_FILE = "1/avatar.npz"
HAIRSTYLES = "1/hairstyles"
# Of the head that the shipped hairstyles were made on, whatever head the repository has.
WIG_STAND = "head.npz"
WIG_STAND_ARRAYS = ("v_template", "f", "region_scalp")


def write_avatar_head(head_file: Path, path: Path) -> None:
    """Write what `mien_server.avatar.head_asset` reads.

    Raises:
        CheckpointError: no head, or one whose UV layout is not known.
    """
    head = read_head(head_file)
    if not head.has_uv:
        raise CheckpointError(
            f"{head_file.name} has no UV layout (vt, ft), which avatars need. FLAME's own lies "
            f"in {TEMPLATE_FILE}: put it beside the file."
        )
    nowhere = np.zeros(head.num_vertices, bool)
    np.savez(
        path,
        v_template=head.v_template,
        f=head.f,
        vt=head.vt,
        ft=head.ft,
        region_scalp=head.regions.get("scalp", nowhere),
        region_eyes=head.regions.get("eyes", nowhere),
        J_regressor=head.J_regressor,
        weights=head.weights,
        full_lmk_faces_idx=head.full_lmk_faces_idx[0],
        full_lmk_bary_coords=head.full_lmk_bary_coords[0],
        action_names=np.array(head.action_names, np.str_),
        action_deltas=action_deltas(head),
        licence=np.array(head.licence),
    )


def action_deltas(head: HeadModel) -> npt.NDArray[np.float32]:
    """(A, V, 3) metres that every facial action moves the mean head, expression and pose."""
    count = len(head.action_names)
    expression = torch.from_numpy(head.expression_from_actions.T.copy())
    pose = torch.from_numpy(head.pose_from_actions.T.copy())
    inputs = [torch.nn.functional.pad(rows, (0, 0, 1, 0)) for rows in (expression, pose)]
    with torch.no_grad():
        vertices = Flame(head, DECA_FLAME)(torch.zeros(count + 1, NUM_SHAPE), *inputs)[0].numpy()
    deltas: npt.NDArray[np.float32] = vertices[1:] - vertices[:1]
    return deltas


def write_hairstyles(_: Path, folder: Path) -> None:
    """Copy the shipped hairstyles and the head that they were made on; none where none ship."""
    folder.mkdir(parents=True)
    source = _starter()
    if source is None:
        return
    for file in sorted((source / "hairstyles").iterdir()):
        shutil.copyfile(file, folder / file.name)
    with np.load(source / "head.npz", allow_pickle=False) as arrays:
        np.savez(folder / WIG_STAND, **{name: arrays[name] for name in WIG_STAND_ARRAYS})


@functools.cache
def hairstyle_digests() -> Mapping[str, str]:
    """What decides the contents of that folder."""
    source = _starter()
    if source is None:
        return {}
    files = [source / "head.npz", *sorted((source / "hairstyles").iterdir())]
    return {file.name: sha256_of_file(file) for file in files}


def _starter() -> Path | None:
    try:
        return starter_folder()
    except UsageError:
        return None
