# SPDX-License-Identifier: Apache-2.0
"""Camera, vertex normals, lighting, and how Warp starts."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from mien_server.rendering import (
    image_from_pixels,
    pixels_from_image,
    project,
    rasterize,
    sh_basis,
    shading,
    unproject,
    vertex_normals,
)

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.uniform(-0.15, 0.15, (4, 68, 3)).astype(np.float32)
CAMERAS = np.column_stack([RANDOM.uniform(5, 11, 4), RANDOM.uniform(-0.03, 0.03, (4, 2))]).astype(
    np.float32
)


def test_the_camera_scales_shifts_and_turns_y_and_z():
    image = project([(0.1, 0.2, 0.3)], [2.0, 0.5, -0.1])

    np.testing.assert_allclose(image, [(2 * 0.6, -2 * 0.1, -2 * 0.3)], rtol=1e-6)


def test_world_to_image_and_back_returns_the_points():
    there = project(POINTS, CAMERAS)

    np.testing.assert_allclose(unproject(there, CAMERAS), POINTS, atol=1e-7)
    for points, camera, image in zip(POINTS, CAMERAS, there, strict=True):
        np.testing.assert_array_equal(project(points, camera), image)


def test_the_camera_leaves_its_arguments_as_they_are():
    points, cameras = POINTS.copy(), CAMERAS.copy()
    points.flags.writeable = cameras.flags.writeable = False

    first, again = project(points, cameras), project(points, cameras)

    np.testing.assert_array_equal(first, again)
    assert not np.shares_memory(first, points)


def test_a_camera_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(4,\).*s, tx, ty"):
        project(POINTS[0], np.zeros(4))


def test_pixel_centres_lie_where_deca_samples():
    width, height = 224, 100
    centres = pixels_from_image(
        [((2 * i + 1) / width - 1, (2 * i + 1) / height - 1) for i in range(100)],
        width=width,
        height=height,
    )

    np.testing.assert_allclose(centres, np.arange(100)[:, None] + (0.5, 0.5), atol=1e-4)


def test_image_to_pixels_and_back_returns_the_points():
    pixels = pixels_from_image(POINTS, width=640, height=480)

    back = image_from_pixels(pixels, width=640, height=480)

    np.testing.assert_allclose(back, POINTS[..., :2], atol=1e-6)


def test_the_middle_of_a_disc_drawn_at_a_landmark_is_its_pixel_within_half_of_one():
    size, radius_px = 128, 3
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    disc = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1) * (2 * radius_px / size)
    faces = [(0, i, i + 1) for i in range(1, 23)]
    for points, camera in zip(POINTS, CAMERAS, strict=True):
        image = project(points, camera)
        for landmark in image[(np.abs(image[:, :2]) < 0.9).all(axis=1)]:
            (mask,) = rasterize((landmark + disc)[None], faces, height=size, width=size).mask
            found = np.argwhere(mask)[:, ::-1].mean(axis=0) + 0.5

            expected = pixels_from_image(landmark, width=size, height=size)
            np.testing.assert_allclose(found, expected, atol=0.5)


def test_normals_of_a_ball_point_away_from_its_centre():
    ball = trimesh.creation.icosphere(5, radius=0.1)

    (normals,) = vertex_normals(ball.vertices[None], ball.faces)

    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    cosine = (normals * ball.vertices / 0.1).sum(axis=1)
    assert np.degrees(np.arccos(cosine.min())) < 0.3


def test_normals_are_weighted_by_area():
    # Two triangles on the edge 0-1: one in the plane z = 0, one three times as large in x = 0.
    vertices = np.float32([(0, 0, 0), (0, 1, 0), (-1, 0, 0), (0, 0, -3)])

    (normals,) = vertex_normals(vertices[None], [(0, 1, 2), (1, 0, 3)])

    expected = np.array([3, 0, 1]) / math.sqrt(10)
    np.testing.assert_allclose(normals[:2], [expected, expected], atol=1e-6)
    np.testing.assert_allclose(normals[2:], [(0, 0, 1), (1, 0, 0)], atol=1e-6)


def test_normals_turn_with_the_mesh_and_ignore_where_it_is():
    ball = trimesh.creation.icosphere(2)
    vertices = ball.vertices * RANDOM.uniform(0.8, 1.2, (len(ball.vertices), 1))
    turn = Rotation.random(random_state=0).as_matrix()

    still, moved = vertex_normals(np.stack([vertices, vertices @ turn.T + (1, 2, 3)]), ball.faces)

    np.testing.assert_allclose(moved, still @ turn.T, atol=1e-5)


def test_normals_of_a_batch_are_those_of_a_loop_bit_for_bit():
    ball = trimesh.creation.icosphere(3)
    meshes = ball.vertices * RANDOM.uniform(0.8, 1.2, (5, len(ball.vertices), 1))

    loop = [vertex_normals(mesh[None], ball.faces) for mesh in meshes]

    np.testing.assert_array_equal(vertex_normals(meshes, ball.faces), np.concatenate(loop))


def test_a_vertex_without_area_has_no_normal():
    normals = vertex_normals(np.zeros((1, 4, 3)), [(0, 1, 2)])

    np.testing.assert_array_equal(normals, np.zeros((1, 4, 3)))


def test_the_basis_is_that_of_irradiance_and_orthogonal_over_the_sphere():
    # Harmonics of norm 1 times what is left of them in irradiance (Ramamoorthi and Hanrahan):
    # pi, 2 pi / 3 and pi / 4, but DECA has 1 for the first.
    directions = RANDOM.standard_normal((400_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    basis = sh_basis(directions).astype(np.float64)
    gram = basis.T @ basis * (4 * math.pi / len(directions))

    bands = np.array([1] + [2 * math.pi / 3] * 3 + [math.pi / 4] * 5)
    np.testing.assert_allclose(gram, np.diag(bands**2), atol=0.06)


def test_shading_of_several_lights_is_that_of_each():
    normals = RANDOM.standard_normal((3, 5, 7, 3))
    lights = RANDOM.standard_normal((3, 9, 3))

    together = shading(normals, lights)

    for one, light, lit in zip(normals, lights, together, strict=True):
        np.testing.assert_allclose(shading(one, light), lit, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(shading(one, light.ravel()), lit, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", range(3))
def test_a_light_from_one_side_brightens_what_faces_it(axis):
    light = np.zeros((9, 3))
    light[0], light[1 + axis] = 2.0, 0.8
    towards = np.eye(3)[axis]

    facing, beside, away = shading([towards, np.roll(towards, 1), -towards], light)

    assert (facing > beside).all()
    assert (beside > away).all()


def test_a_light_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 9\).*\(9, 3\), \(27,\)"):
        shading(np.zeros(3), np.zeros((3, 9)))


FIRST_CALLS = {
    "rasterize": "rasterize(corners, faces, height=8, width=8).mask.all()",
    "vertex_normals": "(abs(vertex_normals(corners, faces)) == (0, 0, 1)).all()",
}
FIRST_IMAGE = """
import numpy as np
from mien_server.rendering import rasterize, vertex_normals
corners, faces = np.float32([[(-1, -1, 0), (3, -1, 0), (-1, 3, 0)]]), [(0, 1, 2)]
raise SystemExit(0 if {call} else "wrong")
"""


def first_image(cache, call=FIRST_CALLS["rasterize"]):
    environment = {**os.environ, "WARP_CACHE_PATH": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", FIRST_IMAGE.format(call=call)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("call", FIRST_CALLS.values(), ids=FIRST_CALLS)
def test_whatever_is_called_first_nothing_is_printed(tmp_path, call):
    process = first_image(tmp_path, call)
    printed = process.communicate(timeout=120)

    assert (*printed, process.returncode) == ("", "", 0)


def test_processes_that_compile_at_once_all_draw_and_print_nothing(tmp_path):
    processes = [first_image(tmp_path) for _ in range(2)]
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    compiled = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.o")}
    later = first_image(tmp_path)
    results.append((*later.communicate(timeout=120), later.returncode))

    assert results == [("", "", 0)] * 3
    assert compiled
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.o")} == compiled


def test_a_cache_that_cannot_be_made_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()

    process = first_image(tmp_path / "file" / "below")
    _, errors = process.communicate(timeout=120)

    assert process.returncode
    assert str(tmp_path / "file") in errors
    assert "Set WARP_CACHE_PATH to a folder" in errors
