# SPDX-License-Identifier: Apache-2.0
"""Joints of a glTF document: their nodes, the skin, and the weights of vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.formats.glb_document import Attribute, Document
from mien_server.avatar.model import Joints

__all__ = ["add_skin", "skin_attributes"]

INFLUENCES = 4
WHOLE = 65535


def add_skin(document: Document, joints: Joints) -> tuple[int, list[int]]:
    """Put joints into a document, in the pose of the head's vertices.

    Returns:
        The skin, and the nodes of the joints, the first of which belongs into the scene.
    """
    nodes = []
    for joint, (name, parent) in enumerate(zip(joints.names, joints.parents, strict=True)):
        origin = joints.positions[parent] if parent >= 0 else np.zeros(3, np.float32)
        offset = joints.positions[joint].astype(np.float64) - origin
        nodes.append(document.add("nodes", {"name": name, "translation": offset.tolist()}))
        if parent >= 0:
            document.lists["nodes"][nodes[parent]].setdefault("children", []).append(nodes[joint])
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(nodes), 1, 1))
    inverse_bind[:, 3, :3] = -joints.positions  # glTF's matrices lie column after column
    skin = document.add(
        "skins",
        {
            "inverseBindMatrices": document.accessor(Attribute(inverse_bind)),
            "joints": nodes,
            "skeleton": nodes[0],
        },
    )
    return skin, nodes


def skin_attributes(weights: NDArray[np.float32]) -> dict[str, Attribute]:
    """The four strongest joints of each vertex.

    Their weights are brought to a sum of 1 and stored as 16-bit fractions, in which that sum is
    exact. A joint without weight is called 0, as glTF asks for.

    Args:
        weights: (N, J) not negative, rows sum to 1.
    """
    padded = np.pad(weights, ((0, 0), (0, max(0, INFLUENCES - weights.shape[1]))))
    strongest = np.argsort(-padded, axis=1, kind="stable")[:, :INFLUENCES]
    share = np.take_along_axis(padded, strongest, axis=1).astype(np.float64)
    units = np.rint(share / share.sum(axis=1, keepdims=True) * WHOLE).astype(np.int64)
    units[:, 0] += WHOLE - units.sum(axis=1)
    return {
        "JOINTS_0": Attribute(np.where(units > 0, strongest, 0).astype(np.uint8)),
        "WEIGHTS_0": Attribute(units.astype(np.uint16), normalized=True),
    }
