# SPDX-License-Identifier: Apache-2.0
"""deca_encoder: a face crop to DECA's 236 codes."""

from __future__ import annotations

import functools

from mien_export.checkpoint_parts import DECA_E_FLAME
from mien_export.checkpoints import rename_nothing
from mien_export.networks.deca import (
    DECA_COARSE,
    DECA_COARSE_STARTER,
    DecaEncoder,
    DecaEncoderConfig,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import UnitRange

_HALF = Tolerance(
    "11 significant bits; a hundredth is 0.6 degrees of pose, of the 4 degrees by which the "
    "estimate itself is off, and 0.05 mm along the first component of shape",
    max_abs=0.01,
)


def _network(config: DecaEncoderConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(DecaEncoder, config),
        wrap=UnitRange,
        rename=rename_nothing,
        select=DECA_E_FLAME,
    )


SPEC = ExportSpec(
    model="deca_encoder",
    networks={
        "resnet50": _network(
            DECA_COARSE,
            "25.8 M parameters: E_flame of deca_model.tar",
            "DECA: MPI non-commercial research licence, code and weights",
        ),
        "resnet16_half": _network(
            DECA_COARSE_STARTER,
            "6.6 M parameters, a sixteenth of the work on a quarter of the pixels: starter weights",
            "mien's starter weights: Apache-2.0",
        ),
    },
    default_network="resnet50",
    tolerances={
        "fp32": {
            "codes": Tolerance(
                "two orders of summation of codes of a few units; turns a head by 0.01 degrees",
                max_abs=2e-4,
            )
        },
        "fp16": {"codes": _HALF},
        "tensorrt": {"codes": _HALF},
    },
    # 0..255 to 0..1.
    fp32_op_types=("Div",),
    is_optional=True,
)
