# SPDX-License-Identifier: Apache-2.0
"""What a server's graphs read off aligned pictures, generated ones and photographs alike.

`fit_faces` would look for the face first, and does not find every one that fills its picture. Where
a face lies in an aligned picture is known, so that only its landmarks are asked for, in the
server's own two passes, and then the codes of DECA's crop about them. What lies outside the picture
is black.

Letters  N pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray

from mien_server.alignment import template
from mien_server.deca_crop import DECA_SIZE_PX, deca_window_from_box, deca_window_from_landmarks
from mien_server.detection import Detection
from mien_server.generation.calls import RECOGNIZER_COLUMNS, RECOGNIZER_ROWS
from mien_server.landmarking import LANDMARKER_INPUT, LANDMARKER_OUTPUTS, Landmarker
from mien_server.warping import warped

__all__ = ["GRAPHS", "Infer", "PictureReader", "Readings", "served_infer"]

Array = NDArray[Any]
# Name of a graph, inputs by name, names of outputs -> outputs by name.
Infer = Callable[[str, Mapping[str, Array], Sequence[str]], Mapping[str, Array]]
Readings = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

GRAPHS = ("face_recognizer", "face_landmarker", "deca_encoder")

_PICTURE_PX = 128
_AT_ONCE = 16  # deca_encoder's largest batch
# About the landmarks of the mean face in an aligned picture; a profile's are 20 pixels off.
_BOX = np.array([23.0, 42.0, 105.0, 115.0])


class PictureReader:
    """Reads embeddings, codes and face scores.

    Args:
        infer: calls a graph.
    """

    def __init__(self, infer: Infer) -> None:
        self._infer = infer
        # Nothing is dropped: a picture that shows no face is a finding.
        self._landmarker = Landmarker(self._landmarks, score_threshold=-np.inf)

    def read(self, images_rgb: NDArray[np.uint8]) -> Readings:
        """(N, 512) embeddings, (N, 236) codes and (N,) face scores of (N, 128, 128, 3) pictures."""
        parts = [
            (self._embeddings(some), *self._fits(some))
            for start in range(0, len(images_rgb), _AT_ONCE)
            if len(some := images_rgb[start : start + _AT_ONCE])
        ]
        embeddings, codes, scores = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
        return embeddings, codes, scores

    def _embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        crops = _planes(images[:, RECOGNIZER_ROWS, RECOGNIZER_COLUMNS])
        return self._infer("face_recognizer", {"crop_112": crops}, ("embedding",))["embedding"]

    def _fits(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        expected = Detection(_BOX, template(_PICTURE_PX), 1.0, "landmarks")
        found = self._landmarker.refine(list(images), [[expected]] * len(images))
        windows, scores = [], []
        for faces in found:
            points = faces[0].landmarks_68 if faces else None
            windows.append(
                deca_window_from_box(_BOX) if points is None else deca_window_from_landmarks(points)
            )
            scores.append((faces[0].face_score or 0.0) if faces else 0.0)
        crops = np.stack(
            [
                warped(image, window, DECA_SIZE_PX)
                for image, window in zip(images, windows, strict=True)
            ]
        )
        answer = self._infer("deca_encoder", {"face_224": _planes(crops)}, ("codes",))
        return answer["codes"], np.array(scores, np.float32)

    def _landmarks(
        self, crops: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        found = self._infer("face_landmarker", {LANDMARKER_INPUT: crops}, LANDMARKER_OUTPUTS)
        points_68, points_5, scores = (found[name] for name in LANDMARKER_OUTPUTS)
        return points_68, points_5, scores


def served_infer(client: triton.InferenceServerClient) -> Infer:
    """Calls graphs of a server; for one thread at a time, as the client is.

    Args:
        client: of its gRPC endpoint.
    """

    def infer(
        model: str, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> Mapping[str, Array]:
        tensors = []
        for name, array in inputs.items():
            tensor = triton.InferInput(name, array.shape, "FP32")
            tensor.set_data_from_numpy(np.ascontiguousarray(array, np.float32))
            tensors.append(tensor)
        wanted = [triton.InferRequestedOutput(name) for name in outputs]
        answer = client.infer(model, tensors, outputs=wanted)
        return {name: answer.as_numpy(name) for name in outputs}

    return infer


def _planes(images_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 3, H, W) float32, 0..255."""
    return np.ascontiguousarray(images_rgb.transpose(0, 3, 1, 2), np.float32)
