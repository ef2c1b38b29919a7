# SPDX-License-Identifier: Apache-2.0
"""What the methods of avatars do, step by step, as in `_flows` and `_generation_flow`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from mien._avatar_content import AvatarContent
from mien._avatar_events import (
    TURNTABLE_OUTPUTS,
    changed_content,
    read_avatar_message,
    read_turntable_message,
)
from mien._avatar_requests import AvatarOrder, changed_avatar_rpc, create_avatar_rpc
from mien._errors import ContractError, MienError
from mien._event_messages import Message
from mien._flows import Budget, Flow, UntrainedCache, retried
from mien._generation_flow import Emit, Encode, EventFlow, first_message, received
from mien._requests import Rpc

__all__ = ["change_avatar_flow", "create_avatar_flow", "turntable_flow"]

E = TypeVar("E")


def create_avatar_flow(order: AvatarOrder, budget: Budget, cache: UntrainedCache) -> EventFlow:
    """Make an avatar: `AvatarProgress` where `order` asks for it, then its `AvatarContent`."""
    images = []
    for number, image in enumerate(order.images):
        what = "photo" if len(order.images) == 1 else f"photo {number + 1}"
        images.append((yield Encode(image, what)))
    order = replace(order, images=tuple(images))
    rpc = create_avatar_rpc(order, images)
    yield from _events(
        rpc, budget, cache, lambda message: read_avatar_message(rpc, message, order), AvatarContent
    )


def turntable_flow(order: AvatarOrder, budget: Budget, cache: UntrainedCache) -> EventFlow:
    """Make an avatar again for its turntable, a PNG.

    Args:
        order: what the avatar was asked for with, its photographs encoded.
        budget: time and retries.
        cache: dropped after an error.
    """
    images = [image for image in order.images if isinstance(image, bytes)]
    rpc = create_avatar_rpc(
        replace(order, turntable=True, progress=False, format=None, compression=None),
        images,
        outputs=TURNTABLE_OUTPUTS,
    )
    yield from _events(
        rpc, budget, cache, lambda message: read_turntable_message(rpc, message), bytes
    )


def change_avatar_flow(
    content: AvatarContent,
    order: AvatarOrder,
    budget: Budget,
    cache: UntrainedCache,
    *,
    by_emotion: bool,
) -> Flow[AvatarContent]:
    """Make an avatar again, changed, without its photographs.

    Args:
        content: of the avatar.
        order: what it is now asked for with.
        budget: time and retries.
        cache: dropped after an error.
        by_emotion: as `changed_avatar_rpc`.
    """
    rpc = changed_avatar_rpc(
        order,
        avatar_code=content.avatar_code,
        texture=content.texture,
        normals=content.normals,
        by_emotion=by_emotion,
    )
    return changed_content(rpc, (yield from retried(rpc, budget, cache)), content, order)


def _events(
    rpc: Rpc,
    budget: Budget,
    cache: UntrainedCache,
    read: Callable[[Any], Message[E]],
    wanted: type,
) -> EventFlow:
    """Hand on the events of a stream, one of which must be of the class that is wanted."""
    has_come = False
    try:
        message = yield from first_message(rpc, budget, read)
        while True:
            if message.event is not None:
                has_come |= isinstance(message.event, wanted)
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
