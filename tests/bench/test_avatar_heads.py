# SPDX-License-Identifier: Apache-2.0
"""The yardstick, and people who show emotions, on the starter head."""

import numpy as np
import pytest

from bench.avatars.heads import Yardstick, landmarks_68
from bench.avatars.scans import Alignment
from bench.avatars.shown import EMOTION_NAMES, VIEWS_DEG, draw_shown
from mien_server.rendering import pixels_from_image, project
from mien_starter.emotions.movements import as_expected, movements_mm
from mien_starter.world.world import World

PEOPLE = (110_147,)


@pytest.fixture(scope="module")
def world():
    return World(64)


@pytest.fixture(scope="module")
def yardstick(world):
    return Yardstick.of(world.assets)


@pytest.fixture(scope="module")
def shown(world):
    return list(draw_shown(PEOPLE, 6, world))


def turned(vertices):
    cosine, sine = np.cos(0.7), np.sin(0.7)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return vertices @ turn.T + (0.1, -0.2, 3)


def test_a_head_is_at_no_distance_from_itself_however_it_is_turned(yardstick, shown):
    truth = shown[0].vertices

    for mm in yardstick.errors_mm(turned(truth), truth).values():
        assert mm.max() < 0.01


def test_only_the_metrical_alignment_sees_that_a_head_is_too_large(yardstick, shown):
    truth = shown[0].vertices

    off = {how: mm.mean() for how, mm in yardstick.errors_mm(1.04 * truth, truth).items()}

    assert off[Alignment.LANDMARKS] < 0.01
    assert off[Alignment.NOW] < 0.01
    assert off[Alignment.METRICAL] > 0.5


def test_a_dent_is_found_as_deep_as_it_is_and_no_wider(yardstick, shown):
    head, truth = yardstick.head, shown[0].vertices
    tip = landmarks_68(head, truth)[30]
    near = np.linalg.norm(truth - tip, axis=1) < 0.012
    dented = truth - np.where(near[:, None], (0, 0, 0.003), 0)

    mm = yardstick.errors_mm(dented, truth, [Alignment.LANDMARKS])[Alignment.LANDMARKS]

    assert 2 < mm.max() < 3.3
    assert np.median(mm) < 0.1


def test_scans_see_the_face_from_all_sides_and_nothing_behind_it(yardstick):
    points = yardstick.places.on(yardstick.head.v_template)

    assert points[:, 2].min() > -0.01
    assert np.ptp(points[:, 0]) > 0.12
    assert np.ptp(points[:, 1]) > 0.14


def test_each_person_shows_each_emotion_in_both_views_as_it_is_known(world, shown):
    head = world.assets.head
    assert [(s.identity, s.view) for s in shown[:2]] == [(PEOPLE[0], "front"), (PEOPLE[0], "side")]
    assert {(s.identity, s.emotion, s.view) for s in shown} == {
        (person, name, view) for person in PEOPLE for name in EMOTION_NAMES for view in VIEWS_DEG
    }
    for each in shown:
        strength = each.intensities[EMOTION_NAMES.index(each.emotion)]
        assert 0.5 <= strength <= 1
        assert each.intensities.sum() == strength
        moved, rest = (landmarks_68(head, v)[None] for v in (each.vertices, each.neutral))
        assert as_expected(each.emotion, movements_mm(moved, rest)).mean() > 0.6


def test_both_views_are_of_one_mesh_and_other_photographs(shown):
    for front, side in zip(shown[::2], shown[1::2], strict=True):
        skin = np.linalg.norm(front.vertices - side.vertices, axis=1)
        assert np.median(skin) == 0  # but for the eyes, which look elsewhere
        assert (front.intensities == side.intensities).all()
        assert (front.image_rgb != side.image_rgb).any()


def test_a_person_looks_the_same_each_time_and_is_the_world_s(world, shown):
    again = next(draw_shown(PEOPLE[:1], 1, world))

    assert (again.image_rgb == shown[0].image_rgb).all()
    assert (again.vertices == shown[0].vertices).all()
    assert (again.shape == world.photograph(PEOPLE[0], 0).shape).all()


def test_the_face_is_turned_as_the_view_says(world, shown):
    # Seen from the side, the nose is no longer between the eyes.
    for each in shown:
        eyes, nose = each.landmarks[:2], each.landmarks[2]
        away = abs(nose - eyes.mean(axis=0))[0] / np.linalg.norm(eyes[1] - eyes[0])
        assert (away > 0.25) == (each.view == "side")
    camera = np.array([8.0, 0, 0], np.float32)
    centre = pixels_from_image(project(np.zeros((1, 1, 3)), camera[None])[0], width=64, height=64)
    assert centre[0] == pytest.approx([32, 32])


@pytest.mark.parametrize(
    ("people", "each", "reason"),
    [([7], 1, "split train"), (PEOPLE, 0, "allowed are 1 to 6"), (PEOPLE, 7, "allowed are 1 to 6")],
)
def test_others_than_held_out_people_and_other_counts_are_refused(world, people, each, reason):
    with pytest.raises(ValueError, match=reason):
        next(draw_shown(people, each, world))
