# SPDX-License-Identifier: Apache-2.0
"""What surfaces of an avatar look like: encoded images and materials."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

from mien_server.avatar.arrays import checked_name

__all__ = ["AlphaMode", "EncodedImage", "Material"]

AlphaMode = Literal["OPAQUE", "MASK", "BLEND"]

MAX_SIDE_PX = 8192
MODES = {"PNG": ("RGB", "RGBA", "L", "LA", "P"), "JPEG": ("RGB", "L")}
EXTENSIONS = {"PNG": "png", "JPEG": "jpg"}
SRGB_GAMMA = 0.45455
# An image that was cut off lacks them.
ENDS = {"PNG": b"IEND\xae\x42\x60\x82", "JPEG": b"\xff\xd9"}


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """The bytes of a PNG or JPEG, which every format takes over as they are.

    Attributes:
        data: the whole file.
        width: pixels, at most 8192.
        height: pixels, at most 8192.
        extension: "png" or "jpg".
        has_alpha: whether its pixels may be transparent.

    Raises:
        ValueError: no PNG or JPEG, one that was cut off, is too large, or has what viewers of
            avatars do not know: CMYK, 16 bits, a colour profile, a second frame.
    """

    data: bytes = field(repr=False)
    width: int = field(init=False)
    height: int = field(init=False)
    extension: str = field(init=False)
    has_alpha: bool = field(init=False)

    def __post_init__(self) -> None:
        image = _header(self.data)
        kind = str(image.format)
        if image.mode not in MODES[kind]:
            raise ValueError(
                f"a {kind} has pixels of the kind {image.mode}; allowed are "
                f"{', '.join(MODES[kind])}, 8 bits each"
            )
        if (
            "icc_profile" in image.info
            or abs(image.info.get("gamma", SRGB_GAMMA) - SRGB_GAMMA) > 1e-4
        ):
            raise ValueError(
                f"a {kind} has a colour profile, which viewers of avatars ignore; convert it to "
                "sRGB and leave the profile away"
            )
        if getattr(image, "is_animated", False):
            raise ValueError(f"a {kind} is animated; give a single frame")
        if max(image.size) > MAX_SIDE_PX:
            raise ValueError(
                f"an image has {image.width}x{image.height} pixels; at most {MAX_SIDE_PX} are "
                "allowed along each side"
            )
        if not self.data.endswith(ENDS[kind]):
            raise ValueError(
                f"a {kind} of {len(self.data)} bytes does not end as it should: it was cut off, or "
                "something was added"
            )
        for name, value in (
            ("width", image.width),
            ("height", image.height),
            ("extension", EXTENSIONS[kind]),
            ("has_alpha", image.mode in ("RGBA", "LA") or "transparency" in image.info),
        ):
            object.__setattr__(self, name, value)

    @property
    def media_type(self) -> str:
        """As the web calls it."""
        return "image/png" if self.extension == "png" else "image/jpeg"


@dataclass(frozen=True, slots=True)
class Material:
    """What a surface is made of; never metal.

    Attributes:
        name: unique within an avatar.
        texture: colours in sRGB, or None.
        normal_map: tangent space, x to the right, y up in the image, 0.5 flat; or None.
        colour: (red, green, blue) in sRGB 0..1, by which those of the texture are multiplied.
        roughness: 0 mirrors, 1 is chalk.
        double_sided: whether its back is seen too.
        alpha_mode: what the alpha of the texture does: nothing, cut out at `alpha_cutoff`, blend.
        alpha_cutoff: 0..1.

    Raises:
        ValueError: a name or a number that is not allowed, or alpha without a texture that has it.
    """

    name: str
    texture: EncodedImage | None = None
    normal_map: EncodedImage | None = None
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    roughness: float = 0.6
    double_sided: bool = False
    alpha_mode: AlphaMode = "OPAQUE"
    alpha_cutoff: float = 0.5

    def __post_init__(self) -> None:
        checked_name(self.name, "a material")
        numbers = (*self.colour, self.roughness, self.alpha_cutoff)
        if len(self.colour) != 3 or not all(0 <= number <= 1 for number in numbers):
            raise ValueError(
                f"material {self.name!r} has the colour {self.colour}, roughness {self.roughness} "
                f"and alpha_cutoff {self.alpha_cutoff}; all must be 0 to 1, and colours three"
            )
        if self.alpha_mode != "OPAQUE" and not (self.texture and self.texture.has_alpha):
            raise ValueError(
                f"material {self.name!r} has alpha_mode {self.alpha_mode} without a texture that "
                "has alpha; give one as RGBA, or OPAQUE"
            )


def _header(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=tuple(MODES))
    # Pillow raises nearly anything for bytes that are no image.
    except Exception as error:
        raise ValueError(
            f"{len(data)} bytes starting {data[:8].hex(' ')} are no PNG or JPEG; encode the image "
            "as one of them"
        ) from error
