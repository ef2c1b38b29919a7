# SPDX-License-Identifier: Apache-2.0
"""Every graph that can be built, and the calls between models that no config states."""

from __future__ import annotations

from collections.abc import Mapping

from mien_export.spec import Dependency, ExportSpec
from mien_export.specs import face_detector, face_recognizer, flame_decoder, texture_decoder

SPECS: Mapping[str, ExportSpec] = {
    spec.model: spec
    for spec in (
        face_detector.SPEC,
        face_recognizer.SPEC,
        flame_decoder.SPEC,
        texture_decoder.SPEC,
    )
}

# Ensembles name their steps in config.pbtxt; what a model.py calls stands here.
PIPELINE_DEPENDENCIES: Mapping[str, tuple[Dependency, ...]] = {
    "face_cropper": (
        Dependency("face_detector", when_built=True, sets={"detector": "face_detector"}),
        Dependency("face_landmarker", when_built=True, sets={"landmarker": "face_landmarker"}),
    ),
    "verify_faces": (Dependency("embed_faces"),),
}

__all__ = ["PIPELINE_DEPENDENCIES", "SPECS", "Dependency", "ExportSpec"]
