# SPDX-License-Identifier: Apache-2.0
"""style_encoder: maps of a fitted head to the style context."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.style_encoder import (
    STYLE_ENCODER,
    STYLE_ENCODER_STARTER,
    StyleEncoder,
    StyleEncoderConfig,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import as_it_is

_HALF = Tolerance("11 significant bits through three layers", max_relative=0.005)


def _network(config: StyleEncoderConfig, summary: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note="none published",
        config=config,
        make=functools.partial(StyleEncoder, config),
        wrap=as_it_is,
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="style_encoder",
    networks={
        "conv2": _network(STYLE_ENCODER, "2.2 M parameters: two convolutions, a linear layer"),
        "conv2_narrow": _network(STYLE_ENCODER_STARTER, "1.1 M parameters, half the channels"),
    },
    default_network="conv2",
    tolerances={
        "fp32": {"c_sty": Tolerance("two orders of summation of 4096 products", max_relative=2e-5)},
        "fp16": {"c_sty": _HALF},
        "tensorrt": {"c_sty": _HALF},
    },
    is_optional=True,
)
