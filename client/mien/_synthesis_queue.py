# SPDX-License-Identifier: Apache-2.0
"""Which portions of which shards are to be made next, and which shards are full.

Shards are begun in their order, the next one when all portions of those before are being made, so
no more shards are in memory than there are workers.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Sequence

from mien._synthesis_plan import Portion, SynthesisPlan
from mien._synthesis_shards import MadeImage

__all__ = ["ShardQueue"]


class ShardQueue:
    """Work for any number of workers of one event loop.

    Args:
        plan: of the set.
        shards: that are to be made, in order.
    """

    def __init__(self, plan: SynthesisPlan, shards: Sequence[int]) -> None:
        self._plan = plan
        self._shards = deque(shards)
        self._waiting: deque[Portion] = deque()
        self._open: dict[int, list[MadeImage]] = {}
        self._changed = asyncio.Event()

    @property
    def is_finished(self) -> bool:
        """Whether all shards are written."""
        return not (self._shards or self._waiting or self._open)

    @property
    def num_open(self) -> int:
        """Shards that are being made or written."""
        return len(self._open)

    def take(self, most: int) -> Portion | None:
        """A portion of `most` images at most; None where there is none at present."""
        if not self._waiting and self._shards:
            shard = self._shards.popleft()
            self._open[shard] = []
            self._waiting.extend(self._plan.portions(shard, most))
        if not self._waiting:
            return None
        portion = self._waiting.popleft()
        if portion.count > most:
            portion, others = portion.split(most)
            self._waiting.appendleft(others)
        return portion

    def give_back(self, portion: Portion, *, counts: bool) -> None:
        """Have a portion made by somebody, soon.

        Args:
            portion: that could not be made.
            counts: whether it may be the portion's own fault.
        """
        attempts = portion.attempts + counts
        self._waiting.appendleft(dataclasses.replace(portion, attempts=attempts))
        self._tell()

    def put(self, shard: int, images: Sequence[MadeImage]) -> list[MadeImage] | None:
        """Take in what was made; all images of the shard in their order, where it is full now."""
        made = self._open[shard]
        made += images
        if len(made) < self._plan.shard_count(shard):
            return None
        return sorted(made, key=lambda image: image.key)

    def written(self, shard: int) -> None:
        """A full shard is on the disk."""
        del self._open[shard]
        self._tell()

    async def changed(self) -> None:
        """Wait until there may be work, or none any more."""
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
