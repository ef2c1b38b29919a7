# SPDX-License-Identifier: Apache-2.0
"""The models behind `generate_faces`, with answers that show what they were asked."""

import threading

import numpy as np

from mien_server.diffusion.noise import gaussian_noise
from mien_server.errors import ServingError

PERSON_SHAPE = 2.0


def photograph(number):
    """A photograph whose face the planted models tell from others by its number."""
    return f"face {number}".encode()


def person(number):
    """(512,) the embedding of the face in `photograph(number)`."""
    vector = gaussian_noise(1000 + number, 0, (512,))
    return vector / np.linalg.norm(vector)


def fitted(number):
    """(236,) the codes of that photograph."""
    codes = np.full(236, number / 10, np.float32)
    codes[:100] = PERSON_SHAPE + number
    codes[206] = 7.0
    return codes


class PlantedGenerator:
    """Call it as pipelines call other models.

    `hold` keeps the denoiser waiting; `broken` names models that fail.
    """

    def __init__(self):
        self.calls, self.broken, self.noise_is_nan = [], set(), False
        self.may_run = threading.Event()
        self.may_run.set()
        self.denoising = threading.Semaphore(0)

    def hold(self):
        self.may_run.clear()

    def release(self):
        self.may_run.set()

    def of(self, model):
        return [call for call in self.calls if call.model_name == model]

    def __call__(self, calls):
        self.calls += calls
        return [self._answer(call) for call in calls]

    def _answer(self, call):
        if call.model_name == "face_denoiser":
            self.denoising.release()
            assert self.may_run.wait(20)
        if call.model_name in self.broken:
            raise ServingError("MODEL_FAILED", f"{call.model_name} is broken")
        answers = getattr(self, call.model_name)(**call.inputs)
        return {name: answers[name] for name in call.outputs}

    def face_cropper(self, image, face_policy, on_error):
        assert set(on_error.ravel()) == {b"report"}
        count = len(image)
        crops = {
            "crop_112": np.full((count, 3, 112, 112), np.nan, np.float32),
            "face_224": np.full((count, 3, 224, 224), np.nan, np.float32),
            "error": np.full((count, 1), b"", object),
        }
        for row, content in enumerate(image.ravel()):
            if content.startswith(b"face "):
                crops["crop_112"][row] = crops["face_224"][row] = float(content[5:])
            else:
                crops["error"][row] = b"mien.NO_FACE: no face was found"
        return crops

    def face_recognizer(self, crop_112):
        numbers = crop_112[:, 0, 0, 0]
        return {"embedding": np.stack([person(int(number)) for number in numbers])}

    def deca_encoder(self, face_224):
        return {"codes": np.stack([fitted(int(n)) for n in face_224[:, 0, 0, 0]])}

    def style_sampler(self, noise):
        codes = noise.copy()
        codes[:, 206] = 7.0
        return {"codes": codes}

    def encode_styles(self, shape, expression, pose, texture, camera, light):
        parts = [shape[:, :100], texture, expression[:, :50], pose, camera, light]
        codes = np.concatenate(parts, axis=1)
        return {"c_sty": np.pad(codes, ((0, 0), (0, 512 - codes.shape[1])))}

    def face_denoiser(self, z, t, c_id, c_sty, keep_id, keep_sty):
        told = keep_id * c_id[:, :1] + 0.01 * keep_sty * c_sty.mean(axis=1, keepdims=True)
        eps = 0.3 * z + 0.1 * (told + t / 1000)[:, :, None, None]
        return {"eps": eps * np.nan if self.noise_is_nan else eps.astype(np.float32)}

    def latent_decoder(self, z):
        return {"image_128": np.repeat(np.repeat(128 + 40 * z, 4, axis=2), 4, axis=3)}


class Listener:
    """The caller's side of an event stream."""

    def __init__(self, cancel_at=None):
        self.events, self.error, self.closed = [], None, threading.Event()
        self.ends = 0
        self.gone = False
        self._cancel_at = cancel_at

    def is_cancelled(self):
        return self.gone

    def send(self, tensors):
        assert not self.closed.is_set()
        self.events.append(tensors)
        if self._cancel_at == self.kinds.count("progress"):
            self.gone = True

    def close(self):
        self.ends += 1
        self.closed.set()

    def fail(self, error):
        self.error = error
        self.close()

    @property
    def kinds(self):
        return [event["event"][0].decode() for event in self.events]

    def of(self, kind):
        return [event for event in self.events if event["event"][0] == kind.encode()]

    def faces(self):
        """seed -> (image, similarity)."""
        assert self.closed.wait(20)
        assert self.error is None, self.error
        return {
            int(event["seed"][0]): (event["image"][0], float(event["similarity"][0]))
            for event in self.of("face")
        }


def inputs(**values):
    """Input tensors from plain values; `identity` is the number of a photograph."""
    kinds = {
        int: np.int32, float: np.float32, bool: np.bool_, bytes: object, str: object,
    }  # fmt: skip
    tensors = {}
    if "identity" in values:
        values["identity_image"] = photograph(values.pop("identity"))
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            tensors[name] = value
            continue
        many = value if isinstance(value, list) else [value]
        dtype = np.uint64 if name in ("seed", "identity_seed") else kinds[type(many[0])]
        many = [one.encode() if isinstance(one, str) else one for one in many]
        tensors[name] = np.array(many, dtype)
    return tensors
