# SPDX-License-Identifier: Apache-2.0
"""The same work without a server: what serving may cost at most nothing over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from mien_server.cropping import CroppedFace, FaceCropper
from mien_server.detection import CascadeDetector
from mien_server.images import ImageLimits

__all__ = ["bare_graph", "embed_in_process"]


def _session(repository: Path, threads: int, *, spinning: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    path = repository / "face_recognizer" / "1" / "model.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def bare_graph(repository: Path, threads: int, batch: int) -> Callable[[], object]:
    """One run of the recognition graph on crops that are already there."""
    session = _session(repository, threads, spinning=True)
    crops = np.random.default_rng(0).uniform(0, 255, (batch, 3, 112, 112)).astype(np.float32)
    return lambda: session.run(None, {"crop_112": crops})


def embed_in_process(repository: Path, threads: int) -> Callable[[bytes], np.ndarray]:
    """Decode, detect, align and embed one photograph, each step with the whole thread budget."""
    cv2.setNumThreads(threads)
    # Spinning threads would fight with OpenCV's for the cores: this loop is faster without.
    session = _session(repository, threads, spinning=False)
    detector = CascadeDetector(threads=threads)
    cropper = FaceCropper(detector, ImageLimits(), min_face_px=32, threads=threads)

    def embed(photograph: bytes) -> np.ndarray:
        (face,) = cropper.crop([photograph], ["largest"], (112,))
        assert isinstance(face, CroppedFace)
        embedding: np.ndarray = session.run(None, {"crop_112": face.crops[112][None]})[0]
        return embedding

    return embed
