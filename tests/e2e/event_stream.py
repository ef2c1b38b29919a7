# SPDX-License-Identifier: Apache-2.0
"""Decoupled models as a plain tritonclient sees them."""

import queue
import time

import numpy as np
import tritonclient.grpc as triton

DTYPES = {
    "BYTES": ("identity_image", "identity_token", "style_image", "style_parts", "face_policy",
              "solver", "blending_order", "image_format", "images", "shape_source", "expression",
              "hairstyle", "hair_form", "level", "format", "compression", "avatar_code", "texture",
              "normals", "output", "operation", "name", "title", "file", "licence", "author"),
    "UINT64": ("identity_seed", "seed"),
    "FP32": ("identity_embedding", "style_codes", "eta", "guidance_weight", "emotions",
             "hair_color"),
    "BOOL": ("replace_shape", "progress", "detail", "turntable"),
    "INT32": ("count", "steps", "switch_at", "preview_every", "texture_size"),
}  # fmt: skip
NUMPY = {"BYTES": object, "UINT64": np.uint64, "FP32": np.float32, "BOOL": bool, "INT32": np.int32}
TIMEOUT_S = 120


class EventStream:
    """One request to a model; iterate over its events.

    A refusal is the exception that tritonclient makes of it.
    """

    def __init__(self, address, model="generate_faces", **inputs):
        self._client = triton.InferenceServerClient(address)
        self._answers = queue.Queue()
        self._client.start_stream(lambda result, error: self._answers.put((result, error)))
        self._client.async_stream_infer(
            model,
            [tensor(name, value) for name, value in inputs.items()],
            enable_empty_final_response=True,
        )

    def __iter__(self):
        try:
            while True:
                result, error = self._answers.get(timeout=TIMEOUT_S)
                if error is not None:
                    raise error
                if result.get_response().outputs:
                    yield _event(result)
                if result.get_response().parameters["triton_final_response"].bool_param:
                    break
        except triton.InferenceServerException:
            self._let_end()
            raise
        except GeneratorExit:
            self.close()
            raise
        self._let_end()

    def arrived(self):
        """Events that are there already."""
        results = [self._answers.get()[0] for _ in range(self._answers.qsize())]
        return [_event(result) for result in results]

    def close(self):
        """Go away, whatever is still to come."""
        self._client.stop_stream(cancel_requests=True)
        self._client.close()

    def _let_end(self):
        """Wait until the server has ended the stream.

        Triton 24.10 never unloads a model again if a request of it is cancelled as it ends.
        """
        self._client.stop_stream()
        self._client.close()


def _event(result):
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def tensor(name, value):
    (dtype,) = (dtype for dtype, names in DTYPES.items() if name in names)
    values = value if isinstance(value, (list, np.ndarray)) else [value]
    array = np.array(values, NUMPY[dtype])
    given = triton.InferInput(name, array.shape, dtype)
    given.set_data_from_numpy(array)
    return given


def faces(address, **inputs):
    """seed -> (PNG, similarity)."""
    return {
        int(event["seed"][0]): (event["image"][0], float(event["similarity"][0]))
        for event in EventStream(address, **inputs)
        if event["event"][0] == b"face"
    }


def wait_until(condition, timeout_s=60):
    """Poll until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)
