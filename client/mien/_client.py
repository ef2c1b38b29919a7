# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

from mien._config import (
    DEFAULT_ADDRESS,
    EMBED_DEADLINE_S,
    FIT_DEADLINE_S,
    STATUS_DEADLINE_S,
    VERIFY_DEADLINE_S,
    MessageLimits,
    Retry,
    Tls,
    checked_address,
    metadata,
)
from mien._errors import MienError
from mien._fitted import FittedFace
from mien._flows import (
    Budget,
    Flow,
    Send,
    UntrainedCache,
    Wait,
    embed_flow,
    fit_flow,
    status_flow,
    verify_flow,
)
from mien._images import ImageInput, encoded_image
from mien._requests import FacePolicy
from mien._transport import GrpcTransport, Transport
from mien._types import Embedding, ServerStatus, Verification

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """Calls the public pipelines of a mien server. One client serves any number of threads.

    Args:
        address: host:port of Triton's gRPC endpoint.
        tls: encrypts the connection; None leaves it open.
        api_key: sent with every call as ``authorization: Bearer ...``; use it with `tls`.
        headers: sent with every call, for example Triton's restricted-protocol keys.
        retry: how an unavailable server is asked again; None is `Retry()`.
        deadline_s: for every method, in place of its own default (30 s, `status` 5 s).
        limits: the largest messages; None is `MessageLimits()`.
        transport: replaces the network, see `FakeTransport`; closed with the client.

    Raises:
        InvalidOptionError: one of them has a value that is not allowed.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls: Tls | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry: Retry | None = None,
        deadline_s: float | None = None,
        limits: MessageLimits | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._retry = retry or Retry()
        self._deadline_s = deadline_s
        self._cache = UntrainedCache()
        self._transport = transport or GrpcTransport(
            checked_address(address),
            tls=tls,
            metadata=metadata(headers, api_key),
            limits=limits or MessageLimits(),
        )

    def verify(
        self,
        probe: ImageInput,
        reference: ImageInput,
        *,
        face_policy: FacePolicy = "largest",
        fmr: float | None = None,
        deadline_s: float | None = None,
    ) -> Verification:
        """Ask whether two photographs show one person.

        Args:
            probe: the photograph in question: a path, encoded bytes, a uint8 array, RGB (H, W, 3)
                or grey (H, W), or a PIL image.
            reference: the photograph to compare it with, in any of these forms.
            face_policy: "largest" takes the largest face of each, "single" refuses several.
            fmr: decide at this false match rate instead of the server's default; the server knows
                the rates it was calibrated for and what lies between them.
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause, see the tree in the documentation of the errors.
        """
        budget = self._budget(deadline_s, VERIFY_DEADLINE_S)
        images = encoded_image(probe, "probe"), encoded_image(reference, "reference")
        return self._run(verify_flow(*images, face_policy, fmr, budget, self._cache))

    def embed(
        self,
        image: ImageInput,
        *,
        face_policy: FacePolicy = "largest",
        deadline_s: float | None = None,
    ) -> Embedding:
        """Compute the identity embedding of the face in a photograph.

        Args:
            image: a path, encoded bytes, a uint8 array, RGB (H, W, 3) or grey (H, W), or a PIL
                image.
            face_policy: "largest" takes the largest face, "single" refuses several.
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, EMBED_DEADLINE_S)
        encoded = encoded_image(image, "image")
        return self._run(embed_flow(encoded, face_policy, budget, self._cache))

    def fit(
        self,
        image: ImageInput,
        *,
        face_policy: FacePolicy = "largest",
        overlay: bool = False,
        deadline_s: float | None = None,
    ) -> FittedFace:
        """Fit a head model to the face in a photograph: shape, expression, pose, colours, light.

        Args:
            image: a path, encoded bytes, a uint8 array, RGB (H, W, 3) or grey (H, W), or a PIL
                image.
            face_policy: "largest" takes the largest face, "single" refuses several.
            overlay: also render the head over the photograph.
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, FIT_DEADLINE_S)
        encoded = encoded_image(image, "image")
        return self._run(fit_flow(encoded, face_policy, overlay, budget, self._cache))

    def status(self, *, deadline_s: float | None = None) -> ServerStatus:
        """Ask the server how it is and what it serves.

        Args:
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause; a server that answers "not ready" is no error.
        """
        budget = self._budget(deadline_s, STATUS_DEADLINE_S)
        return self._run(status_flow(budget, self._cache))

    def close(self) -> None:
        """Cancel what is under way and let the connection go. May be called twice."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _budget(self, deadline_s: float | None, default_s: float) -> Budget:
        candidates = (deadline_s, self._deadline_s, default_s)
        return Budget(next(s for s in candidates if s is not None), self._retry)

    def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._perform(step)
                except MienError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as done:
            return cast(T, done.value)
        except MienError:
            self._cache.drop()
            raise

    def _perform(self, step: Send | Wait) -> Any:
        if isinstance(step, Wait):
            return time.sleep(step.seconds)
        return self._transport.send(step.rpc, timeout_s=step.timeout_s)
