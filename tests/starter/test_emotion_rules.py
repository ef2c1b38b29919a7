# SPDX-License-Identifier: Apache-2.0
"""The rules of synthetic people's emotions: what they use, how they vary, and that they repeat."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.emotions.faces import (
    actions_shown,
    codes_of_actions,
    draw_intensities,
    head_codes,
)
from mien_starter.emotions.movements import (
    EXPECTED,
    Faces,
    actions_of_emotions,
    as_expected,
    foreign_mm,
    movements_mm,
)
from mien_starter.emotions.people import draw_people, expressiveness
from mien_starter.emotions.units import PROTOTYPES, prototype_units, unit_actions
from mien_starter.head import facial_actions
from mien_starter.head.anny_source import ADULT_AGE
from mien_starter.world.assets import default_assets


@pytest.fixture(scope="module")
def assets():
    return default_assets()


@pytest.fixture(scope="module")
def names(assets):
    return list(assets.head.action_names)


@pytest.fixture(scope="module")
def crowd(assets):
    return draw_people(range(110_000, 112_000), assets)


@pytest.fixture(scope="module")
def faces(assets):
    return Faces(assets.head)


def one(emotion, intensity=1.0):
    return intensity * np.eye(6)[EMOTIONS.index(emotion)]


def mean_actions(people, emotions):
    gains = people.gains * people.expressiveness[:, :, None]
    asked = np.broadcast_to(emotions, people.paces.shape)
    return actions_shown(gains, people.paces, asked).mean(axis=0)


def test_emotions_are_those_of_the_head_in_its_order(assets):
    assert tuple(PROTOTYPES) == EMOTIONS == tuple(assets.head.emotion_names)
    assert tuple(facial_actions.EMOTIONS) == EMOTIONS


@pytest.mark.parametrize("emotion", [name for name in EMOTIONS if name != "contempt"])
def test_units_of_an_emotion_hold_those_that_the_head_assigns_to_it(emotion):
    """But for 9 in anger, which the guide has in disgust alone."""
    units = {*PROTOTYPES[emotion].core, *PROTOTYPES[emotion].optional}

    assert {f"AU{unit}" for unit in units} >= set(facial_actions.EMOTIONS[emotion]) - {"AU9"}


def test_only_contempt_is_on_one_side_and_that_is_the_left(names):
    used, (_, sides) = actions_of_emotions(names), unit_actions(names)

    def stems(row, side, ending):
        return {
            names[column].removesuffix(ending)
            for column in np.flatnonzero(used[row] & (sides == side))
        }

    for row, emotion in enumerate(EMOTIONS):
        left, right, middle = stems(row, 1, "Left"), stems(row, -1, "Right"), stems(row, 0, "")
        assert left
        if emotion == "contempt":
            assert not right | middle
        else:
            assert left == right


def test_a_head_without_an_action_that_is_needed_is_refused(names):
    with pytest.raises(ValueError, match="needs the action jawOpen"):
        unit_actions([name for name in names if name != "jawOpen"])


def test_a_number_is_always_the_same_person_and_another_one_is_not(assets):
    alone, together = draw_people([7], assets), draw_people([3, 7, 9], assets)

    for field in ("shape", "expressiveness", "gains", "paces"):
        assert_array_equal(getattr(alone, field)[0], getattr(together, field)[1])
    assert np.abs(together.gains[0] - together.gains[1]).max() > 0.05
    assert len(together) == 3


def test_everybody_shows_the_core_units_and_half_show_an_optional_one(crowd, names):
    core, optional = prototype_units()
    actions, _ = unit_actions(names)
    happiness, fear = EMOTIONS.index("happiness"), EMOTIONS.index("fear")
    smile, jaw = names.index("mouthSmileLeft"), names.index("jawOpen")

    assert (crowd.gains[:, happiness, smile] > 0.2).all()
    assert (crowd.gains[:, fear, jaw] > 0).all()
    with_26 = (crowd.gains[:, happiness, jaw] > 0).mean()
    assert with_26 == pytest.approx(0.5, abs=0.04)
    expected = (core + 0.5 * optional) @ actions
    assert_allclose(crowd.gains.mean(axis=0), expected, atol=0.02)
    assert not crowd.gains[:, expected == 0].any()


def test_faces_are_lopsided_to_either_side_alike(crowd, names):
    left, right = (names.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    smiles = crowd.gains[:, EMOTIONS.index("happiness")]
    lean = (smiles[:, left] - smiles[:, right]) / (smiles[:, left] + smiles[:, right])

    assert lean.std() == pytest.approx(0.08, abs=0.01)
    assert abs(lean.mean()) < 0.01


def test_sex_and_age_change_expressiveness_about_one():
    youngest, oldest = ADULT_AGE
    corners = expressiveness(np.array([0, 1, 0, 1]), np.array([youngest, youngest, oldest, oldest]))
    middle = expressiveness(np.array([0.5]), np.array([(youngest + oldest) / 2]))
    happiness, anger, surprise = (EMOTIONS.index(n) for n in ("happiness", "anger", "surprise"))

    assert_allclose(middle, 1)
    assert_allclose(corners.mean(axis=0), 1)
    assert (corners[:2] > corners[2:]).all(), "the young show more"
    assert corners[0, happiness] > corners[1, happiness]
    assert corners[0, anger] < corners[1, anger]
    assert corners[0, surprise] == corners[1, surprise]


def test_what_sex_does_can_be_seen_in_shape(crowd):
    ratio = crowd.expressiveness[:, 0] / crowd.expressiveness[:, 5]  # happiness to surprise
    is_female = (ratio > 1).astype(float)
    rows = np.column_stack([np.ones(len(crowd)), crowd.shape])
    solution, *_ = np.linalg.lstsq(rows[:1000], is_female[:1000], rcond=None)
    seen = rows[1000:] @ solution > 0.5

    assert (seen == is_female[1000:].astype(bool)).mean() > 0.9


def test_no_emotion_moves_nothing_and_all_at_once_stay_actions(crowd):
    assert not mean_actions(crowd, np.zeros(6)).any()
    asked = np.ones(crowd.paces.shape)
    everything = actions_shown(crowd.gains, crowd.paces, asked)
    assert everything.min() >= 0
    assert everything.max() <= 1


def test_two_emotions_do_more_than_either_and_less_than_their_sum(crowd):
    gains, paces = crowd.gains[:50], crowd.paces[:50]

    def shown(emotions):
        return actions_shown(gains, paces, np.broadcast_to(emotions, paces.shape))

    fear, surprise = shown(one("fear", 0.6)), shown(one("surprise", 0.7))
    both = shown(one("fear", 0.6) + one("surprise", 0.7))

    assert (both >= np.maximum(fear, surprise) - 1e-12).all()
    assert (both <= fear + surprise + 1e-12).all()
    assert_allclose(both, fear + surprise - fear * surprise, atol=1e-12)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_more_of_an_emotion_is_more_of_all_its_actions(emotion, crowd):
    steps = [mean_actions(crowd, one(emotion, x)) for x in np.linspace(0, 1, 6)]

    used = steps[-1] > 0
    assert used.any()
    assert (np.diff([step[used] for step in steps], axis=0) > 0).all()


def test_intensities_are_of_one_emotion_two_or_more_and_every_one_alike():
    drawn = draw_intensities(20_000, np.random.default_rng(0))
    how_many = (drawn > 0).sum(axis=1)

    assert drawn.min() == 0
    assert drawn.max() <= 1
    assert (how_many == 1).mean() == pytest.approx(0.45, abs=0.02)
    assert (how_many == 2).mean() == pytest.approx(0.40, abs=0.02)
    assert set(how_many) == {1, 2, 3, 4, 5, 6}
    assert_allclose((drawn > 0).mean(axis=0), how_many.mean() / 6, atol=0.01)


def test_codes_hold_all_that_the_actions_do(assets, crowd):
    """50 coefficients and jaw for 100 coefficients and a pose of 15."""
    head = assets.head
    actions = mean_actions(crowd, one("fear"))[None]

    expression, pose = head_codes(codes_of_actions(head, actions))

    assert_allclose(pose[0], head.pose_from_actions @ actions[0], atol=1e-6)
    assert pose[0, 6] > 0.05, "the jaw opens"
    whole = head.shapedirs[..., 300:] @ (head.expression_from_actions @ actions[0])
    assert_allclose(head.shapedirs[..., 300:] @ expression[0], whole, atol=1e-5)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_what_people_do_on_average_moves_what_the_emotion_should(emotion, assets, crowd, faces):
    codes = codes_of_actions(assets.head, mean_actions(crowd, one(emotion))[None])
    shape = crowd.shape[:4]
    at_rest = faces.decode(shape, np.zeros((4, 56), np.float32))[1]
    moved = faces.decode(shape, np.repeat(codes, 4, axis=0))[1]

    found = movements_mm(moved, at_rest)

    assert as_expected(emotion, found).all(), {name: found[name] for name in EXPECTED[emotion]}
    assert foreign_mm(assets.head, emotion, codes)[0] < 1e-3


def test_an_action_of_another_emotion_is_foreign(assets, names):
    codes = codes_of_actions(assets.head, np.eye(len(names))[[names.index("cheekPuff")]])

    assert foreign_mm(assets.head, "sadness", codes)[0] > 0.5


def test_faces_lie_apart_as_far_as_their_vertices(assets, faces):
    codes = np.zeros((2, 56), np.float32)
    codes[1, 0] = 1.5
    first = 1.5 * np.linalg.norm(assets.head.shapedirs[faces.face, :, 300], axis=1).mean()

    off = faces.apart_mm(np.zeros((2, 50), np.float32), codes, np.zeros_like(codes))

    assert_allclose(off, [0, 1000 * first], rtol=1e-4)
