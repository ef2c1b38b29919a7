# SPDX-License-Identifier: Apache-2.0
"""What an avatar holds, and what is told while one is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._avatar_order import AvatarFormat, AvatarOrder
from mien._emotions import EMOTIONS

__all__ = ["AvatarContent", "AvatarProgress", "AvatarQuality"]


@dataclass(frozen=True, slots=True)
class AvatarProgress:
    """A stage of the making of an avatar has been done.

    Attributes:
        stage: "fit", "detail", "texture", "hair", "quality" or "file"; some are done at once, so
            that their order is not always the same.
        stages_done: with this one.
        stages: of this avatar.
    """

    stage: str
    stages_done: int
    stages: int

    @property
    def share(self) -> float:
        """What is done of the whole, 0 to 1."""
        return self.stages_done / self.stages


@dataclass(frozen=True, slots=True)
class AvatarQuality:
    """How like the photograph the avatar is, rendered in its place; to reject a bad fit by.

    NaN is what could not be told.

    Attributes:
        similarity: cosine of the recogniser's embeddings of the two, -1 to 1.
        difd: distance of the same two, 0 or more.
        psnr: dB, over the face.
        ssim: -1 to 1, over the face.
    """

    similarity: float
    difd: float
    psnr: float
    ssim: float

    def to_dict(self) -> dict[str, float | None]:
        """JSON-ready values; what is not known becomes null."""
        values = {
            "similarity": self.similarity,
            "difd": self.difd,
            "psnr": self.psnr,
            "ssim": self.ssim,
        }
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True, slots=True, eq=False)
class AvatarContent:
    """A head with a face and hair, as a file, and what makes it again.

    Attributes:
        file: in `format`: glTF 2.0; a zip of OBJ, MTL and PNG; or the strands of the hair as PLY.
        avatar_code: the server's, sealed: with `texture` it makes the avatar again. It is worth as
            much as the photograph that it came from.
        texture: PNG of the albedo.
        normals: PNG of the normal map of wrinkles; None without detail.
        turntable: PNG of the head from several sides; None where it was not asked for. `preview`
            asks for it.
        quality: of the fit to the photograph; other emotions, hair and formats leave it as it is.
        codes: (236,) float32, read-only, of the first photograph, in DECA's order as in
            `FittedFace`.
        shape: (300,) float32, read-only, identity components of all photographs.
        untrained: the weights are random: the head means nothing.
        request_id: what the server's log carries; of the latest request.
        order: what it was asked for with.
    """

    file: bytes = field(repr=False)
    avatar_code: str = field(repr=False)
    texture: bytes = field(repr=False)
    normals: bytes | None = field(repr=False)
    turntable: bytes | None = field(repr=False)
    quality: AvatarQuality
    codes: NDArray[np.float32] = field(repr=False)
    shape: NDArray[np.float32] = field(repr=False)
    untrained: bool
    request_id: str
    order: AvatarOrder = field(repr=False)

    @property
    def format(self) -> AvatarFormat:
        """What `file` is."""
        return self.order.file_format

    @property
    def hairstyle(self) -> str:
        """The name of its hairstyle; "own" for the photograph's, "none" for no hair."""
        return self.order.hairstyle_name

    @property
    def emotions(self) -> dict[str, float] | None:
        """Intensities that it wears, by name; None where it wears no emotions."""
        worn = self.order.emotions
        return None if worn is None else dict(zip(EMOTIONS, worn, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, the avatar's code among them, without files and pictures."""
        return {
            "format": self.format,
            "avatar_code": self.avatar_code,
            "hairstyle": self.hairstyle,
            "emotions": self.emotions,
            "quality": self.quality.to_dict(),
            "codes": self.codes.tolist(),
            "shape": self.shape.tolist(),
            "untrained": self.untrained,
            "request_id": self.request_id,
        }
