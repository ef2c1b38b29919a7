# SPDX-License-Identifier: Apache-2.0
"""What photographs of one person say: the heads fitted to them, merged to one person.

Letters  N photographs, V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.create_options import CreateOptions
from mien_server.avatar.facing import check_facing
from mien_server.avatar.likeness import Sitting
from mien_server.avatar.texture import moved_onto_landmarks
from mien_server.batch_answers import text_rows
from mien_server.deca_codes import CODE_PARTS
from mien_server.errors import serving_error_from_message
from mien_server.images import DecodedImage, ImageLimits, decode_image
from mien_server.model_call import CallModels, ModelCall
from mien_server.options import OnError

__all__ = ["Fits", "fitted"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

FIT_OUTPUTS = (
    "codes", "shape", "vertices", "vertices_px", "landmarks", "landmarks_68",
    "fitted_landmarks_68", "untrained", "error",
)  # fmt: skip
# face_cropper has looked at the header already.
NO_LIMITS = ImageLimits(max_pixels=2**62, max_bytes=2**62, min_side_px=1)


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """A person, and the photographs of it.

    Attributes:
        sittings: N photographs with the heads that were fitted.
        lights: (N, 27) of the fits.
        codes: (236,) of the first, with the shape of all of them.
        shape: (300,) their mean.
        texture: (50,) their mean.
        face_224: (3, 224, 224) of the first; None where it is not wanted.
    """

    sittings: tuple[Sitting, ...]
    lights: Floats
    codes: Floats
    shape: Floats
    texture: Floats
    face_224: Floats | None


def fitted(
    options: CreateOptions, call_models: CallModels, *, wants_crop: bool, max_yaw_deg: float
) -> Fits:
    """Fit heads to all photographs of a request at once.

    Args:
        options: of the request.
        call_models: makes calls.
        wants_crop: whether the first face is wanted as `detail_encoder` takes it.
        max_yaw_deg: that a face may be turned to either side.

    Raises:
        ServingError: there is no such face in one of them, it is turned too far, or it is no
            photograph; says which.
    """
    policy = options.face_policy.value.encode()
    inputs = {
        "image": text_rows(options.images),
        "face_policy": text_rows([policy] * len(options.images)),
        "on_error": text_rows([OnError.REPORT.value.encode()] * len(options.images)),
    }
    fit_inputs = dict(inputs)
    if options.shape_source:
        sources = [options.shape_source.encode()] * len(options.images)
        fit_inputs["shape_source"] = text_rows(sources)
    calls = [ModelCall("fit_faces", fit_inputs, FIT_OUTPUTS)]
    if wants_crop:
        first = {name: array[:1] for name, array in inputs.items()}
        calls.append(ModelCall("face_cropper", first, ("face_224", "error")))
    fit, *crops = call_models(calls)
    _refuse(fit["error"])
    check_facing(fit["codes"], max_yaw_deg)
    codes, shapes = fit["codes"], np.asarray(fit["shape"], np.float32)
    shape = shapes.mean(axis=0)
    own = np.array(codes[0], np.float32)
    texture = codes[:, CODE_PARTS["texture"]].mean(axis=0).astype(np.float32)
    own[CODE_PARTS["shape"]] = shape[: CODE_PARTS["shape"].stop]
    own[CODE_PARTS["texture"]] = texture
    return Fits(
        sittings=tuple(
            _sitting(decode_image(encoded, NO_LIMITS), {n: fit[n][row] for n in FIT_OUTPUTS[2:7]})
            for row, encoded in enumerate(options.images)
        ),
        lights=np.asarray(codes[:, CODE_PARTS["light"]], np.float32),
        codes=own,
        shape=shape,
        texture=texture,
        face_224=crops[0]["face_224"][0] if crops else None,
    )


def _refuse(errors: Array) -> None:
    messages: Sequence[bytes] = errors.ravel().tolist()
    for number, message in enumerate(messages, 1):
        if message:
            refusal = serving_error_from_message(bytes(message).decode(), callee="fit_faces")
            several = len(messages) > 1
            raise refusal.about(f"image {number} of {len(messages)}") if several else refusal


def _sitting(photograph: DecodedImage, fit: Mapping[str, Array]) -> Sitting:
    """The fit in pixels of what was decoded, which may be smaller than the file."""
    factor = 1 / np.array(photograph.file_from_decoded)
    placed = np.array(fit["vertices_px"], np.float32)
    fitted_68, found_68 = fit["fitted_landmarks_68"] * factor, fit["landmarks_68"] * factor
    placed *= np.append(factor, factor.mean()).astype(np.float32)
    return Sitting(
        photograph.image_rgb,
        fit["landmarks"] * factor,
        fitted_68,
        np.asarray(fit["vertices"], np.float32),
        placed,
        moved_onto_landmarks(placed, fitted_68, found_68),
    )
