# SPDX-License-Identifier: Apache-2.0
"""Encoded photographs to upright RGB arrays.

Everything that can be refused is refused from the header, before a pixel is decoded: a few
kilobytes of PNG can unpack to gigabytes. Letters: H height, W width of the decoded image.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mien_server.errors import ServingError

__all__ = ["DecodedImage", "ImageLimits", "decode_image"]

FORMATS = ("JPEG", "PNG", "WEBP")
# Phones write JPEGs with a second picture inside; Pillow calls them MPO and shows the first.
JPEG_KINDS = ("JPEG", "MPO")

# A large JPEG may be decoded at 1/2, 1/4 or 1/8 by its own DCT. The longer side stays above this,
# at which the smallest face the detector finds (30 of 640 px) still fills a 112 px crop.
DRAFT_SIDE_PX = math.ceil(112 / 30 * 640)

# An honest progressive JPEG has about ten scans; each one costs a pass over the whole image.
MAX_JPEG_SCANS = 100
_JPEG_START_OF_SCAN = b"\xff\xda"

_EXIF_ORIENTATION = 0x0112
_ORIENTATIONS_ON_THEIR_SIDE = frozenset({5, 6, 7, 8})

# What people send most often instead, by its first bytes, so that the answer can name it.
_FOREIGN_MAGIC = (
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"%PDF", 0, "PDF"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftyphei", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIC"),
    (b"<svg", 0, "SVG"),
)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused from the header.

    Attributes:
        max_pixels: width times height.
        max_bytes: size of the encoded image.
        min_side_px: shorter side.
    """

    max_pixels: int = 64_000_000
    max_bytes: int = 32 * 1024 * 1024
    min_side_px: int = 32


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An upright photograph.

    Attributes:
        image_rgb: (H, W, 3) uint8; may be smaller than the file's image.
        width: pixels of the upright image in the file.
        height: pixels of the upright image in the file.
        file_from_decoded: factor from pixels of `image_rgb` to pixels of the file, (x, y).
    """

    image_rgb: NDArray[np.uint8]
    width: int
    height: int
    file_from_decoded: tuple[float, float]


def decode_image(encoded: bytes, limits: ImageLimits) -> DecodedImage:
    """Decode one photograph, upright by its EXIF orientation.

    The first frame of an animation is taken, transparency is laid on white, 16-bit grey is scaled
    to 8 bits, CMYK is converted. Colour profiles are ignored.

    Args:
        encoded: the bytes of a JPEG, PNG or WebP file.
        limits: what to refuse.

    Raises:
        ServingError: EMPTY_IMAGE, UNSUPPORTED_FORMAT, IMAGE_TOO_LARGE, IMAGE_TOO_SMALL or
            UNDECODABLE_IMAGE.
    """
    _check_bytes(encoded, limits)
    image = _open(encoded, limits)
    _check_header(image, encoded, limits)
    try:
        width, height = image.size
        if image.format in JPEG_KINDS:
            _draft(image)
        # EXIF may live in the pixels' stream (PNG eXIf after IDAT), so it is read after loading.
        image.load()
        on_its_side = image.getexif().get(_EXIF_ORIENTATION) in _ORIENTATIONS_ON_THEIR_SIDE
        rgb = np.asarray(_rgb(ImageOps.exif_transpose(image)))
    # A decoder meets hostile bytes here: whatever it raises, the image cannot be used.
    except Exception as error:
        raise ServingError(
            "UNDECODABLE_IMAGE",
            f"the {image.format} of {len(encoded)} bytes cannot be decoded ({error}); "
            "it is truncated or corrupt, send the whole file",
        ) from error
    if on_its_side:
        width, height = height, width
    scale = (width / rgb.shape[1], height / rgb.shape[0])
    return DecodedImage(rgb, width, height, scale)


def _check_bytes(encoded: bytes, limits: ImageLimits) -> None:
    if not encoded:
        raise ServingError(
            "EMPTY_IMAGE", "0 bytes came; send the bytes of a JPEG, PNG or WebP file"
        )
    if len(encoded) > limits.max_bytes:
        raise ServingError(
            "IMAGE_TOO_LARGE",
            f"the file has {len(encoded)} bytes, at most {limits.max_bytes} are allowed; "
            "send a smaller one",
        )


def _open(encoded: bytes, limits: ImageLimits) -> Image.Image:
    try:
        return Image.open(io.BytesIO(encoded), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ServingError(
            "IMAGE_TOO_LARGE", f"{error}; at most {limits.max_pixels} pixels are allowed"
        ) from error
    # Pillow raises UnidentifiedImageError for foreign bytes and nearly anything for hostile ones.
    except Exception as error:
        for magic, offset, name in _FOREIGN_MAGIC:
            if encoded[offset : offset + len(magic)] == magic:
                raise ServingError(
                    "UNSUPPORTED_FORMAT",
                    f"a {name} file came; send it as JPEG, PNG or WebP",
                ) from error
        raise ServingError(
            "UNSUPPORTED_FORMAT",
            f"{len(encoded)} bytes starting {encoded[:8].hex(' ')} came; "
            "send the bytes of a JPEG, PNG or WebP file",
        ) from error


def _check_header(image: Image.Image, encoded: bytes, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ServingError(
            "IMAGE_TOO_LARGE",
            f"the image is {width}x{height}, {width * height} pixels; "
            f"at most {limits.max_pixels} are allowed, send a smaller one",
        )
    if min(width, height) < limits.min_side_px:
        raise ServingError(
            "IMAGE_TOO_SMALL",
            f"the image is {width}x{height}; both sides must have at least "
            f"{limits.min_side_px} pixels",
        )
    if image.format in JPEG_KINDS and encoded.count(_JPEG_START_OF_SCAN) > MAX_JPEG_SCANS:
        raise ServingError(
            "UNDECODABLE_IMAGE",
            f"the JPEG has more than {MAX_JPEG_SCANS} scans; save it anew as an ordinary JPEG",
        )


def _draft(image: Image.Image) -> None:
    """Ask the JPEG decoder for the smallest DCT scale whose longer side is enough."""
    factor = DRAFT_SIDE_PX / max(image.size)
    if factor < 1:
        image.draft(None, (math.ceil(image.width * factor), math.ceil(image.height * factor)))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip it at 255
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
