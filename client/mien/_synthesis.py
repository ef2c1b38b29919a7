# SPDX-License-Identifier: Apache-2.0
"""Training sets for face recognition, made by any number of servers with one generator."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mien._config import (
    DEFAULT_ADDRESS,
    MAX_RECEIVE_BYTES,
    MessageLimits,
    Tls,
    checked_address,
    checked_deadline_s,
    metadata,
)
from mien._errors import (
    ContractError,
    DataSetError,
    InvalidOptionError,
    MienError,
    ServerUnavailableError,
)
from mien._generated import GeneratedFace, GenerationStarted, NewIdentity
from mien._generation_requests import BlendingOrder, Solver
from mien._png_texts import png_texts
from mien._synthesis_endpoints import WORTH_ANOTHER_TRY, Endpoint, EndpointPool
from mien._synthesis_folder import SetFolder, SetIdentity
from mien._synthesis_identities import find_identities
from mien._synthesis_plan import Portion, SetFormat, SynthesisPlan
from mien._synthesis_progress import ProgressMeter, SynthesisProgress
from mien._synthesis_queue import ShardQueue
from mien._synthesis_shards import MadeImage
from mien._transport import AsyncGrpcTransport

__all__ = ["SynthesisResult", "synthesize", "synthesize_async"]

IN_FLIGHT = 4
PATIENCE_S = 300.0
REQUEST_DEADLINE_S = 1800.0
# A portion that fails so often is at fault itself.
MOST_ATTEMPTS = 5
_MAX_SEND_BYTES = 2**31 - 1  # gRPC's own limit: everybody found before goes with a search


@dataclass(frozen=True, slots=True)
class SynthesisResult:
    """A complete set.

    Attributes:
        folder: where it is.
        num_identities: in it.
        num_images: in it.
        new_images: of them, made by this run.
        generator: digest of the weights that made them.
        untrained: they are random: the images mean nothing.
        elapsed_s: of this run.
    """

    folder: Path
    num_identities: int
    num_images: int
    new_images: int
    generator: str
    untrained: bool
    elapsed_s: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "folder": str(self.folder),
            "num_identities": self.num_identities,
            "num_images": self.num_images,
            "new_images": self.new_images,
            "generator": self.generator,
            "untrained": self.untrained,
            "elapsed_s": self.elapsed_s,
        }


def synthesize(
    folder: str | os.PathLike[str],
    *,
    identities: int,
    images: int,
    addresses: Sequence[str] = (DEFAULT_ADDRESS,),
    seed: int = 0,
    format: SetFormat = "folders",
    shard_size: int = 1000,
    max_similarity: float = 0.3,
    solver: Solver = "dpm_solver_2m",
    steps: int | None = None,
    eta: float = 0.0,
    guidance_weight: float = 0.5,
    switch_at: int = 500,
    blending_order: BlendingOrder = "style_first",
    in_flight: int = IN_FLIGHT,
    patience_s: float = PATIENCE_S,
    deadline_s: float = REQUEST_DEADLINE_S,
    tls: Tls | None = None,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    on_progress: Callable[[SynthesisProgress], object] | None = None,
) -> SynthesisResult:
    """Write a training set for face recognition, or go on with one.

    The set follows from the options up to `blending_order` and the weights behind the servers. It
    may be killed at any moment: given again with the same options, in the same folder, the call
    makes what is missing, and the set has the same bytes as if it had never been interrupted.

    ::

        synthesize("people", identities=1000, images=50, addresses=["gpu-1:8001", "gpu-2:8001"])

    Args:
        folder: of the set; new, empty, or begun with the same options. docs/generate.md says what
            is in it.
        identities: number of people, 1 to 100,000.
        images: of each, 1 to 10,000.
        addresses: host:port of servers with the same generator; all work at once.
        seed: of the set, 0 to 2**64 - 1.
        format: "folders" for a PNG per image in a folder per person, or "webdataset" for tars.
        shard_size: images that become complete together, 1 to 100,000; as many are in memory for
            each request in flight, at most, and are lost by a kill.
        max_similarity: cosine that nobody reaches with anybody else, -1 to 1.
        solver: "dpm_solver_2m", "ddim", or "ddim_uiface".
        steps: of the solver, 1 to 1000; None is 16, or 50 of the other two.
        eta: noise that the DDIM solvers draw on the way, 0 to 1.
        guidance_weight: w, 0 to 20.
        switch_at: step of the noise schedule, 0 to 1000.
        blending_order: "style_first" or "identity_first".
        in_flight: requests of up to 16 images to each server at once, 1 or more.
        patience_s: seconds that all servers together may be unavailable or overloaded.
        deadline_s: of each request.
        tls: encrypts the connections; None leaves them open.
        api_key: sent with every call as ``authorization: Bearer ...``; use it with `tls`.
        headers: sent with every call.
        on_progress: is called, in the thread that works, whenever something was made.

    Raises:
        InvalidOptionError: an option is not allowed, or too few people differ enough.
        DataSetError: the folder cannot be used, or it, or a server, belongs to another set.
        ServerUnavailableError: no server took a request for `patience_s`.
        MienError: one subclass per cause. Whatever it is, the set can be gone on with.
    """
    options = dict(locals())
    return asyncio.run(synthesize_async(options.pop("folder"), **options))


async def synthesize_async(
    folder: str | os.PathLike[str],
    *,
    identities: int,
    images: int,
    addresses: Sequence[str] = (DEFAULT_ADDRESS,),
    seed: int = 0,
    format: SetFormat = "folders",
    shard_size: int = 1000,
    max_similarity: float = 0.3,
    solver: Solver = "dpm_solver_2m",
    steps: int | None = None,
    eta: float = 0.0,
    guidance_weight: float = 0.5,
    switch_at: int = 500,
    blending_order: BlendingOrder = "style_first",
    in_flight: int = IN_FLIGHT,
    patience_s: float = PATIENCE_S,
    deadline_s: float = REQUEST_DEADLINE_S,
    tls: Tls | None = None,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    on_progress: Callable[[SynthesisProgress], object] | None = None,
) -> SynthesisResult:
    """`synthesize` in a running event loop. Cancelling the task ends it; the set can be gone on."""
    plan = SynthesisPlan(
        identities, images, seed, format, shard_size, max_similarity, solver, steps, eta,
        guidance_weight, switch_at, blending_order,
    )  # fmt: skip
    _check_options(addresses, in_flight, patience_s)
    limits = MessageLimits(_MAX_SEND_BYTES, MAX_RECEIVE_BYTES)
    pairs = metadata(headers, api_key)
    endpoints = [
        Endpoint(
            address,
            AsyncGrpcTransport(checked_address(address), tls=tls, metadata=pairs, limits=limits),
            checked_deadline_s(deadline_s),
        )
        for address in addresses
    ]
    started_s = time.monotonic()
    try:
        with SetFolder(Path(folder), plan) as set_folder:
            pool = EndpointPool(
                endpoints,
                patience_s=patience_s,
                generator=set_folder.generator,
                begin=set_folder.begin,
            )
            run = _Run(plan, pool, set_folder, on_progress or _ignore)
            new_images = await run.finish(in_flight)
    finally:
        for endpoint in endpoints:
            await endpoint.close()
    return SynthesisResult(
        folder=Path(folder),
        num_identities=plan.identities,
        num_images=plan.num_images,
        new_images=new_images,
        generator=pool.generator.digest,
        untrained=pool.generator.untrained,
        elapsed_s=time.monotonic() - started_s,
    )


class _Run:
    """What is left to do of a set."""

    def __init__(
        self,
        plan: SynthesisPlan,
        pool: EndpointPool,
        folder: SetFolder,
        tell: Callable[[SynthesisProgress], object],
    ) -> None:
        self._plan, self._pool, self._folder = plan, pool, folder
        missing = folder.missing_shards()
        self._queue = ShardQueue(plan, missing)
        num_missing = sum(map(plan.shard_count, missing))
        images_made = plan.num_images - num_missing
        self._meter = ProgressMeter(plan.identities, plan.num_images, images_made, tell)
        self._people: list[SetIdentity] = []

    async def finish(self, in_flight: int) -> int:
        """Do it; the number of images that were made."""
        if self._folder.is_complete:
            self._meter.identities(self._plan.identities)
            return 0
        tell = self._meter.identities
        self._people = await find_identities(self._plan, self._pool, self._folder, tell)
        tell(len(self._people))
        await _until_one_ends(
            [self._work(e) for e in self._pool.endpoints for _ in range(in_flight)]
        )
        self._folder.finish()
        return self._meter.new_images

    async def _work(self, endpoint: Endpoint) -> None:
        """One request to one endpoint at a time, until nothing is left to do."""
        while not self._queue.is_finished:
            try:
                await self._pool.meet(endpoint)
            except WORTH_ANOTHER_TRY as error:
                await self._pool.pause(endpoint, error)
                continue
            portion = self._queue.take(endpoint.most)
            if portion is None:
                await self._queue.changed()
                continue
            await self._make(portion, endpoint)

    async def _make(self, portion: Portion, endpoint: Endpoint) -> None:
        started: list[GenerationStarted] = []
        try:
            images = await self._images(portion, endpoint, started)
        except WORTH_ANOTHER_TRY as error:
            was_refused = isinstance(error, ServerUnavailableError) and not started
            if portion.attempts + 1 >= MOST_ATTEMPTS and not was_refused:
                raise _about(endpoint, error) from error
            self._queue.give_back(portion, counts=not was_refused)
            await self._pool.pause(endpoint, error)
            return
        except DataSetError:
            raise
        except MienError as error:
            raise _about(endpoint, error) from error
        self._meter.images(len(images))
        full = self._queue.put(portion.shard, images)
        if full is not None:
            await _to_the_end(partial(self._folder.write_shard, portion.shard, full))
            self._queue.written(portion.shard)

    async def _images(
        self, portion: Portion, endpoint: Endpoint, started: list[GenerationStarted]
    ) -> list[MadeImage]:
        """The images of a portion; the event that begins them is put into `started`."""
        identity_seed = self._people[portion.identity].identity_seed
        seed = self._plan.image_seed(portion.identity, portion.first_image)
        events = endpoint.client.generate(
            NewIdentity(identity_seed),
            count=portion.count,
            seed=seed,
            progress=False,
            **self._plan.generation_options,
        )
        faces = {}
        with endpoint.working() as accepted:
            async with events:
                async for event in events:
                    if isinstance(event, GenerationStarted):
                        accepted()
                        started.append(event)
                    elif isinstance(event, GeneratedFace):
                        self._pool.check_digest(_generator_of(event), endpoint)
                        faces[event.seed] = event
        _check_seeds(faces.keys(), range(seed, seed + portion.count))
        return [
            MadeImage(
                portion.identity,
                portion.first_image + number,
                identity_seed,
                seed + number,
                faces[seed + number].similarity,
                faces[seed + number].codes,
                bytes(faces[seed + number].image),
            )
            for number in range(portion.count)
        ]


async def _until_one_ends(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all until one fails, or finds nothing left to do; nothing of them goes on after that."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _to_the_end(work: Callable[[], None]) -> None:
    """Do it in a thread; whoever is cancelled meanwhile still waits for it."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await doing
        raise


def _generator_of(face: GeneratedFace) -> str | None:
    return png_texts(bytes(face.image)).get("mien.generator")


def _check_seeds(seeds: Any, expected: range) -> None:
    if sorted(seeds) != list(expected):
        raise ContractError(
            f"faces came with the seeds {sorted(seeds)}; expected {expected.start} to "
            f"{expected.stop - 1}. Compare the versions of mien here and on the server"
        )


def _about(endpoint: Endpoint, error: MienError) -> MienError:
    """The same error, with the address of the server that it is about."""
    details = {key: getattr(error, key) for key in ("model_name", "request_id", "status", "code")}
    return type(error)(f"{endpoint.address}: {error}", **details)


def _check_options(addresses: Sequence[str], in_flight: int, patience_s: float) -> None:
    if isinstance(addresses, str) or not addresses or len(set(addresses)) != len(addresses):
        raise InvalidOptionError(
            f"addresses is {addresses!r}; expected a list of one or more different host:port"
        )
    if in_flight < 1:
        raise InvalidOptionError(f"in_flight is {in_flight}; allowed is 1 or more")
    if not patience_s >= 0:
        raise InvalidOptionError(f"patience_s is {patience_s}; allowed is 0 or more")


def _ignore(_: SynthesisProgress) -> None:
    """Nobody asked to be told."""
