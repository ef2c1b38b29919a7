# SPDX-License-Identifier: Apache-2.0
"""Every graph that can be built, and the calls between models that no config states."""

from __future__ import annotations

from collections.abc import Mapping

from mien_export.spec import Dependency, ExportSpec
from mien_export.specs import (
    deca_encoder,
    detail_decoder,
    detail_encoder,
    emotion_mlp,
    expression_judge,
    face_denoiser,
    face_detector,
    face_landmarker,
    face_recognizer,
    flame_decoder,
    hair_segmenter,
    hair_vae_decoder,
    hair_vae_encoder,
    identity_denoiser,
    latent_decoder,
    latent_encoder,
    mica_encoder,
    style_encoder,
    style_sampler,
    texture_decoder,
    vggface_recognizer,
)

SPECS: Mapping[str, ExportSpec] = {
    spec.model: spec
    for spec in (
        deca_encoder.SPEC,
        detail_decoder.SPEC,
        detail_encoder.SPEC,
        emotion_mlp.SPEC,
        expression_judge.SPEC,
        face_denoiser.SPEC,
        face_detector.SPEC,
        face_landmarker.SPEC,
        face_recognizer.SPEC,
        flame_decoder.SPEC,
        hair_segmenter.SPEC,
        hair_vae_decoder.SPEC,
        hair_vae_encoder.SPEC,
        identity_denoiser.SPEC,
        latent_decoder.SPEC,
        latent_encoder.SPEC,
        mica_encoder.SPEC,
        style_encoder.SPEC,
        style_sampler.SPEC,
        texture_decoder.SPEC,
        vggface_recognizer.SPEC,
    )
}

# Without these two avatars cannot wear the hair of their photographs.
HAIR_ENCODER, HAIR_DECODER = (
    Dependency(f"hair_vae_{half}", when_built=True, sets={f"hair_vae_{half}": f"hair_vae_{half}"})
    for half in ("encoder", "decoder")
)

# Ensembles name their steps in config.pbtxt; what a model.py calls stands here.
PIPELINE_DEPENDENCIES: Mapping[str, tuple[Dependency, ...]] = {
    "apply_emotion": (
        Dependency("emotion_mlp"),
        Dependency("flame_decoder"),
        Dependency("texture_decoder"),
        HAIR_DECODER,
    ),
    "create_avatar": (
        Dependency("fit_faces"),
        Dependency("face_cropper"),
        Dependency("face_recognizer"),
        Dependency("flame_decoder"),
        Dependency("texture_decoder"),
        Dependency("emotion_mlp"),
        Dependency("detail_encoder", when_built=True, sets={"detail_encoder": "detail_encoder"}),
        Dependency("detail_decoder", when_built=True, sets={"detail_decoder": "detail_decoder"}),
        Dependency("hair_segmenter", when_built=True, sets={"hair_segmenter": "hair_segmenter"}),
        HAIR_ENCODER,
        HAIR_DECODER,
    ),
    "face_cropper": (
        Dependency("face_detector", when_built=True, sets={"detector": "face_detector"}),
        Dependency("face_landmarker", when_built=True, sets={"landmarker": "face_landmarker"}),
    ),
    "fit_faces": (
        Dependency("face_cropper"),
        Dependency("deca_encoder"),
        Dependency("mica_encoder", when_built=True, sets={"mica_encoder": "mica_encoder"}),
        Dependency("flame_decoder"),
        Dependency("texture_decoder"),
        Dependency("style_renderer"),
    ),
    "generate_faces": (
        Dependency("face_cropper"),
        Dependency("face_recognizer"),
        Dependency("deca_encoder"),
        Dependency("style_sampler"),
        Dependency("encode_styles"),
        Dependency("face_denoiser"),
        Dependency("latent_decoder"),
    ),
    "sample_identities": (Dependency("generate_faces"),),
    "sample_styles": (Dependency("style_sampler"),),
    "try_hairstyle": (
        Dependency("emotion_mlp"),
        Dependency("flame_decoder"),
        Dependency("texture_decoder"),
        HAIR_DECODER,
    ),
    "verify_faces": (Dependency("embed_faces"),),
}

__all__ = ["PIPELINE_DEPENDENCIES", "SPECS", "Dependency", "ExportSpec"]
