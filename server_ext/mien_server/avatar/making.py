# SPDX-License-Identifier: Apache-2.0
"""Avatars to files, and the pipelines that change one: `apply_emotion` and `try_hairstyle`.

All they know of a person comes with the request: the sealed code and the pictures of the skin.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.assembly import assembled
from mien_server.avatar.avatar_code import AvatarCode, AvatarCodes
from mien_server.avatar.expressions import Heads, HeadShapes
from mien_server.avatar.formats import to_glb, to_obj_zip, to_ply
from mien_server.avatar.hair_geometry import Hair
from mien_server.avatar.hairdressing import Hairdresser, read_library
from mien_server.avatar.head_asset import HEAD_FILE, HeadAsset
from mien_server.avatar.options import (
    NO_HAIR,
    OWN_HAIR,
    FileFormat,
    FileOptions,
    Output,
    read_emotion_options,
    read_hairstyle_options,
)
from mien_server.avatar.pictures import encoded_png
from mien_server.contract import ModelContract
from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError
from mien_server.model_call import CallModels, ModelCall
from mien_server.sealing import KEY_BYTES, identity_key

__all__ = ["ARCHIVE", "AvatarMaker", "maker_from_contract", "refused_own_hair"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

ARCHIVE = "avatar"
HAIR_THREADS = 2


class AvatarMaker:
    """Makes files of avatars.

    Args:
        asset: of the head model.
        hairdresser: of the same head model.
        call_models: makes calls; from any thread.
        codes: seals and opens avatars.
        pose_values: of `emotion_mlp`.
        generator: digest of the weights behind it.
        untrained: whether random weights are among them.
    """

    def __init__(
        self,
        asset: HeadAsset,
        hairdresser: Hairdresser,
        call_models: CallModels,
        codes: AvatarCodes,
        *,
        pose_values: str,
        generator: str,
        untrained: bool,
    ) -> None:
        self.asset, self.hairdresser, self.codes = asset, hairdresser, codes
        self.heads = Heads(call_models, pose_values)
        self.untrained = untrained
        self._call_models, self._generator = call_models, generator
        self.pool = ThreadPoolExecutor(HAIR_THREADS, thread_name_prefix="hair")

    def close(self) -> None:
        """Finish what was begun, then end."""
        self.pool.shutdown()

    def check_hairstyle(self, name: str) -> None:
        """Refuse hair that cannot be made.

        Raises:
            ServingError: INVALID_OPTION.
        """
        if name == OWN_HAIR:
            raise refused_own_hair()
        if name not in (NO_HAIR, ""):
            self.hairdresser.check(name)

    def hair(self, code: AvatarCode, neutral: Floats, options: FileOptions) -> Hair | None:
        """What grows on the head of a code; None where nothing does, or for strands alone."""
        if code.hairstyle in (NO_HAIR, "") or options.format is FileFormat.PLY:
            return None
        return self.hairdresser.hair(
            code.hairstyle, neutral, code.hair_color, options.hair_form, options.level
        )

    def file(
        self,
        code: AvatarCode,
        shapes: HeadShapes,
        hair: Hair | None,
        texture: EncodedImage,
        normals: EncodedImage | None,
        options: FileOptions,
    ) -> bytes:
        """The avatar in the format asked for."""
        if options.format is FileFormat.PLY:
            strands = self.hairdresser.strands(code.hairstyle, shapes.neutral, options.level)
            return to_ply(strands, np.array(code.hair_color, np.float32))
        is_glb = options.format is FileFormat.GLB
        model = assembled(
            self.asset,
            shapes,
            texture,
            normals,
            hair,
            generator=self._generator,
            has_sliders=is_glb,
        )
        if is_glb:
            return to_glb(model, compression=options.compression.value)
        try:
            return to_obj_zip(model, ARCHIVE)
        except ValueError as why:  # pictures that came may be of any size
            raise ServingError("INVALID_TENSOR", f"the avatar cannot be zipped: {why}") from None

    def with_emotions(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answer a request to `apply_emotion`.

        Args:
            inputs: by name; what was left out is missing.

        Raises:
            ServingError: what came cannot be used, or a model failed.
        """
        options = read_emotion_options(inputs)
        code = self._opened(inputs, options.file)
        if options.output is Output.FILE:
            code, expression, file = self._file_of(code, inputs, options.file, options.emotions)
        else:
            worn = self.heads.with_emotions(code.codes, code.shape, options.emotions)
            code = replace(code, codes=worn)
            expression, file = self.heads.worn(worn, code.shape), b""
        return {"expression": expression, **self._answer(code, file)}

    def with_hairstyle(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answer a request to `try_hairstyle`; as `with_emotions`."""
        options = read_hairstyle_options(inputs)
        self.check_hairstyle(options.hairstyle)
        code = replace(self._opened(inputs, None), hairstyle=options.hairstyle)
        if options.hair_color is not None:
            red, green, blue = options.hair_color.tolist()
            code = replace(code, hair_color=(red, green, blue))
        code, _, file = self._file_of(code, inputs, options.file)
        return self._answer(code, file)

    def _opened(self, inputs: Mapping[str, Array], options: FileOptions | None) -> AvatarCode:
        code = self.codes.open(_text(inputs["avatar_code"]))
        if options is not None:
            self.check_hairstyle(code.hairstyle)  # it may have been removed since
            if options.format is FileFormat.PLY and code.hairstyle in (NO_HAIR, ""):
                raise ServingError(
                    "INVALID_OPTION",
                    "format is 'ply', which holds hair alone, and this avatar has none; choose "
                    "another format, or give it a hairstyle first",
                )
        return code

    def _file_of(
        self,
        code: AvatarCode,
        inputs: Mapping[str, Array],
        options: FileOptions,
        emotions: Floats | None = None,
    ) -> tuple[AvatarCode, Floats, bytes]:
        """The code with these emotions, what it wears as a movement of vertices, and the file."""
        normals = _picture(inputs, "normals")
        texture = _picture(inputs, "texture") or self._albedo(code)
        worn, shapes = self.heads.shapes(code.codes, code.shape, emotions)
        code = replace(code, codes=worn)
        hair = self.hair(code, shapes.neutral, options)
        return code, shapes.worn, self.file(code, shapes, hair, texture, normals, options)

    def _albedo(self, code: AvatarCode) -> EncodedImage:
        inputs = {"texture": code.codes[None, CODE_PARTS["texture"]]}
        call = ModelCall("texture_decoder", inputs, ("albedo",))
        albedo = self._call_models([call])[0]["albedo"][0]
        return EncodedImage(encoded_png(albedo.transpose(1, 2, 0)))

    def _answer(self, code: AvatarCode, file: bytes) -> dict[str, Array]:
        return {
            "file": np.array([file], object),
            "avatar_code": np.array([self.codes.seal(code).encode()], object),
            "untrained": np.array([self.untrained]),
        }


def maker_from_contract(
    contract: ModelContract, folder: Path, call_models: CallModels
) -> AvatarMaker:
    """The maker that a model's configuration describes.

    Without `MIEN_IDENTITY_KEY` in the environment a key is drawn: codes then end with the process.

    Args:
        contract: of one of the avatar pipelines.
        folder: of the model's version, with its files.
        call_models: makes calls; from any thread.

    Raises:
        ValueError: a parameter, a file or the key is missing or not allowed.
    """
    asset = HeadAsset.read(folder / HEAD_FILE)
    hairdresser = Hairdresser(read_library(folder), asset)
    hairdresser.warm_up()
    space = contract.parameter("avatar_space")
    return AvatarMaker(
        asset,
        hairdresser,
        call_models,
        AvatarCodes(identity_key() or os.urandom(KEY_BYTES), space),
        pose_values=contract.parameter("pose_values"),
        generator=space,
        untrained=contract.flag("untrained"),
    )


def refused_own_hair() -> ServingError:
    """The refusal of hair from the photograph."""
    return ServingError(
        "INVALID_OPTION",
        "hairstyle is 'own', and this repository has no hair_vae that could make it; choose a "
        "style of hairstyles, or 'none'",
    )


def _picture(inputs: Mapping[str, Array], name: str) -> EncodedImage | None:
    """A picture that came; None where it was left out or is empty."""
    data = bytes(inputs[name].ravel().tolist()[0]) if name in inputs else b""
    if not data:
        return None
    try:
        return EncodedImage(data)
    except ValueError as why:
        raise ServingError(
            "INVALID_TENSOR", f"{name}: {why}. Send what create_avatar answered with"
        ) from None


def _text(given: Array) -> str:
    return bytes(given.ravel().tolist()[0]).decode("utf-8", "backslashreplace")
