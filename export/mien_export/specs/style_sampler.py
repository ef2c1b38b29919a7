# SPDX-License-Identifier: Apache-2.0
"""style_sampler: noise to DECA's codes as they are distributed over photographs."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mien_export.data_network import DataNetwork
from mien_export.networks.style_sampler import SMALLEST_SCALE_SHARE, StyleSampler
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.style_distribution import NUM_CODES, read_style_distribution


def _make(path: Path) -> nn.Module:
    return StyleSampler(read_style_distribution(path))


SPEC = ExportSpec(
    model="style_sampler",
    networks={
        "normal": DataNetwork(
            summary="a normal distribution of codes: .npz with mean and factor",
            licence_note="none published: it is measured on a user's own photographs",
            config=(NUM_CODES, SMALLEST_SCALE_SHARE),
            make=_make,
        )
    },
    default_network="normal",
    tolerances={
        "fp32": {
            "codes": Tolerance("codes of about unit variance; sums of 236 products", max_abs=1e-4),
        },
    },
    is_optional=True,
)
