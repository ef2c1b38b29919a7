# SPDX-License-Identifier: Apache-2.0
"""An avatar in a few thousand characters: what is needed to make it again without the photograph.

It holds a person's shape, so it travels sealed, see `mien_server.sealing`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import CODE_COUNT
from mien_server.errors import ServingError
from mien_server.sealing import SealError, Seals
from mien_server.shape_sources import SHAPE_COUNT

__all__ = ["AvatarCode", "AvatarCodes"]

FORM, MAX_CHARS = "mienavatar1", 16384


@dataclass(frozen=True, slots=True, eq=False)
class AvatarCode:
    """The fitted parameters.

    Attributes:
        shape: (300,) float32.
        codes: (236,) float32 in DECA's order; expression and jaw are those that the avatar wears.
        hairstyle: name in the library, or "" for hair that is none of it.
        hair_color: (red, green, blue) sRGB 0..1.
        own_hair: (K,) float32 latent of the hair in the photograph; empty where it is not worn.
    """

    shape: NDArray[np.float32]
    codes: NDArray[np.float32]
    hairstyle: str = ""
    hair_color: tuple[float, float, float] = (0.0, 0.0, 0.0)
    own_hair: NDArray[np.float32] | None = None


class AvatarCodes:
    """Seals and opens avatar codes.

    Args:
        key: 32 bytes; servers that share it take each other's codes.
        space: says which weights the parameters belong to, such as their digest.
    """

    def __init__(self, key: bytes, space: str) -> None:
        self._seals = Seals(key, form=FORM, name="avatar code", space=space, max_chars=MAX_CHARS)

    def seal(self, code: AvatarCode) -> str:
        """A code as 3,000 to 6,000 characters of ASCII; never the same twice."""
        name = code.hairstyle.encode()
        hair = np.zeros(0) if code.own_hair is None else code.own_hair
        parts = [code.shape, code.codes, np.array(code.hair_color), hair]
        numbers = np.concatenate(parts).astype("<f4").tobytes()
        return self._seals.seal(bytes([len(name)]) + name + numbers)

    def open(self, text: str) -> AvatarCode:
        """What was sealed.

        Raises:
            ServingError: INVALID_AVATAR: no code, one of other weights, or one that this key did
                not seal.
        """
        try:
            content = self._seals.open(text)
        except SealError as why:
            raise ServingError(
                "INVALID_AVATAR",
                f"avatar_code cannot be used: {why}. Make the avatar again from its photograph, or "
                "send a code that this server has issued",
            ) from None
        end = 1 + content[0]
        numbers = np.frombuffer(content[end:], "<f4").astype(np.float32)
        ends = np.cumsum([SHAPE_COUNT, CODE_COUNT, 3])
        shape, codes, colour, hair = np.split(numbers, ends)
        red, green, blue = colour.tolist()
        return AvatarCode(
            shape,
            codes,
            content[1:end].decode(),
            (red, green, blue),
            hair if hair.size else None,
        )
