# SPDX-License-Identifier: Apache-2.0
"""The pipelines that change an avatar: `apply_emotion` and `try_hairstyle`.

All they know of a person comes with the request: the sealed code and the pictures of the skin.
Only what is wanted is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.avatar_code import AvatarCode
from mien_server.avatar.change_options import read_emotion_options, read_hairstyle_options
from mien_server.avatar.choices import OWN_HAIR, Output
from mien_server.avatar.expressions import HeadShapes
from mien_server.avatar.making import AvatarMaker, maker_from_contract
from mien_server.avatar.option_values import FileOptions, check_ply
from mien_server.avatar.skin_pictures import came_picture, pixels_of, skin_from_albedo
from mien_server.contract import ModelContract
from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError
from mien_server.model_call import CallModels, ModelCall

__all__ = ["AvatarChanger", "changer_from_contract"]

Array = NDArray[Any]

FILE, TURNTABLE = "file", "turntable"


class AvatarChanger:
    """Makes avatars again, changed.

    Args:
        maker: of files.
        call_models: makes calls; from any thread.
    """

    def __init__(self, maker: AvatarMaker, call_models: CallModels) -> None:
        self._maker, self._call_models = maker, call_models

    def close(self) -> None:
        """Finish what was begun, then end."""
        self._maker.close()

    def with_emotions(
        self, inputs: Mapping[str, Array], outputs: frozenset[str]
    ) -> dict[str, Array]:
        """Answer a request to `apply_emotion`.

        Args:
            inputs: by name; what was left out is missing.
            outputs: names of those that are wanted.

        Raises:
            ServingError: what came cannot be used, or a model failed.
        """
        options = read_emotion_options(inputs)
        code = self._opened(inputs)
        wanted = _wanted(outputs, options.turntable)
        if options.output is Output.MORPH:
            wanted -= {FILE}
        if wanted:
            self._check_hair(code, options.file)
            shapes, emotional = self._shapes(code, options.emotions)
            pictures = self._pictures(emotional, shapes, inputs, options.file, wanted)
            return {"expression": shapes.worn, **self._answer(emotional, pictures)}
        heads = self._maker.heads
        code = replace(code, codes=heads.with_emotions(code.codes, code.shape, options.emotions))
        return {"expression": heads.worn(code.codes, code.shape), **self._answer(code, {})}

    def with_hairstyle(
        self, inputs: Mapping[str, Array], outputs: frozenset[str]
    ) -> dict[str, Array]:
        """Answer a request to `try_hairstyle`; as `with_emotions`."""
        options = read_hairstyle_options(inputs)
        code = self._opened(inputs)
        if options.hairstyle is not None:
            self._maker.check_hairstyle(options.hairstyle)
            if OWN_HAIR == options.hairstyle != code.hairstyle and code.own_hair is None:
                raise ServingError(
                    "INVALID_OPTION",
                    "hairstyle is 'own', and this avatar's code has no hair of its own; make it "
                    "again from its photograph with hairstyle 'own'",
                )
            code = replace(code, hairstyle=options.hairstyle)
        if options.hair_color is not None:
            red, green, blue = options.hair_color.tolist()
            code = replace(code, hair_color=(red, green, blue))
        self._check_hair(code, options.file)
        wanted = _wanted(outputs, options.turntable)
        if not wanted:
            return self._answer(code, {})
        shapes, code = self._shapes(code, None)
        return self._answer(code, self._pictures(code, shapes, inputs, options.file, wanted))

    def _opened(self, inputs: Mapping[str, Array]) -> AvatarCode:
        sealed = bytes(inputs["avatar_code"].ravel().tolist()[0])
        return self._maker.codes.open(sealed.decode("utf-8", "backslashreplace"))

    def _check_hair(self, code: AvatarCode, options: FileOptions) -> None:
        self._maker.check_hairstyle(code.hairstyle)  # that of a code may have been removed since
        check_ply(options, code.hairstyle)

    def _shapes(
        self, code: AvatarCode, emotions: NDArray[np.float32] | None
    ) -> tuple[HeadShapes, AvatarCode]:
        worn, shapes = self._maker.heads.shapes(code.codes, code.shape, emotions)
        return shapes, replace(code, codes=worn)

    def _pictures(
        self,
        code: AvatarCode,
        shapes: HeadShapes,
        inputs: Mapping[str, Array],
        options: FileOptions,
        wanted: frozenset[str],
    ) -> dict[str, bytes]:
        """The file and the turntable, as far as they are wanted."""
        normals = came_picture(inputs, "normals")
        texture = came_picture(inputs, "texture") or skin_from_albedo(self._albedo(code))
        made = {}
        if TURNTABLE in wanted:
            made[TURNTABLE] = self._maker.turntable(code, shapes, pixels_of(texture))
        if FILE in wanted:
            hair = self._maker.hair(code, shapes.neutral, options)
            made[FILE] = self._maker.file(code, shapes, hair, texture, normals, options)
        return made

    def _albedo(self, code: AvatarCode) -> Array:
        """(S, S, 3) 0..1 of the albedo model."""
        inputs = {"texture": code.codes[None, CODE_PARTS["texture"]]}
        call = ModelCall("texture_decoder", inputs, ("albedo",))
        albedo: Array = self._call_models([call])[0]["albedo"][0].transpose(1, 2, 0)
        return albedo

    def _answer(self, code: AvatarCode, made: Mapping[str, bytes]) -> dict[str, Array]:
        return {
            FILE: np.array([made.get(FILE, b"")], object),
            TURNTABLE: np.array([made.get(TURNTABLE, b"")], object),
            "avatar_code": np.array([self._maker.codes.seal(code).encode()], object),
            "untrained": np.array([self._maker.untrained]),
        }


def changer_from_contract(
    contract: ModelContract, folder: Path, call_models: CallModels
) -> AvatarChanger:
    """The changer that a model's configuration describes; see `making.maker_from_contract`."""
    return AvatarChanger(maker_from_contract(contract, folder, call_models), call_models)


def _wanted(outputs: frozenset[str], turntable: bool) -> frozenset[str]:
    """Of the file and the turntable, what somebody asks for."""
    return outputs & ({FILE, TURNTABLE} if turntable else {FILE})
