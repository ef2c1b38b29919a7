# SPDX-License-Identifier: Apache-2.0
"""Distils sampled heads into one linear head in FLAME's schema.

Letters  N people, S vertices of the source, V of the head, F triangles, K components.
Norm     components are orthogonal under the area-weighted mean square of vertex displacements,
         with weights that count the face three times; `shape_std` and `expression_std` are the
         deviations of the samples along components of unit norm, and every stored component is that
         long, so that coefficients have unit variance as in FLAME.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_starter.head.anny_source import AnnySource, People
from mien_starter.head.assembly import Assembly, assemble
from mien_starter.head.landmarks import Embedding, embed
from mien_starter.head.skinning import Skinning, skin

Array = npt.NDArray[Any]

SHAPES, EXPRESSIONS = 300, 100
SAMPLES = 3000
FACE_WEIGHT = 3.0
FEWEST = 20  # samples; shape is regressed on five attributes
# Performed by a joint: the jaw opens by its rotation. (Eyes turn, too, but the lids follow them.)
JOINT_ACTION = "jawOpen"
# Deviation of the intensity of actions in natural expressions. Rarities come last among the
# components, so that the first 50, which DECA's codes hold, lose nothing that matters.
USUAL_SPREAD, RARE_SPREAD = 0.4, {"tongueOut": 0.05}


@dataclass(frozen=True)
class Basis:
    """Orthogonal components.

    Attributes:
        components: (K, V, 3) metres per unit coefficient.
        std: (K,) length of each under the norm, metres; decreasing.
    """

    components: Array
    std: Array


def shape_basis(heads: Array, norm: Array, count: int) -> tuple[Array, Basis]:
    """Mean and principal components of neutral heads.

    Args:
        heads: (N, V, 3) translated onto each other.
        norm: (V,) weights that sum to 1.
        count: K.
    """
    mean = heads.mean(axis=0)
    root = np.sqrt(norm).astype(np.float32)[None, :, None]
    flat = ((heads - mean) * root).reshape(len(heads), -1)
    # The Gram matrix of whichever side is smaller has the same spectrum.
    gram = flat @ flat.T / (len(heads) - 1)
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    order = np.argsort(values)[::-1][:count]
    kept = order[values[order] > values[order[0]] * 1e-7]
    std = np.sqrt(values[kept])
    unit = (vectors[:, kept].T @ flat) / (std * np.sqrt(len(heads) - 1))[:, None]
    components = unit.reshape(len(kept), -1, 3) / root * std[:, None, None]
    return mean, Basis(components.astype(np.float64), std)


def expression_basis(actions: Array, spread: Array, norm: Array) -> tuple[Basis, Array]:
    """An orthogonal basis of all facial actions, and the exact map into it.

    Args:
        actions: (A, V, 3) displacement of each action; zero for those that joints perform.
        spread: (A,) deviation of the intensity of each action in natural expressions.
        norm: (V,) weights that sum to 1.

    Returns:
        The basis of as many components as the actions span, and (K, A) `expression_from_actions`.
    """
    root = np.sqrt(norm)[None, :, None]
    flat = (actions * root).reshape(len(actions), -1)
    _, lengths, right = np.linalg.svd(flat * spread[:, None], full_matrices=False)
    kept = lengths > lengths[0] * 1e-5
    std, unit = lengths[kept], right[kept]
    coefficients = (unit @ flat.T) / std[:, None]
    components = unit.reshape(len(unit), -1, 3) / root * std[:, None, None]
    return Basis(components, std), coefficients


@dataclass(frozen=True)
class Distilled:
    """Everything that goes into the asset.

    Attributes:
        assembly: topology, and how a head is made of a source head.
        mean: (V, 3) metres.
        shape: components of neutral heads.
        expression: components of facial actions.
        expression_from_actions: (K, A) coefficients per unit of action.
        action_names: A names.
        skinning: weights, joints, pose correctives.
        embedding: of the landmarks.
        people: the samples.
        shapes_of_people: (N, K) their shape coefficients.
        norm: (V,) weights that sum to 1.
    """

    assembly: Assembly
    mean: Array
    shape: Basis
    expression: Basis
    expression_from_actions: Array
    action_names: tuple[str, ...]
    skinning: Skinning
    embedding: Embedding
    people: People
    shapes_of_people: Array
    norm: Array


def distil(source: AnnySource, seed: int, samples: int = SAMPLES) -> Distilled:
    """Sample people and make the head of them.

    Args:
        source: where heads come from.
        seed: the same seed gives the same head.
        samples: N.

    Raises:
        ValueError: too few samples.
    """
    if samples < FEWEST:
        raise ValueError(f"samples is {samples}; a head needs {FEWEST} or more, usually {SAMPLES}")
    people = source.sample(samples, np.random.default_rng(seed))
    assembly = assemble(source, people.vertices.mean(axis=0))
    heads = assembly.heads(people.vertices)
    norm = vertex_norm(assembly)
    mean, shape = shape_basis(heads, norm, SHAPES)
    moved = assembly.displacements(source.action_displacements)
    jaw_open = moved[source.action_names.index(JOINT_ACTION)]
    expression, from_actions = _expressions(source.action_names, moved, norm)
    return Distilled(
        assembly=assembly,
        mean=mean,
        shape=shape,
        expression=expression,
        expression_from_actions=from_actions,
        action_names=source.action_names,
        skinning=skin(source, assembly, mean, jaw_open),
        embedding=embed(
            mean,
            mean + jaw_open,
            assembly.faces,
            assembly.landmark_faces,
            assembly.contour_vertices(mean),
            assembly.lid_edge,
        ),
        people=people,
        shapes_of_people=project(heads - mean, shape, norm),
        norm=norm,
    )


def _expressions(names: tuple[str, ...], moved: Array, norm: Array) -> tuple[Basis, Array]:
    by_joint = np.array([name == JOINT_ACTION for name in names])
    spread = np.array([RARE_SPREAD.get(name, USUAL_SPREAD) for name in names])
    return expression_basis(np.where(by_joint[:, None, None], 0.0, moved), spread, norm)


def vertex_norm(assembly: Assembly) -> Array:
    """(V,) weights that sum to 1: area on the mean head, the face counted more."""
    corners = assembly.mean[assembly.faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    weights = np.zeros(len(assembly.mean))
    for corner in range(3):
        np.add.at(weights, assembly.faces[:, corner], area / 3)
    weights *= np.where(assembly.regions["face"], FACE_WEIGHT, 1.0)
    # Never zero, or hidden parts would be free to move.
    weights = np.maximum(weights, weights.mean() * 0.02)
    result: Array = weights / weights.sum()
    return result


def project(displacements: Array, basis: Basis, norm: Array) -> Array:
    """(N, K) coefficients of (N, V, 3) displacements."""
    scaled = basis.components * norm[None, :, None] / (basis.std**2)[:, None, None]
    result: Array = (
        displacements.reshape(len(displacements), -1) @ scaled.reshape(len(scaled), -1).T
    )
    return result
