# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mien_server.errors import ServingError
from mien_server.images import DRAFT_SIDE_PX, ImageLimits, decode_image
from tests.photographs import astronaut, encoded

LIMITS = ImageLimits()


def code_of(encoded_image: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(ServingError) as caught:
        decode_image(encoded_image, limits)
    return caught.value.code


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises these sizes and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_lossless_formats_decode_to_the_pixels_that_were_encoded(kind):
    options = {} if kind == "PNG" else {"lossless": True}

    decoded = decode_image(encoded(astronaut(), kind, **options), LIMITS)

    assert np.array_equal(decoded.image_rgb, np.asarray(astronaut()))
    assert (decoded.width, decoded.height) == (512, 512)
    assert decoded.file_from_decoded == (1.0, 1.0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_exif_orientation_decodes_upright(orientation, kind):
    upright = Image.fromarray(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3))
    upright = upright.resize((640, 480), Image.Resampling.BICUBIC)
    # Stored pixels that the orientation turns into the upright ones.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = decode_image(encoded(stored, kind, exif=exif), LIMITS)

    assert (decoded.width, decoded.height) == (640, 480)
    difference = np.abs(decoded.image_rgb.astype(int) - np.asarray(upright).astype(int))
    assert difference.mean() < 6


def test_large_jpeg_is_decoded_smaller_and_keeps_the_coordinates_of_the_file():
    large = astronaut().resize((6000, 5000))

    decoded = decode_image(encoded(large), LIMITS)

    assert DRAFT_SIDE_PX <= max(decoded.image_rgb.shape) < 6000
    assert (decoded.width, decoded.height) == (6000, 5000)
    assert decoded.image_rgb.shape[1] * decoded.file_from_decoded[0] == pytest.approx(6000)
    assert decoded.image_rgb.shape[0] * decoded.file_from_decoded[1] == pytest.approx(5000)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_colour_mode_becomes_rgb(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"

    decoded = decode_image(encoded(astronaut().convert(mode), kind), LIMITS)

    assert decoded.image_rgb.shape == (512, 512, 3)
    assert decoded.image_rgb.dtype == np.uint8


def test_sixteen_bit_grey_keeps_its_tones():
    tones = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)

    decoded = decode_image(encoded(Image.fromarray(tones), "PNG"), LIMITS)

    assert np.array_equal(decoded.image_rgb[..., 0], (tones >> 8).astype(np.uint8))


def test_transparency_is_laid_on_white():
    decoded = decode_image(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG"), LIMITS)

    assert (decoded.image_rgb == 255).all()


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)

    decoded = decode_image(buffer.getvalue(), LIMITS)

    assert (decoded.image_rgb == (255, 0, 0)).all()


def test_phone_picture_with_a_second_image_inside_decodes():
    buffer = io.BytesIO()
    astronaut().save(buffer, "MPO", save_all=True, append_images=[astronaut().resize((64, 64))])

    assert decode_image(buffer.getvalue(), LIMITS).image_rgb.shape == (512, 512, 3)


def test_no_bytes_are_refused():
    assert code_of(b"") == "EMPTY_IMAGE"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (encoded(Image.new("RGB", (64, 64)), "GIF"), "GIF"),
        (encoded(Image.new("RGB", (64, 64)), "BMP"), "BMP"),
        (encoded(Image.new("RGB", (64, 64)), "TIFF"), "TIFF"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 64, "HEIC"),
        (b"%PDF-1.7 and so on", "PDF"),
        (b"hello, I am text", "68 65 6c 6c 6f"),
    ],
    ids=["gif", "bmp", "tiff", "heic", "pdf", "text"],
)
def test_foreign_formats_are_refused_by_name(content, named):
    with pytest.raises(ServingError, match=named) as caught:
        decode_image(content, LIMITS)

    assert caught.value.code == "UNSUPPORTED_FORMAT"
    assert "JPEG, PNG or WebP" in caught.value.text


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_file_is_refused(kind):
    whole = encoded(astronaut(), kind)

    assert code_of(whole[: len(whole) // 2]) in ("UNDECODABLE_IMAGE", "UNSUPPORTED_FORMAT")


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (65_535, 1_000), (2**31 - 1, 2**31 - 1)]
)
def test_too_many_pixels_are_refused_from_the_header(width, height):
    assert code_of(png_header(width, height)) == "IMAGE_TOO_LARGE"


def test_pixels_between_our_limit_and_pillows_are_refused_without_a_warning():
    assert code_of(png_header(10_000, 10_000)) == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("size", [(1, 1), (65_535, 1), (31, 500)])
def test_too_few_pixels_are_refused(size):
    assert code_of(png_header(*size)) == "IMAGE_TOO_SMALL"


def test_too_many_bytes_are_refused():
    photograph = encoded(astronaut())

    assert code_of(photograph, ImageLimits(max_bytes=len(photograph) - 1)) == "IMAGE_TOO_LARGE"
    assert decode_image(photograph, ImageLimits(max_bytes=len(photograph))).width == 512


def test_jpeg_of_thousands_of_scans_is_refused():
    photograph = encoded(astronaut())
    scan = photograph.index(b"\xff\xda")
    bomb = photograph[:scan] + photograph[scan:-2] * 200 + photograph[-2:]

    assert code_of(bomb) == "UNDECODABLE_IMAGE"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_bytes_decode_or_are_refused_and_nothing_else(kind, seed):
    damaged = bytearray(encoded(astronaut().resize((128, 128)), kind))
    generator = np.random.default_rng(seed)
    for position in generator.integers(0, len(damaged), 12):
        damaged[position] = generator.integers(0, 256)

    with contextlib.suppress(ServingError):
        assert decode_image(bytes(damaged), LIMITS).image_rgb.ndim == 3
