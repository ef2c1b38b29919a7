# SPDX-License-Identifier: Apache-2.0
"""emotion_mlp: how strongly six emotions are shown, to expression and pose."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.emotion_mlp import (
    EMOTION_MLP,
    EMOTION_MLP_SHAPE,
    EmotionMlp,
    EmotionMlpConfig,
    EmotionsFromNeutral,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork

_SAME = Tolerance("coefficients of a few units; sums of 128 products in two orders", max_abs=1e-4)
_HALF = {
    "expression": Tolerance(
        "11 significant bits through three layers; a hundredth of a deviation along the first "
        "component of expression moves a vertex by 0.02 mm",
        max_abs=0.02,
    ),
    "pose": Tolerance(
        "radians; three thousandths of a turn of the jaw move the chin by 0.3 mm", max_abs=0.003
    ),
}


def _network(config: EmotionMlpConfig, summary: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note="none published; mien's starter weights: Apache-2.0",
        config=config,
        make=functools.partial(EmotionMlp, config),
        wrap=functools.partial(EmotionsFromNeutral, reads_shape=config.shape > 0),
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="emotion_mlp",
    networks={
        "mlp": _network(EMOTION_MLP, "24,632 parameters, 6 -> 56: emotions alone"),
        "mlp_shape": _network(
            EMOTION_MLP_SHAPE, "31,032 parameters, 56 -> 56: emotions and shape; starter weights"
        ),
    },
    default_network="mlp_shape",
    tolerances={
        "fp32": dict.fromkeys(_HALF, _SAME),
        "fp16": _HALF,
        "tensorrt": _HALF,
    },
    is_optional=True,
)
