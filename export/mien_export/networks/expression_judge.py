# SPDX-License-Identifier: Apache-2.0
"""A family of CompCNNs and the SVM over them as one network: posed or spontaneous, with a margin.

Paper    Xu et al. 2017, sections 3.2 and 4.2 (3): three networks that compare behind pool 1, 2 and
         3, all by subtraction or all by linear combination, and a linear SVM over the outputs of
         their second fully connected layers: CompCNN-Sub-SVM and CompCNN-Comb-SVM.
Letters  B batch, F features of the SVM, 384 = 3 x 128.

A margin is no probability; Platt 1999, *Probabilistic Outputs for Support Vector Machines*, makes
it one: sigmoid(a margin + b), a and b fitted on people that the SVM has not seen. His A and B, and
those of most libraries, are -a and -b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from mien_export.networks.compcnn import (
    COMPARISONS,
    POSITIONS,
    SIX_LAYERS,
    CompCnn,
    CompCnnConfig,
    SixLayersConfig,
)

__all__ = [
    "EXPRESSION_JUDGE_COMB",
    "EXPRESSION_JUDGE_SUB",
    "ExpressionJudge",
    "ExpressionJudgeConfig",
    "GreyPair",
    "PlattScaling",
]


@dataclass(frozen=True)
class ExpressionJudgeConfig:
    """Which family, and its sizes.

    Attributes:
        comparison: how all three networks compare, one of `COMPARISONS`.
        sizes: of each of them.
    """

    comparison: str
    sizes: SixLayersConfig = SIX_LAYERS

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            raise ValueError(
                f"comparison is {self.comparison!r}; expected one of {', '.join(COMPARISONS)}."
            )


EXPRESSION_JUDGE_SUB = ExpressionJudgeConfig("sub")  # 1,264,903 parameters
EXPRESSION_JUDGE_COMB = ExpressionJudgeConfig("comb")  # 1,307,911


class PlattScaling(nn.Module):
    """sigmoid(slope margin + intercept); both are measured, so buffers, and 1 and 0 until then."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slope", torch.ones(1))
        self.register_buffer("intercept", torch.zeros(1))

    def forward(self, margin: torch.Tensor) -> torch.Tensor:
        """Map (B, 1) margins to (B, 1) probabilities, 0..1."""
        return torch.sigmoid(margin * self.get_buffer("slope") + self.get_buffer("intercept"))

    @torch.no_grad()
    def set(self, slope: float, intercept: float) -> None:
        """Take what was measured.

        Args:
            slope: a, above 0.
            intercept: b; where it is not 0, a margin of 0 is not a probability of a half.

        Raises:
            ValueError: a number is not finite, or the slope not above 0.
        """
        if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
            raise ValueError(
                f"slope is {slope} and intercept {intercept}; expected finite numbers and a slope "
                "above 0, so that a larger margin is more probable. Platt's own A and B are the "
                "negatives of these."
            )
        self.get_buffer("slope").fill_(slope)
        self.get_buffer("intercept").fill_(intercept)


class ExpressionJudge(nn.Module):
    """The three networks, the SVM and its calibration, which are trained one after another.

    ``networks`` are trained by themselves, ``svm`` is then put in by
    `mien_export.linear_svm.fold_svm`, and ``calibration`` set last.
    """

    def __init__(self, config: ExpressionJudgeConfig) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            CompCnn(CompCnnConfig(config.comparison, position, config.sizes))
            for position in POSITIONS
        )
        self.svm = nn.Linear(len(POSITIONS) * config.sizes.hidden[-1], 1)
        self.calibration = PlattScaling()

    def forward(
        self, onset: torch.Tensor, apex: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Judge an expression.

        Args:
            onset: (B, 1, 44, 44) in -1..1, the face where the expression begins.
            apex: (B, 1, 44, 44) in -1..1, where it is strongest.

        Returns:
            (B, 3) probabilities, by each network, that the expression is spontaneous; (B, 1) margin
            of the SVM, above 0 for spontaneous; (B, 1) the probability that it amounts to.
        """
        judged = [network(onset, apex) for network in self.networks]
        probabilities = [logits.softmax(dim=1)[:, 1:] for logits, _ in judged]
        margin = self.svm(torch.cat([features for _, features in judged], dim=1))
        return torch.cat(probabilities, dim=1), margin, self.calibration(margin)

    def features(self, onset: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
        """Give what the SVM reads of the pairs that `forward` takes: (B, F)."""
        return torch.cat([network(onset, apex)[1] for network in self.networks], dim=1)


class GreyPair(nn.Module):
    """A judge as it is exported, from raw crops."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, onset: torch.Tensor, apex: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map twice (B, 1, 44, 44), grey 0..255, to what the judge gives."""
        return self.network((onset - 127.5) / 127.5, (apex - 127.5) / 127.5)  # type: ignore[no-any-return]
