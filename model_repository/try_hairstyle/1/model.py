# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `try_hairstyle`; the work is in `mien_server.avatar`."""

from typing import Any

from mien_server.avatar.changing_adapter import ChangingModel


class TritonPythonModel(ChangingModel):
    """Avatars and hairstyles in, avatars out."""

    def answer(self, inputs: dict[str, Any], outputs: frozenset[str]) -> dict[str, Any]:
        return self.changer.with_hairstyle(inputs, outputs)
