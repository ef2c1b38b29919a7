# SPDX-License-Identifier: Apache-2.0
"""One request on its way: what it samples, and what its caller is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.crowd import Member
from mien_server.diffusion.sample import Sample
from mien_server.errors import ServingError
from mien_server.generation.events import EventKind, EventStream, event
from mien_server.generation.options import GenerationOptions, ImageFormat
from mien_server.generation.provenance import png_with_provenance
from mien_server.generation.references import Contexts
from mien_server.verification import cosine_similarity

__all__ = ["GenerationJob", "ImageMaker", "PortraitJob"]

Latent = NDArray[np.float32]
ImageRgb = NDArray[np.uint8]


class ImageMaker(Protocol):
    """Turns latents of many jobs into images, elsewhere and later."""

    def face(self, job: GenerationJob, number: int, latent: Latent) -> None:
        """Make a finished face, and tell the job."""

    def preview(self, job: GenerationJob, number: int, x0: Latent, steps_done: int) -> None:
        """Make a preview, and tell the job; a newer one of the same face may take its place."""


class GenerationJob:
    """Faces of one request. It ends once: with its last face, a refusal, or its caller's going.

    Args:
        options: of the request.
        contexts: of its faces.
        members: its samples.
        stream: to its caller.
        images: makes images of its latents.
        facts: that its PNGs tell beside their seed.
        untrained: handed through to the caller.
        on_end: called when it ends, just before its caller hears of it.
    """

    def __init__(
        self,
        options: GenerationOptions,
        contexts: Contexts,
        members: Sequence[Member],
        stream: EventStream,
        images: ImageMaker,
        *,
        facts: Mapping[str, Any],
        untrained: bool,
        on_end: Callable[[], None],
    ) -> None:
        self.members = members
        self._options, self._contexts = options, contexts
        self._seeds = options.seeds()
        self._stream, self._images = stream, images
        self._facts, self._untrained = facts, untrained
        self._on_end = on_end
        self._lock = threading.Lock()
        self._has_ended = False
        self._steps = sum(member.sample.steps_left for member in members)
        self._steps_done = 0
        self._faces_left = len(members)

    @property
    def has_ended(self) -> bool:
        """True once its caller gets nothing any more."""
        return self._has_ended

    def start(self, identity_token: str) -> None:
        """Tell the caller that sampling begins."""
        started = {"identity_token": identity_token, "steps": self._steps}
        self._stream.send(event(EventKind.STARTED, **started, untrained=self._untrained))

    def is_cancelled(self) -> bool:
        """True once nobody waits for it."""
        return self._has_ended or self._stream.is_cancelled()

    def moved(self, samples: Sequence[tuple[int, Sample]]) -> None:
        """Pass on what can be seen, and say how far it is."""
        every = self._options.preview_every
        for number, sample in samples:
            if not sample.steps_left:
                self._images.face(self, number, sample.latent)
            elif every and sample.steps_done % every == 0:
                self._images.preview(self, number, sample.x0, sample.steps_done)
        self._steps_done += len(samples)
        if self._options.progress:
            steps = {"steps_done": self._steps_done, "steps": self._steps}
            self._stream.send(event(EventKind.PROGRESS, **steps))

    def preview_made(self, number: int, image: ImageRgb, steps_done: int) -> None:
        """Show a face as it is foreseen.

        Args:
            number: of the face.
            image: (128, 128, 3).
            steps_done: of that face.
        """
        shown = self._shown(number, image, {"preview_after_steps": steps_done})
        steps = {"steps_done": steps_done, "steps": self._options.steps}
        self._stream.send(event(EventKind.PREVIEW, index=number, **steps, **shown))

    def face_made(self, number: int, image: ImageRgb, embedding: NDArray[np.float32]) -> None:
        """Hand a face over.

        Args:
            number: of the face.
            image: (128, 128, 3).
            embedding: (512,) that the recogniser gives it.
        """
        wanted = self._contexts.identity.embedding
        similarity = float(cosine_similarity(embedding[None], wanted[None])[0])
        self._stream.send(
            event(
                EventKind.FACE,
                index=number,
                seed=self._seeds[number],
                similarity=similarity,
                codes=self._contexts.codes[number],
                untrained=self._untrained,
                **self._shown(number, image, {}),
            )
        )
        self._faces_left -= 1
        if not self._faces_left:
            self._end(self._stream.close)

    def cancelled(self) -> None:
        """Its caller has gone."""
        self._end(self._stream.close)

    def failed(self, error: Exception) -> None:
        """Tell the caller why nothing more will come."""
        refusal = (
            error
            if isinstance(error, ServingError)
            else ServingError("MODEL_FAILED", f"{type(error).__name__}: {error}")
        )
        self._end(lambda: self._stream.fail(refusal))

    def _end(self, say_so: Callable[[], None]) -> None:
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
        self._on_end()  # first: a caller that hears of the end may ask for more at once
        say_so()

    def _shown(self, number: int, image: ImageRgb, facts: Mapping[str, Any]) -> dict[str, Any]:
        if self._options.image_format is ImageFormat.RAW:
            return {"pixels": image}
        known = {**self._facts, "seed": self._seeds[number], **facts}
        return {"image": png_with_provenance(image, known)}


class PortraitJob:
    """A face that nobody sees: an identity will be read off it."""

    def __init__(self, member: Member) -> None:
        self.members = (member,)
        self.latent: Future[Latent] = Future()

    def is_cancelled(self) -> bool:
        """Never: it is one face, and a request waits for it."""
        return False

    def moved(self, samples: Sequence[tuple[int, Sample]]) -> None:
        """Keep the finished latent."""
        (_, sample), *_ = samples
        if not sample.steps_left:
            self.latent.set_result(sample.latent)

    def cancelled(self) -> None:
        """It is not."""

    def failed(self, error: Exception) -> None:
        """Let the request fail."""
        self.latent.set_exception(error)
