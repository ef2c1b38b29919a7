# SPDX-License-Identifier: Apache-2.0
"""An avatar ready to be written: all that a file holds, and nothing of how it was made.

Frame    of the head: metres, y up, the face towards +z, which is glTF's too.
Letters  V vertices of the head, F its triangles, J joints, M morph targets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import Material
from mien_server.avatar.arrays import checked_name, real_numbers, whole_numbers
from mien_server.avatar.hair_geometry import Hair
from mien_server.rendering import Topology

__all__ = ["FLAME_JOINTS", "FLAME_PARENTS", "AvatarModel", "Joints", "Metadata", "Morphs", "Part"]

# FLAME's order and kintree_table; the root turns the whole, the neck what is above it.
FLAME_JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
FLAME_PARENTS = (-1, 0, 1, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Triangles of the head that share a material.

    Attributes:
        name: such as "skin".
        triangles: (N,) int32 rows of the topology's faces; at least one.
        material: of all of them.

    Raises:
        ValueError: a name that is not allowed, or no triangle.
    """

    name: str
    triangles: NDArray[np.int32]
    material: Material

    def __post_init__(self) -> None:
        checked_name(self.name, "a part")
        limit = np.iinfo(np.int32).max
        triangles = whole_numbers(self.triangles, (None,), limit, f"triangles of {self.name}")
        if not len(triangles):
            raise ValueError(f"part {self.name!r} has no triangle; leave it away")
        object.__setattr__(self, "triangles", triangles)


@dataclass(frozen=True, slots=True, eq=False)
class Joints:
    """What the head turns about, in the pose of its vertices.

    Attributes:
        positions: (J, 3) float32 metres.
        weights: (V, J) float32, how much each joint moves a vertex; rows sum to 1.
        names: J of them.
        parents: J rows, a parent before its children; the first is the only one with none, -1.
        hair_joint: which of them carries the hair.

    Raises:
        ValueError: shapes that do not fit together, or a number, a name or a parent that is not
            allowed.
    """

    positions: NDArray[np.float32]
    weights: NDArray[np.float32]
    names: tuple[str, ...] = FLAME_JOINTS
    parents: tuple[int, ...] = FLAME_PARENTS
    hair_joint: int = 1

    def __post_init__(self) -> None:
        count = len(self.names)
        for name in self.names:
            checked_name(name, "a joint")
        in_order = self.parents[:1] == (-1,) and all(
            0 <= parent < joint for joint, parent in enumerate(self.parents[1:], 1)
        )
        if len(self.parents) != count or not in_order or not 0 <= self.hair_joint < count:
            raise ValueError(
                f"{count} joints have the parents {self.parents} and hair_joint {self.hair_joint}; "
                "the first joint's parent is -1, every other's comes before it"
            )
        positions = real_numbers(self.positions, (count, 3), "positions of joints")
        weights = real_numbers(self.weights, (None, count), "weights of joints")
        if weights.min(initial=0) < 0 or np.abs(weights.sum(axis=1) - 1).max(initial=0) > 1e-3:
            raise ValueError("weights of joints must not be negative, and each row must sum to 1")
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "weights", weights)


@dataclass(frozen=True, slots=True, eq=False)
class Morphs:
    """Named movements of the vertices that a viewer adds, each times a weight from 0 to 1.

    Attributes:
        names: M different ones, in the order of the file.
        deltas: (M, V, 3) float32 metres.
        weights: M of them, 0..1, with which the file opens; empty for zeros.

    Raises:
        ValueError: shapes that do not fit together, a name twice, or a number that is not allowed.
    """

    names: tuple[str, ...]
    deltas: NDArray[np.float32]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            checked_name(name, "a morph target")
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"morph targets are called {self.names}; give each a name of its own")
        deltas = real_numbers(self.deltas, (len(self.names), None, 3), "deltas of morph targets")
        weights = tuple(float(w) for w in self.weights) or (0.0,) * len(self.names)
        if len(weights) != len(self.names) or not all(0 <= weight <= 1 for weight in weights):
            raise ValueError(
                f"{len(self.names)} morph targets have {len(weights)} weights from {min(weights)} "
                f"to {max(weights)}; give each one from 0 to 1, or none"
            )
        object.__setattr__(self, "deltas", deltas)
        object.__setattr__(self, "weights", weights)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says about itself.

    Attributes:
        generator_digest: names the networks and assets it was made with.
        is_synthetic: whether a machine made it up; true of every avatar.
        absent_targets: names of ARKit's 52 that the head model has no movement for.
        licences: notes on what it was made with, one sentence each.
    """

    generator_digest: str = ""
    is_synthetic: bool = True
    absent_targets: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AvatarModel:
    """An avatar.

    Attributes:
        vertices: (V, 3) float32 metres, as the file shows the head while all sliders are at 0.
        topology: triangles and texture coordinates.
        parts: have every triangle once between them.
        joints: or None for a head that does not turn.
        morphs: or None for a head without sliders.
        hair: or None for a bald one.
        metadata: what the file says about itself.

    Raises:
        ValueError: these do not fit together, or a number is not finite.
    """

    vertices: NDArray[np.float32]
    topology: Topology
    parts: tuple[Part, ...]
    joints: Joints | None = None
    morphs: Morphs | None = None
    hair: Hair | None = None
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        vertices = real_numbers(self.vertices, (None, 3), "vertices of an avatar")
        object.__setattr__(self, "vertices", vertices)
        sizes = {"faces name": self.topology.vertex_count}
        if self.joints is not None:
            sizes["weights of joints have"] = len(self.joints.weights)
        if self.morphs is not None:
            sizes["deltas of morph targets have"] = self.morphs.deltas.shape[1]
        for what, size in sizes.items():
            if size > len(vertices) or (size < len(vertices) and "faces" not in what):
                raise ValueError(f"{what} {size} vertices, the avatar {len(vertices)}")
        _check_parts(self.parts, len(self.topology.faces))

    def surfaces(self) -> list[tuple[Material, NDArray[np.int32]]]:
        """The head's materials in the order of its parts, and the triangles (N,) of each."""
        materials: dict[str, Material] = {}
        triangles: dict[str, list[NDArray[np.int32]]] = {}
        for part in self.parts:
            materials.setdefault(part.material.name, part.material)
            triangles.setdefault(part.material.name, []).append(part.triangles)
        return [(materials[name], np.concatenate(triangles[name])) for name in materials]


def _check_parts(parts: tuple[Part, ...], triangles: int) -> None:
    owned = np.concatenate([part.triangles for part in parts]) if parts else np.zeros(0, np.int32)
    if len(owned) != triangles or not np.array_equal(np.sort(owned), np.arange(triangles)):
        raise ValueError(
            f"parts have {len(owned)} triangles, {len(np.unique(owned))} different ones, of "
            f"{triangles}; each must be in exactly one part"
        )
    if len({part.name for part in parts}) != len(parts):
        raise ValueError(f"two parts share a name: {', '.join(part.name for part in parts)}")
    materials = {part.material.name: part.material for part in parts}
    if any(materials[part.material.name] != part.material for part in parts) or "hair" in materials:
        raise ValueError(
            f"materials are called {', '.join(part.material.name for part in parts)}; different "
            "ones need different names, and 'hair' is that of the hair"
        )
