# SPDX-License-Identifier: Apache-2.0
"""What a renderer needs to know of a head: its triangles and its UV layout, nothing else.

Letters  F triangles, T texture vertices.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien_export.errors import CheckpointError
from mien_export.head_files import TEMPLATE_FILE
from mien_export.head_model import read_head


def write_topology(head_file: Path, path: Path) -> None:
    """Write ``f`` (F, 3) int32, ``vt`` (T, 2) float32 and ``ft`` (F, 3) int32 as ``.npz``.

    Raises:
        CheckpointError: no head, or one whose UV layout is not known.
    """
    head = read_head(head_file)
    if not head.has_uv:
        raise CheckpointError(
            f"{head_file.name} has no UV layout (vt, ft), which rendering needs. FLAME's own lies "
            f"in {TEMPLATE_FILE}: put it beside the file."
        )
    np.savez(path, f=head.f, vt=head.vt, ft=head.ft)
