# SPDX-License-Identifier: Apache-2.0
"""From a head, its movements, pictures of its skin and hair to an avatar that can be written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage, Material
from mien_server.avatar.choices import EMOTIONS
from mien_server.avatar.expressions import HeadShapes
from mien_server.avatar.hair_geometry import Hair
from mien_server.avatar.head_asset import HeadAsset
from mien_server.avatar.model import AvatarModel, Joints, Metadata, Morphs, Part

__all__ = ["ARKIT_NAMES", "EXPRESSION", "assembled"]

EXPRESSION = "expression"
SKIN_ROUGHNESS, EYE_ROUGHNESS = 0.6, 0.2

_BOTH_SIDES = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut",
    "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown",
    "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
_ALONE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "tongueOut",
)  # fmt: skip
# Apple's ARFaceAnchor.BlendShapeLocation.
ARKIT_NAMES = tuple(
    sorted((*_ALONE, *(f"{name}{side}" for name in _BOTH_SIDES for side in ("Left", "Right"))))
)


def assembled(
    asset: HeadAsset,
    shapes: HeadShapes,
    texture: EncodedImage,
    normals: EncodedImage | None,
    hair: Hair | None,
    *,
    generator: str,
    has_sliders: bool = True,
) -> AvatarModel:
    """Put an avatar together.

    Args:
        asset: of the head model.
        shapes: the head and its movements.
        texture: of all of the head.
        normals: of the skin, or None.
        hair: on the head at rest, or None.
        generator: digest of the networks and assets behind it.
        has_sliders: false for formats without them: the head then has its expression on.
    """
    morphs, absent = _morphs(asset, shapes)
    licences = (f"Head model: {asset.licence}.",) if asset.licence else ()
    neutral = shapes.neutral
    return AvatarModel(
        vertices=neutral if has_sliders else neutral + shapes.worn,
        topology=asset.topology,
        parts=_parts(asset, texture, normals),
        joints=Joints((asset.joint_regressor @ neutral).astype(np.float32), asset.joint_weights),
        morphs=morphs if has_sliders else None,
        hair=hair,
        metadata=Metadata(generator, absent_targets=absent, licences=licences),
    )


def _morphs(asset: HeadAsset, shapes: HeadShapes) -> tuple[Morphs, tuple[str, ...]]:
    """What is worn at full weight, then sliders; and ARKit's names that the head has none for."""
    own = {asset.action_names[row]: row for row in asset.moving_actions()}
    present = [name for name in ARKIT_NAMES if name in own]
    deltas: list[NDArray[np.float32]] = [shapes.worn[None], shapes.emotions]
    if present:
        deltas.append(asset.action_deltas[[own[name] for name in present]])
    names = (EXPRESSION, *EMOTIONS, *present)
    weights = (1.0, *(0.0,) * (len(names) - 1))
    absent = tuple(name for name in ARKIT_NAMES if name not in own)
    return Morphs(names, np.concatenate(deltas), weights), absent


def _parts(
    asset: HeadAsset, texture: EncodedImage, normals: EncodedImage | None
) -> tuple[Part, ...]:
    is_eye = asset.eyes[asset.topology.faces].all(axis=1)
    materials = {
        "skin": Material("skin", texture, normals, roughness=SKIN_ROUGHNESS),
        "eyes": Material("eyes", texture, roughness=EYE_ROUGHNESS),
    }
    owned = {"skin": np.flatnonzero(~is_eye), "eyes": np.flatnonzero(is_eye)}
    return tuple(
        Part(name, rows.astype(np.int32), materials[name])
        for name, rows in owned.items()
        if len(rows)
    )
