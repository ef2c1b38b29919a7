# SPDX-License-Identifier: Apache-2.0
"""Normal maps against the analytic normals of surfaces that are really displaced."""

import numpy as np
import pytest

from mien_server.avatar.detail_normals import detail_normal_map
from mien_server.avatar.formats.corners import corner_tangents, split_corners, unit_normals
from mien_server.avatar.texture.texels import texel_map
from mien_server.rendering import Topology, interpolate
from tests.heads import ball_head, ball_topology
from tests.server.avatar.portraits import atlas, mean_head

SIZE = 256
CENTRES = (np.arange(SIZE) + 0.5) / SIZE
U, V = np.meshgrid(CENTRES, 1 - CENTRES)


def grid(uv_from_place, count=12):
    """A square of (count + 1)^2 vertices with places in 0..1, and what of the texture it shows."""
    steps = np.linspace(0, 1, count + 1)
    x, y = (each.ravel() for each in np.meshgrid(steps, steps))
    corner = (np.arange(count)[:, None] * (count + 1) + np.arange(count)).ravel()
    right, up = corner + 1, corner + count + 1
    faces = np.concatenate(
        [np.stack([corner, right, up + 1], 1), np.stack([corner, up + 1, up], 1)]
    ).astype(np.int32)
    uv = np.column_stack(uv_from_place(x, y)).astype(np.float32)
    return np.column_stack([x, y]), Topology(faces, uv, faces)


def decoded(normal_map):
    normal = normal_map.astype(float) / 255 * 2 - 1
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def as_a_viewer_sees_it(normal_map, vertices, texels):
    """World normals: the map in the frame that a shader interpolates, glTF's formula."""
    topology = texels.topology
    corners = split_corners(topology, np.arange(len(topology.faces), dtype=np.int32))
    positions = vertices[corners.vertices]
    normals = unit_normals(vertices, topology.faces)[corners.vertices]
    tangents = corner_tangents(positions, normals, corners)
    mixed = interpolate(texels.raster, corners.faces, np.column_stack([normals, tangents]))[0]
    normal, tangent = (
        part / np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), 1e-9)
        for part in (mixed[..., :3], mixed[..., 3:6])
    )
    bitangent = np.cross(normal, tangent) * mixed[..., 6:]
    x, y, z = np.moveaxis(decoded(normal_map)[..., None], 2, 0)
    return x * tangent + y * bitangent + z * normal


def angles_deg(one, other):
    cosine = (one * other).sum(axis=-1) / np.linalg.norm(other, axis=-1)
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("size", [256, 512])
def test_no_displacement_leaves_every_texel_as_it_is(size):
    normal_map = detail_normal_map(np.zeros((256, 256)), mean_head(), atlas(size).texels)

    assert normal_map.shape == (size, size, 3)
    assert normal_map.dtype == np.uint8
    assert (normal_map == (128, 128, 255)).all()


def test_a_constant_displacement_changes_nothing_either():
    normal_map = detail_normal_map(np.full((256, 256), 0.003), mean_head(), atlas().texels)

    assert (normal_map == (128, 128, 255)).all()


def test_a_slope_up_to_the_right_leans_left_and_up_the_texture_leans_down():
    """OpenGL's convention: x to the right, y up."""
    square, topology = grid(lambda x, y: (x, y))
    vertices = np.column_stack([square * 0.1, np.zeros(len(square))]).astype(np.float32)
    texels = texel_map(topology, SIZE)

    to_the_right = detail_normal_map(0.05 * U, vertices, texels)[128, 128].astype(int)
    upwards = detail_normal_map(0.05 * V, vertices, texels)[128, 128].astype(int)

    slanted = 127.5 - 127.5 * 0.5 / np.hypot(0.5, 1), 127.5 + 127.5 / np.hypot(0.5, 1)
    np.testing.assert_allclose(to_the_right, [slanted[0], 128, slanted[1]], atol=1)
    np.testing.assert_allclose(upwards, [128, slanted[0], slanted[1]], atol=1)


LAYOUTS = {
    "straight": lambda x, y: (0.05 + 0.9 * x, 0.05 + 0.9 * y),
    "turned": lambda x, y: (0.1 + 0.55 * x + 0.3 * y, 0.4 - 0.3 * x + 0.5 * y),
    "stretched": lambda x, y: (0.1 + 0.2 * x, 0.05 + 0.9 * y),
    "sheared": lambda x, y: (0.05 + 0.5 * x + 0.4 * y, 0.05 + 0.9 * y),
    "mirrored": lambda x, y: (0.95 - 0.9 * x, 0.05 + 0.9 * y),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bumps_on_a_plane_have_their_analytic_normals_however_it_is_laid_out(layout):
    square, topology = grid(layout)
    generator = np.random.default_rng(1)
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    side, height, waves = 0.1, 0.0008, 2 * np.pi * np.array([2, 3]) / 0.1
    flat = np.column_stack([square * side, np.zeros(len(square))])
    vertices = (flat @ turn.T).astype(np.float32)
    texels = texel_map(topology, SIZE)
    x, y = np.moveaxis(texels.of_vertices(flat)[..., :2].astype(float), -1, 0)
    bumps = height * np.sin(waves[0] * x) * np.sin(waves[1] * y)

    normal_map = detail_normal_map(bumps, vertices, texels)

    gradient = height * np.stack(
        [
            waves[0] * np.cos(waves[0] * x) * np.sin(waves[1] * y),
            waves[1] * np.sin(waves[0] * x) * np.cos(waves[1] * y),
            np.zeros_like(x),
        ],
        axis=-1,
    )
    truth = (np.array([0, 0, 1]) - gradient) @ turn.T
    seen = as_a_viewer_sees_it(normal_map, vertices, texels)
    inner = texels.covered.copy()
    for axis in (0, 1):
        for step in (-2, 2):
            inner &= np.roll(texels.covered, step, axis)
    error = angles_deg(seen, truth)[inner]
    slope = angles_deg(np.broadcast_to(turn[:, 2], truth.shape), truth)[inner]
    assert slope.max() > 6
    assert error.mean() < 0.6
    assert np.percentile(error, 99) < 1.5


def test_bumps_on_a_ball_have_their_analytic_normals():
    topology = ball_topology(5)
    ball = ball_head(0, 5)
    vertices = (0.1 * ball / np.linalg.norm(ball, axis=1, keepdims=True)).astype(np.float32)
    texels = texel_map(topology, SIZE)
    place = texels.of_vertices(vertices).astype(float)
    outwards = place / np.maximum(np.linalg.norm(place, axis=-1, keepdims=True), 1e-9)
    waves, height = np.array([170.0, 110.0, 60.0]), 0.0005
    along = np.sin(place @ waves)
    gradient = height * np.cos(place @ waves)[..., None] * waves
    gradient -= outwards * (gradient * outwards).sum(axis=-1, keepdims=True)

    normal_map = detail_normal_map(height * along, vertices, texels)

    # Away from the rims, where the flat layout presses everything together.
    inner = texels.covered & (np.abs(outwards[..., 2]) > 0.45)
    truth = outwards - gradient
    seen = as_a_viewer_sees_it(normal_map, vertices, texels)
    error = angles_deg(seen, truth)[inner]
    without = angles_deg(outwards, truth)[inner]
    assert without.mean() > 3
    assert error.mean() < 0.2 * without.mean()
    assert np.percentile(error, 98) < 2.5


def test_twice_the_strength_is_twice_the_slope():
    height = 0.0006 * np.sin(40 * U) * np.sin(30 * V)
    once, twice = (
        decoded(detail_normal_map(height, mean_head(), atlas().texels, strength=strength))
        for strength in (1.0, 2.0)
    )

    slopes = [normal[..., :2] / normal[..., 2:] for normal in (once, twice)]
    gentle = np.abs(slopes[1]).max(axis=-1) < 0.8
    np.testing.assert_allclose(slopes[1][gentle], 2 * slopes[0][gentle], atol=0.03)
    assert np.abs(slopes[0][gentle]).max() > 0.1


def test_where_the_mask_is_zero_nothing_changes():
    there = atlas()
    height = 0.0005 * np.sin(50 * U)
    mask = (there.position[..., 1] > 0).astype(np.float32)

    normal_map = detail_normal_map(height, mean_head(), there.texels, mask=mask)

    away = there.texels.covered & (there.position[..., 1] < -0.01)
    assert (normal_map[away] == (128, 128, 255)).all()
    assert (normal_map[there.photograph * mask > 0.9] != (128, 128, 255)).any(axis=-1).mean() > 0.5


def test_nothing_is_steeper_than_allowed():
    noise = np.random.default_rng(0).normal(0, 0.01, (256, 256))

    normal = decoded(detail_normal_map(noise, mean_head(), atlas().texels))

    assert (np.hypot(normal[..., 0], normal[..., 1]) / normal[..., 2]).max() < 2.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"displacement": np.zeros((256, 128))}, r"\(256, 128\)"),
        ({"displacement": np.full((256, 256), np.nan)}, "not finite"),
        ({"vertices": np.zeros((10, 3))}, "4850"),
        ({"mask": np.zeros((9, 9))}, r"\(256, 256\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"displacement": np.zeros((256, 256)), "vertices": mean_head()}

    with pytest.raises(ValueError, match=message):
        detail_normal_map(texels=atlas().texels, **(arguments | change))
