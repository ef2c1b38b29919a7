# SPDX-License-Identifier: Apache-2.0
"""Textures of heads from photographs."""

from mien_server.avatar.texture.atlas import FaceAtlas, face_atlas
from mien_server.avatar.texture.composition import FaceTexture, face_texture
from mien_server.avatar.texture.projection import PhotographedHead, Samples, project_photograph
from mien_server.avatar.texture.registration import moved_onto_landmarks
from mien_server.avatar.texture.texels import TEXTURE_SIZES

__all__ = [
    "TEXTURE_SIZES",
    "FaceAtlas",
    "FaceTexture",
    "PhotographedHead",
    "Samples",
    "face_atlas",
    "face_texture",
    "moved_onto_landmarks",
    "project_photograph",
]
