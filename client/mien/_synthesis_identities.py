# SPDX-License-Identifier: Apache-2.0
"""The people of a training set: the first ones, from the seed of the set on, who differ enough.

Which these are does not depend on how many are asked for at once, on the server, or on where a run
was killed. Tokens, by which a server knows who was found before, are valid for its key only: where
that is another one, the search begins anew, and finds the same people.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mien._errors import InvalidIdentityError, InvalidOptionError
from mien._generated import IdentityToken
from mien._generation_requests import MAX_SEED
from mien._synthesis_endpoints import WORTH_ANOTHER_TRY, Endpoint, EndpointPool
from mien._synthesis_folder import SetFolder, SetIdentity
from mien._synthesis_plan import SynthesisPlan

__all__ = ["find_identities"]

MOST_PER_REQUEST = 32


async def find_identities(
    plan: SynthesisPlan, pool: EndpointPool, folder: SetFolder, tell: Callable[[int], None]
) -> list[SetIdentity]:
    """All people of a set, in their order.

    Args:
        plan: of the set.
        pool: servers; one is asked at a time, the next where it is not available.
        folder: of the set; remembers who was found.
        tell: is called with the number of people found.

    Raises:
        MienError: too few were found, no server answers, or a disk fails.
    """
    known = folder.identities()
    if known is not None:
        folder.forget_found()  # a kill may have come before that
        return known
    search = _Search(plan, folder)
    endpoints = itertools.cycle(pool.endpoints)
    endpoint = next(endpoints)
    while search.num_missing:
        tell(search.num_found)
        try:
            await pool.meet(endpoint)
            await search.go_on(endpoint)
        except WORTH_ANOTHER_TRY as error:
            await pool.pause(endpoint, error)
            if error.code != "OVERLOADED":
                endpoint = next(endpoints)
    folder.write_identities(search.people)
    tell(search.num_found)
    return search.people


class _Search:
    """What was found so far."""

    def __init__(self, plan: SynthesisPlan, folder: SetFolder) -> None:
        self._plan = plan
        self._folder = folder
        self._begin(folder.found())

    def _begin(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Go on behind what `rows` say."""
        self._tokens: list[IdentityToken] = []
        self._next_seed = self._plan.first_candidate
        self.people: list[SetIdentity] = []
        for row in rows:
            self._take(row)

    def _take(self, row: Mapping[str, Any]) -> None:
        self._tokens += map(IdentityToken, row["identity_tokens"])
        people = zip(row["seeds"], row["largest_similarities"], strict=True)
        self.people += [SetIdentity(*person) for person in people]
        self._next_seed = (self._next_seed + row["candidates"]) % (MAX_SEED + 1)

    @property
    def num_found(self) -> int:
        return len(self.people)

    @property
    def num_missing(self) -> int:
        return self._plan.identities - len(self.people)

    async def go_on(self, endpoint: Endpoint) -> None:
        """Find some more."""
        with endpoint.working() as accepted:
            try:
                answer = await endpoint.client.sample_identities(
                    min(self.num_missing, MOST_PER_REQUEST),
                    seed=self._next_seed,
                    max_similarity=self._plan.max_similarity,
                    others=self._tokens,
                )
            except InvalidIdentityError:
                if not self._tokens:
                    raise
                self._folder.forget_found()
                self._begin([])
                return
            except InvalidOptionError as error:
                raise self._refusal(error) from error
            accepted()
        row = answer.to_dict()
        self._folder.add_found(row)
        self._take(row)

    def _refusal(self, error: InvalidOptionError) -> InvalidOptionError:
        return InvalidOptionError(
            f"{self.num_found} of {self._plan.identities} identities were found: {error}. Begin a "
            "set in another folder with fewer identities or a larger max_similarity",
            model_name=error.model_name,
            request_id=error.request_id,
            status=error.status,
            code=error.code,
        )
