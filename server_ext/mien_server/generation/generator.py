# SPDX-License-Identifier: Apache-2.0
"""Requests for faces, from their arrival to their last event.

Three places work at once: requests are prepared in a small pool, everybody's samples move together
in the thread of `SamplingLoop`, and images are made in that of `Finisher`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.contract import ModelContract
from mien_server.diffusion.crowd import Member
from mien_server.diffusion.guidance import StyleAlone
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.sampling_loop import SamplingLoop
from mien_server.diffusion.schedule import linear_schedule
from mien_server.diffusion.solvers import dpm_solver_steps
from mien_server.errors import ServingError
from mien_server.generation.calls import LATENT_SHAPE, MAX_ROWS, GenerationCalls
from mien_server.generation.events import EventKind, EventStream, event
from mien_server.generation.finishing import Finisher
from mien_server.generation.identity_tokens import IdentityTokens
from mien_server.generation.job import GenerationJob, PortraitJob
from mien_server.generation.options import (
    DEFAULT_STEPS,
    GenerationOptions,
    Solver,
    read_options,
)
from mien_server.generation.references import References
from mien_server.model_call import CallModels
from mien_server.sealing import KEY_BYTES, identity_key

__all__ = ["FaceGenerator", "GeneratorSettings", "generator_from_contract"]

_LOG = logging.getLogger(__name__)

Array = NDArray[Any]

SCHEDULE = linear_schedule()
PREPARING_THREADS = 8  # they mostly wait: for other models, and for portraits to be sampled


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """What the model's configuration says; parameters of the same names.

    Attributes:
        max_count: faces that one request may ask for.
        max_faces_in_flight: faces of all requests together; more are refused, to be sent later.
        raw_identities: whether requests may bring bare recognition embeddings.
        generator: digest of the weights behind it, for the provenance of images.
        untrained: whether random weights are among them.
    """

    max_count: int
    max_faces_in_flight: int
    raw_identities: bool
    generator: str
    untrained: bool


class FaceGenerator:
    """Runs from `start` to `stop`.

    Args:
        call_models: makes calls of other models; from any thread.
        tokens: seals and opens identities.
        settings: see there.
    """

    def __init__(
        self, call_models: CallModels, tokens: IdentityTokens, settings: GeneratorSettings
    ) -> None:
        self._calls = GenerationCalls(call_models)
        self._tokens, self._settings = tokens, settings
        self._references = References(
            self._calls, tokens, self._find_identity, settings.raw_identities
        )
        self._loop = SamplingLoop(self._calls.noise, MAX_ROWS)
        self._finisher = Finisher(self._calls)
        self._pool = ThreadPoolExecutor(PREPARING_THREADS, thread_name_prefix="preparing")
        self._lock = threading.Lock()
        self._faces_in_flight = 0

    def start(self) -> None:
        """Begin to work."""
        self._loop.start()
        self._finisher.start()

    def stop(self) -> None:
        """Finish what was submitted, then end."""
        self._pool.shutdown()
        self._loop.stop()
        self._finisher.stop()

    def submit(self, inputs: Mapping[str, Array], stream: EventStream) -> None:
        """Take a request, and return at once.

        Args:
            inputs: those that came, by name.
            stream: gets events, or the refusal.
        """
        try:
            options = read_options(
                inputs, max_count=self._settings.max_count, timesteps=len(SCHEDULE)
            )
            self._references.check(inputs, options.count)
            self._admit(options)
        except ServingError as refusal:
            stream.fail(refusal)
            return
        self._pool.submit(self._prepare, inputs, options, stream)

    def _prepare(
        self, inputs: Mapping[str, Array], options: GenerationOptions, stream: EventStream
    ) -> None:
        try:
            job = self._started(inputs, options, stream)
        except Exception as error:
            self._dismiss(options)
            if not isinstance(error, ServingError):
                _LOG.exception("a request for faces could not be prepared")
                error = ServingError("MODEL_FAILED", f"{type(error).__name__}: {error}")
            stream.fail(error)
            return
        if job is None:
            self._dismiss(options)
            stream.close()
        else:
            self._loop.submit(job)

    def _started(
        self, inputs: Mapping[str, Array], options: GenerationOptions, stream: EventStream
    ) -> GenerationJob | None:
        """The request's job, its caller told that it begins; None where no face is wanted."""
        if stream.is_cancelled():
            return None
        if not options.count:
            token, steps = self._tokens.seal(self._references.identity(inputs)), {"steps": 0}
            untrained = self._settings.untrained
            stream.send(
                event(EventKind.STARTED, identity_token=token, **steps, untrained=untrained)
            )
            return None
        job, token = self._job(inputs, options, stream)
        job.start(token)
        return job

    def _job(
        self, inputs: Mapping[str, Array], options: GenerationOptions, stream: EventStream
    ) -> tuple[GenerationJob, str]:
        seeds = options.seeds()
        contexts = self._references.contexts(inputs, seeds)
        steps = options.solver_steps(SCHEDULE)
        members = [
            Member(
                Sample(steps, options.guidance, seed, LATENT_SHAPE),
                contexts.identity.embedding,
                style,
            )
            for seed, style in zip(seeds, contexts.style, strict=True)
        ]
        job = GenerationJob(
            options,
            contexts,
            members,
            stream,
            self._finisher,
            facts={"generator": self._settings.generator},
            untrained=self._settings.untrained,
            on_end=lambda: self._dismiss(options),
        )
        return job, self._tokens.seal(contexts.identity)

    def _find_identity(self, seed: int, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding of somebody new: of a face made in a style, of nobody in particular."""
        (style,) = self._calls.style_contexts(codes[None])
        steps = dpm_solver_steps(SCHEDULE, DEFAULT_STEPS[Solver.DPM_SOLVER])
        sample = Sample(steps, StyleAlone(), seed, LATENT_SHAPE)
        portrait = PortraitJob(Member(sample, np.zeros_like(style), style))
        self._loop.submit(portrait)
        image = self._calls.images(portrait.latent.result()[None])
        (embedding,) = self._calls.embeddings_of_images(image)
        return np.asarray(embedding, np.float32)

    def _admit(self, options: GenerationOptions) -> None:
        most, asked = self._settings.max_faces_in_flight, _places(options)
        with self._lock:
            if self._faces_in_flight + asked > most:
                raise ServingError(
                    "OVERLOADED",
                    f"{self._faces_in_flight} faces are being made and {asked} more were asked "
                    f"for; at most {most} are taken at once. Send the request again later",
                )
            self._faces_in_flight += asked

    def _dismiss(self, options: GenerationOptions) -> None:
        with self._lock:
            self._faces_in_flight -= _places(options)


def _places(options: GenerationOptions) -> int:
    return max(options.count, 1)  # an identity may be a face too


def generator_from_contract(contract: ModelContract, call_models: CallModels) -> FaceGenerator:
    """The generator that a model's configuration describes, not yet started.

    Without `MIEN_IDENTITY_KEY` in the environment a key is drawn: tokens then end with the process.

    Raises:
        ValueError: a parameter is missing or has a value that is not allowed, or the key has.
    """
    numbers = {name: contract.number(name) for name in ("max_count", "max_faces_in_flight")}
    for name, number in numbers.items():
        if number < 1 or number != int(number):
            raise ValueError(f"{name} of {contract.name} is {number:g}; it must be 1, 2, 3, ...")
    settings = GeneratorSettings(
        **{name: int(number) for name, number in numbers.items()},
        raw_identities=contract.flag("raw_identities"),
        generator=contract.parameter("generator"),
        untrained=contract.flag("untrained"),
    )
    key = identity_key() or os.urandom(KEY_BYTES)
    tokens = IdentityTokens(key, contract.parameter("identity_space"))
    return FaceGenerator(call_models, tokens, settings)
