# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from bench.morphface.features import feature_spaces
from bench.morphface.measures import (
    BAND_EDGES,
    attribute_variances,
    band_numbers,
    frequency_variances,
    inter_class_similarities,
    intra_class_similarity,
)
from mien_server.deca_codes import CODE_PARTS
from tests.bench.planted_faces import planted_faces


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_similarity_within_a_person_is_the_mean_over_all_pairs_whatever_their_length():
    vectors = np.random.default_rng(0).normal(size=(5, 7))
    pairs = [cosine(a, b) for a, b in itertools.combinations(vectors, 2)]

    assert intra_class_similarity(vectors) == pytest.approx(np.mean(pairs))
    assert intra_class_similarity(np.diag([1.0, 2, 3]) @ vectors[:3]) == pytest.approx(
        intra_class_similarity(vectors[:3])
    )


def test_similarity_between_people_is_the_mean_over_all_pairs_of_one_with_the_others():
    rng = np.random.default_rng(1)
    people = [rng.normal(size=(count, 6)) for count in (3, 4, 2)]

    found = inter_class_similarities(people)

    for number, own in enumerate(people):
        others = np.concatenate([p for i, p in enumerate(people) if i != number])
        pairs = [cosine(a, b) for a, b in itertools.product(own, others)]
        assert found[number] == pytest.approx(np.mean(pairs))


def test_variance_of_an_attribute_is_that_of_its_own_numbers_the_camera_among_the_pose():
    planted = {"shape": 1, "texture": 2, "expression": 3, "pose": 4, "camera": 7, "light": 5}
    codes = np.zeros((2, 236))
    for name, part in CODE_PARTS.items():  # two numbers v apart have an unbiased variance of v^2/2
        codes[1, part] = np.sqrt(2 * planted[name])

    found = attribute_variances(codes)

    expected = {"shape": 1, "texture": 2, "expression": 3, "light": 5, "pose": (6 * 4 + 3 * 7) / 9}
    assert found == pytest.approx(expected)


def test_variances_of_all_frequencies_add_up_to_those_of_all_pixels():
    images = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3), np.uint8)
    grey = images @ np.array([0.299, 0.587, 0.114]) / 255

    bands = frequency_variances(images)

    counts = np.bincount(band_numbers(32).ravel(), minlength=len(bands))
    assert counts.sum() == 32 * 32
    assert (bands * counts).sum() == pytest.approx(grey.var(axis=0, ddof=1).sum())


@pytest.mark.parametrize(("cycles", "band"), [(1, 1), (2, 2), (5, 3), (20, 5), (60, 7)])
def test_a_wave_that_comes_and_goes_varies_in_the_band_of_its_frequency_alone(cycles, band):
    wave = np.cos(2 * np.pi * cycles * np.arange(128) / 128)
    images = [np.tile(127.5 + 100 * a * wave, (128, 1)) for a in (-1, 1)]
    images = np.repeat(np.rint(images)[..., None], 3, axis=3).astype(np.uint8)

    bands = frequency_variances(images)

    assert BAND_EDGES[band] <= cycles < BAND_EDGES[band + 1]
    assert int(bands.argmax()) == band
    # Two amplitudes of 100/255, opposite: the wave's power is half of 2 (100/255)^2 a pixel.
    count = (band_numbers(128) == band).sum()
    assert bands[band] * count == pytest.approx((100 / 255) ** 2 * 128**2, rel=0.01)


def test_pictures_that_are_all_alike_have_no_variance():
    images = np.repeat(np.random.default_rng(3).integers(0, 256, (1, 32, 32, 3), np.uint8), 4, 0)

    assert frequency_variances(images) == pytest.approx(np.zeros(8))


def test_style_features_leave_out_who_it_is_and_weigh_their_groups_equally():
    rng = np.random.default_rng(4)
    real = planted_faces(rng, 0, 300, likeness=1, spread=1)
    real.codes[:, CODE_PARTS["light"]] *= 50
    style = feature_spaces(real)["style"]
    features = style(real)
    other_shape = planted_faces(rng, 0, 300, likeness=1, spread=1)
    other_shape.codes[:, 100:] = real.codes[:, 100:]

    assert features.shape == (300, 236 - 100)
    assert features.var(axis=0).sum() == pytest.approx(4)
    light = features[:, -27:]
    assert light.var(axis=0).sum() == pytest.approx(1)
    assert (style(other_shape) == features).all()


def test_thumbnails_see_the_whole_picture():
    faces = planted_faces(np.random.default_rng(5), 0, 2, likeness=1, spread=1)
    faces.images_rgb[1] = faces.images_rgb[0]
    faces.images_rgb[1, -16:, -16:] = 0
    thumbnail = feature_spaces(faces)["thumbnail"]

    first, second = thumbnail(faces)

    assert (first != second).sum() == 3
    assert second[-3:] == pytest.approx(np.zeros(3))
