# SPDX-License-Identifier: Apache-2.0
"""What the graphs about skin and hair say of a person, and the pictures that come of it.

Letters  S side of the texture, s that of the albedo model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.detail_normals import detail_normal_map
from mien_server.avatar.fitting import Fits
from mien_server.avatar.hair_finding import hair_masks, segmenter_call
from mien_server.avatar.own_hair import read_own_hair
from mien_server.avatar.pictures import encoded_png
from mien_server.avatar.texture import FaceAtlas, FaceTexture, PhotographedHead, face_texture
from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import ServingError
from mien_server.model_call import CallModels, ModelCall

__all__ = ["GraphAnswers", "answers_about", "normals_of", "texture_of"]

Array = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class GraphAnswers:
    """What the graphs say of a person.

    Attributes:
        albedo: (s, s, 3) 0..1 of the albedo model.
        hair: (H, W) 0..1 of each photograph; None without `hair_segmenter`.
        displacement: (256, 256) metres of the wrinkles; None without detail.
        own_hair: (L,) latent of the first's hair; None of a bald head, or where it is not wanted.
    """

    albedo: Array
    hair: list[NDArray[np.float32]] | None
    displacement: Array | None
    own_hair: Floats | None


def answers_about(
    fits: Fits, call_models: CallModels, *, has_segmenter: bool, wants_own_hair: bool
) -> GraphAnswers:
    """Ask the graphs about skin and hair, at once as far as they can be.

    Args:
        fits: of the photographs; with a crop where wrinkles are wanted.
        call_models: makes calls.
        has_segmenter: whether there is a `hair_segmenter`.
        wants_own_hair: as a latent; asks for a segmenter and a `hair_vae_encoder`.
    """
    texture = {"texture": fits.texture[None]}
    calls = [ModelCall("texture_decoder", texture, ("albedo",))]
    if has_segmenter:
        calls.append(segmenter_call(fits.sittings))
    if fits.face_224 is not None:
        crop = {"face_224": fits.face_224[None]}
        calls.append(ModelCall("detail_encoder", crop, ("detail",)))
    albedo, *others = call_models(calls)
    hair = displacement = own_hair = None
    if has_segmenter:
        masks = others.pop(0)["masks"]
        hair = hair_masks(fits.sittings, masks)
        if wants_own_hair:
            own_hair = read_own_hair(fits.sittings[0], masks[0], call_models)
    if fits.face_224 is not None:
        jaw = fits.codes[CODE_PARTS["pose"]][3:]
        expression = fits.codes[CODE_PARTS["expression"]]
        row = np.concatenate([jaw, expression, others.pop(0)["detail"][0]])
        wrinkles = {"jaw_expression_detail": row[None].astype(np.float32)}
        call = ModelCall("detail_decoder", wrinkles, ("displacement",))
        displacement = call_models([call])[0]["displacement"][0, 0]
    return GraphAnswers(albedo["albedo"][0].transpose(1, 2, 0), hair, displacement, own_hair)


def texture_of(fits: Fits, answers: GraphAnswers, atlas: FaceAtlas) -> FaceTexture:
    """The skin, painted from the photographs.

    Raises:
        ServingError: MODEL_FAILED: what `fit_faces` answered with is no head.
    """
    masks: Sequence[Array | None] = answers.hair or [None] * len(fits.sittings)
    try:
        heads = [
            PhotographedHead(each.image_rgb, each.vertices, each.registered_px, light, hair)
            for each, light, hair in zip(fits.sittings, fits.lights, masks, strict=True)
        ]
    except ValueError as why:
        raise ServingError("MODEL_FAILED", f"fit_faces answered with no head: {why}") from None
    return face_texture(heads, answers.albedo, atlas)


def normals_of(answers: GraphAnswers, neutral: Floats, atlas: FaceAtlas) -> EncodedImage | None:
    """The normal map of the wrinkles on (V, 3) the head at rest; None without detail."""
    if answers.displacement is None:
        return None
    drawn = detail_normal_map(answers.displacement, neutral, atlas.texels, mask=atlas.photograph)
    return EncodedImage(encoded_png(drawn))
