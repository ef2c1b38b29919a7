# SPDX-License-Identifier: Apache-2.0
"""Requests to the avatar pipelines with models whose answers are known."""

import numpy as np

from mien_server.avatar.avatar_code import AvatarCodes
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.planted_avatars import Stream, changer, creator, texts

__all__ = ["ALL", "HAPPY", "PHOTO", "SURPRISED", "TURNED", "asked", "changed", "morph", "opened",
           "parts"]  # fmt: skip

PHOTO, TURNED = planted.portrait_of(0)[1], planted.portrait_of(1)[1]
HAPPY = np.float32([1, 0, 0, 0, 0, 0])
SURPRISED = np.float32([0, 0, 0, 0, 0, 1])
ALL = frozenset({"file", "expression", "avatar_code", "turntable", "untrained"})


def asked(*images, models=None, stream=None, helpers=None, **options):
    """The stream after a request to `create_avatar`."""
    stream = stream or Stream()
    inputs = {"images": texts(*images), "texture_size": np.int32([256])}
    inputs |= {n: texts(v) if isinstance(v, str) else np.asarray(v) for n, v in options.items()}
    made = creator(models, **(helpers or {}))
    made.answer(inputs, stream)
    made.close()
    return stream


def parts(event):
    """What an avatar is changed by."""
    return {"avatar_code": event["avatar_code"], "texture": event["texture"]}


def opened(event):
    """The code of an answer."""
    return AvatarCodes(planted.KEY, "planted").open(event["avatar_code"][0].decode())


def changed(event, method, *, outputs=ALL, models=None, makes_own_hair=False, **inputs):
    """The answer to a request that changes an avatar; what is None of its parts is left out."""
    made = changer(models, makes_own_hair)
    given = {**parts(event), **inputs}
    arrays = {n: texts(v) if isinstance(v, (str, bytes)) else v for n, v in given.items()}
    answer = getattr(made, method)(
        {name: array for name, array in arrays.items() if array is not None}, outputs
    )
    made.close()
    return answer


def morph(glb, index):
    """(V', 3) of a slider, over all corners of the head's file."""
    targets = [glb.targets(primitive)[index] for primitive in glb.primitives("head")]
    return np.concatenate([glb.values(accessor) for accessor in targets])
