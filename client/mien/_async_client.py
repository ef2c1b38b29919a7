# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio. The same methods as `Client`; a test compares the signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._async_avatar_calls import AsyncAvatarCalls
from mien._config import (
    DEFAULT_ADDRESS,
    EMBED_DEADLINE_S,
    FIT_DEADLINE_S,
    GENERATE_DEADLINE_S,
    STATUS_DEADLINE_S,
    VERIFY_DEADLINE_S,
    MessageLimits,
    Retry,
    Tls,
    checked_address,
    metadata,
)
from mien._event_streams import AsyncEventStream
from mien._fitted import FittedFace
from mien._flows import (
    embed_flow,
    fit_flow,
    sample_identities_flow,
    status_flow,
    verify_flow,
)
from mien._generated import GenerationEvent, IdentityToken, SampledIdentities
from mien._generation_events import ImageFormat
from mien._generation_flow import generate_flow
from mien._generation_requests import (
    BlendingOrder,
    IdentityInput,
    Solver,
    StyleInput,
    StylePart,
    generation_order,
)
from mien._identity_requests import sample_identities_rpc
from mien._images import ImageInput, encoded_async
from mien._requests import FacePolicy, ShapeSource, fit_rpc
from mien._transport import AsyncGrpcTransport, AsyncTransport
from mien._types import Embedding, ServerStatus, Verification

__all__ = ["AsyncClient"]


class AsyncClient(AsyncAvatarCalls):
    """Calls the public pipelines of a mien server from one event loop.

    Any number of calls may be under way at once. Cancelling the task of a call cancels the call,
    and the server stops working on it.

    Args:
        address: host:port of Triton's gRPC endpoint.
        tls: encrypts the connection; None leaves it open.
        api_key: sent with every call as ``authorization: Bearer ...``; use it with `tls`.
        headers: sent with every call, for example Triton's restricted-protocol keys.
        retry: how an unavailable server is asked again; None is `Retry()`.
        deadline_s: for every method, in place of its own default (30 s, `avatar` 120 s,
            `generate` and `sample_identities` 600 s, `status` 5 s).
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
        transport: AsyncTransport | None = None,
    ) -> None:
        transport = transport or AsyncGrpcTransport(
            checked_address(address),
            tls=tls,
            metadata=metadata(headers, api_key),
            limits=limits or MessageLimits(),
        )
        super().__init__(transport, retry=retry or Retry(), deadline_s=deadline_s)

    async def verify(
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
        images = await encoded_async(probe, "probe"), await encoded_async(reference, "reference")
        return await self._run(verify_flow(*images, face_policy, fmr, budget, self._cache))

    async def embed(
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
        encoded = await encoded_async(image, "image")
        return await self._run(embed_flow(encoded, face_policy, budget, self._cache))

    async def fit(
        self,
        image: ImageInput,
        *,
        face_policy: FacePolicy = "largest",
        shape_source: ShapeSource | None = None,
        overlay: bool = False,
        deadline_s: float | None = None,
    ) -> FittedFace:
        """Fit a head model to the face in a photograph: shape, expression, pose, colours, light.

        Args:
            image: a path, encoded bytes, a uint8 array, RGB (H, W, 3) or grey (H, W), or a PIL
                image.
            face_policy: "largest" takes the largest face, "single" refuses several.
            shape_source: whose shape the head has, "deca", "mica", or the "mean" of both; None is
                the best that the server has.
            overlay: also render the head over the photograph.
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, FIT_DEADLINE_S)
        encoded = await encoded_async(image, "image")
        rpc = fit_rpc(encoded, face_policy, shape_source, overlay=overlay)
        return await self._run(fit_flow(rpc, budget, self._cache))

    def generate(
        self,
        identity: IdentityInput | None = None,
        *,
        identity_embedding: Embedding | NDArray[np.floating[Any]] | None = None,
        style: StyleInput | None = None,
        style_parts: Sequence[StylePart] | None = None,
        replace_shape: bool | None = None,
        face_policy: FacePolicy | None = None,
        count: int | None = None,
        seed: int | None = None,
        solver: Solver | None = None,
        steps: int | None = None,
        eta: float | None = None,
        guidance_weight: float | None = None,
        switch_at: int | None = None,
        blending_order: BlendingOrder | None = None,
        progress: bool = True,
        preview_every: int | None = None,
        image_format: ImageFormat = "png",
        deadline_s: float | None = None,
    ) -> AsyncEventStream[GenerationEvent]:
        """Generate faces of one identity, and tell of them as they are made.

        The same inputs and `seed` give the same faces, alone or in company. What is left at None
        is not sent: the server's default holds. Guidance is MorphFace's, equation 10: the noise is
        eps = (1 + w) eps(identity and style) - w eps(one of them dropped), with w the
        `guidance_weight`; at steps of the noise schedule above `switch_at` the style is dropped, at
        and below it the identity. w = 0 guides nothing.

        ::

            async with client.generate("me.jpg", count=4) as events:
                async for event in events:
                    if isinstance(event, GeneratedFace):
                        Path(f"face-{event.seed}.png").write_bytes(event.image)

        Args:
            identity: who: a photograph, in any of the forms that `embed` takes; the `IdentityToken`
                of an earlier `GenerationStarted`; or `NewIdentity(seed)` for somebody new.
            identity_embedding: who, in place of `identity`: an `Embedding` or a (512,) array. Most
                servers refuse it, since it could be somebody's stolen template.
            style: how: a photograph; or floating-point codes in DECA's order, (236,), or
                (count, 236) for one style per face. None: one is sampled for each face.
            style_parts: what is taken from `style`, some of "shape", "texture", "expression",
                "pose", "camera", "light"; the others are sampled. None: all.
            replace_shape: whether the shape of a style is replaced with the identity's, where that
                is known.
            face_policy: of photographs: "largest" takes the largest face, "single" refuses several.
            count: faces, 1 or more; the server has a limit.
            seed: of the first face, 0 to 2**64 - 1; the n-th has seed + n. None: drawn.
            solver: "dpm_solver_2m", "ddim", or "ddim_uiface".
            steps: of the solver, 1 to 1000; more take longer.
            eta: noise that the DDIM solvers draw on the way, 0 to 1.
            guidance_weight: w, 0 to 20.
            switch_at: step of the noise schedule, 0 to 1000.
            blending_order: "style_first" or "identity_first".
            progress: whether `GenerationProgress` events are wanted.
            preview_every: steps between two `FacePreview` events of a face; 0 for none.
            image_format: "png" for bytes that also say how they were made, or "raw" for arrays.
            deadline_s: for everything, from this call to the last event: retries, and the time that
                the caller takes between events, included.

        Returns:
            `GenerationStarted`, then `GenerationProgress`, `FacePreview` and `GeneratedFace` as
            they come. It ends only when all `count` faces have come; otherwise it raises. Close it,
            or use it in a with block, to give up early.

        Raises:
            InvalidOptionError: an argument has a value that is not allowed. Everything else is
                raised by the iterator: `MienError`, one subclass per cause. A server that is not
                available is asked again until the first event has come, and not after it.
        """
        budget = self._budget(deadline_s, GENERATE_DEADLINE_S)
        order = generation_order(
            identity,
            identity_embedding=identity_embedding,
            style=style,
            style_parts=style_parts,
            replace_shape=replace_shape,
            face_policy=face_policy,
            count=count,
            seed=seed,
            solver=solver,
            steps=steps,
            eta=eta,
            guidance_weight=guidance_weight,
            switch_at=switch_at,
            blending_order=blending_order,
            progress=progress,
            preview_every=preview_every,
            image_format=image_format,
        )
        return AsyncEventStream(self._transport, generate_flow(order, budget, self._cache))

    async def sample_identities(
        self,
        count: int = 1,
        *,
        seed: int | None = None,
        max_similarity: float | None = None,
        others: Sequence[IdentityToken] = (),
        deadline_s: float | None = None,
    ) -> SampledIdentities:
        """Find people who do not exist and do not look alike.

        A candidate is a face that the generator makes of nobody in particular, one for each seed.
        It is kept if its cosine with everybody kept before, and with `others`, is below
        `max_similarity` (MorphFace, section C.1). The same arguments find the same people.

        Args:
            count: people, 1 or more; the server has a limit.
            seed: of the first candidate, 0 to 2**64 - 1; the n-th has seed + n. None: drawn.
            max_similarity: cosine that nobody may reach with anybody, -1 to 1. None: the server's
                default.
            others: people who must not be met again.
            deadline_s: for everything, retries included.

        Raises:
            InvalidOptionError: too few of the candidates are as different, or an argument has a
                value that is not allowed.
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, GENERATE_DEADLINE_S)
        rpc = sample_identities_rpc(count, seed, max_similarity, others)
        return await self._run(sample_identities_flow(rpc, budget, self._cache))

    async def status(self, *, deadline_s: float | None = None) -> ServerStatus:
        """Ask the server how it is and what it serves.

        Args:
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause; a server that answers "not ready" is no error.
        """
        budget = self._budget(deadline_s, STATUS_DEADLINE_S)
        return await self._run(status_flow(budget, self._cache))

    async def close(self) -> None:
        """Cancel what is under way and let the connection go. May be called twice."""
        await self._transport.close_async()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
