# SPDX-License-Identifier: Apache-2.0
"""Small heads for tests of the renderer: a bumpy ball with a texture, no likeness intended."""

import numpy as np
import trimesh

from mien_server.rendering.topology import Topology

__all__ = ["HEIGHT_M", "ball_head", "ball_topology", "head_inputs"]

HEIGHT_M = 0.24


def _ball(subdivisions: int) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions)


def ball_topology(subdivisions: int = 3) -> Topology:
    """Triangles of the ball, whose front and back have texture coordinates of their own."""
    ball = _ball(subdivisions)
    x, y, z = ball.vertices.T
    front = np.column_stack([0.23 * x + 0.25, 0.48 * y + 0.5])  # left half of the texture
    back = front + np.array([0.5, 0])
    is_back = z[ball.faces].mean(axis=1) < 0
    uv_faces = ball.faces + is_back[:, None] * len(ball.vertices)
    return Topology(
        ball.faces.astype(np.int32),
        np.concatenate([front, back]).astype(np.float32),
        uv_faces.astype(np.int32),
    )


def ball_head(seed: int, subdivisions: int = 3) -> np.ndarray:
    """(V, 3) float32 metres: about as large as a head, folded a little, facing +z."""
    generator = np.random.default_rng(seed)
    ball = _ball(subdivisions).vertices
    bumps = np.sin(ball @ generator.uniform(-5, 5, (3, 5))).sum(axis=1)
    size = np.array([0.16, HEIGHT_M, 0.2]) / 2
    return (ball * size * (1 + 0.06 * bumps[:, None])).astype(np.float32)


def head_inputs(count: int, seed: int = 0, subdivisions: int = 3) -> dict[str, np.ndarray]:
    """Inputs of `style_renderer` for a batch of different heads."""
    generator = np.random.default_rng(seed)
    camera = generator.uniform((5.5, -0.02, -0.02), (7.5, 0.02, 0.02), (count, 3))
    light = generator.normal(0, 0.3, (count, 9, 3))
    light[:, 0] += 3
    inputs = {
        "vertices": np.stack([ball_head(seed + i, subdivisions) for i in range(count)]),
        "albedo": generator.uniform(0, 1, (count, 3, 256, 256)),
        "camera": camera,
        "light": light.reshape(count, 27),
    }
    return {name: array.astype(np.float32) for name, array in inputs.items()}
