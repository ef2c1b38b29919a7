# SPDX-License-Identifier: Apache-2.0
"""How strongly six emotions are shown, to the expression and pose of a head that shows them.

Source   the thesis *3D avatar reconstruction* (2023), section 3.3.2: linear layers with ReLU
         between, 6 -> 56 and, with FLAME's shape, 56 -> 56; the widths of figure 3.11 are not
         published. Two hidden layers of 128 are ours, and so are the names in a file: there is no
         public one.
Letters  B batch.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

EMOTIONS = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
NUM_EMOTIONS, NUM_EMOTION_SHAPE = len(EMOTIONS), 50
NUM_EMOTION_EXPRESSION, NUM_EMOTION_POSE = 50, 6


@dataclass(frozen=True)
class EmotionMlpConfig:
    """Sizes of the network.

    Attributes:
        shape: coefficients of shape that it reads beside the emotions: none, or the first 50.
        hidden: width of the hidden layers.
        hidden_layers: how many of them.
    """

    shape: int = 0
    hidden: int = 128
    hidden_layers: int = 2


EMOTION_MLP = EmotionMlpConfig()  # 24,632 parameters
EMOTION_MLP_SHAPE = EmotionMlpConfig(shape=NUM_EMOTION_SHAPE)  # 31,032


class _Codes(nn.Linear):
    """The last layer."""

    # Of the features' deviation, where weights are drawn: a jaw turns by tenths of a radian.
    random_gain = 0.2


class EmotionMlp(nn.Module):
    """The network of the thesis: what comes out for no emotion at all is up to its weights."""

    def __init__(self, config: EmotionMlpConfig) -> None:
        super().__init__()
        sizes = [NUM_EMOTIONS + config.shape, *[config.hidden] * config.hidden_layers]
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(sizes)
        )
        self.layers.append(_Codes(sizes[-1], NUM_EMOTION_EXPRESSION + NUM_EMOTION_POSE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, 6) intensities, or (B, 56) with shape behind them, to (B, 56)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.relu(layer(x))
        return last(x)  # type: ignore[no-any-return]  # (B, 50 expression + 6 pose)


class EmotionsFromNeutral(nn.Module):
    """A network as it is exported: what emotions add to a neutral face, exactly nothing for none.

    What the network says of the same person without emotion is subtracted. Two such sums may differ
    by their last bits, depending on who computes them; so where all intensities are 0, the result
    is multiplied by 0, and elsewhere by 1. The bias of the last layer cancels.

    Args:
        network: an `EmotionMlp`.
        reads_shape: whether it is one of emotions and shape.
    """

    def __init__(self, network: nn.Module, *, reads_shape: bool = False) -> None:
        super().__init__()
        self.network = network
        self.reads_shape = reads_shape

    def forward(
        self, emotions: torch.Tensor, shape: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn intensities into coefficients.

        Args:
            emotions: (B, 6) intensities in the order of `EMOTIONS`, 0 to 1 each.
            shape: (B, 50) the first coefficients of shape; a network of emotions alone leaves them.

        Returns:
            (B, 50) expression coefficients and (B, 6) pose, radians, to be added to a neutral face.
        """
        shown = self.network(self._input(emotions, shape))
        neutral = self.network(self._input(torch.zeros_like(emotions), shape))
        is_shown = emotions.abs().amax(dim=1, keepdim=True).sign()  # (B, 1), 0 or 1
        codes = (shown - neutral) * is_shown
        return codes[:, :NUM_EMOTION_EXPRESSION], codes[:, NUM_EMOTION_EXPRESSION:]

    def _input(self, emotions: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        return torch.cat([emotions, shape], dim=1) if self.reads_shape else emotions
