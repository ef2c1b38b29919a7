# SPDX-License-Identifier: Apache-2.0
"""Dot-product attention between sets of vectors, shared by the generative networks.

Letters  B batch, H heads, D channels of a head, N queries, M keys.
"""

from __future__ import annotations

import torch


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Give every query the values of the keys it resembles (Vaswani et al. 2017, eq. 1).

    Queries and keys are both scaled by D^-1/4: in half precision their product may overflow
    before a later division by D^1/2 could save it.

    Args:
        q: (B, H, D, N) queries.
        k: (B, H, D, M) keys.
        v: (B, H, D, M) values.

    Returns:
        (B, H D, N); heads one behind the other.
    """
    scale = float(q.shape[2]) ** -0.25
    logits = (q * scale).transpose(2, 3) @ (k * scale)  # (B, H, N, M)
    weights = torch.softmax(logits, dim=-1)
    return (v @ weights.transpose(2, 3)).flatten(1, 2)  # (B, H D, N)
