# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from bench.avatars.scans import (
    NOW_LANDMARKS,
    Alignment,
    aligned,
    even_places,
    face_sphere,
    scan_to_mesh_mm,
)

RIGID = (Alignment.METRICAL, Alignment.LANDMARKS, Alignment.NOW)


@pytest.fixture
def blob():
    """A bumpy closed surface of 10 cm, and seven of its vertices."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    places = np.asarray(ball.vertices)
    bumps = 0.05 + 0.01 * np.sin(7 * places[:, 0]) + 0.008 * np.cos(5 * places[:, 1] + places[:, 2])
    vertices = places * bumps[:, None] * (1, 1.3, 0.9)
    landmarks = vertices[np.random.default_rng(0).choice(len(vertices), 7, replace=False)]
    return vertices, np.asarray(ball.faces), landmarks


def planted(points, *, scale=1.0, seed=1):
    """Turned by anything, shifted, scaled."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    return scale * points @ turn.T + rng.normal(size=3)


@pytest.mark.parametrize("how", RIGID)
def test_a_mesh_that_was_turned_and_shifted_is_brought_back(blob, how):
    vertices, faces, landmarks = blob
    scan = even_places(vertices, faces, 500).on(vertices)

    back = aligned(scan, landmarks, planted(vertices), faces, planted(landmarks), how)

    np.testing.assert_allclose(back, vertices, atol=1e-6)
    assert scan_to_mesh_mm(scan, back, faces).max() < 1e-3


@pytest.mark.parametrize("how", [Alignment.LANDMARKS, Alignment.NOW])
def test_a_wrong_size_is_forgiven_where_it_should_be(blob, how):
    vertices, faces, landmarks = blob
    scan = even_places(vertices, faces, 500).on(vertices)
    large, own = (planted(points, scale=1.2) for points in (vertices, landmarks))

    back = aligned(scan, landmarks, large, faces, own, how)

    np.testing.assert_allclose(back, vertices, atol=1e-6)


def test_a_wrong_size_counts_in_the_metrical_alignment():
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.1)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    landmarks = 0.1 * np.concatenate([np.eye(3), -np.eye(3)])

    back = aligned(
        vertices, landmarks, 1.05 * vertices, faces, 1.05 * landmarks, Alignment.METRICAL
    )

    # Spheres about one centre; the larger one's triangles come a little nearer than 5 mm.
    assert scan_to_mesh_mm(vertices, back, faces) == pytest.approx(4.9, abs=0.11)


def test_the_scan_mends_what_landmarks_that_are_off_have_done(blob):
    vertices, faces, landmarks = blob
    scan = even_places(vertices, faces, 2000).on(vertices)
    wrong = landmarks + np.random.default_rng(2).normal(scale=0.002, size=landmarks.shape)

    by_landmarks, by_scan = (
        scan_to_mesh_mm(scan, aligned(scan, landmarks, vertices, faces, wrong, how), faces).mean()
        for how in (Alignment.LANDMARKS, Alignment.NOW)
    )

    assert by_landmarks > 0.5
    assert by_scan < 0.1 * by_landmarks


def test_a_scan_of_a_mesh_is_at_no_distance_from_it(blob):
    vertices, faces, _ = blob

    assert scan_to_mesh_mm(even_places(vertices, faces, 800).on(vertices), vertices, faces) == (
        pytest.approx(np.zeros(800), abs=1e-4)
    )


@pytest.mark.parametrize("shift_mm", [-4.0, 0.5, 3.0])
def test_a_plane_that_was_shifted_is_as_far_away_as_it_was_shifted(shift_mm):
    vertices = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0], [-0.1, 0.1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    inside = np.random.default_rng(3).uniform(-0.08, 0.08, (100, 2))
    scan = np.column_stack([inside, np.full(100, shift_mm / 1000)])

    assert scan_to_mesh_mm(scan, vertices, faces) == pytest.approx(abs(shift_mm), abs=1e-4)


def test_distances_are_those_that_trimesh_finds_triangle_by_triangle(blob):
    vertices, faces, _ = blob
    scan = np.random.default_rng(4).uniform(-0.1, 0.1, (40, 3))

    found = scan_to_mesh_mm(scan, vertices, faces)

    for point, distance in zip(scan, found, strict=True):
        closest = trimesh.triangles.closest_point(vertices[faces], np.tile(point, (len(faces), 1)))
        assert distance == pytest.approx(
            1000 * np.linalg.norm(closest - point, axis=1).min(), abs=1e-3
        )


def test_places_are_equally_dense_and_move_with_the_surface():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [5, 0, 0], [5, 3, 0], [4, 0, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]])  # areas of 0.5, 0.5 and 1.5
    places = even_places(square, faces, 10_000)

    points = places.on(square)

    assert ((places.weights >= 0) & (places.weights <= 1)).all()
    assert (points[:, 0] > 3).mean() == pytest.approx(0.6, abs=0.02)
    inside = points[points[:, 0] < 3][:, :2]
    counts, *_ = np.histogram2d(*inside.T, bins=2, range=[(0, 1), (0, 1)])
    assert counts / len(inside) == pytest.approx(np.full((2, 2), 0.25), abs=0.03)
    np.testing.assert_allclose(places.on(planted(square, scale=2)), planted(points, scale=2))


def test_what_counts_lies_about_a_point_above_the_foot_of_the_nose():
    # Eyes from -5 to 5 and from -2 to 2, the nose's foot 4 below, the mouth anywhere.
    seven = np.array(
        [[-5, 4, 0], [-2, 4, 0], [2, 4, 0], [5, 4, 0], [0, 0, 0], [-3, -3, 0], [3, -3, 0]]
    )

    centre, radius = face_sphere(seven)

    assert centre == pytest.approx([0, 1.2, 0])
    assert radius == pytest.approx(0.7 * (10 + 4))


def test_landmarks_are_corners_of_eyes_and_mouth_and_the_nose():
    eyes = {36, 39, 42, 45}
    mouth = {48, 54}

    assert set(NOW_LANDMARKS) == eyes | {33} | mouth
