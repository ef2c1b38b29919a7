# SPDX-License-Identifier: Apache-2.0
"""flame_decoder: shape, expression and pose to the vertices and landmarks of a head."""

from __future__ import annotations

import functools
from pathlib import Path

from torch import nn

from mien_export.avatar_assets import (
    AVATAR_MODELS,
    HAIRSTYLES,
    HEAD_FILE,
    hairstyle_digests,
    write_avatar_head,
    write_hairstyles,
)
from mien_export.data_network import DataNetwork
from mien_export.head_files import files_of_head
from mien_export.head_model import read_head
from mien_export.networks.flame import DECA_FLAME, FLAME_PYTORCH, Flame, FlameConfig
from mien_export.parity import Tolerance
from mien_export.spec import Asset, ExportSpec
from mien_export.topology import write_topology

_LICENCE = (
    "head.npz of mien: Apache-2.0; FLAME 2023 Open: CC BY 4.0; older FLAME files: non-commercial"
)
_OUTPUTS = ("vertices", "landmarks_3d", "contour_landmarks_3d")
_SAME = Tolerance(
    "metres; sums of 400 products of a millimetre each and of turned points 0.2 from the origin, "
    "in two orders: steps of fp32 are 1.5e-8 there",
    max_abs=1e-6,
)
_HALF = Tolerance(
    "metres; only the two basis products are fp16, whose 11 bits leave 1e-5 of a displacement of "
    "2 cm; a tenth of a millimetre is the noise of a good scanner",
    max_abs=1e-4,
)


def _make(config: FlameConfig, path: Path) -> nn.Module:
    return Flame(read_head(path), config)


def _network(config: FlameConfig, summary: str) -> DataNetwork:
    return DataNetwork(
        summary=summary,
        licence_note=_LICENCE,
        config=config,
        make=functools.partial(_make, config),
        files=files_of_head,
    )


SPEC = ExportSpec(
    model="flame_decoder",
    networks={
        "flame": _network(
            DECA_FLAME,
            "a head file: head.npz, generic_model.pkl with landmark_embedding.npy; contour by "
            "positive yaw, as DECA",
        ),
        "flame_negative_yaw": _network(
            FLAME_PYTORCH, "the same; contour by negative yaw, as FLAME_PyTorch"
        ),
    },
    default_network="flame",
    tolerances={
        "fp32": dict.fromkeys(_OUTPUTS, _SAME),
        "fp16": dict.fromkeys(_OUTPUTS, _HALF),
    },
    # The products with the bases, nearly all of the file; rotations and sums of metres stay fp32.
    fp16_node_prefix="node_mm",
    is_optional=True,
    assets=(
        Asset("style_renderer", "1/topology.npz", write_topology),
        *(Asset(model, HEAD_FILE, write_avatar_head) for model in AVATAR_MODELS),
        *(
            Asset(model, HAIRSTYLES, write_hairstyles, hairstyle_digests)
            for model in (*AVATAR_MODELS, "hairstyles")
        ),
    ),
)
