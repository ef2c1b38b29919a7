# SPDX-License-Identifier: Apache-2.0
"""The stage `face_cropper` on arrays: what its `model.py` answers requests with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_server.contract import ModelContract
from mien_server.cropping import CROP_SIZES, CroppedFace, FaceCropper
from mien_server.detection import CascadeDetector, FaceDetector, GraphDetector
from mien_server.detection.graph import Infer
from mien_server.errors import ServingError
from mien_server.images import ImageLimits
from mien_server.options import OnError, on_error_option

__all__ = ["CropRequest", "crop_requests", "cropper_from_contract"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class CropRequest:
    """One Triton request.

    Attributes:
        images: B encoded photographs.
        policies: B face policies.
        on_error: B values of the option; they must agree.
        outputs: names of the tensors the caller wants.
    """

    images: list[bytes]
    policies: list[str]
    on_error: list[str]
    outputs: frozenset[str]


def cropper_from_contract(
    contract: ModelContract, *, threads: int, infer_detector: Infer
) -> FaceCropper:
    """The cropper that the parameters of `face_cropper/config.pbtxt` describe.

    Args:
        contract: of face_cropper.
        threads: photographs worked on at once.
        infer_detector: calls the graph `face_detector`; used only if the config names it.

    Raises:
        ValueError: a parameter is missing or has a value that is not allowed.
    """
    cv2.setNumThreads(threads)  # by itself OpenCV takes every core of the machine
    name = contract.parameter("detector")
    detector: FaceDetector
    if name == "cascade":
        detector = CascadeDetector(threads=threads)
    elif name == "face_detector":
        detector = GraphDetector(infer_detector, score_threshold=contract.number("score_threshold"))
    else:
        raise ValueError(
            f"parameter 'detector' of face_cropper is {name!r}; it must be 'cascade' or "
            "'face_detector'"
        )
    limits = ImageLimits(
        max_pixels=int(contract.number("max_pixels")), max_bytes=int(contract.number("max_bytes"))
    )
    min_face_px = int(contract.number("min_face_px"))
    return FaceCropper(detector, limits, min_face_px=min_face_px, threads=threads)


def crop_requests(
    cropper: FaceCropper, requests: Sequence[CropRequest]
) -> list[dict[str, Array] | ServingError]:
    """Crop the photographs of all requests together.

    Returns:
        Per request its output tensors, batch first, or the refusal that fails it.
    """
    wanted = frozenset().union(*(request.outputs for request in requests))
    sizes = [size for size in CROP_SIZES if f"crop_{size}" in wanted]
    results = iter(
        cropper.crop(
            [image for request in requests for image in request.images],
            [policy for request in requests for policy in request.policies],
            sizes,
        )
    )
    return [_answer(request, [next(results) for _ in request.images]) for request in requests]


def _answer(
    request: CropRequest, results: list[CroppedFace | ServingError]
) -> dict[str, Array] | ServingError:
    try:
        on_error = on_error_option(request.on_error)
    except ServingError as refusal:
        return refusal
    if on_error is OnError.RAISE:
        for index, result in enumerate(results):
            if isinstance(result, ServingError):
                several = len(results) > 1
                return result.about(f"image {index + 1} of {len(results)}") if several else result
    sizes = [size for size in CROP_SIZES if f"crop_{size}" in request.outputs]
    rows = [_row(result, sizes) for result in results]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _row(result: CroppedFace | ServingError, sizes: Sequence[int]) -> dict[str, Array]:
    """Output tensors of one photograph, without the batch; NaN and zero where it was refused."""
    if isinstance(result, ServingError):
        return {
            **{f"crop_{size}": np.full((3, size, size), np.nan, np.float32) for size in sizes},
            "box_xyxy": np.full(4, np.nan, np.float32),
            "landmarks": np.full((5, 2), np.nan, np.float32),
            "alignment": _text(""),
            "detection_score": np.full(1, np.nan, np.float32),
            "face_count": np.zeros(1, np.int32),
            "image_size": np.zeros(2, np.int32),
            "error": _text(str(result)),
        }
    return {
        **{f"crop_{size}": result.crops[size] for size in sizes},
        "box_xyxy": result.box_xyxy,
        "landmarks": result.landmarks,
        "alignment": _text(result.alignment),
        "detection_score": np.array([result.detection_score], np.float32),
        "face_count": np.array([result.face_count], np.int32),
        "image_size": result.image_size,
        "error": _text(""),
    }


def _text(value: str) -> Array:
    return np.array([value.encode()], dtype=np.object_)
