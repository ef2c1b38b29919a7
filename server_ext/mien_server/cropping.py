# SPDX-License-Identifier: Apache-2.0
"""From encoded photographs to aligned crops of the one face each is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien_server.alignment import crop_face
from mien_server.deca_crop import (
    DECA_SIZE_PX,
    deca_window_from_box,
    deca_window_from_landmarks,
)
from mien_server.detection import Detection, FaceDetector
from mien_server.errors import ServingError
from mien_server.images import DecodedImage, ImageLimits, decode_image
from mien_server.landmarking import Landmarker
from mien_server.warping import inverted, warped

__all__ = ["CROP_SIZES", "FACE_POLICIES", "CroppedFace", "FaceCropper"]

CROP_SIZES = (112, 128, 224, 256)
FACE_POLICIES = ("largest", "single")

# Decoded photographs held at once: at the default limit one may take 190 MB.
CHUNK = 4

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class CroppedFace:
    """The chosen face of one photograph; all pixels are those of the upright file.

    Attributes:
        crops: size -> (3, size, size) float32 RGB 0..255, aligned by the ArcFace template.
        face_224: (3, 224, 224) float32 RGB 0..255, DECA's crop; None unless asked for.
        image_from_face_224: (2, 3) float32, from pixels of that crop; None likewise.
        box_xyxy: (4,) float32.
        landmarks: (5, 2) float32.
        landmarks_68: (68, 2) float32; NaN without a landmarker.
        alignment: "landmarks", "eyes" or "box".
        detection_score: the detector's own scale.
        face_score: the landmarker's, 0..1; NaN without one.
        face_count: faces found.
        image_size: (2,) int32 width, height.
    """

    crops: dict[int, NDArray[np.float32]]
    face_224: NDArray[np.float32] | None
    image_from_face_224: NDArray[np.float32] | None
    box_xyxy: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    landmarks_68: NDArray[np.float32]
    alignment: str
    detection_score: float
    face_score: float
    face_count: int
    image_size: NDArray[np.int32]


class FaceCropper:
    """Decode, detect, find landmarks, choose, align.

    Args:
        detector: finds the faces.
        limits: what is refused before decoding.
        min_face_px: shorter side of the face box in the file, below which the face is refused.
        threads: photographs decoded at once.
        landmarker: refines what was detected and drops what is no face; None leaves it as it is.
    """

    def __init__(
        self,
        detector: FaceDetector,
        limits: ImageLimits,
        *,
        min_face_px: int,
        threads: int = 1,
        landmarker: Landmarker | None = None,
    ) -> None:
        self._detector = detector
        self._landmarker = landmarker
        self._limits = limits
        self._min_face_px = min_face_px
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def crop(
        self,
        images: Sequence[bytes],
        policies: Sequence[str],
        sizes: Sequence[int],
        *,
        face_224: bool = False,
    ) -> list[CroppedFace | ServingError]:
        """One result per photograph, in order; a bad one harms no other.

        Args:
            images: encoded photographs.
            policies: "largest" or "single", one per photograph.
            sizes: aligned crops to make, out of `CROP_SIZES`.
            face_224: whether to make DECA's crop.
        """
        results: list[CroppedFace | ServingError] = []
        for chunk in _chunks(zip(images, policies, strict=True), CHUNK):
            results += self._crop_chunk(chunk, sizes, face_224=face_224)
        return results

    def _crop_chunk(
        self, chunk: list[tuple[bytes, str]], sizes: Sequence[int], *, face_224: bool
    ) -> list[CroppedFace | ServingError]:
        decoded = self._map(self._decode, chunk)
        good = [
            (image, policy)
            for image, (_, policy) in zip(decoded, chunk, strict=True)
            if isinstance(image, DecodedImage)
        ]
        found = iter(
            self._faces(
                [image.image_rgb for image, _ in good],
                thorough=[policy == "single" for _, policy in good],
            )
        )
        return [
            image
            if isinstance(image, ServingError)
            else _refusable(self._choose_and_crop, image, next(found), policy, sizes, face_224)
            for image, (_, policy) in zip(decoded, chunk, strict=True)
        ]

    def _faces(
        self, images_rgb: Sequence[NDArray[np.uint8]], *, thorough: Sequence[bool]
    ) -> list[list[Detection]]:
        """Faces of each image, largest first, with landmarks where there is a landmarker."""
        if not images_rgb:
            return []
        detected = self._detector.detect(images_rgb, thorough=thorough)
        if self._landmarker is None:
            return detected
        faces = self._landmarker.refine(images_rgb, detected)
        # A quick look that met nothing but false alarms has not looked everywhere.
        again = [i for i, done in enumerate(thorough) if detected[i] and not faces[i] and not done]
        second_look = self._faces([images_rgb[i] for i in again], thorough=[True] * len(again))
        for i, found in zip(again, second_look, strict=True):
            faces[i] = found
        return faces

    def _map(self, call: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        return [call(items[0])] if len(items) == 1 else list(self._pool.map(call, items))

    def _decode(self, item: tuple[bytes, str]) -> DecodedImage | ServingError:
        encoded, policy = item
        if policy not in FACE_POLICIES:
            return ServingError(
                "INVALID_OPTION",
                f"face_policy is {policy!r}; it must be one of {', '.join(FACE_POLICIES)}",
            )
        return _refusable(decode_image, encoded, self._limits)

    def _choose_and_crop(
        self,
        image: DecodedImage,
        faces: Sequence[Detection],
        policy: str,
        sizes: Sequence[int],
        wants_face_224: bool,
    ) -> CroppedFace:
        face = self._choose(image, faces, policy)
        scale = np.array(image.file_from_decoded)
        face_224, image_from_face_224 = _deca_crop(image, face) if wants_face_224 else (None, None)
        points_68 = np.full((68, 2), np.nan) if face.landmarks_68 is None else face.landmarks_68
        return CroppedFace(
            crops={size: crop_face(image.image_rgb, face.landmarks, size) for size in sizes},
            face_224=face_224,
            image_from_face_224=image_from_face_224,
            box_xyxy=(face.box_xyxy * np.tile(scale, 2)).astype(np.float32),
            landmarks=(face.landmarks * scale).astype(np.float32),
            landmarks_68=(points_68 * scale).astype(np.float32),
            alignment=face.alignment,
            detection_score=face.score,
            face_score=np.nan if face.face_score is None else face.face_score,
            face_count=len(faces),
            image_size=np.array([image.width, image.height], np.int32),
        )

    def _choose(self, image: DecodedImage, faces: Sequence[Detection], policy: str) -> Detection:
        size = f"{image.width}x{image.height} image"
        if not faces:
            raise ServingError(
                "NO_FACE",
                f"no face was found in the {size}; send an upright photograph with a face looking "
                "at the camera",
            )
        if policy == "single" and len(faces) > 1:
            raise ServingError(
                "MULTIPLE_FACES",
                f"{len(faces)} faces were found in the {size} and face_policy is 'single'; crop it "
                "to one person or use 'largest'",
            )
        face = faces[0]
        left, top, right, bottom = face.box_xyxy * np.tile(np.array(image.file_from_decoded), 2)
        side = min(right - left, bottom - top)
        if side < self._min_face_px:
            raise ServingError(
                "FACE_TOO_SMALL",
                f"the largest face in the {size} is {side:.0f} pixels wide; at least "
                f"{self._min_face_px} are needed, send a larger photograph",
            )
        return face


def _deca_crop(
    image: DecodedImage, face: Detection
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(3, 224, 224) and the (2, 3) way from its pixels to those of the upright file."""
    if face.landmarks_68 is None:
        crop_from_decoded = deca_window_from_box(face.box_xyxy)
    else:
        crop_from_decoded = deca_window_from_landmarks(face.landmarks_68)
    crop = warped(image.image_rgb, crop_from_decoded, DECA_SIZE_PX).transpose(2, 0, 1)
    file_from_crop = np.array(image.file_from_decoded)[:, None] * inverted(crop_from_decoded)
    return np.ascontiguousarray(crop, np.float32), file_from_crop.astype(np.float32)


def _refusable(call: Callable[..., _R], *args: Any) -> _R | ServingError:
    """The call's result, or the refusal it raised: it belongs to this item alone."""
    try:
        return call(*args)
    except ServingError as error:
        return error


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
