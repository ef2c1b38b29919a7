# SPDX-License-Identifier: Apache-2.0
"""What images, identity tokens and avatar codes state of the weights that they were made with."""

from __future__ import annotations

from collections.abc import Mapping

from mien_export.manifest import sha256_of_json

GENERATOR = "generate_faces"
SAMPLER = "sample_identities"  # issues tokens too
# An identity is the recogniser's embedding and, of the head, the encoder's coefficients.
IDENTITY_GRAPHS = ("deca_encoder", "face_recognizer", "flame_decoder")
# An avatar's code is coefficients of the head and of its albedo, and perhaps a latent of its hair.
AVATARS = ("create_avatar", "apply_emotion", "try_hairstyle")
AVATAR_GRAPHS = ("flame_decoder", "hair_vae_decoder", "texture_decoder")


def digest_parameters(model: str, weights: Mapping[str, str]) -> dict[str, str]:
    """Give the parameters of a pipeline that follow from the weights behind it.

    Args:
        model: any; of others nothing follows.
        weights: digest of the weights of every graph behind it, see `manifest.weights_digest`.
    """
    if model in AVATARS:
        avatars = {name: weights[name] for name in AVATAR_GRAPHS if name in weights}
        return {"avatar_space": sha256_of_json(avatars)}
    if model not in (GENERATOR, SAMPLER):
        return {}
    identities = {name: weights[name] for name in IDENTITY_GRAPHS if name in weights}
    digests = {"identity_space": sha256_of_json(identities)}
    return digests | ({"generator": sha256_of_json(weights)} if model == GENERATOR else {})
