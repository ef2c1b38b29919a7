# SPDX-License-Identifier: Apache-2.0
"""Hair as it is in a photograph: to a latent that avatar codes keep, and from there to strands.

    photograph, masks -> orientation map -> hair_vae_encoder -> latent
    latent -> hair_vae_decoder -> strands

Letters: H and W of a photograph, L numbers of a latent.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.hair_finding import FEWEST_SHARE
from mien_server.avatar.hairdressing import WornStyle
from mien_server.avatar.likeness import Sitting
from mien_server.errors import ServingError
from mien_server.hair.orientation import hair_orientation
from mien_server.hair.orientation_masks import person_masks
from mien_server.hair.portrait_crop import (
    PORTRAIT_SIZE_PX,
    portrait_window_from_landmarks,
    twice_as_large,
)
from mien_server.hair.strands import strands_from_grid
from mien_server.model_call import CallModels, ModelCall
from mien_server.warping import warped

__all__ = [
    "DECODER",
    "ENCODER",
    "OwnHair",
    "orientation_map_of",
    "own_style",
    "read_own_hair",
]

Array = NDArray[Any]
Floats = NDArray[np.float32]

ENCODER, DECODER = "hair_vae_encoder", "hair_vae_decoder"
KEPT = 4  # styles, half a megabyte each: a slider asks for the same one again and again


def orientation_map_of(sitting: Sitting, masks: Array) -> NDArray[np.uint8] | None:
    """Which way hair runs in a photograph.

    Args:
        sitting: the photograph.
        masks: (2, 256, 256), what `hair_segmenter` says of it.

    Returns:
        (256, 256, 3) RGB in HairNet's encoding; None of a bald head.
    """
    hair, body = person_masks(np.asarray(masks, np.float32))
    if hair.mean() < FEWEST_SHARE:
        return None
    window = twice_as_large(portrait_window_from_landmarks(sitting.landmarks_68))
    portrait = warped(sitting.image_rgb, window, 2 * PORTRAIT_SIZE_PX)
    return hair_orientation(portrait, hair, body).map_rgb


def read_own_hair(sitting: Sitting, masks: Array, call_models: CallModels) -> Floats | None:
    """(L,) the latent of the hair in a photograph; None of a bald head.

    Args:
        sitting: the photograph.
        masks: (2, 256, 256), what `hair_segmenter` says of it.
        call_models: makes calls.
    """
    map_rgb = orientation_map_of(sitting, masks)
    if map_rgb is None:
        return None
    image = np.ascontiguousarray(map_rgb.transpose(2, 0, 1)[None], np.float32)
    call = ModelCall(ENCODER, {"orientation_map": image}, ("latent",))
    return np.array(call_models([call])[0]["latent"][0], np.float32)


def own_style(latent: Array, call_models: CallModels) -> WornStyle | None:
    """The strands that a latent stands for; None where it stands for none.

    Args:
        latent: (L,) of `read_own_hair`.
        call_models: makes calls.

    Raises:
        ServingError: MODEL_FAILED, the answer is no hair.
    """
    row = np.ascontiguousarray(np.asarray(latent, np.float32)[None])
    grid = call_models([ModelCall(DECODER, {"latent": row}, ("strands",))])[0]["strands"][0]
    try:
        strands = strands_from_grid(grid)
    except ValueError as why:
        raise ServingError("MODEL_FAILED", f"{DECODER} answered with no hair: {why}") from None
    digest = hashlib.sha256(row.tobytes()).hexdigest()
    return WornStyle(strands, f"own {digest}") if len(strands) else None


class OwnHair:
    """Styles of latents, of which the last few are kept. Safe to use from several threads.

    Args:
        call_models: makes calls.
    """

    def __init__(self, call_models: CallModels) -> None:
        self._call_models = call_models
        self._kept: dict[bytes, WornStyle | None] = {}
        self._lock = threading.Lock()

    def style(self, latent: Array) -> WornStyle | None:
        """As `own_style`."""
        key = np.asarray(latent, np.float32).tobytes()
        with self._lock:
            if key in self._kept:
                self._kept[key] = self._kept.pop(key)  # the last used one last
                return self._kept[key]
        made = own_style(latent, self._call_models)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return made
