# SPDX-License-Identifier: Apache-2.0
"""File formats of avatars: the same input gives the same bytes."""

from mien_server.avatar.formats.gltf import to_glb
from mien_server.avatar.formats.strand_ply import to_ply
from mien_server.avatar.formats.wavefront import to_obj_zip

__all__ = ["to_glb", "to_obj_zip", "to_ply"]
