# SPDX-License-Identifier: Apache-2.0
"""What generated images and identity tokens state of the weights that they were made with."""

from __future__ import annotations

from collections.abc import Mapping

from mien_export.manifest import sha256_of_json

PIPELINE = "generate_faces"
# An identity is the recogniser's embedding and, of the head, the encoder's coefficients.
IDENTITY_GRAPHS = ("deca_encoder", "face_recognizer", "flame_decoder")


def digest_parameters(model: str, weights: Mapping[str, str]) -> dict[str, str]:
    """Give the parameters of `generate_faces` that follow from the weights behind it.

    Args:
        model: any; of others nothing follows.
        weights: digest of the weights of every graph behind it, see `manifest.weights_digest`.
    """
    if model != PIPELINE:
        return {}
    identities = {name: weights[name] for name in IDENTITY_GRAPHS if name in weights}
    return {"generator": sha256_of_json(weights), "identity_space": sha256_of_json(identities)}
