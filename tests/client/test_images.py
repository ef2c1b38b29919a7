# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mien import InvalidImageError
from mien._images import encoded_image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
ROTATED_90 = 6  # stored turned; upright after a quarter turn clockwise


def make_pixels(height=6, width=9, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def pixels_of(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)))


def make_jpeg(tmp_path):
    path = tmp_path / "face.jpg"
    Image.fromarray(make_pixels(64, 64)).save(path)
    return path


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "Path"])
def test_file_travels_unchanged(tmp_path, kind):
    path = make_jpeg(tmp_path)

    assert encoded_image(kind(path), "probe") == path.read_bytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_travel_unchanged(kind):
    encoded = encoded_image(kind(b"any bytes"), "probe")

    assert type(encoded) is bytes
    assert encoded == b"any bytes"


@pytest.mark.parametrize("channels", [3, 0], ids=["rgb", "grey"])
@pytest.mark.parametrize("step", [1, -1], ids=["contiguous", "mirrored view"])
def test_array_travels_as_png_without_loss(channels, step):
    pixels = make_pixels(channels=channels)[:, ::step]

    encoded = encoded_image(pixels, "probe")

    assert encoded.startswith(PNG_MAGIC)
    assert_array_equal(pixels_of(encoded), pixels)


def test_array_of_one_by_one_pixel_is_an_image():
    pixels = make_pixels(1, 1)

    assert_array_equal(pixels_of(encoded_image(pixels, "probe")), pixels)


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        (make_pixels().astype(np.float32) / 255, r"float32 with shape \(6, 9, 3\).*Scale it"),
        (make_pixels().astype(np.int64), r"int64.*0\.\.255"),
        (make_pixels() > 9, "bool.*astype"),
        (make_pixels(channels=4), r"\(6, 9, 4\).*image\[\.\.\., :3\]"),
        (make_pixels(channels=1), r"\(6, 9, 1\).*image\[\.\.\., 0\]"),
        (make_pixels(3, 6, 9), r"\(3, 6, 9\).*transpose\(1, 2, 0\)"),
        (make_pixels()[None], r"\(1, 6, 9, 3\).*one image per call"),
        (make_pixels()[:0], r"\(0, 9, 3\).*slice"),
        (np.uint8([1, 2]), r"\(2,\).*Decode"),
    ],
    ids=["float", "int64", "bool", "alpha", "one channel", "CHW", "batch", "empty", "1-d"],
)
def test_other_arrays_are_refused_with_the_cure(image, remedy):
    with pytest.raises(InvalidImageError, match=rf"^probe is an array of .*{remedy}"):
        encoded_image(image, "probe")


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "LA"])
def test_pil_image_of_any_8_bit_mode_travels_as_rgb(mode):
    image = Image.fromarray(make_pixels()).convert(mode)

    encoded = encoded_image(image, "probe")

    assert encoded.startswith(PNG_MAGIC)
    assert_array_equal(pixels_of(encoded), np.asarray(image.convert("RGB")))


def test_pil_image_is_turned_upright(tmp_path):
    stored = make_pixels()
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED_90
    path = tmp_path / "turned.png"
    Image.fromarray(stored).save(path, exif=exif)

    with Image.open(path) as image:
        encoded = encoded_image(image, "probe")

    assert_array_equal(pixels_of(encoded), np.rot90(stored, k=-1))
    assert ORIENTATION not in Image.open(io.BytesIO(encoded)).getexif()


def test_pil_image_itself_is_left_alone():
    image = Image.fromarray(make_pixels())
    image.info["comment"] = "kept"

    encoded_image(image, "probe")

    assert image.info == {"comment": "kept"}


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_pil_image_of_wide_values_is_refused(mode):
    with pytest.raises(InvalidImageError, match=f"mode '{mode}'.*8 bits"):
        encoded_image(Image.new(mode, (4, 4)), "probe")


def test_empty_pil_image_is_refused():
    with pytest.raises(InvalidImageError, match=r"size \(0, 4\)"):
        encoded_image(Image.new("RGB", (0, 4)), "probe")


def test_broken_pil_image_is_refused(tmp_path):
    path = make_jpeg(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])

    with Image.open(path) as image, pytest.raises(InvalidImageError, match="cannot be decoded"):
        encoded_image(image, "probe")


@pytest.mark.parametrize("image", [b"", bytearray(), memoryview(b"")], ids=lambda v: str(type(v)))
def test_empty_bytes_are_refused(image):
    with pytest.raises(InvalidImageError, match="reference is 0 bytes"):
        encoded_image(image, "reference")


def test_empty_file_is_refused_by_name(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()

    with pytest.raises(InvalidImageError, match=r"empty\.jpg.*0 bytes"):
        encoded_image(path, "probe")


@pytest.mark.parametrize("name", ["absent.jpg", ".", "a\0b"], ids=["absent", "folder", "null byte"])
def test_unreadable_path_is_refused_by_name(tmp_path, name):
    path = f"{tmp_path}/{name}"

    with pytest.raises(InvalidImageError, match="cannot be read") as caught:
        encoded_image(path, "probe")

    assert repr(path) in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("image", [None, 7, [1, 2], io.BytesIO(b"x")], ids=lambda v: str(type(v)))
def test_anything_else_is_refused_by_type(image):
    with pytest.raises(InvalidImageError, match=f"is a {type(image).__name__}; allowed"):
        encoded_image(image, "probe")
