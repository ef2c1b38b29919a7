# SPDX-License-Identifier: Apache-2.0
"""detail_decoder: jaw, expression and detail codes to a displacement map."""

from __future__ import annotations

import functools

from mien_export.checkpoint_parts import DECA_D_DETAIL
from mien_export.checkpoints import rename_nothing
from mien_export.networks.deca_detail import (
    DETAIL_GENERATOR,
    DETAIL_GENERATOR_STARTER,
    DetailGenerator,
    DetailGeneratorConfig,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import as_it_is

_HALF = Tolerance(
    "metres; 11 significant bits of at most 0.01; wrinkles are some tenths of a millimetre deep",
    max_abs=5e-5,
)


def _network(config: DetailGeneratorConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(DetailGenerator, config),
        wrap=as_it_is,
        rename=rename_nothing,
        select=DECA_D_DETAIL,
    )


SPEC = ExportSpec(
    model="detail_decoder",
    networks={
        "deca": _network(
            DETAIL_GENERATOR,
            "1.8 M parameters: D_detail of deca_model.tar",
            "DECA: MPI non-commercial research licence, code and weights",
        ),
        "deca_narrow": _network(
            DETAIL_GENERATOR_STARTER,
            "0.8 M parameters, a quarter of the work",
            "none published",
        ),
    },
    default_network="deca",
    tolerances={
        "fp32": {
            "displacement": Tolerance(
                "metres; two orders of summation; a micron is nothing on skin", max_abs=1e-6
            )
        },
        "fp16": {"displacement": _HALF},
        "tensorrt": {"displacement": _HALF},
    },
    is_optional=True,
)
