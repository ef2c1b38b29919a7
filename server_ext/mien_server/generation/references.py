# SPDX-License-Identifier: Apache-2.0
"""From what a request refers to, to the contexts of its faces.

Paper    MorphFace (arXiv 2504.00430), sections B.3 and D.1: expression, pose, texture and light of
         a style are sampled, its shape is that of the person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.deca_codes import CODE_COUNT, CODE_PARTS, with_parts
from mien_server.diffusion.noise import MAX_SEED
from mien_server.errors import ServingError
from mien_server.generation.calls import GenerationCalls
from mien_server.generation.identity_tokens import Identity, IdentityTokens
from mien_server.generation.options import OptionReader

__all__ = ["IDENTITY_INPUTS", "STYLE_INPUTS", "Contexts", "References"]

Array = NDArray[Any]
# An identity that no photograph shows: who comes out for a seed and an identity-free style.
FindIdentity = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]

IDENTITY_INPUTS = ("identity_image", "identity_token", "identity_embedding", "identity_seed")
STYLE_INPUTS = ("style_image", "style_codes")
FACE_POLICIES = ("largest", "single")
# Of the portrait that a new identity is read off: straight and at rest.
AT_REST = frozenset({"expression", "pose"})
# A seed must not give its identity the noise that it gives a face.
IDENTITY_SEED_MASK = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """What N faces are conditioned on.

    Attributes:
        identity: of all of them.
        codes: (N, 236) of their styles, in DECA's order.
        style: (N, 512).
    """

    identity: Identity
    codes: NDArray[np.float32]
    style: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class References:
    """Makes contexts of what requests refer to.

    Attributes:
        calls: of the other models.
        tokens: of this server.
        find_identity: gives the (512,) embedding of a new identity, from its seed and (236,) codes.
        allows_embeddings: whether a request may bring a bare recognition embedding.
    """

    calls: GenerationCalls
    tokens: IdentityTokens
    find_identity: FindIdentity
    allows_embeddings: bool

    def check(self, inputs: Mapping[str, Array], count: int) -> None:
        """Refuse what can be refused without asking another model.

        Raises:
            ServingError: INVALID_OPTION, INVALID_TENSOR or INVALID_IDENTITY.
        """
        _only_one(inputs, IDENTITY_INPUTS, required=True)
        _only_one(inputs, STYLE_INPUTS, required=False)
        _policy(inputs)
        if "identity_embedding" in inputs:
            self._given_embedding(inputs["identity_embedding"])
        if "identity_token" in inputs:
            self.tokens.open(OptionReader(inputs).text("identity_token") or "")
        if "style_codes" in inputs:
            _given_codes(inputs["style_codes"], count)
        parts = _given_parts(inputs)
        if parts and not any(name in inputs for name in STYLE_INPUTS):
            raise ServingError(
                "INVALID_OPTION",
                "style_parts says which parts of a style are given, but neither style_image nor "
                "style_codes came; send one of them, or leave style_parts out",
            )

    def contexts(self, inputs: Mapping[str, Array], seeds: Sequence[int]) -> Contexts:
        """Contexts of a request's faces.

        Args:
            inputs: by name, after `check`.
            seeds: of the faces.

        Raises:
            ServingError: a photograph shows no face, or a model failed.
        """
        faces = self._faces(inputs, ("identity_image", "style_image"))
        identity = self._identity(inputs, faces.get("identity_image"))
        codes = self._codes(inputs, faces.get("style_image"), seeds)
        if identity.shape is not None and OptionReader(inputs).flag("replace_shape", True):
            codes[:, CODE_PARTS["shape"]] = identity.shape
        return Contexts(identity, codes, self.calls.style_contexts(codes))

    def identity(self, inputs: Mapping[str, Array]) -> Identity:
        """The identity alone, where no face of it is wanted.

        Raises:
            ServingError: as `contexts`.
        """
        return self._identity(
            inputs, self._faces(inputs, ("identity_image",)).get("identity_image")
        )

    def _faces(
        self, inputs: Mapping[str, Array], names: Sequence[str]
    ) -> Mapping[str, Mapping[str, Array]]:
        photographs = {
            name: (bytes(inputs[name].ravel()[0]), _policy(inputs))
            for name in names
            if name in inputs
        }
        return self.calls.faces(photographs) if photographs else {}

    def _identity(self, inputs: Mapping[str, Array], face: Mapping[str, Array] | None) -> Identity:
        if face is not None:
            codes = self.calls.fitted_codes(face["face_224"])
            return Identity(
                self.calls.embeddings(face["crop_112"])[0], codes[0, CODE_PARTS["shape"]]
            )
        if "identity_token" in inputs:
            return self.tokens.open(OptionReader(inputs).text("identity_token") or "")
        if "identity_embedding" in inputs:
            return Identity(self._given_embedding(inputs["identity_embedding"]))
        return self._new_identity(OptionReader(inputs).whole("identity_seed", None, 0, MAX_SEED))

    def _new_identity(self, seed: int) -> Identity:
        seed ^= IDENTITY_SEED_MASK
        sampled = self.calls.sampled_codes([seed])
        codes = with_parts(sampled, np.zeros_like(sampled), AT_REST)[0]
        return Identity(self.find_identity(seed, codes), codes[CODE_PARTS["shape"]])

    def _given_embedding(self, embedding: Array) -> NDArray[np.float32]:
        if not self.allows_embeddings:
            raise ServingError(
                "INVALID_OPTION",
                "identity_embedding came, but this server makes no faces of bare embeddings, since "
                "they could be somebody's stolen template. Send a photograph or a token; its "
                "operator can allow them with --set generate_faces.raw_identities=true",
            )
        vector = np.asarray(embedding, np.float64).ravel()
        length = float(np.linalg.norm(vector))
        if not (np.isfinite(length) and length > 0):
            raise ServingError(
                "INVALID_TENSOR",
                f"identity_embedding has the length {length:g}; it must be finite and not zero",
            )
        unit: NDArray[np.float32] = (vector / length).astype(np.float32)
        return unit

    def _codes(
        self,
        inputs: Mapping[str, Array],
        face: Mapping[str, Array] | None,
        seeds: Sequence[int],
    ) -> NDArray[np.float32]:
        """(N, 236): what is given, and what is sampled in the place of all else."""
        given = None
        if face is not None:
            given = self.calls.fitted_codes(face["face_224"])
        elif "style_codes" in inputs:
            given = _given_codes(inputs["style_codes"], len(seeds))
        parts = _given_parts(inputs) or frozenset(CODE_PARTS)
        if given is not None and parts == frozenset(CODE_PARTS):
            return np.array(np.broadcast_to(given, (len(seeds), CODE_COUNT)))
        sampled = self.calls.sampled_codes(seeds)
        return np.array(sampled) if given is None else with_parts(sampled, given, parts)


def _only_one(inputs: Mapping[str, Array], names: Sequence[str], *, required: bool) -> None:
    came = [name for name in names if name in inputs]
    if len(came) > 1 or (required and not came):
        raise ServingError(
            "INVALID_OPTION",
            f"{' and '.join(came) or 'none'} of {', '.join(names)} came; "
            f"{'exactly' if required else 'at most'} one of them may",
        )


def _policy(inputs: Mapping[str, Array]) -> str:
    policy = OptionReader(inputs).text("face_policy") or FACE_POLICIES[0]
    if policy not in FACE_POLICIES:
        raise ServingError(
            "INVALID_OPTION",
            f"face_policy is {policy!r}; it must be one of {', '.join(map(repr, FACE_POLICIES))}",
        )
    return policy


def _given_codes(codes: Array, count: int) -> NDArray[np.float32]:
    if len(codes) not in (1, count):
        raise ServingError(
            "INVALID_TENSOR",
            f"style_codes has {len(codes)} rows; send one for all faces, or one for each of "
            f"{count}",
        )
    if not np.isfinite(codes).all():
        raise ServingError("INVALID_TENSOR", "style_codes holds NaN or infinity")
    scales = codes[:, CODE_PARTS["camera"].start]
    if not (scales > 0).all():
        raise ServingError(
            "INVALID_TENSOR",
            f"the camera of style_codes has the scale {scales.min():g}; it must be positive",
        )
    return np.asarray(codes, np.float32)


def _given_parts(inputs: Mapping[str, Array]) -> frozenset[str]:
    """Names in ``style_parts``; none where it was left out."""
    names = [
        bytes(name).decode("utf-8", "backslashreplace")
        for name in np.asarray(inputs.get("style_parts", ())).ravel()
    ]
    unknown = sorted(set(names) - CODE_PARTS.keys())
    if unknown:
        raise ServingError(
            "INVALID_OPTION",
            f"style_parts names {', '.join(map(repr, unknown))}; parts are {', '.join(CODE_PARTS)}",
        )
    return frozenset(names)
