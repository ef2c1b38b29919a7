# SPDX-License-Identifier: Apache-2.0
"""detail_encoder: a face crop to DECA's 128 codes of detail."""

from __future__ import annotations

import functools

from mien_export.checkpoint_parts import DECA_E_DETAIL
from mien_export.checkpoints import rename_nothing
from mien_export.networks.deca import (
    DECA_DETAIL,
    DECA_DETAIL_STARTER,
    DecaEncoder,
    DecaEncoderConfig,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import UnitRange

_HALF = Tolerance(
    "11 significant bits; the codes have no unit, and a hundredth of their length shifts the "
    "displacement by a hundredth of its size",
    min_cosine=0.9999,
)


def _network(config: DecaEncoderConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(DecaEncoder, config),
        wrap=UnitRange,
        rename=rename_nothing,
        select=DECA_E_DETAIL,
    )


SPEC = ExportSpec(
    model="detail_encoder",
    networks={
        "resnet50": _network(
            DECA_DETAIL,
            "25.7 M parameters: E_detail of deca_model.tar",
            "DECA: MPI non-commercial research licence, code and weights",
        ),
        "resnet16_narrow": _network(
            DECA_DETAIL_STARTER,
            "1.7 M parameters, a sixteenth of the work",
            "none published",
        ),
    },
    default_network="resnet50",
    tolerances={
        "fp32": {
            "detail": Tolerance(
                "two orders of summation of codes of a few units",
                min_cosine=0.99999,
                max_abs=2e-4,
            )
        },
        "fp16": {"detail": _HALF},
        "tensorrt": {"detail": _HALF},
    },
    # 0..255 to 0..1.
    fp32_op_types=("Div",),
    is_optional=True,
)
