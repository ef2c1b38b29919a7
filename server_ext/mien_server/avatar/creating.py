# SPDX-License-Identifier: Apache-2.0
"""The pipeline `create_avatar`: photographs of a person to a head with a face and hair.

    fit -> albedo, hair mask, wrinkles, head and its movements -> texture beside hair -> likeness,
    file

Arrows are waits; what stands between two of them goes on at once. Letters: S side of the texture.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.avatar_code import AvatarCode
from mien_server.avatar.choices import NO_HAIR, OWN_HAIR, Expression
from mien_server.avatar.create_options import CreateOptions, read_create_options
from mien_server.avatar.events import Stage, Telling, avatar_event
from mien_server.avatar.expressions import HeadShapes
from mien_server.avatar.fitting import Fits, fitted
from mien_server.avatar.graph_answers import GraphAnswers, answers_about, normals_of, texture_of
from mien_server.avatar.hair_finding import hair_colour
from mien_server.avatar.likeness import compared
from mien_server.avatar.making import AvatarMaker, maker_from_contract, refused_own_hair
from mien_server.avatar.own_hair import DECODER, ENCODER
from mien_server.avatar.pictures import encoded_png
from mien_server.avatar.quality import difd
from mien_server.avatar.texture import FaceAtlas, FaceTexture, face_atlas
from mien_server.contract import ModelContract
from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError
from mien_server.generation.events import EventStream
from mien_server.model_call import CallModels, ModelCall

__all__ = ["AvatarCreator", "Helpers", "Limits", "creator_from_contract"]

_LOG = logging.getLogger(__name__)

Array = NDArray[Any]
Floats = NDArray[np.float32]

DEFAULT_SIZE = 512
GRAPHS = ("detail_encoder", "detail_decoder", "hair_segmenter", ENCODER, DECODER)


@dataclass(frozen=True, slots=True)
class Helpers:
    """Which optional graphs the repository has.

    Attributes:
        detail: `detail_encoder` and `detail_decoder`.
        segmenter: `hair_segmenter`.
        own_hair: that, `hair_vae_encoder` and `hair_vae_decoder`.
    """

    detail: bool
    segmenter: bool
    own_hair: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What photographs may be sent.

    Attributes:
        max_images: in one request.
        max_yaw_deg: that a face may be turned to either side, 0 to 180.
    """

    max_images: int
    max_yaw_deg: float


class AvatarCreator:
    """Makes avatars of photographs.

    Args:
        maker: of files.
        call_models: makes calls; from any thread.
        helpers: optional graphs.
        limits: of the photographs.
    """

    def __init__(
        self, maker: AvatarMaker, call_models: CallModels, helpers: Helpers, limits: Limits
    ) -> None:
        self._maker, self._call_models = maker, call_models
        self._helpers, self._limits = helpers, limits
        self._atlases: dict[int, FaceAtlas] = {}
        self._atlas(DEFAULT_SIZE)  # compiles kernels, so that no request pays for that

    def close(self) -> None:
        """Finish what was begun, then end."""
        self._maker.close()

    def answer(self, inputs: Mapping[str, Array], stream: EventStream) -> None:
        """Answer one request; returns once its stream is closed.

        Args:
            inputs: by name; what was left out is missing.
            stream: gets events, or the refusal.
        """
        try:
            stream.send(self._avatar(inputs, stream))
        except Exception as error:
            if not isinstance(error, ServingError):
                _LOG.exception("an avatar could not be made")
                error = ServingError("MODEL_FAILED", f"{type(error).__name__}: {error}")
            stream.fail(error)
        else:
            stream.close()

    def _avatar(self, inputs: Mapping[str, Array], stream: EventStream) -> dict[str, Array]:
        options = read_create_options(inputs, max_images=self._limits.max_images)
        self._maker.check_hairstyle(options.hairstyle)
        if options.hairstyle == OWN_HAIR and not self._helpers.own_hair:
            raise refused_own_hair()
        has_detail = self._has_detail(options)
        telling = Telling(stream, _stages(options, has_detail), wanted=options.progress)
        fits = fitted(
            options,
            self._call_models,
            wants_crop=has_detail,
            max_yaw_deg=self._limits.max_yaw_deg,
        )
        telling.done(Stage.FIT)
        answers = answers_about(
            fits,
            self._call_models,
            has_segmenter=self._helpers.segmenter,
            wants_own_hair=options.hairstyle == OWN_HAIR,
        )
        telling.done(Stage.DETAIL)
        code, shapes = self._code(options, fits, answers)
        growing = self._maker.pool.submit(self._maker.hair, code, shapes.neutral, options.file)
        atlas = self._atlas(options.texture_size)
        texture = texture_of(fits, answers, atlas)
        telling.done(Stage.TEXTURE)
        hair = growing.result()
        telling.done(Stage.HAIR)
        likeness = self._likeness(fits, texture)
        telling.done(Stage.QUALITY)
        albedo = np.rint(texture.albedo.clip(0, 1) * 255).astype(np.uint8)
        picture = EncodedImage(encoded_png(albedo))
        normals = normals_of(answers, shapes.neutral, atlas)
        turning = self._maker.turntable(code, shapes, albedo) if options.turntable else b""
        file = self._maker.file(code, shapes, hair, picture, normals, options.file)
        telling.done(Stage.FILE)
        return avatar_event(
            "avatar",
            file=file,
            avatar_code=self._maker.codes.seal(code),
            texture=picture.data,
            normals=normals.data if normals else b"",
            turntable=turning,
            codes=fits.codes,
            shape=fits.shape,
            untrained=self._maker.untrained,
            **likeness,
        )

    def _has_detail(self, options: CreateOptions) -> bool:
        if options.detail and not self._helpers.detail:
            raise ServingError(
                "INVALID_OPTION",
                "detail is true, and this repository has no detail_encoder and detail_decoder "
                "that could make it; leave detail out",
            )
        return self._helpers.detail if options.detail is None else options.detail

    def _code(
        self, options: CreateOptions, fits: Fits, answers: GraphAnswers
    ) -> tuple[AvatarCode, HeadShapes]:
        """What makes the avatar again, and its head."""
        codes = fits.codes
        emotions: Floats | None = None
        if options.expression is Expression.NEUTRAL:
            codes = codes.copy()
            codes[CODE_PARTS["expression"]] = 0
            codes[CODE_PARTS["pose"]][3:] = 0
        elif options.expression is Expression.EMOTIONS:
            emotions = options.emotions
        if options.hair_color is None:
            mask = answers.hair[0] if answers.hair else None
            colour = hair_colour(fits.sittings[0], self._maker.asset, mask)
        else:
            red, green, blue = options.hair_color.tolist()
            colour = (red, green, blue)
        worn, shapes = self._maker.heads.shapes(codes, fits.shape, emotions)
        code = AvatarCode(fits.shape, worn, options.hairstyle, colour, answers.own_hair)
        return code, shapes

    def _likeness(self, fits: Fits, texture: FaceTexture) -> dict[str, float]:
        """Figures of quality, of the first photograph."""
        (posed,) = self._maker.heads.vertices([fits.codes], fits.shape, turned=True)
        topology = self._maker.asset.topology
        same = compared(fits.sittings[0], posed, texture.albedo, texture.lights[0], topology)
        call = ModelCall("face_recognizer", {"crop_112": same.crops}, ("embedding",))
        photograph, avatar = self._call_models([call])[0]["embedding"]
        return {
            "similarity": float(np.dot(photograph, avatar)),
            "difd": difd(photograph, avatar),
            "psnr": same.psnr,
            "ssim": same.ssim,
        }

    def _atlas(self, size: int) -> FaceAtlas:
        if size not in self._atlases:
            asset = self._maker.asset
            self._atlases[size] = face_atlas(asset.topology, asset.vertices, asset.landmarks, size)
        return self._atlases[size]


def creator_from_contract(
    contract: ModelContract, folder: Path, call_models: CallModels
) -> AvatarCreator:
    """The creator that a model's configuration describes; see `making.maker_from_contract`.

    Raises:
        ValueError: a parameter, a file or the key is missing or not allowed.
    """
    most = contract.number("max_images")
    if most < 1 or most != math.floor(most):
        raise ValueError(f"max_images of {contract.name} is {most:g}; it must be 1, 2, 3, ...")
    max_yaw_deg = contract.number("max_yaw_deg")
    if not 0 < max_yaw_deg <= 180:
        raise ValueError(
            f"max_yaw_deg of {contract.name} is {max_yaw_deg:g}; it must lie above 0, and be at "
            "most 180, which refuses no face"
        )
    built = {name: contract.parameter(name) != "none" for name in GRAPHS}
    helpers = Helpers(
        detail=built["detail_encoder"] and built["detail_decoder"],
        segmenter=built["hair_segmenter"],
        own_hair=built["hair_segmenter"] and built[ENCODER] and built[DECODER],
    )
    maker = maker_from_contract(contract, folder, call_models)
    return AvatarCreator(maker, call_models, helpers, Limits(int(most), max_yaw_deg))


def _stages(options: CreateOptions, has_detail: bool) -> frozenset[Stage]:
    absent = {Stage.DETAIL} if not has_detail else set()
    absent |= {Stage.HAIR} if options.hairstyle == NO_HAIR else set()
    return frozenset(Stage) - absent
