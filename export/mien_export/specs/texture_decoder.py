# SPDX-License-Identifier: Apache-2.0
"""texture_decoder: coefficients of an albedo space to the albedo map of a head."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mien_export.data_network import DataNetwork
from mien_export.networks.texture import Texture
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.texture_space import NUM_TEXTURE, SIDE_PX, read_texture_space


def _make(path: Path) -> nn.Module:
    return Texture(read_texture_space(path))


SPEC = ExportSpec(
    model="texture_decoder",
    networks={
        "albedo": DataNetwork(
            summary="an albedo space: albedo.npz, FLAME_texture.npz, FLAME_albedo_from_BFM.npz",
            licence_note=(
                "albedo.npz of mien: Apache-2.0; FLAME's: CC BY-NC-SA 4.0; made from BFM: "
                "non-commercial"
            ),
            config=(SIDE_PX, NUM_TEXTURE),
            make=_make,
        )
    },
    default_network="albedo",
    tolerances={
        "fp32": {
            "albedo": Tolerance("0..1; sums of 50 products in two orders", max_abs=1e-5),
        },
        "fp16": {
            "albedo": Tolerance("0..1; half a step of an 8-bit colour", max_abs=0.002),
        },
    },
    fp16_node_prefix="node_mm",
    is_optional=True,
)
