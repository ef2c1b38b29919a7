# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.alignment import (
    ARCFACE_112,
    crop_face,
    landmarks_from_eyes,
    similarity_from_points,
    template,
)


def planted_similarity(seed):
    generator = np.random.default_rng(seed)
    angle, scale = generator.uniform(-np.pi, np.pi), generator.uniform(0.2, 5)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, generator.uniform(-300, 300, 2)])


def apply(transform, points):
    return points @ transform[:, :2].T + transform[:, 2]


@pytest.mark.parametrize("count", [2, 5, 40])
@pytest.mark.parametrize("seed", range(5))
def test_similarity_recovers_a_planted_one(seed, count):
    planted = planted_similarity(seed)
    points = np.random.default_rng(seed + 100).uniform(-50, 50, (count, 2))

    np.testing.assert_allclose(
        similarity_from_points(points, apply(planted, points)), planted, rtol=1e-9, atol=1e-7
    )


def test_similarity_never_mirrors():
    mirrored = ARCFACE_112 * (-1, 1)

    found = similarity_from_points(ARCFACE_112, mirrored)
    rotation = found[:, :2] / np.sqrt(np.linalg.det(found[:, :2]))

    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(2), atol=1e-12)


def test_similarity_of_coinciding_points_is_refused():
    with pytest.raises(ValueError, match="coincide"):
        similarity_from_points(np.ones((5, 2)), ARCFACE_112)


def test_template_scales_by_112_and_shifts_by_eight_at_128():
    np.testing.assert_allclose(template(224), 2 * template(112))
    np.testing.assert_allclose(template(128), template(112) + np.array([8, 0]))
    np.testing.assert_allclose(template(256), 2 * template(128))


@pytest.mark.parametrize("size", [0, -112, 100, 160])
def test_template_refuses_other_sizes(size):
    with pytest.raises(ValueError, match="multiple"):
        template(size)


def test_landmarks_from_the_template_eyes_are_the_template():
    found = landmarks_from_eyes(tuple(ARCFACE_112[0]), tuple(ARCFACE_112[1]))

    np.testing.assert_allclose(found, ARCFACE_112, atol=1e-9)


def test_crop_of_an_aligned_image_is_the_image_itself():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)

    crop = crop_face(image, template(112), 112)

    np.testing.assert_array_equal(crop, image.transpose(2, 0, 1).astype(np.float32))


def test_crop_is_black_outside_the_image():
    white = np.full((112, 112, 3), 255, np.uint8)

    crop = crop_face(white, template(112) + np.array([40, 0]), 112)

    assert (crop[:, :, -40:] == 0).all()
    assert (crop[:, :, :70] == 255).all()


def test_crop_128_shows_the_crop_112_shifted():
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    landmarks = template(112) + np.array([40, 40])

    small, wide = crop_face(image, landmarks, 112), crop_face(image, landmarks, 128)

    np.testing.assert_allclose(wide[:, :112, 8:120], small, atol=1)
