# SPDX-License-Identifier: Apache-2.0
"""Methods of the asynchronous client that make avatars and know hairstyles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mien._async_avatar import AsyncAvatar, AsyncAvatarMaker
from mien._async_client_core import AsyncClientCore
from mien._avatar_content import AvatarContent, AvatarProgress
from mien._avatar_flow import change_avatar_flow, create_avatar_flow, turntable_flow
from mien._avatar_order import (
    AvatarCompression,
    AvatarFormat,
    AvatarOrder,
    Changes,
    Expression,
    HairColor,
    HairForm,
    Level,
    Photographs,
    hair_color_rgb,
    hairstyle_name,
    photographs,
)
from mien._avatar_requests import checked_order
from mien._config import AVATAR_CHANGE_DEADLINE_S, AVATAR_DEADLINE_S, HAIRSTYLES_DEADLINE_S
from mien._emotions import Emotions, emotion_intensities
from mien._event_streams import AsyncEventStream
from mien._generation_flow import EventFlow
from mien._hairstyles import (
    Hairstyle,
    StrandFile,
    add_hairstyle_flow,
    hairstyle_preview_flow,
    hairstyles_flow,
    remove_hairstyle_flow,
    strand_file_bytes,
)
from mien._requests import FacePolicy, ShapeSource

__all__ = ["AsyncAvatarCalls"]


class AsyncAvatarCalls(AsyncClientCore):
    """Part of `AsyncClient`."""

    async def avatar(
        self,
        photos: Photographs,
        *,
        emotions: Emotions | None = None,
        happiness: float | None = None,
        anger: float | None = None,
        sadness: float | None = None,
        fear: float | None = None,
        contempt: float | None = None,
        surprise: float | None = None,
        expression: Expression | None = None,
        hairstyle: str | None = None,
        hair_color: HairColor | None = None,
        hair_form: HairForm | None = None,
        level: Level | None = None,
        texture_size: int | None = None,
        detail: bool | None = None,
        shape_source: ShapeSource | None = None,
        face_policy: FacePolicy | None = None,
        format: AvatarFormat | None = None,
        compression: AvatarCompression | None = None,
        turntable: bool = False,
        deadline_s: float | None = None,
        on_progress: Callable[[AvatarProgress], object] | None = None,
    ) -> AsyncAvatar:
        """Make an avatar of a face: a textured head that can be animated, with hair, as a file.

        What is left at None is not sent: the server's default holds.

        ::

            avatar = await client.avatar("me.jpg", hairstyle="bob", happiness=0.8)
            await avatar.save("me.glb")

        Args:
            photos: a photograph, in any of the forms that `embed` takes, or a list of 1 to 8 of
                one person. The first one gives expression, pose, light and the figures of
                `Avatar.quality`; the others help with shape and with skin that it does not show.
            emotions: intensities that the face wears, 0 to 1, by name, or six in the order of the
                following. None: what it wears in the photograph.
            happiness: one of them, in place of `emotions`; what is left out is 0.
            anger: as `happiness`.
            sadness: as `happiness`.
            fear: as `happiness`.
            contempt: as `happiness`.
            surprise: as `happiness`.
            expression: "detected", as in the photograph, "neutral", or "emotions", which says
                nothing that they do not say themselves.
            hairstyle: a name that `hairstyles` lists, "own" for the photograph's, where the server
                can tell it, or "none", which is the default.
            hair_color: sRGB, red, green and blue from 0 to 1, or "#rrggbb"; None: the
                photograph's.
            hair_form: "cards", "strands" or "mesh".
            level: of detail of the hair, "high", "medium" or "low".
            texture_size: 256, 512 or 1024 pixels.
            detail: whether wrinkles come as a normal map.
            shape_source: whose shape the head has, "deca", "mica", or the "mean" of both; None is
                the best that the server has.
            face_policy: "largest" takes the largest face of each, "single" refuses several.
            format: of the file: "glb", glTF 2.0; "zip" of OBJ, MTL and PNG; "ply", the strands of
                the hair alone.
            compression: of "glb": "none" or "draco".
            turntable: whether a picture from several sides comes with it; `Avatar.preview` asks
                for one later.
            deadline_s: for everything, retries included.
            on_progress: is called with an `AvatarProgress` after each stage.

        Raises:
            InvalidOptionError: an argument has a value that is not allowed.
            MienError: one subclass per cause. A server that is not available is asked again until
                the first event has come, and not after it.
        """
        budget = self._budget(deadline_s, AVATAR_DEADLINE_S)
        named = {
            "happiness": happiness,
            "anger": anger,
            "sadness": sadness,
            "fear": fear,
            "contempt": contempt,
            "surprise": surprise,
        }
        order = checked_order(
            AvatarOrder(
                face_policy=face_policy,
                shape_source=shape_source,
                expression=expression,
                emotions=emotion_intensities(emotions, named),
                hairstyle=hairstyle_name(hairstyle),
                hair_color=hair_color_rgb(hair_color),
                hair_form=hair_form,
                level=level,
                texture_size=texture_size,
                detail=detail,
                format=format,
                compression=compression,
                turntable=turntable or None,
                progress=True if on_progress is not None else None,
            )
        )

        def tell(event: object) -> None:
            if on_progress is not None and isinstance(event, AvatarProgress):
                on_progress(event)

        flow = create_avatar_flow(order, photographs(photos), budget, self._cache)
        content = await self._content(flow, tell)
        return AsyncAvatar.of(content, self._avatar_maker())

    async def hairstyles(self, *, deadline_s: float | None = None) -> tuple[Hairstyle, ...]:
        """Which hairstyles the server has: those that ship, and those that its users added.

        Args:
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, HAIRSTYLES_DEADLINE_S)
        return await self._run(hairstyles_flow(budget, self._cache))

    async def hairstyle_preview(self, name: str, *, deadline_s: float | None = None) -> bytes:
        """PNG of a hairstyle.

        Args:
            name: that `hairstyles` lists.
            deadline_s: for everything, retries included.

        Raises:
            InvalidOptionError: the server has none of that name.
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, HAIRSTYLES_DEADLINE_S)
        return await self._run(hairstyle_preview_flow(name, budget, self._cache))

    async def add_hairstyle(
        self,
        strands: StrandFile,
        *,
        name: str,
        title: str,
        licence: str,
        author: str,
        deadline_s: float | None = None,
    ) -> Hairstyle:
        """Add a hairstyle to the server's library, where its operator allows that.

        It is sent once: where the answer is lost, `hairstyles` tells whether it has arrived.

        Args:
            strands: a .convdata or .data file: its path, or its bytes.
            name: that it will have.
            title: for people.
            licence: under which it may be used.
            author: who made it.
            deadline_s: for everything.

        Raises:
            InvalidOptionError: the file cannot be read or holds no strands, or the name is taken.
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, HAIRSTYLES_DEADLINE_S)
        content = await asyncio.to_thread(strand_file_bytes, strands)
        texts = {"name": name, "title": title, "licence": licence, "author": author}
        return await self._run(add_hairstyle_flow(content, texts, budget))

    async def remove_hairstyle(self, name: str, *, deadline_s: float | None = None) -> None:
        """Remove a hairstyle that somebody added; those that ship stay.

        It is sent once, as by `add_hairstyle`.

        Args:
            name: that `hairstyles` lists.
            deadline_s: for everything.

        Raises:
            InvalidOptionError: the server has none of that name, or it ships.
            MienError: one subclass per cause.
        """
        budget = self._budget(deadline_s, HAIRSTYLES_DEADLINE_S)
        await self._run(remove_hairstyle_flow(name, budget))

    def _avatar_maker(self) -> AsyncAvatarMaker:
        return AsyncAvatarMaker(self._changed_avatar, self._turntable)

    async def _changed_avatar(
        self,
        content: AvatarContent,
        order: AvatarOrder,
        changes: Changes,
        deadline_s: float | None,
    ) -> AsyncAvatar:
        budget = self._budget(deadline_s, AVATAR_CHANGE_DEADLINE_S)
        flow = change_avatar_flow(content, checked_order(order), changes, budget, self._cache)
        return AsyncAvatar.of(await self._run(flow), self._avatar_maker())

    async def _turntable(self, content: AvatarContent, deadline_s: float | None) -> bytes:
        budget = self._budget(deadline_s, AVATAR_CHANGE_DEADLINE_S)
        return await self._run(turntable_flow(content, budget, self._cache))

    async def _content(self, flow: EventFlow, tell: Callable[[object], None]) -> AvatarContent:
        """The avatar at the end; the flow sees to it that there is one."""
        found: list[AvatarContent] = []
        stream: AsyncEventStream[object] = AsyncEventStream(self._transport, flow)
        async with stream:
            async for event in stream:
                if isinstance(event, AvatarContent):
                    found.append(event)
                else:
                    tell(event)
        return found[-1]
