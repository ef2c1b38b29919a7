# SPDX-License-Identifier: Apache-2.0
"""Arguments of `sample_identities` -> its request, its answer -> people. Pure like `_requests`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien._errors import ContractError
from mien._generated import IdentityToken, SampledIdentities
from mien._generation_requests import MAX_INT32, MAX_SEED, finite_number, whole_number
from mien._requests import SAMPLE_IDENTITIES_MODEL, Rpc, answered_tensors, infer_rpc
from mien._tensors import TensorSpec

__all__ = ["sample_identities_rpc", "sampled_identities_from_response"]

SAMPLE_IDENTITIES_INPUTS = (
    TensorSpec("count", "INT32", (1,), is_batched=False),
    TensorSpec("seed", "UINT64", (1,), is_batched=False),
    TensorSpec("max_similarity", "FP32", (1,), is_batched=False),
    TensorSpec("others", "BYTES", (-1,), is_batched=False),
)
SAMPLE_IDENTITIES_OUTPUTS = (
    TensorSpec("identity_tokens", "BYTES", (-1,), is_batched=False),
    TensorSpec("seeds", "UINT64", (-1,), is_batched=False),
    TensorSpec("largest_similarity", "FP32", (-1,), is_batched=False),
    TensorSpec("candidates", "INT32", (1,), is_batched=False),
    TensorSpec("untrained", "BOOL", (1,), is_batched=False),
)


def sample_identities_rpc(
    count: int, seed: int | None, max_similarity: float | None, others: Sequence[IdentityToken]
) -> Rpc:
    """The inference that finds people, whose arguments `Client.sample_identities` describes.

    Raises:
        InvalidOptionError: one has a value that no server would take.
    """
    values = (
        whole_number("count", count, 1, MAX_INT32),
        whole_number("seed", seed, 0, MAX_SEED),
        finite_number("max_similarity", max_similarity),
        [str(token).encode() for token in others] or None,
    )
    return infer_rpc(
        SAMPLE_IDENTITIES_MODEL, SAMPLE_IDENTITIES_INPUTS, values, SAMPLE_IDENTITIES_OUTPUTS
    )


def sampled_identities_from_response(rpc: Rpc, response: Any) -> SampledIdentities:
    """Read the answer to `sample_identities_rpc`.

    Raises:
        ContractError: it is no such answer.
    """
    finite = ("largest_similarity",)
    tensors = answered_tensors(rpc, response, SAMPLE_IDENTITIES_OUTPUTS, finite=finite)
    names = ("identity_tokens", "seeds", "largest_similarity")
    tokens, seeds, similarities = (tensors[name].tolist() for name in names)
    if not len(tokens) == len(seeds) == len(similarities):
        raise ContractError(
            f"{len(tokens)} identity_tokens, {len(seeds)} seeds and {len(similarities)} values of "
            "largest_similarity came; expected equally many. Compare the versions of mien here "
            "and on the server",
            model_name=rpc.model_name,
            request_id=rpc.request_id,
        )
    return SampledIdentities(
        identities=tuple(IdentityToken(token.decode("utf-8", "replace")) for token in tokens),
        seeds=tuple(seeds),
        largest_similarities=tuple(similarities),
        candidates=tensors["candidates"].item(),
        untrained=tensors["untrained"].item(),
        request_id=rpc.request_id or "",
    )
