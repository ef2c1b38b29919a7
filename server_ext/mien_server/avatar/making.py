# SPDX-License-Identifier: Apache-2.0
"""Avatars to files and pictures: what all pipelines do once they know a person."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.assembly import assembled
from mien_server.avatar.avatar_code import AvatarCode, AvatarCodes
from mien_server.avatar.card_plans import CardPlans, plans_folder
from mien_server.avatar.choices import NO_HAIR, OWN_HAIR, FileFormat
from mien_server.avatar.expressions import Heads, HeadShapes
from mien_server.avatar.formats import to_glb, to_obj_zip, to_ply
from mien_server.avatar.hair_geometry import Hair
from mien_server.avatar.hair_preparing import HairPreparation
from mien_server.avatar.hairdressing import Hairdresser, WornStyle, read_library
from mien_server.avatar.head_asset import HEAD_FILE, HeadAsset
from mien_server.avatar.option_values import FileOptions, no_hair_for_ply
from mien_server.avatar.own_hair import DECODER, OwnHair
from mien_server.avatar.pictures import encoded_png
from mien_server.avatar.turntable import turntable
from mien_server.contract import ModelContract
from mien_server.errors import ServingError
from mien_server.model_call import CallModels
from mien_server.sealing import KEY_BYTES, identity_key

__all__ = ["ARCHIVE", "AvatarMaker", "maker_from_contract", "refused_own_hair"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

ARCHIVE = "avatar"
HAIR_THREADS = 2


class AvatarMaker:
    """Makes files and pictures of avatars.

    Args:
        asset: of the head model.
        hairdresser: of the same head model.
        call_models: makes calls; from any thread.
        codes: seals and opens avatars.
        pose_values: of `emotion_mlp`.
        generator: digest of the weights behind it.
        untrained: whether random weights are among them.
        preparation: of hairstyles, ended with the maker.
        makes_own_hair: whether there is a `hair_vae_decoder`.
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
        preparation: HairPreparation | None = None,
        makes_own_hair: bool = False,
    ) -> None:
        self.asset, self.hairdresser, self.codes = asset, hairdresser, codes
        self.heads = Heads(call_models, pose_values)
        self.untrained, self._makes_own_hair = untrained, makes_own_hair
        self._own_hair = OwnHair(call_models)
        self._generator, self._preparation = generator, preparation
        self.pool = ThreadPoolExecutor(HAIR_THREADS, thread_name_prefix="hair")

    def close(self) -> None:
        """Finish what was begun, then end."""
        if self._preparation is not None:
            self._preparation.close()
        self.pool.shutdown()

    def check_hairstyle(self, name: str) -> None:
        """Refuse hair that cannot be made.

        Raises:
            ServingError: INVALID_OPTION.
        """
        if name == OWN_HAIR and not self._makes_own_hair:
            raise refused_own_hair()
        if name not in (NO_HAIR, OWN_HAIR, ""):
            self.hairdresser.check(name)

    def hair(self, code: AvatarCode, neutral: Floats, options: FileOptions) -> Hair | None:
        """What grows on the head of a code; None where nothing does, or for strands alone."""
        worn = None if options.format is FileFormat.PLY else self.worn(code)
        if worn is None:
            return None
        return self.hairdresser.hair(
            worn, neutral, code.hair_color, options.hair_form, options.level
        )

    def worn(self, code: AvatarCode) -> str | WornStyle | None:
        """The style that grows on the head of a code; None where nothing does."""
        if code.hairstyle == OWN_HAIR:
            return None if code.own_hair is None else self._own_hair.style(code.own_hair)
        return None if code.hairstyle in (NO_HAIR, "") else code.hairstyle

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
            worn = self.worn(code)
            if worn is None:
                raise no_hair_for_ply()
            strands = self.hairdresser.strands(worn, shapes.neutral, options.level)
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

    def turntable(self, code: AvatarCode, shapes: HeadShapes, albedo: Array) -> bytes:
        """A PNG of the avatar from several sides, whatever form its hair has in the file.

        Args:
            code: of the avatar.
            shapes: its head.
            albedo: (H, W, 3) uint8, the texture.
        """
        style = self.worn(code)
        hair = None if style is None else self.hairdresser.guides(style, shapes.neutral)
        head = shapes.neutral + shapes.worn
        picture = turntable(head, albedo, self.asset.topology, hair, code.hair_color)
        return encoded_png(picture)


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
    hairdresser = Hairdresser(read_library(folder), asset, CardPlans(plans_folder()))
    hairdresser.warm_up()
    preparation = HairPreparation(hairdresser)
    preparation.start()
    space = contract.parameter("avatar_space")
    return AvatarMaker(
        asset,
        hairdresser,
        call_models,
        AvatarCodes(identity_key() or os.urandom(KEY_BYTES), space),
        pose_values=contract.parameter("pose_values"),
        generator=space,
        untrained=contract.flag("untrained"),
        preparation=preparation,
        makes_own_hair=contract.parameter(DECODER) != "none",
    )


def refused_own_hair() -> ServingError:
    """The refusal of hair from the photograph."""
    return ServingError(
        "INVALID_OPTION",
        "hairstyle is 'own', and this repository has no hair_vae that could make it; choose a "
        "style of hairstyles, or 'none'",
    )
