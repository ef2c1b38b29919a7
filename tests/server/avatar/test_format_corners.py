# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from mien_server.avatar.formats.corners import corner_tangents, split_corners, unit_normals
from mien_server.rendering import Topology
from tests.server.avatar.avatars import head_asset


def sheet(count=12):
    """A grid on a cylinder of radius 1 about y: u runs round it, v up."""
    u, v = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, count))
    angle = u.ravel() * 2
    points = np.column_stack([np.sin(angle), v.ravel(), np.cos(angle)])
    rows = np.arange(count * count).reshape(count, count)
    a, b, c, d = rows[:-1, :-1], rows[:-1, 1:], rows[1:, :-1], rows[1:, 1:]
    faces = np.concatenate(
        [np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)]
    )
    along_u = np.column_stack([np.cos(angle), 0 * angle, -np.sin(angle)])
    uv = np.column_stack([u.ravel(), v.ravel()])
    return points.astype(np.float32), faces.astype(np.int32), uv.astype(np.float32), along_u


def tangents_of(points, faces, uv):
    corners = split_corners(Topology(faces, uv, faces), np.arange(len(faces), dtype=np.int32))
    normals = unit_normals(points, faces)[corners.vertices]
    return corners, normals, corner_tangents(points[corners.vertices], normals, corners)


def test_tangents_run_along_u_and_bitangents_along_v():
    points, faces, uv, along_u = sheet(40)
    corners, normals, tangents = tangents_of(points, faces, uv)

    np.testing.assert_allclose(tangents[:, :3], along_u[corners.vertices], atol=0.05)
    bitangents = np.cross(normals, tangents[:, :3]) * tangents[:, 3:]
    np.testing.assert_allclose(bitangents, np.tile([0, 1, 0], (len(bitangents), 1)), atol=0.05)
    assert (tangents[:, 3] == 1).all()


def test_a_mirrored_texture_turns_the_tangent_and_keeps_the_bitangent():
    points, faces, uv, along_u = sheet(40)
    uv[:, 0] = 1 - uv[:, 0]
    corners, normals, tangents = tangents_of(points, faces, uv)

    np.testing.assert_allclose(tangents[:, :3], -along_u[corners.vertices], atol=0.05)
    assert (tangents[:, 3] == -1).all()
    bitangents = np.cross(normals, tangents[:, :3]) * tangents[:, 3:]
    assert (bitangents[:, 1] > 0.95).all()


def test_a_texture_that_is_mirrored_in_the_middle_is_split_there():
    points, faces, uv, _ = sheet(9)
    folded = uv.copy()
    folded[:, 0] = np.abs(uv[:, 0] - 0.5)
    corners, _, tangents = tangents_of(points, faces, folded)

    assert len(corners.vertices) == len(points) + 9
    assert (tangents[corners.faces, 3] == tangents[corners.faces[:, :1], 3]).all()


def test_tangents_are_unit_and_lie_in_the_surface_even_where_the_texture_has_no_area():
    points, faces, uv, _ = sheet()
    uv[: len(uv) // 2] = 0.25
    _, normals, tangents = tangents_of(points, faces, uv)

    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((tangents[:, :3] * normals).sum(axis=1), 0, atol=1e-6)


def test_corners_are_each_pair_of_vertex_and_texture_coordinate_once():
    asset = head_asset()
    topology = Topology(asset["f"], asset["vt"], asset["ft"])
    triangles = np.flatnonzero(asset["island"] == "skin").astype(np.int32)
    corners = split_corners(topology, triangles)

    pairs = np.column_stack([asset["f"][triangles].ravel(), asset["ft"][triangles].ravel()])
    assert len(corners.vertices) == len(np.unique(pairs, axis=0))
    np.testing.assert_array_equal(corners.vertices[corners.faces], asset["f"][triangles])
    np.testing.assert_array_equal(corners.uv[corners.faces], asset["vt"][asset["ft"][triangles]])
    assert (np.diff(corners.vertices) >= 0).all()


@pytest.mark.parametrize("radius", [1.0, 0.0004], ids=["a metre", "less than a millimetre"])
def test_normals_of_a_ball_point_away_from_its_middle(radius):
    ball = trimesh.creation.icosphere(3)
    points, faces = np.float32(ball.vertices * radius), ball.faces.astype(np.int32)

    np.testing.assert_allclose(unit_normals(points, faces), ball.vertices, atol=0.02)


def test_a_vertex_without_a_triangle_faces_forward():
    points, faces, _, _ = sheet()
    lonely = np.concatenate([points, np.zeros((1, 3), np.float32)])

    np.testing.assert_array_equal(unit_normals(lonely, faces)[-1], [0, 0, 1])


def test_given_normals_are_brought_to_unit_length():
    points, faces, _, _ = sheet()
    long = np.full_like(points, 3)

    np.testing.assert_allclose(unit_normals(points, faces, long), 3**-0.5, rtol=1e-6)
