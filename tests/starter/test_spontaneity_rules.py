# SPDX-License-Identifier: Apache-2.0
"""The rules of posed and spontaneous expressions: directions, overlap, and habits of people."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mien_export.networks.compcnn import CLASSES
from mien_export.networks.emotion_mlp import EMOTIONS
from mien_starter.emotions.faces import codes_of_actions
from mien_starter.emotions.movements import Faces, movements_mm
from mien_starter.spontaneity.actions import RELUCTANT, STRAYS, action_groups, apex_actions
from mien_starter.spontaneity.cues import (
    CUES,
    POSED,
    SPONTANEOUS,
    SPREADS,
    draw_cues,
    draw_habits,
    log_densities,
)
from mien_starter.spontaneity.expressions import TRACE, draw_expression, manner_of
from mien_starter.spontaneity.observers import (
    EACH,
    classifier_error,
    draw_many,
    ideal_error,
    ideal_error_of_cue,
)
from mien_starter.world.assets import default_assets


@pytest.fixture(scope="module")
def assets():
    return default_assets()


@pytest.fixture(scope="module")
def names(assets):
    return list(assets.head.action_names)


@pytest.fixture(scope="module")
def groups(names):
    return action_groups(names)


@pytest.fixture(scope="module")
def drawn(assets):
    return draw_many(range(110_000, 110_000 + 500), EACH, assets)


def of_emotion(drawn, emotion, kind):
    rows = (drawn.emotion == EMOTIONS.index(emotion)) & (drawn.is_spontaneous == kind)
    return drawn.apex[rows]


def mean_of(apex, names, *stems):
    columns = [place for place, name in enumerate(names) if name.startswith(stems)]
    return apex[:, columns].mean()


def test_kinds_are_numbered_as_the_networks_classes_are():
    assert CLASSES[POSED] == "posed"
    assert CLASSES[SPONTANEOUS] == "spontaneous"


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_posed_mouths_do_more_and_eyes_have_a_smaller_share(emotion, drawn, names):
    posed, felt = (of_emotion(drawn, emotion, kind) for kind in (False, True))
    mouth = ("jaw",) if emotion == "surprise" else ("mouthSmile", "mouthFrown", "mouthStretch")

    assert mean_of(posed, names, *mouth) > 1.2 * mean_of(felt, names, *mouth)
    about = ("eyeWide",) if emotion in ("fear", "surprise") else ("eyeSquint",)
    shares = [mean_of(x, names, *about) / mean_of(x, names, *mouth) for x in (posed, felt)]
    assert shares[0] < 0.65 * shares[1]
    assert mean_of(posed, names, *about) < mean_of(felt, names, *about)


@pytest.mark.parametrize("emotion", sorted(RELUCTANT))
def test_reluctant_actions_stay_weak_where_they_are_posed(emotion, drawn, names):
    posed, felt = (of_emotion(drawn, emotion, kind) for kind in (False, True))

    for stem in RELUCTANT[emotion]:
        assert mean_of(posed, names, stem) < 0.95 * mean_of(felt, names, stem)


def test_posed_smiles_lean_farther_and_to_the_left(drawn, names):
    left, right = (names.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    leans = []
    for kind in (False, True):
        smile = of_emotion(drawn, "happiness", kind)
        leans.append((smile[:, left] - smile[:, right]) / (smile[:, left] + smile[:, right]))

    assert np.abs(leans[0]).mean() > 1.4 * np.abs(leans[1]).mean()
    assert leans[0].mean() > 0.02
    assert abs(leans[1].mean()) < 0.02


# Of each emotion an action that strays into it and is in none of its units.
STRAY = {
    "happiness": "browOuterUp", "anger": "jawForward", "sadness": "mouthPucker",
    "fear": "mouthShrugUpper", "contempt": "browOuterUp", "surprise": "noseSneer",
}  # fmt: skip


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_more_strays_into_posed_expressions(emotion, drawn, names):
    posed, felt = (of_emotion(drawn, emotion, kind) for kind in (False, True))

    assert STRAY[emotion] in STRAYS[emotion]
    assert mean_of(posed, names, STRAY[emotion]) > 1.5 * mean_of(felt, names, STRAY[emotion])


def test_rules_are_seen_on_a_head(assets, names, groups):
    """Corners of the mouth by the mouth's cue, lids by the eyes', one corner by the lean."""
    manner = manner_of(110_007, 0.0, 0.8, assets)
    happiness = EMOTIONS.index("happiness")

    def movements(**cues):
        row = np.array([cues.get(cue, -9.0 if cue == "strays" else 0.0) for cue in CUES])
        apex = apex_actions(manner.gains[happiness], happiness, row, np.ones(52), groups)
        faces, flat = Faces(assets.head), np.zeros((1, 50), np.float32)
        _, shown = faces.decode(flat, codes_of_actions(assets.head, apex[None]))
        _, rest = faces.decode(flat, np.zeros((1, 56), np.float32))
        return {name: float(moved[0]) for name, moved in movements_mm(shown, rest).items()}

    plain, mouth, eyes = movements(mouth=-0.5), movements(mouth=0.0), movements(mouth=-0.5, eyes=-1)
    assert mouth["mouth_wider"] > plain["mouth_wider"] + 1
    assert eyes["eyes_open"] > plain["eyes_open"] + 0.3
    assert_allclose(eyes["mouth_wider"], plain["mouth_wider"], atol=0.3)
    lopsided = movements(mouth=-0.5, lean=0.3), movements(mouth=-0.5, lean=-0.3)
    assert lopsided[0]["left_corner_up"] > 1 > -1 > lopsided[1]["left_corner_up"]


def test_likelihoods_are_densities_of_what_is_drawn():
    """Known habits: the density is the normal one's. Unknown: they are drawn as well."""
    rng, count = np.random.default_rng(0), 4000
    habits = np.array([draw_habits(rng) for _ in range(count)])
    for kind in (POSED, SPONTANEOUS):
        cues = np.array([draw_cues(habit, bool(kind), rng) for habit in habits])
        for column, spread in enumerate(SPREADS.values()):
            known = spread.deviations[kind]
            marginal = np.hypot(spread.deviations[kind], spread.habit)
            assert cues[:, column].mean() == pytest.approx(spread.means[kind], abs=0.05 * marginal)
            assert cues[:, column].std() == pytest.approx(marginal, rel=0.05)
            assert (cues - habits)[:, column].std() == pytest.approx(known, rel=0.05)
        # The mean logarithm of a normal density is that of its deviation alone.
        for known_habits, given in ((True, habits), (False, None)):
            found = log_densities(cues, given)[kind].mean(axis=0)
            deviations = [
                s.deviations[kind] if known_habits else np.hypot(s.deviations[kind], s.habit)
                for s in SPREADS.values()
            ]
            entropy = -0.5 - 0.5 * np.log(2 * np.pi * np.square(deviations))
            assert_allclose(found, entropy, atol=0.06)


def test_an_ideal_observer_errs_in_five_to_ten_percent(drawn, names):
    """6,000 draws: a standard error is 0.3 points. A real classifier cannot beat the ideal one."""
    ideal, knowing = (ideal_error(drawn, knows_habits=knows) for knows in (False, True))
    found = classifier_error(drawn, names)

    assert 0.05 < ideal < 0.07
    assert 0.035 < knowing < ideal
    assert ideal < found < 0.12


@pytest.mark.parametrize("cue", CUES)
def test_no_cue_suffices_and_none_is_idle(cue, drawn):
    assert 0.18 < ideal_error_of_cue(drawn, cue) < 0.35


def test_every_cue_helps(drawn):
    """Without it, the error of the rest grows."""
    whole = ideal_error(drawn, knows_habits=False)
    for column, spread in enumerate(SPREADS.values()):
        # A cue in the middle between both classes says next to nothing.
        cues = drawn.cues.copy()
        posed, spontaneous = spread.means
        deviations = np.hypot(spread.deviations, spread.habit)
        share = deviations[0] / deviations.sum()
        cues[:, column] = posed + share * (spontaneous - posed)
        blind = replace(drawn, cues=cues)
        assert ideal_error(blind, knows_habits=False) > whole + 0.002


def test_people_keep_their_habits_whether_they_pose_or_not(assets, names, groups):
    """Means over many smiles of a person, posed and felt, rank people alike."""
    means = np.zeros((2, 40, 2))
    left, right = (names.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    for row in range(40):
        manner = manner_of(row, 0.5, 0.8, assets)
        for kind in (0, 1):
            rng = np.random.default_rng([row, kind])
            shown = [draw_expression(manner, 0, bool(kind), rng, groups).apex for _ in range(60)]
            smile = np.array(shown)[:, [left, right]]
            means[kind, row, 0] = ((smile[:, 0] - smile[:, 1]) / smile.sum(axis=1)).mean()
            means[kind, row, 1] = smile.sum(axis=1).mean()

    for column in (0, 1):  # lopsidedness, strength
        assert np.corrcoef(means[0, :, column], means[1, :, column])[0, 1] > 0.8


def test_a_number_always_has_the_same_manner(assets):
    first, again, other = (manner_of(n, 1.0, 0.7, assets) for n in (5, 5, 6))

    assert_array_equal(first.gains, again.gains)
    assert_array_equal(first.habits, again.habits)
    assert np.abs(first.habits - other.habits).max() > 0.01


def test_the_onset_is_a_trace_of_the_apex_alike_in_both_kinds(assets, groups):
    manner, rng = manner_of(3, 0.0, 0.8, assets), np.random.default_rng(1)
    traces = []
    for kind in (False, True):
        shown = [draw_expression(manner, 4, kind, rng, groups) for _ in range(400)]
        traces.append([one.onset.sum() / one.apex.sum() for one in shown])
        assert all(one.apex.min() >= 0 and one.apex.max() <= 1 for one in shown)

    assert np.min(traces) >= 0
    assert np.max(traces) <= TRACE[1]
    assert abs(np.mean(traces[0]) - np.mean(traces[1])) < 0.012


def test_no_action_is_moved_by_two_cues(groups):
    together = groups.eyes.astype(int) + groups.reluctant + groups.mouth

    assert together.max() == 1


def test_unknown_emotions_and_heads_without_the_actions_are_refused(assets, names, groups):
    manner = manner_of(3, 0.0, 0.8, assets)
    with pytest.raises(ValueError, match="emotion is 6"):
        draw_expression(manner, 6, True, np.random.default_rng(0), groups)
    with pytest.raises(ValueError, match="need the action jawForward"):
        action_groups([name for name in names if name != "jawForward"])
