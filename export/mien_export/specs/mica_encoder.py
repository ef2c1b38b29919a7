# SPDX-License-Identifier: Apache-2.0
"""mica_encoder: an aligned crop to FLAME's 300 shape coefficients."""

from __future__ import annotations

import functools

from mien_export.checkpoint_parts import MICA_TAR
from mien_export.checkpoints import rename_nothing
from mien_export.networks.mica import MICA, MICA_STARTER, Mica, MicaConfig
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import SignedRange

_HALF = Tolerance(
    "11 significant bits through 100 layers; a hundredth of a deviation along the first component "
    "of shape moves a vertex by 0.05 mm",
    max_abs=0.01,
)


def _network(config: MicaConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(Mica, config),
        wrap=SignedRange,
        rename=rename_nothing,
        select=MICA_TAR,
    )


SPEC = ExportSpec(
    model="mica_encoder",
    networks={
        "mica": _network(
            MICA,
            "65.7 M parameters: mica.tar",
            "MICA: MPI non-commercial research licence, code and weights",
        ),
        "mica_narrow": _network(
            MICA_STARTER,
            "6.7 M parameters, the trunk of iresnet18_narrow: starter weights",
            "mien's starter weights: Apache-2.0",
        ),
    },
    default_network="mica",
    tolerances={
        "fp32": {
            "shape": Tolerance(
                "two orders of summation of coefficients of a few units", max_abs=2e-4
            )
        },
        "fp16": {"shape": _HALF},
        "tensorrt": {"shape": _HALF},
    },
    # Preprocessing and the L2 norm: sums of squares of 512 features overflow in fp16.
    fp32_op_types=("Sub", "Div", "ReduceL2", "Clip"),
    is_optional=True,
)
