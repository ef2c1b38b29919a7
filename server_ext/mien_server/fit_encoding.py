# SPDX-License-Identifier: Apache-2.0
"""Codes and shape of faces: what `fit_faces` asks deca_encoder and mica_encoder, and makes of it.

A face and its mirror image have the same shape where the components of the head model are mirror
images of themselves. What deca_encoder gets wrong is not the same in both, so that the mean of the
two is nearer to the truth. Letters: N photographs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.batch_answers import text_rows
from mien_server.deca_codes import CODE_COUNT, CODE_PARTS
from mien_server.errors import ServingError
from mien_server.model_call import CallModels, ModelCall
from mien_server.shape_sources import (
    SHAPE_COUNT,
    ShapeSource,
    mixed_shapes,
    shape_source_option,
)

__all__ = ["FitEncoders", "encoded_faces", "sources_of"]

Array = NDArray[Any]

BROKEN_CODES = (
    "deca_encoder or mica_encoder answered with codes that are no finite numbers; look at the "
    "photograph, and at the precision and the weights behind fit_faces"
)


@dataclass(frozen=True, slots=True)
class FitEncoders:
    """What reads codes and shapes.

    Attributes:
        has_mica: whether there is a mica_encoder.
        mirrored_shape: whether deca_encoder looks at mirrored crops too, for the shape.
    """

    has_mica: bool
    mirrored_shape: bool


def sources_of(asked: Sequence[str], encoders: FitEncoders) -> tuple[Array, Array]:
    """(N,) the source of each shape, and (N, 1) refusals, b"" where there is none.

    Args:
        asked: N values of the option `shape_source`.
        encoders: that there are.
    """
    sources, refusals = np.full(len(asked), ShapeSource.DECA), text_rows([b""] * len(asked))
    for index, value in enumerate(asked):
        try:
            sources[index] = shape_source_option(value, has_mica=encoders.has_mica)
        except ServingError as refusal:
            refusals[index, 0] = str(refusal).encode()
    return sources, refusals


def encoded_faces(
    faces: Mapping[str, Array], encoders: FitEncoders, call_models: CallModels
) -> dict[str, Array]:
    """Codes and shapes of the faces that were found, NaN elsewhere, and the errors by now.

    Args:
        faces: face_224 and crop_112 as face_cropper gives them, error (N, 1), and source (N,).
        encoders: that there are.
        call_models: makes calls.

    Returns:
        codes (N, 236) as deca_encoder gives them, shape (N, 300), is_reshaped (N,) where that is
        not the shape of the codes, and error (N, 1).
    """
    errors, sources = faces["error"].copy(), faces["source"]
    codes = np.full((len(errors), CODE_COUNT), np.nan, np.float32)
    mica = np.full((len(errors), SHAPE_COUNT), np.nan, np.float32)
    found = np.flatnonzero(errors[:, 0] == b"")
    aligned = found[sources[found] != ShapeSource.DECA]
    twice = found[(sources[found] != ShapeSource.MICA) & encoders.mirrored_shape]
    deca = codes[:, CODE_PARTS["shape"]].copy()
    if found.size:
        crops = faces["face_224"]
        seen = np.concatenate([crops[found], crops[twice][..., ::-1]])
        calls = [ModelCall("deca_encoder", {"face_224": seen}, ("codes",))]
        if aligned.size:
            crop_112 = {"crop_112": faces["crop_112"][aligned]}
            calls.append(ModelCall("mica_encoder", crop_112, ("shape",)))
        answered = call_models(calls)
        codes[found], mirrored = np.split(answered[0]["codes"], [len(found)])
        deca[found] = codes[found, CODE_PARTS["shape"]]
        deca[twice] = (deca[twice] + mirrored[:, CODE_PARTS["shape"]]) / 2
        if aligned.size:
            mica[aligned] = answered[1]["shape"]
    shape = mixed_shapes(deca, mica, list(sources))
    finite = np.isfinite(codes).all(axis=1) & np.isfinite(shape).all(axis=1)
    broken = found[~finite[found]]
    codes[broken] = shape[broken] = np.nan
    errors[broken, 0] = str(ServingError("MODEL_FAILED", BROKEN_CODES)).encode()
    is_reshaped = (sources != ShapeSource.DECA) | encoders.mirrored_shape
    return {"codes": codes, "shape": shape, "is_reshaped": is_reshaped, "error": errors}
