# SPDX-License-Identifier: Apache-2.0
"""What the methods of avatars do, step by step, as in `_flows` and `_generation_flow`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien._avatar_content import AvatarContent
from mien._avatar_events import (
    AvatarEvent,
    changed_content,
    read_avatar_message,
    turntable_of,
)
from mien._avatar_order import AvatarOrder, Changes
from mien._avatar_requests import changed_avatar_rpc, create_avatar_rpc, turntable_rpc
from mien._errors import ContractError, MienError
from mien._event_messages import Message
from mien._flows import Budget, Flow, UntrainedCache, retried
from mien._generation_flow import Emit, Encode, EventFlow, first_message, received
from mien._images import ImageInput

__all__ = ["change_avatar_flow", "create_avatar_flow", "turntable_flow"]


def create_avatar_flow(
    order: AvatarOrder, photos: Sequence[ImageInput], budget: Budget, cache: UntrainedCache
) -> EventFlow:
    """Make an avatar: `AvatarProgress` where `order` asks for it, then its `AvatarContent`."""
    images = []
    for number, photo in enumerate(photos):
        what = "photo" if len(photos) == 1 else f"photo {number + 1}"
        images.append((yield Encode(photo, what)))
    rpc = create_avatar_rpc(order, images)

    def read(message: Any) -> Message[AvatarEvent]:
        return read_avatar_message(rpc, message, order)

    has_come = False
    try:
        message = yield from first_message(rpc, budget, read)
        while True:
            if message.event is not None:
                has_come |= isinstance(message.event, AvatarContent)
                yield Emit(message.event)
            if message.is_final:
                break
            message = yield from received(read)
        if not has_come:
            raise ContractError(
                "the stream is complete, but no avatar came. Compare the versions of mien here and "
                "on the server",
                model_name=rpc.model_name,
                request_id=rpc.request_id,
            )
    except MienError:
        cache.drop()  # the server may be another one by now
        raise


def change_avatar_flow(
    content: AvatarContent,
    order: AvatarOrder,
    changes: Changes,
    budget: Budget,
    cache: UntrainedCache,
) -> Flow[AvatarContent]:
    """Make an avatar again, changed, without its photographs.

    Args:
        content: of the avatar.
        order: what it is now asked for with.
        changes: what of that is new.
        budget: time and retries.
        cache: dropped after an error.
    """
    rpc = changed_avatar_rpc(
        order,
        changes,
        avatar_code=content.avatar_code,
        texture=content.texture,
        normals=content.normals,
    )
    return changed_content(rpc, (yield from retried(rpc, budget, cache)), content, order)


def turntable_flow(content: AvatarContent, budget: Budget, cache: UntrainedCache) -> Flow[bytes]:
    """Draw an avatar from several sides, without its photographs: a PNG.

    Args:
        content: of the avatar.
        budget: time and retries.
        cache: dropped after an error.
    """
    rpc = turntable_rpc(avatar_code=content.avatar_code, texture=content.texture)
    return turntable_of(rpc, (yield from retried(rpc, budget, cache)))
