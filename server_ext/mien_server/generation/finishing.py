# SPDX-License-Identifier: Apache-2.0
"""The thread that makes images of latents, for all jobs together, while sampling goes on."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.errors import ServingError
from mien_server.generation.calls import MAX_DECODED, GenerationCalls
from mien_server.generation.job import GenerationJob, Latent

__all__ = ["Finisher"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """A latent to be made an image; a preview has `steps_done`, a finished face has not."""

    job: GenerationJob
    number: int
    latent: Latent
    steps_done: int | None


class Finisher:
    """Decodes what jobs order: finished faces first, then the newest previews.

    Args:
        calls: of the other models.
    """

    def __init__(self, calls: GenerationCalls) -> None:
        self._calls = calls
        self._orders: OrderedDict[tuple[bool, GenerationJob, int], _Order] = OrderedDict()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="finishing", daemon=True)

    def start(self) -> None:
        """Begin to take orders."""
        self._thread.start()

    def stop(self) -> None:
        """Make what was ordered, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def face(self, job: GenerationJob, number: int, latent: Latent) -> None:
        """Order a finished face; a preview of it that was not made yet is not wanted any more."""
        with self._changed:
            self._orders.pop((True, job, number), None)
            self._orders[False, job, number] = _Order(job, number, latent, None)
            self._changed.notify()

    def preview(self, job: GenerationJob, number: int, x0: Latent, steps_done: int) -> None:
        """Order a preview, in the place of an older one that was not made yet."""
        with self._changed:
            self._orders[True, job, number] = _Order(job, number, x0, steps_done)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._orders and not self._stopping:
                    self._changed.wait()
                keys = sorted(self._orders, key=lambda key: key[0])[:MAX_DECODED]
                orders = [self._orders.pop(key) for key in keys]
            if not orders:
                return
            self._make([order for order in orders if _is_wanted(order)])

    def _make(self, orders: list[_Order]) -> None:
        if not orders:
            return
        try:
            images = self._calls.images(np.stack([order.latent for order in orders]))
            faces = [place for place, order in enumerate(orders) if order.steps_done is None]
            embeddings = dict(zip(faces, self._embeddings(images[faces]), strict=True))
        except Exception as error:  # whatever it is, those who wait must hear of it
            _LOG.exception("images could not be made")
            for order in orders:
                _fail(order.job, error)
            return
        for place, (order, image) in enumerate(zip(orders, images, strict=True)):
            _hand_over(order, image, embeddings.get(place))

    def _embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(images):
            return np.zeros((0, 1), np.float32)
        return self._calls.embeddings_of_images(images)


def _is_wanted(order: _Order) -> bool:
    """Whether an image is to be made of it; where not, its job has heard why."""
    try:
        if _has_left(order.job):
            return False
    except Exception as error:
        _LOG.exception("a job could not say whether it is wanted")
        _fail(order.job, error)
        return False
    if np.isfinite(order.latent).all():
        return True
    refusal = ServingError(
        "MODEL_FAILED",
        f"face {order.number} became NaN or infinity while it was sampled; take a smaller "
        "guidance_weight, or look at the precision of face_denoiser",
    )
    _fail(order.job, refusal)
    return False


def _hand_over(
    order: _Order, image: NDArray[np.uint8], embedding: NDArray[np.float32] | None
) -> None:
    """Give a job its image; where that fails, only this job does."""
    try:
        if _has_left(order.job):  # while the image was made, or by the image before it
            return
        if embedding is not None:
            order.job.face_made(order.number, image, embedding)
        elif order.steps_done is not None:
            order.job.preview_made(order.number, image, order.steps_done)
    except Exception as error:
        _LOG.exception("an image could not be handed over")
        _fail(order.job, error)


def _has_left(job: GenerationJob) -> bool:
    """Whether nobody waits for a job; nobody else would end it, once its last step is taken."""
    if not job.is_cancelled():
        return False
    job.cancelled()
    return True


def _fail(job: GenerationJob, error: Exception) -> None:
    try:
        job.failed(error)
    except Exception:
        _LOG.exception("a job could not be told that it failed")
