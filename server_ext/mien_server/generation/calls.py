# SPDX-License-Identifier: Apache-2.0
"""The calls of other models that generating faces consists of, on arrays.

Letters  N items, R rows of a sampling step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.batch_answers import text_rows
from mien_server.deca_codes import CODE_COUNT, code_parts, head_inputs
from mien_server.diffusion.crowd import Step
from mien_server.diffusion.noise import gaussian_noise
from mien_server.errors import ServingError, serving_error_from_message
from mien_server.model_call import CallModels, ModelCall
from mien_server.options import OnError

__all__ = [
    "LATENT_SHAPE",
    "MAX_DECODED",
    "MAX_ROWS",
    "STYLE_STREAM",
    "GenerationCalls",
    "denoiser_inputs",
]

Array = NDArray[Any]

LATENT_SHAPE = (3, 32, 32)
# Largest batches of the callees.
MAX_ROWS, MAX_DECODED, MAX_STYLES = 32, 8, 32
# Noise of a sampled style: no stream that a latent draws from.
STYLE_STREAM = 2**62
# `face_recognizer`'s crop inside a generated image: the template of 128 is that of 112, 8 px wider.
RECOGNIZER_ROWS, RECOGNIZER_COLUMNS = slice(0, 112), slice(8, 120)


class GenerationCalls:
    """What the other models of the server say.

    Args:
        call_models: makes calls; from any thread.
    """

    def __init__(self, call_models: CallModels) -> None:
        self._call_models = call_models

    def faces(self, photographs: Mapping[str, tuple[bytes, str]]) -> dict[str, dict[str, Array]]:
        """Crops of the faces in photographs.

        Args:
            photographs: encoded image and face policy by the name of the input they came in.

        Returns:
            By that name, ``crop_112`` (1, 3, 112, 112) and ``face_224`` (1, 3, 224, 224).

        Raises:
            ServingError: there is no such face, or it is no photograph; says which.
        """
        images, policies = zip(*photographs.values(), strict=True)
        inputs = {
            "image": text_rows(images),
            "face_policy": text_rows([policy.encode() for policy in policies]),
            "on_error": text_rows([OnError.REPORT.value.encode()] * len(images)),
        }
        found = self._one("face_cropper", inputs, ("crop_112", "face_224", "error"))
        for name, message in zip(photographs, found["error"].ravel(), strict=True):
            if message:
                text = bytes(message).decode()
                raise serving_error_from_message(text, callee="face_cropper").about(name)
        return {
            name: {crop: found[crop][row : row + 1] for crop in ("crop_112", "face_224")}
            for row, name in enumerate(photographs)
        }

    def embeddings(self, crops: Array) -> NDArray[np.float32]:
        """(N, 512) of unit length, of (N, 3, 112, 112) crops, RGB 0..255."""
        return self._one("face_recognizer", {"crop_112": crops}, ("embedding",))["embedding"]

    def fitted_codes(self, crops: Array) -> NDArray[np.float32]:
        """(N, 236) of (N, 3, 224, 224) crops by DECA's rule.

        Raises:
            ServingError: MODEL_FAILED: they are no finite numbers.
        """
        codes = self._one("deca_encoder", {"face_224": crops}, ("codes",))["codes"]
        return _finite(codes, "deca_encoder", "codes")

    def sampled_codes(self, seeds: Sequence[int]) -> NDArray[np.float32]:
        """(N, 236), a style for each seed."""
        noise = np.stack([gaussian_noise(seed, STYLE_STREAM, (CODE_COUNT,)) for seed in seeds])
        return self._chunked("style_sampler", {"noise": noise}, "codes", MAX_STYLES)

    def style_contexts(self, codes: Array) -> NDArray[np.float32]:
        """(N, 512) of (N, 236) codes.

        Raises:
            ServingError: MODEL_FAILED: they are no finite numbers.
        """
        parts = code_parts(codes)
        inputs = {
            **head_inputs(codes),
            **{name: parts[name] for name in ("texture", "camera", "light")},
        }
        contexts = self._chunked("encode_styles", inputs, "c_sty", MAX_STYLES)
        return _finite(contexts, "encode_styles", "c_sty")

    def noise(self, step: Step[Any]) -> NDArray[np.float32]:
        """(R, 3, 32, 32): what the network takes for noise in a step."""
        return self._one("face_denoiser", denoiser_inputs(step), ("eps",))["eps"]

    def images(self, latents: Array) -> NDArray[np.uint8]:
        """(N, 128, 128, 3) RGB of (N, 3, 32, 32) latents."""
        decoded = self._chunked("latent_decoder", {"z": latents}, "image_128", MAX_DECODED)
        image: NDArray[np.uint8] = np.rint(decoded).clip(0, 255).astype(np.uint8)
        return np.ascontiguousarray(image.transpose(0, 2, 3, 1))

    def embeddings_of_images(self, images_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 512) of unit length, of (N, 128, 128, 3) generated faces."""
        crops = images_rgb[:, RECOGNIZER_ROWS, RECOGNIZER_COLUMNS].transpose(0, 3, 1, 2)
        return self.embeddings(np.ascontiguousarray(crops, np.float32))

    def _chunked(
        self, model: str, inputs: Mapping[str, Array], output: str, size: int
    ) -> NDArray[np.float32]:
        count = len(next(iter(inputs.values())))
        return np.concatenate(
            [
                self._one(
                    model,
                    {name: array[start : start + size] for name, array in inputs.items()},
                    (output,),
                )[output]
                for start in range(0, count, size)
            ]
        )

    def _one(
        self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]
    ) -> Mapping[str, Array]:
        return self._call_models([ModelCall(model, inputs, outputs)])[0]


def denoiser_inputs(step: Step[Any]) -> dict[str, Array]:
    """What `face_denoiser` is asked in a step, by input."""
    return {
        "z": step.z,
        "t": step.t[:, None],
        "c_id": step.identity,
        "c_sty": step.style,
        "keep_id": step.keep_identity,
        "keep_sty": step.keep_style,
    }


def _finite(values: Array, model: str, what: str) -> Array:
    if not np.isfinite(values).all():
        raise ServingError(
            "MODEL_FAILED",
            f"{model} answered with {what} that are no finite numbers; look at the reference, and "
            "at the precision and the weights behind generate_faces",
        )
    return values
