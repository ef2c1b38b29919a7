# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import numpy as np
import pytest

from bench.avatars.likeness import is_the_face, measure_likeness, spread_of
from mien import ServerError, ServerUnavailableError
from tests.bench.planted_avatars import PlantedAvatar, PlantedClient

FIVE = np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])
POINTS_68 = np.zeros((68, 2))
POINTS_68[36], POINTS_68[45] = (25, 40), (75, 40)


class PlantedPhotographs:
    def __init__(self, people):
        count = len(people)
        self.labels = {
            "identity": np.array(people),
            "landmarks": np.stack([FIVE] * count),
            "landmarks_68": np.stack([POINTS_68] * count),
        }

    def image_rgb(self, index):
        return np.full((4, 4, 3), index, np.uint8)


def axis(number):
    return np.eye(4)[number]


def measured(people, answers, **options):
    photographs = PlantedPhotographs(people)
    return measure_likeness(
        PlantedClient(answers), photographs, list(range(len(people))), **options
    )


def test_figures_are_the_server_s_one_for_each_avatar():
    qualities = [(20.0, 0.8, 0.3), (30.0, 0.9, 0.1), (np.nan, np.nan, 0.5)]
    answers = [(FIVE, axis(i), PlantedAvatar(i, quality=q)) for i, q in enumerate(qualities)]
    told = []

    found = measured([1, 2, 3], answers, on_progress=told.append)

    for column, name in enumerate(("psnr", "ssim", "difd")):
        assert found.figures[name] == pytest.approx([q[column] for q in qualities], nan_ok=True)
    assert spread_of(found.figures["psnr"]) == pytest.approx((25, 5, 2))
    assert "lpips" not in found.figures
    assert told == [1, 2, 3]


def test_photographs_are_compared_within_and_between_people():
    half = np.sqrt(0.5)
    vectors = [axis(0), half * (axis(0) + axis(1)), axis(2)]  # 45 degrees within, 90 between
    answers = [(FIVE, vector, PlantedAvatar()) for vector in vectors]

    found = measured([5, 5, 6], answers)

    assert found.same_difd == pytest.approx([2 * np.sin(np.pi / 8)])
    assert found.other_difd == pytest.approx([np.sqrt(2)] * 2)


def test_what_gives_no_avatar_is_counted_by_its_reason_and_measured_no_further():
    elsewhere = FIVE + 200
    refusal = ServerError("broken", code="MODEL_FAILED")
    answers = [
        None, (elsewhere, axis(0), PlantedAvatar()), (FIVE, axis(1), refusal),
        (FIVE, axis(2), PlantedAvatar()),
    ]  # fmt: skip

    found = measured([1, 2, 3, 4], answers)

    assert found.refused == {"NO_FACE": 1, "MODEL_FAILED": 1}
    assert found.elsewhere == 1
    assert len(found.figures["difd"]) == 1


def test_a_server_that_cannot_be_reached_ends_the_measurement():
    with pytest.raises(ServerUnavailableError):
        measured([1], [(FIVE, axis(0), ServerUnavailableError("gone"))])


def test_lpips_is_asked_about_photographs_with_an_avatar():
    asked = []

    def lpips(photograph):
        asked.append(photograph[:4])
        return 0.25

    found = measured([1, 2], [None, (FIVE, axis(0), PlantedAvatar())], lpips=lpips)

    assert found.figures["lpips"].tolist() == [0.25]
    assert asked == [b"\x89PNG"]


@pytest.mark.parametrize(("shift", "same"), [(0, True), (40, True), (60, False)])
def test_a_face_is_the_one_that_is_less_than_the_eyes_distance_away(shift, same):
    face = SimpleNamespace(landmarks=FIVE + np.array([shift, 0]))  # the eyes are 50 apart

    assert is_the_face(face, FIVE, POINTS_68) == same


def test_a_spread_without_numbers_is_not_known():
    mean, deviation, count = spread_of(np.array([np.nan, np.inf]))

    assert np.isnan([mean, deviation]).all()
    assert count == 0
