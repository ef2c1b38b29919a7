# SPDX-License-Identifier: Apache-2.0
"""The pipeline `sample_identities` on arrays: people who do not exist and do not look alike.

Paper    MorphFace (arXiv 2504.00430), section C.1: identities are taken in while their similarity
         to those that are there is below 0.3.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.contract import ModelContract
from mien_server.diffusion.noise import MAX_SEED
from mien_server.errors import ServingError
from mien_server.generation.events import EventKind
from mien_server.generation.identity_tokens import EMBEDDING_COUNT, IdentityTokens
from mien_server.generation.options import OptionReader
from mien_server.model_call import ModelCall
from mien_server.sealing import IDENTITY_KEY_VARIABLE, identity_key

__all__ = ["IdentitySampler", "sampler_from_contract"]

Array = NDArray[Any]
# A call of a decoupled model -> its responses, one after the other.
StreamModel = Callable[[ModelCall], Iterable[Mapping[str, Array]]]

MAX_COUNT = 64
MAX_SIMILARITY = 0.3
# Candidates per identity that are tried before the request is refused.
MAX_TRIES = 16
AT_ONCE = 8  # their samples share calls of the network


class IdentitySampler:
    """Finds identities.

    Args:
        stream_model: calls `generate_faces`; from any thread.
        tokens: those of `generate_faces`.
        untrained: handed through to the caller.
    """

    def __init__(
        self, stream_model: StreamModel, tokens: IdentityTokens, *, untrained: bool
    ) -> None:
        self._stream_model, self._tokens, self._untrained = stream_model, tokens, untrained

    def answer(
        self, inputs: Mapping[str, Array], is_cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, Array]:
        """Outputs of a request.

        Args:
            inputs: by name; what was left out is missing.
            is_cancelled: true once nobody waits; asked before every few candidates.

        Raises:
            ServingError: an option is not allowed, a token is none, or too few candidates are as
                different as was asked for.
        """
        read = OptionReader(inputs)
        count = read.whole("count", 1, 1, MAX_COUNT)
        drawn = secrets.randbits(63)
        seed = read.whole("seed", drawn, 0, MAX_SEED)
        limit = read.number("max_similarity", MAX_SIMILARITY, -1.0, 1.0)
        others = [self._opened(bytes(token)) for token in inputs.get("others", ())]
        kept, tried = self._kept(count, seed, limit, others, is_cancelled)
        embeddings = np.stack([embedding for _, _, embedding in kept])
        return {
            "identity_tokens": np.array([token for _, token, _ in kept], dtype=np.object_),
            "seeds": np.array([own for own, _, _ in kept], np.uint64),
            "largest_similarity": _largest_similarity(embeddings, others),
            "candidates": np.array([tried], np.int32),
            "untrained": np.array([self._untrained]),
        }

    def _kept(
        self,
        count: int,
        seed: int,
        limit: float,
        others: Sequence[Array],
        is_cancelled: Callable[[], bool],
    ) -> tuple[list[tuple[int, bytes, Array]], int]:
        """Seed, token and embedding of each, and how many candidates it took."""
        kept: list[tuple[int, bytes, Array]] = []
        known = list(others)
        seeds = [(seed + number) % (MAX_SEED + 1) for number in range(MAX_TRIES * count)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for start in range(0, len(seeds), AT_ONCE):
                if is_cancelled():
                    raise ServingError("CANCELLED", "the caller went away during the search")
                wave = seeds[start : start + AT_ONCE]
                made = zip(wave, pool.map(self._token, wave), strict=True)
                for place, (own, token) in enumerate(made):
                    embedding = self._opened(token)
                    if not known or max(np.stack(known) @ embedding) < limit:
                        kept.append((own, token, embedding))
                        known.append(embedding)
                    if len(kept) == count:
                        return kept, start + place + 1
        raise ServingError(
            "INVALID_OPTION",
            f"max_similarity is {limit:g}, and of {len(seeds)} candidates only {len(kept)} are as "
            f"different from each other and from the {len(others)} given; {count} were asked for. "
            "Allow more similarity, or ask for fewer",
        )

    def _token(self, seed: int) -> bytes:
        inputs: dict[str, Array] = {
            "identity_seed": np.array([seed], np.uint64),
            "count": np.zeros(1, np.int32),
        }
        call = ModelCall("generate_faces", inputs, ("event", "identity_token"))
        for response in self._stream_model(call):
            if bytes(response["event"][0]).decode() == EventKind.STARTED.value:
                return bytes(response["identity_token"][0])
        raise ServingError("MODEL_FAILED", "generate_faces ended without an identity")

    def _opened(self, token: bytes) -> Array:
        embedding = self._tokens.open(token.decode("utf-8", "backslashreplace")).embedding
        unit: Array = embedding.astype(np.float64) / np.linalg.norm(embedding)
        return unit


def _largest_similarity(embeddings: Array, others: Sequence[Array]) -> NDArray[np.float32]:
    """Of each to any other one; -1 where there is none."""
    everybody = np.concatenate([embeddings, np.reshape(others, (-1, EMBEDDING_COUNT))])
    cosines = embeddings @ everybody.T
    np.fill_diagonal(cosines, -1.0)
    largest: NDArray[np.float32] = cosines.max(axis=1).astype(np.float32)
    return largest


def sampler_from_contract(contract: ModelContract, stream_model: StreamModel) -> IdentitySampler:
    """The sampler that a model's configuration describes.

    Raises:
        ValueError: a parameter is missing, or the environment has no key.
    """
    key = identity_key()
    if key is None:
        raise ValueError(
            f"{contract.name} opens tokens of generate_faces and needs the key of both in "
            f"{IDENTITY_KEY_VARIABLE}; mien-serve sets it, a server started otherwise must"
        )
    tokens = IdentityTokens(key, contract.parameter("identity_space"))
    return IdentitySampler(stream_model, tokens, untrained=contract.flag("untrained"))
