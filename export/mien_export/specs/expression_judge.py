# SPDX-License-Identifier: Apache-2.0
"""expression_judge: onset and apex of an expression to whether it is posed or spontaneous."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.expression_judge import (
    EXPRESSION_JUDGE_COMB,
    EXPRESSION_JUDGE_SUB,
    ExpressionJudge,
    ExpressionJudgeConfig,
    GreyPair,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork

_PROBABILITIES = ("probabilities", "probability")
_SAME = Tolerance("probabilities; two orders of summation", max_abs=2e-4)
_HALF = Tolerance("probabilities; 11 significant bits in three convolutions", max_abs=0.03)
_SAME_MARGIN = Tolerance("a few units; 384 products in two orders", max_abs=1e-3)
_HALF_MARGIN = Tolerance("a few units; a tenth of one is no other judgement", max_abs=0.1)


def _network(config: ExpressionJudgeConfig, summary: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note="none published",
        config=config,
        make=functools.partial(ExpressionJudge, config),
        wrap=GreyPair,
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="expression_judge",
    networks={
        "sub": _network(
            EXPRESSION_JUDGE_SUB, "1.26 M parameters: CompCNN-Sub@1, 2 and 3 and their SVM"
        ),
        "comb": _network(
            EXPRESSION_JUDGE_COMB, "1.31 M parameters: CompCNN-Comb@1, 2 and 3 and their SVM"
        ),
    },
    default_network="comb",
    tolerances={
        "fp32": dict.fromkeys(_PROBABILITIES, _SAME) | {"margin": _SAME_MARGIN},
        "fp16": dict.fromkeys(_PROBABILITIES, _HALF) | {"margin": _HALF_MARGIN},
        "tensorrt": dict.fromkeys(_PROBABILITIES, _HALF) | {"margin": _HALF_MARGIN},
    },
    # Sums in which what a standardisation took away cancels, and exponentials.
    fp32_op_types=("Gemm", "Softmax", "Sigmoid"),
    # Preprocessing, but not the comparison, which is a Sub, too.
    fp32_up_to=("Div",),
    is_optional=True,
)
