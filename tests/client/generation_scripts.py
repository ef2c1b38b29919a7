# SPDX-License-Identifier: Apache-2.0
"""Messages that a fake server sends for `generate`."""

from tests.fakes.fake_triton import Hang, Stream, generation_event

__all__ = ["FACE", "HANGS", "OVERLOADED", "PATIENCE_S", "PREVIEW", "PROGRESS", "STARTED"]

PATIENCE_S = 10
STARTED, PROGRESS, PREVIEW, FACE = map(generation_event, ("started", "progress", "preview", "face"))
OVERLOADED = "mien.OVERLOADED: 256 faces are being made"
HANGS = Stream((STARTED, Hang()))
