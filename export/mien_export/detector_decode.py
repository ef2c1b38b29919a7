# SPDX-License-Identifier: Apache-2.0
"""From a detector's raw heads to candidates, once as ONNX operators and once in numpy.

Sources  SCRFD: insightface ``detection/scrfd`` and ``model_zoo/scrfd.py``. YuNet: opencv_zoo
         ``face_detection_yunet`` and OpenCV ``face_detect.cpp``.
Letters  B batch, A candidates of all strides, s stride in pixels.
Order    strides 8, 16, 32; inside a stride row by row; SCRFD has two candidates per location.

The numpy form is what the built graph is compared with; the two share nothing but the priors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_export.onnx_writer import OnnxWriter

STRIDES = (8, 16, 32)
IMAGE_PX = 640
POINTS = 5
Array = npt.NDArray[Any]
Heads = Mapping[tuple[str, int], str]  # (kind, stride) -> tensor name
RawHeads = Mapping[tuple[str, int], Array]


@dataclass(frozen=True)
class DetectorFamily:
    """How detectors of one family see and speak.

    Attributes:
        head_sizes: last dimension of each kind of head.
        candidates_per_location: at every stride.
        preprocess: (writer, name of RGB 0..255) to the name of what the network takes.
        decode: (writer, heads) writes ``scores``, ``boxes_xyxy`` and ``landmarks``.
        preprocess_numpy: the same for (B, 3, 640, 640).
        decode_numpy: the same for heads (B, A of the stride, size).
    """

    name: str
    head_sizes: Mapping[str, int]
    candidates_per_location: int
    preprocess: Callable[[OnnxWriter, str, str], str]
    decode: Callable[[OnnxWriter, Heads], None]
    preprocess_numpy: Callable[[Array], Array]
    decode_numpy: Callable[[RawHeads], dict[str, Array]]

    def candidates(self, stride: int) -> int:
        """Count the candidates of one stride."""
        return (IMAGE_PX // stride) ** 2 * self.candidates_per_location


def priors(candidates_per_location: int) -> tuple[Array, Array]:
    """Give the corner of every cell and its stride.

    Returns:
        (A, 2) x and y in pixels, without a half-pixel offset, and (A, 1) strides.
    """
    corners, strides = [], []
    for stride in STRIDES:
        side = IMAGE_PX // stride
        row, column = np.divmod(np.arange(side * side), side)
        grid = np.stack([column, row], axis=1) * stride
        corners.append(np.repeat(grid, candidates_per_location, axis=0))
        strides.append(np.full((len(corners[-1]), 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _joined(write: OnnxWriter, heads: Heads, kind: str) -> str:
    return write.add("Concat", *(heads[kind, stride] for stride in STRIDES), axis=1)


def _columns(write: OnnxWriter, tensor: str, start: int, end: int) -> str:
    bounds = (np.array([start]), np.array([end]), np.array([2]))
    return write.add("Slice", tensor, *(write.constant(bound) for bound in bounds))


def _write_points(write: OnnxWriter, kps: str, corners: Array, strides: Array) -> None:
    """Both families: point = corner + offset * s, x and y alternating."""
    scaled = write.add("Mul", kps, write.constant(strides))
    points = write.add("Add", scaled, write.constant(np.tile(corners, POINTS)))
    shape = write.constant(np.array([0, -1, POINTS, 2]))
    write.add("Reshape", points, shape, output="landmarks")


def _write_scores(write: OnnxWriter, scores: str) -> None:
    write.add("Reshape", scores, write.constant(np.array([0, -1])), output="scores")


def _scrfd_preprocess(write: OnnxWriter, image: str, output: str) -> str:
    centred = write.add("Sub", image, write.constant(np.array(127.5, np.float32)))
    return write.add("Div", centred, write.constant(np.array(128.0, np.float32)), output=output)


def _scrfd_decode(write: OnnxWriter, heads: Heads) -> None:
    """Box = corner minus (left, top) and plus (right, bottom), in units of s."""
    corners, strides = priors(2)
    distances = write.add("Mul", _joined(write, heads, "bbox"), write.constant(strides))
    anchor = write.constant(corners)
    low = write.add("Sub", anchor, _columns(write, distances, 0, 2))
    high = write.add("Add", anchor, _columns(write, distances, 2, 4))
    write.add("Concat", low, high, axis=2, output="boxes_xyxy")
    _write_points(write, _joined(write, heads, "kps"), corners, strides)
    _write_scores(write, _joined(write, heads, "score"))


def _scrfd_decode_numpy(raw: RawHeads) -> dict[str, Array]:
    corners, strides = priors(2)
    score, bbox, kps = (_join(raw, kind) for kind in ("score", "bbox", "kps"))
    low: Array = corners - bbox[..., :2] * strides
    high: Array = corners + bbox[..., 2:] * strides
    points = kps.reshape(*kps.shape[:2], POINTS, 2) * strides[:, None] + corners[:, None]
    return {
        "scores": score[..., 0],
        "boxes_xyxy": np.concatenate([low, high], axis=-1),
        "landmarks": points,
    }


def _yunet_preprocess(write: OnnxWriter, image: str, output: str) -> str:
    bgr_from_rgb = write.constant(np.array([2, 1, 0]))
    return write.add("Gather", image, bgr_from_rgb, axis=1, output=output)


def _yunet_decode(write: OnnxWriter, heads: Heads) -> None:
    """Centre = corner + offset * s, size = exp(log size) * s, score = sqrt(cls * obj)."""
    corners, strides = priors(1)
    stride, anchor = write.constant(strides), write.constant(corners)
    bbox = _joined(write, heads, "bbox")
    offset = write.add("Mul", _columns(write, bbox, 0, 2), stride)
    centre = write.add("Add", offset, anchor)
    exponential = write.add("Exp", _columns(write, bbox, 2, 4))
    half = write.add("Mul", exponential, write.constant(strides / 2))
    low, high = write.add("Sub", centre, half), write.add("Add", centre, half)
    write.add("Concat", low, high, axis=2, output="boxes_xyxy")
    _write_points(write, _joined(write, heads, "kps"), corners, strides)
    zero, one = (write.constant(np.array(x, np.float32)) for x in (0, 1))
    clamped = [write.add("Clip", _joined(write, heads, kind), zero, one) for kind in ("cls", "obj")]
    _write_scores(write, write.add("Sqrt", write.add("Mul", *clamped)))


def _yunet_decode_numpy(raw: RawHeads) -> dict[str, Array]:
    corners, strides = priors(1)
    cls, obj, bbox, kps = (_join(raw, kind) for kind in ("cls", "obj", "bbox", "kps"))
    centre = bbox[..., :2] * strides + corners
    size = np.exp(bbox[..., 2:]) * strides
    points = kps.reshape(*kps.shape[:2], POINTS, 2) * strides[:, None] + corners[:, None]
    return {
        "scores": np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[..., 0],
        "boxes_xyxy": np.concatenate([centre - size / 2, centre + size / 2], axis=-1),
        "landmarks": points,
    }


def _join(raw: RawHeads, kind: str) -> Array:
    return np.concatenate([raw[kind, stride] for stride in STRIDES], axis=1)


SCRFD = DetectorFamily(
    name="scrfd",
    head_sizes={"score": 1, "bbox": 4, "kps": 10},
    candidates_per_location=2,
    preprocess=_scrfd_preprocess,
    decode=_scrfd_decode,
    preprocess_numpy=lambda image: ((image - 127.5) / 128.0).astype(np.float32),
    decode_numpy=_scrfd_decode_numpy,
)
YUNET = DetectorFamily(
    name="yunet",
    head_sizes={"cls": 1, "obj": 1, "bbox": 4, "kps": 10},
    candidates_per_location=1,
    preprocess=_yunet_preprocess,
    decode=_yunet_decode,
    preprocess_numpy=lambda image: np.ascontiguousarray(image[:, ::-1]),
    decode_numpy=_yunet_decode_numpy,
)
