# SPDX-License-Identifier: Apache-2.0
"""Photographs that must be refused, with the code each one gets.

Empty bytes are not here: the client refuses them itself (`test_wire.py` sends them without it).
"""

from tests.photographs import astronaut, encoded, faceless
from tests.server.test_images import png_header

REFUSED = {
    "text": (b"not an image at all", "UNSUPPORTED_FORMAT"),
    "gif": (encoded(astronaut().resize((64, 64)), "GIF"), "UNSUPPORTED_FORMAT"),
    "heic": (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 64, "UNSUPPORTED_FORMAT"),
    "truncated": (encoded(astronaut())[:9000], "UNDECODABLE_IMAGE"),
    "bomb": (png_header(30_000, 30_000), "IMAGE_TOO_LARGE"),
    "one-pixel": (png_header(1, 1), "IMAGE_TOO_SMALL"),
    "cat": (encoded(faceless("chelsea")), "NO_FACE"),
    "coffee": (encoded(faceless("coffee")), "NO_FACE"),
    "tiny-face": (encoded(astronaut().resize((128, 128))), "FACE_TOO_SMALL"),
}
