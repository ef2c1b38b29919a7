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
from mien_server.detection.graph import Infer as InferDetector
from mien_server.errors import ServingError
from mien_server.images import ImageLimits
from mien_server.landmarking import Infer as InferLandmarker
from mien_server.landmarking import Landmarker
from mien_server.options import OnError, on_error_option

__all__ = ["CropRequest", "crop_requests", "cropper_from_contract"]

Array = NDArray[Any]

FACE_224_OUTPUTS = ("face_224", "image_from_face_224")
NAN = np.array(np.nan, np.float32)


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
    contract: ModelContract,
    *,
    threads: int,
    infer_detector: InferDetector,
    infer_landmarker: InferLandmarker,
) -> FaceCropper:
    """The cropper that the parameters of `face_cropper/config.pbtxt` describe.

    Args:
        contract: of face_cropper.
        threads: photographs worked on at once.
        infer_detector: calls the graph `face_detector`; used only if the config names it.
        infer_landmarker: calls the graph `face_landmarker`; likewise.

    Raises:
        ValueError: a parameter is missing or has a value that is not allowed.
    """
    cv2.setNumThreads(threads)  # by itself OpenCV takes every core of the machine
    detector: FaceDetector = CascadeDetector(threads=threads)
    if _choice(contract, "detector", "cascade", "face_detector") == "face_detector":
        detector = GraphDetector(infer_detector, score_threshold=contract.number("score_threshold"))
    landmarker = None
    if _choice(contract, "landmarker", "none", "face_landmarker") == "face_landmarker":
        score_threshold = contract.number("face_score_threshold")
        landmarker = Landmarker(infer_landmarker, score_threshold=score_threshold)
    limits = ImageLimits(
        max_pixels=int(contract.number("max_pixels")), max_bytes=int(contract.number("max_bytes"))
    )
    min_face_px = int(contract.number("min_face_px"))
    return FaceCropper(
        detector, limits, min_face_px=min_face_px, threads=threads, landmarker=landmarker
    )


def _choice(contract: ModelContract, key: str, *allowed: str) -> str:
    value = contract.parameter(key)
    if value not in allowed:
        raise ValueError(
            f"parameter {key!r} of {contract.name} is {value!r}; it must be "
            f"{' or '.join(map(repr, allowed))}"
        )
    return value


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
            face_224=not wanted.isdisjoint(FACE_224_OUTPUTS),
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
    rows = [
        _refused_row(result) if isinstance(result, ServingError) else _row(result)
        for result in results
    ]
    return {name: np.stack([row[name] for row in rows]) for name in request.outputs}


def _refused_row(refusal: ServingError) -> dict[str, Array]:
    """Output tensors of one refused photograph, without the batch: NaN and zero."""
    shapes: dict[str, tuple[int, ...]] = {
        **{f"crop_{size}": (3, size, size) for size in CROP_SIZES},
        "face_224": (3, 224, 224),
        "image_from_face_224": (2, 3),
        "box_xyxy": (4,),
        "landmarks": (5, 2),
        "landmarks_68": (68, 2),
        "detection_score": (1,),
        "face_score": (1,),
    }
    return {
        **{name: np.broadcast_to(NAN, shape) for name, shape in shapes.items()},
        "alignment": _text(""),
        "face_count": np.zeros(1, np.int32),
        "image_size": np.zeros(2, np.int32),
        "error": _text(str(refusal)),
    }


def _row(result: CroppedFace) -> dict[str, Array]:
    """Output tensors of one photograph, without the batch; of the crops those that were made."""
    decas = {"face_224": result.face_224, "image_from_face_224": result.image_from_face_224}
    return {
        **{f"crop_{size}": crop for size, crop in result.crops.items()},
        **{name: array for name, array in decas.items() if array is not None},
        "box_xyxy": result.box_xyxy,
        "landmarks": result.landmarks,
        "landmarks_68": result.landmarks_68,
        "alignment": _text(result.alignment),
        "detection_score": np.array([result.detection_score], np.float32),
        "face_score": np.array([result.face_score], np.float32),
        "face_count": np.array([result.face_count], np.int32),
        "image_size": result.image_size,
        "error": _text(""),
    }


def _text(value: str) -> Array:
    return np.array([value.encode()], dtype=np.object_)
