# SPDX-License-Identifier: Apache-2.0
"""The emotion network: its training on a few people, and figures of what is known to be good."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors.torch import load_file

from mien_export.networks.emotion_mlp import EMOTION_MLP_SHAPE, EMOTIONS, EmotionMlp
from mien_starter import cli, recipes
from mien_starter.emotions.faces import actions_shown, codes_of_actions
from mien_starter.emotions.movements import Faces
from mien_starter.emotions.people import draw_people
from mien_starter.errors import StarterError
from mien_starter.evaluation import emotions
from mien_starter.evaluation.emotions import draw_truth, measure_emotions
from mien_starter.evaluation.networks import predictor, wrapped
from mien_starter.recipes import emotion_mlp
from mien_starter.recipes.emotion_mlp import (
    EmotionNetworks,
    EmotionTask,
    emotion_loss,
    network_states,
    variant_state,
)
from mien_starter.shipped import WEIGHTS
from mien_starter.training.loop import train
from mien_starter.training.recipe import Recipe
from mien_starter.world.assets import default_assets

RECIPE = Recipe(
    steps=8, batch=16, learning_rate=1e-2, seed=5, warmup_steps=2, log_every=2, checkpoint_every=3
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def few_heads(monkeypatch):
    monkeypatch.setattr(emotions, "HEADS", 4)


@pytest.fixture(scope="module")
def assets():
    return default_assets()


@pytest.fixture(scope="module")
def people(assets):
    return draw_people(range(40), assets)


@pytest.fixture(scope="module")
def truth(assets):
    return draw_truth(assets, samples=60, crowd=400)


@pytest.fixture(scope="module")
def faces(assets):
    return Faces(assets.head)


def task(people, assets, recipe=RECIPE):
    torch.manual_seed(recipe.seed)
    return EmotionTask(recipe, EmotionNetworks(), people, assets)


def everybody(assets):
    """An oracle: at any intensities it says what a crowd does on average, whoever is asked."""
    crowd = draw_people(range(110_000, 110_200), assets)
    gains = crowd.gains * crowd.expressiveness[:, :, None]

    def predict(asked, shape):
        actions = [
            actions_shown(gains, crowd.paces, np.broadcast_to(row, crowd.paces.shape)).mean(axis=0)
            for row in asked
        ]
        codes = codes_of_actions(assets.head, np.stack(actions))
        return codes[:, :50], codes[:, 50:]

    return predict


def test_the_loss_is_equation_6_with_the_jaw_for_the_neck():
    rng = np.random.default_rng(0)
    codes, truth = (rng.normal(size=(7, 56)) for _ in range(2))
    off = np.abs(codes - truth)
    expression, of_global, jaw = off[:, :50].mean(), off[:, 50:53].mean(), off[:, 53:].mean()

    found = emotion_loss(torch.from_numpy(codes), torch.from_numpy(truth), alpha=3.0, beta=0.5)

    assert float(found) == pytest.approx(expression + 3.0 * jaw + 0.5 * of_global)


def test_a_batch_is_always_the_same_and_shows_means_of_people(people, assets):
    made = task(people, assets)
    first, again, other = made.batch(3), made.batch(3), made.batch(4)

    assert {name: array.shape for name, array in first.items()} == {
        "emotions": (16, 6),
        "shape": (16, 50),
        "codes": (16, 56),
    }
    assert all(array.dtype == np.float32 for array in first.values())
    for name, array in first.items():
        assert_array_equal(array, again[name])
        assert np.abs(array - other[name]).max() > 0.01
    assert not first["codes"][:, 50:53].any(), "no emotion turns the head"
    assert first["codes"][:, 53].max() > 0.02, "some open the jaw"


def test_an_interrupted_run_ends_with_the_same_bits(people, assets, tmp_path):
    whole = train(task(people, assets), tmp_path / "whole", workers=0)
    train(task(people, assets), tmp_path / "parts", workers=0, stop_at=4)

    last = train(task(people, assets), tmp_path / "parts", workers=0)

    assert all(torch.equal(value, last.state[name]) for name, value in whole.state.items())
    with pytest.raises(StarterError, match="another recipe"):
        train(task(people, assets, dataclasses.replace(RECIPE, steps=9)), tmp_path / "parts")


def test_training_comes_nearer_and_leaves_still_what_never_moves(people, assets, tmp_path):
    recipe = dataclasses.replace(
        RECIPE, steps=150, batch=64, log_every=10, ema_decay=0.9, checkpoint_every=150
    )
    made, rows = task(people, assets, recipe), []

    average = train(made, tmp_path, workers=0, on_progress=lambda _, text: rows.append(text))

    losses = [float(text.split("loss ")[1].split()[0]) for text in rows if text]
    assert losses[-1] < 0.5 * losses[0]
    network = EmotionMlp(EMOTION_MLP_SHAPE)
    network.load_state_dict(network_states(average.state)["emotion_mlp"])
    shape = torch.from_numpy(people.shape[:5])
    codes = network(torch.cat([torch.rand(5, 6), shape], dim=1))
    assert not codes[:, [50, 51, 52, 54, 55]].any()
    assert codes[:, :50].any()
    assert set(variant_state(average.state, "plain")) == set(network.state_dict())


def test_an_oracle_is_nearer_than_a_tenth_and_moves_what_it_should(assets, truth, faces):
    figures = measure_emotions(everybody(assets), truth, faces)

    assert figures["everybody_ratio"] < 0.05
    assert figures["alike_ratio"] > figures["everybody_ratio"], "nobody told it who was asked"
    assert figures["steps_that_move_farther"] == 1
    assert figures["movements_as_expected"] == 1
    assert figures["neutral_largest_code"] == 0
    for emotion in EMOTIONS:
        assert figures[f"{emotion}_foreign_mm"] < 0.01 < figures[f"{emotion}_mm"]
    assert figures["person_mm"] > figures["person_from_alike_mm"] > 0.2


def test_a_network_that_does_nothing_moves_nothing(truth, faces):
    def nothing(asked, shape):
        return np.zeros((len(asked), 50), np.float32), np.zeros((len(asked), 6), np.float32)

    figures = measure_emotions(nothing, truth, faces)

    assert figures["everybody_ratio"] > 0.9
    assert figures["steps_that_move_farther"] == 0
    assert figures["movements_as_expected"] == 0
    assert figures["happiness_mm"] == 0


def test_what_ships_does_better_than_a_tenth_of_the_mean_face(truth, faces):
    figures = measure_emotions(
        predictor(wrapped("emotion_mlp", WEIGHTS / "emotion_mlp.safetensors")), truth, faces
    )

    assert figures["everybody_ratio"] < 0.15
    assert figures["alike_ratio"] < 0.1
    assert figures["steps_that_move_farther"] == 1
    assert figures["movements_as_expected"] == 1
    assert figures["neutral_largest_code"] == 0
    for emotion in EMOTIONS:
        assert figures[f"{emotion}_foreign_mm"] < 0.05 * figures[f"{emotion}_mm"]


def test_train_evaluate_and_export_need_no_photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(emotion_mlp, "PEOPLE", 30)
    monkeypatch.setattr(emotions, "SAMPLES", 12)
    monkeypatch.setattr(emotions, "CROWD", 25)
    run, weights = tmp_path / "run", tmp_path / "weights"
    weights.mkdir()
    work = ["emotion_mlp", "--work", str(run)]

    for argv in (
        ["train", *work, "--steps", "3", "--threads", "1", "--workers", "0"],
        ["evaluate", *work],
        ["export", *work, "--to", str(weights)],
    ):
        assert cli.main(argv) == 0

    columns = json.loads((run / "figures.json").read_text())["figures"]
    assert list(columns) == ["trained", "emotions_alone", "random"]
    assert len({tuple(column) for column in columns.values()}) == 1
    stored = load_file(weights / "emotion_mlp.safetensors")
    assert stored["layers.0.weight"].shape == (128, 56)
    assert json.loads((weights / "starter.json").read_text())["emotion_mlp"]["network"] == (
        "mlp_shape"
    )
    card = (weights / "emotion_mlp.md").read_text()
    for part in ("30 people", "drawn by the recipe", "12 held-out people", "| everybody_ratio |"):
        assert part in card


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["train", "emotion_mlp", "--data", "x"], "looks at no photographs"),
        (["evaluate", "emotion_mlp", "--data", "x"], "looks at no photographs"),
        (["train", "mica_encoder"], "--data DIR"),
        (["evaluate", "--served", "localhost:1"], "--data DIR"),
        (["export", "deca_encoder"], "--data DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_data_sets_are_asked_for_where_photographs_are_looked_at(argv, reason, capsys):
    assert cli.main(argv) == 2
    assert reason in capsys.readouterr().err


def test_every_recipe_that_needs_no_photographs_is_one():
    assert set(recipes.WITHOUT_PHOTOGRAPHS) <= set(recipes.NAMES)
