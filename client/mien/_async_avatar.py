# SPDX-License-Identifier: Apache-2.0
"""What `avatar` returns, awaited: as `_avatar`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mien._avatar_base import AvatarBase
from mien._avatar_content import AvatarContent
from mien._avatar_order import AvatarFormat, AvatarOrder, Changes, HairColor, HairForm, Level
from mien._emotions import Emotions
from mien._whole_files import format_of, write_file

__all__ = ["AsyncAvatar", "AsyncAvatarMaker"]


@dataclass(frozen=True, slots=True)
class AsyncAvatarMaker:
    """As `AvatarMaker`, awaited."""

    change: Callable[[AvatarContent, AvatarOrder, Changes, float | None], Awaitable[AsyncAvatar]]
    draw: Callable[[AvatarContent, float | None], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class AsyncAvatar(AvatarBase):
    """An avatar, and the way back to the `AsyncClient` that made it, which it needs open.

    It is a value: what changes it answers with another one. Those calls send its code and texture;
    its photographs are not kept.
    """

    maker: AsyncAvatarMaker = field(repr=False)

    async def with_emotion(
        self,
        emotions: Emotions | None = None,
        *,
        happiness: float | None = None,
        anger: float | None = None,
        sadness: float | None = None,
        fear: float | None = None,
        contempt: float | None = None,
        surprise: float | None = None,
        deadline_s: float | None = None,
    ) -> AsyncAvatar:
        """The same head with these emotions, in place of all that its face wears.

        Args:
            emotions: intensities, 0 to 1, by name, or six in the order of the following.
            happiness: one of them, in place of `emotions`; what is left out is 0.
            anger: as `happiness`.
            sadness: as `happiness`.
            fear: as `happiness`.
            contempt: as `happiness`.
            surprise: as `happiness`.
            deadline_s: for everything, retries included.

        Raises:
            InvalidOptionError: an emotion is unknown, or an intensity outside 0..1.
            MienError: one subclass per cause.
        """
        named = {
            "happiness": happiness,
            "anger": anger,
            "sadness": sadness,
            "fear": fear,
            "contempt": contempt,
            "surprise": surprise,
        }
        return await self.maker.change(self, *self._emotional(emotions, named), deadline_s)

    async def with_hairstyle(
        self,
        name: str | None = None,
        *,
        color: HairColor | None = None,
        form: HairForm | None = None,
        level: Level | None = None,
        deadline_s: float | None = None,
    ) -> AsyncAvatar:
        """The same head with other hair, or with its hair in another colour, form or level.

        Args:
            name: that `hairstyles` lists, "own" for the photograph's, or "none"; None leaves it as
                it is.
            color: sRGB, red, green and blue from 0 to 1, or "#rrggbb"; None leaves it as it is.
            form: "cards", "strands" or "mesh"; None leaves it as it is.
            level: of detail, "high", "medium" or "low"; None leaves it as it is.
            deadline_s: for everything, retries included.

        Raises:
            InvalidOptionError: an argument has a value that is not allowed.
            MienError: one subclass per cause.
        """
        change = self._styled(name, color, form, level)
        return await self.maker.change(self, *change, deadline_s)

    async def in_format(
        self, format: AvatarFormat, *, deadline_s: float | None = None
    ) -> AsyncAvatar:
        """The same avatar as another file; itself where it is such a file already.

        Args:
            format: "glb", "zip" or "ply".
            deadline_s: for everything, retries included.

        Raises:
            InvalidOptionError: there is no such format, or "ply" of an avatar without hair.
            MienError: one subclass per cause.
        """
        if format == self.format:
            return self
        return await self.maker.change(self, *self._formatted(format), deadline_s)

    async def save(self, path: str | os.PathLike[str], *, deadline_s: float | None = None) -> None:
        """Write it to a file, which appears once it is whole.

        Args:
            path: ends in .glb, .zip or .ply; where that is not its `format`, the server is asked
                for it as `in_format` does.
            deadline_s: for that, retries included.

        Raises:
            InvalidOptionError: the suffix is another one, or the file cannot be written.
            MienError: one subclass per cause.
        """
        avatar = await self.in_format(format_of(path), deadline_s=deadline_s)
        await asyncio.to_thread(write_file, path, avatar.file, "avatar")

    async def preview(self, *, deadline_s: float | None = None) -> bytes:
        """PNG of the head from several sides.

        Where it did not come with the avatar, it is drawn now, of what the avatar now wears.

        Args:
            deadline_s: for everything, retries included.

        Raises:
            MienError: one subclass per cause.
        """
        if self.turntable is not None:
            return self.turntable
        return await self.maker.draw(self, deadline_s)
