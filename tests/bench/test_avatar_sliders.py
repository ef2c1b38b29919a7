# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from bench.avatars.shown import EMOTION_NAMES
from bench.avatars.sliders import at_rest_in, measure_sliders, reaches_mm
from mien_starter.emotions.movements import Faces
from mien_starter.world.assets import default_assets
from tests.bench.planted_avatars import PlantedAvatar, PlantedHeads, glb_of


@pytest.fixture(scope="module")
def head():
    return default_assets().head


@pytest.fixture(scope="module")
def mouth(head):
    """(V, 3) metres: lips and chin go down by 6 mm."""
    return np.where((head.v_template[:, 1] < -0.05)[:, None], (0, -0.006, 0), 0)


@pytest.fixture(scope="module")
def reaches(head):
    return reaches_mm(Faces(head), np.zeros(300))


def test_emotions_reach_their_own_part_of_the_face_and_none_the_scalp(head, reaches):
    points = head.v_template
    brows = (abs(points[:, 1] - 0.035) < 0.005) & (points[:, 2] > 0.09)
    lips = (abs(points[:, 1] + 0.055) < 0.01) & (points[:, 2] > 0.095)
    fear, contempt = (reaches[EMOTION_NAMES.index(name)] for name in ("fear", "contempt"))

    assert brows.any()
    assert lips.any()
    assert fear[brows].mean() > 5 * contempt[brows].mean()
    assert contempt[lips].mean() > 1
    assert reaches[:, points[:, 1] > 0.12].max() < 0.01


def slid(head, move, **avatar):
    heads = PlantedHeads(head.v_template, head.v_template, move)
    own = PlantedAvatar(vertices=head.v_template[:300], **avatar)
    return measure_sliders([own] * 2, heads, head)


def test_sliders_that_do_what_they_should_have_no_fault(head, mouth):
    found = slid(head, lambda emotions, _: emotions.sum() ** 2 * mouth)
    face = head.regions["face"]

    assert found.rising == 1
    assert found.rest_mm == found.zero_mm == found.order_mm == 0
    moved = 1000 * np.linalg.norm(mouth[face], axis=1).mean()
    assert found.moved_mm["fear"] == pytest.approx(moved)
    assert 0 < found.expected < 1  # lips go down: some emotions are known by that, none by it alone
    assert found.avatars == 2


def test_a_slider_that_turns_back_is_found_out(head, mouth):
    # It rises up to 0.5, and falls from there.
    found = slid(head, lambda emotions, _: np.sin(np.pi * emotions.sum()) * mouth)

    assert found.rising == pytest.approx(0.5, abs=0.03)


def test_what_moves_beyond_its_actions_strays_or_remembers_is_found_out(head):
    points = head.v_template
    crown = np.where((points[:, 1] > 0.12)[:, None], (0, 0.002, 0), 0)

    def move(emotions, code):
        worn_before = 0.001 * code.count("+")
        return emotions.sum() * crown + 0.0005 + np.array([worn_before, 0, 0])

    found = slid(head, move, strays_m=0.004)

    assert found.zero_mm == pytest.approx(np.sqrt(3) * 0.5, rel=1e-3)
    # The crown moves up by 2 mm, and with all else by 0.5 mm along each axis.
    assert found.beyond_mm["contempt"] == pytest.approx(np.hypot(2.5, np.hypot(0.5, 0.5)), rel=0.01)
    assert found.rest_mm == pytest.approx(4, rel=1e-3)
    assert found.order_mm == pytest.approx(6, rel=1e-3)  # six emotions and none were worn before


def test_vertices_of_a_file_come_as_they_are_at_rest():
    vertices = np.random.default_rng(0).normal(size=(9, 3))

    np.testing.assert_allclose(at_rest_in(glb_of(vertices)), vertices, atol=1e-6)
