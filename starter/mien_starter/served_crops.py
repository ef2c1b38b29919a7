# SPDX-License-Identifier: Apache-2.0
"""Aligned crops of a data set, cut by the server's own `face_cropper`.

A threshold holds for what the server does to photographs, detector and landmarker included, so
it is calibrated on crops that came out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from mien_starter.errors import StarterError
from mien_starter.shards import Photographs

__all__ = ["cut", "write_crops"]

BATCH = 16
_MODEL = "face_cropper"


def cut(
    address: str, photographs: Photographs, on_progress: Callable[[int], object] = lambda _: None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Let a server crop every photograph.

    Args:
        address: of the server, host:port.
        photographs: of a data set.
        on_progress: told how many photographs were sent.

    Returns:
        (N, 112, 112, 3) RGB crops of those in which a face was found, and (N,) identities.

    Raises:
        StarterError: the server cannot be reached or does not serve `face_cropper`.
    """
    crops: list[NDArray[np.uint8]] = []
    kept: list[int] = []
    client = triton.InferenceServerClient(address)
    try:
        for start in range(0, len(photographs), BATCH):
            rows = range(start, min(start + BATCH, len(photographs)))
            answer = _asked(client, [_png(photographs.image_rgb(row)) for row in rows])
            errors = answer.as_numpy("error")[:, 0]
            for row, crop, error in zip(rows, answer.as_numpy("crop_112"), errors, strict=True):
                if not error:
                    crops.append(np.round(crop.transpose(1, 2, 0)).astype(np.uint8))
                    kept.append(row)
            on_progress(rows.stop)
    except InferenceServerException as error:
        raise StarterError(
            f"the server at {address} does not crop: {error.message()}. Start mien-serve on a "
            "built repository and give its gRPC address."
        ) from error
    finally:
        client.close()
    identities = np.asarray(photographs.labels["identity"], np.int64)[kept]
    return np.array(crops, np.uint8).reshape(-1, 112, 112, 3), identities


def write_crops(path: Path, crops: NDArray[np.uint8], identities: NDArray[np.int64]) -> None:
    """Write what ``mien-export calibrate --crops`` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, crops=crops, identities=identities)


def _asked(client: triton.InferenceServerClient, encoded: list[bytes]) -> triton.InferResult:
    values = {
        "image": encoded,
        # Nobody is lost because somebody else was found, too.
        "face_policy": [b"largest"] * len(encoded),
        "on_error": [b"report"] * len(encoded),
    }
    inputs = []
    for name, column in values.items():
        tensor = triton.InferInput(name, [len(encoded), 1], "BYTES")
        tensor.set_data_from_numpy(np.array(column, dtype=object)[:, None])
        inputs.append(tensor)
    outputs = [triton.InferRequestedOutput(name) for name in ("crop_112", "error")]
    return client.infer(_MODEL, inputs, outputs=outputs)


def _png(image_rgb: NDArray[np.uint8]) -> bytes:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    return bytes(encoded)
