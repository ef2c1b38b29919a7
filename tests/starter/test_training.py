# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from mien_export.networks.iresnet import IResNet, IResNetConfig
from mien_export.networks.landmarker import FaceLandmarker, LandmarkerConfig
from mien_starter.dataset import DatasetPlan, render
from mien_starter.errors import StarterError
from mien_starter.recipes.face_landmarker import LandmarkerTask
from mien_starter.recipes.face_recognizer import RecognizerTask
from mien_starter.shards import NEGATIVES, Photographs
from mien_starter.training.arcface import ArcFace
from mien_starter.training.batches import indices_of_step
from mien_starter.training.fast_prelu import with_fast_prelu
from mien_starter.training.head_geometry import HeadDistance, vertex_weights
from mien_starter.training.landmark_losses import landmark_unit, wing_loss
from mien_starter.training.loop import train
from mien_starter.training.person_parameters import NUM_SHAPE, PersonParameters
from mien_starter.training.recipe import Recipe
from mien_starter.training.schedule import learning_rate_at
from mien_starter.training.start import begin_from
from tests.export.small_heads import make_head
from tests.starter.fake_world import FakeWorld

TINY_LANDMARKER = LandmarkerConfig(widths=(16, 16, 16, 16), blocks=(0, 1, 1, 1))
TINY_IRESNET = IResNetConfig(blocks=(1, 1, 1, 1), widths=(16, 16, 16, 32), num_features=32)
RECIPE = Recipe(
    steps=12, batch=8, learning_rate=1e-2, seed=5, warmup_steps=2, log_every=3, checkpoint_every=4
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("training-data")
    plan = DatasetPlan("train", identities=8, shots=8, negatives=16, size_px=128)
    render(plan, directory, FakeWorld)
    return directory


def landmarker_task(data, recipe=RECIPE, **options):
    torch.manual_seed(recipe.seed)
    faces, backgrounds = Photographs([data], **options), Photographs([data], NEGATIVES)
    return LandmarkerTask(recipe, FaceLandmarker(TINY_LANDMARKER), faces, backgrounds)


def recognizer_task(data, recipe=RECIPE):
    torch.manual_seed(recipe.seed)
    return RecognizerTask(recipe, IResNet(TINY_IRESNET), 32, make_head(), Photographs([data]))


def test_a_run_begins_from_what_another_one_learnt_and_says_so(data, tmp_path):
    learnt = train(landmarker_task(data), tmp_path / "first", workers=0)
    recipe = dataclasses.replace(RECIPE, learning_rate=0.0, ema_decay=0.0, steps=3)
    task = landmarker_task(data, recipe)
    begin_from(task, tmp_path / "first")

    same = train(task, tmp_path / "second", workers=0)

    for name, parameter in task.network.named_parameters():
        assert torch.equal(learnt.state[name], same.state[name]), name
        assert torch.equal(learnt.state[name], parameter), name
    assert task.data.endswith(f"begun from 12 steps on {landmarker_task(data).data}")
    with pytest.raises(StarterError, match="another recipe"):
        train(task, tmp_path / "first", workers=0)
    with pytest.raises(StarterError, match="another network"):
        begin_from(recognizer_task(data), tmp_path / "first")


@pytest.mark.parametrize("make_task", [landmarker_task, recognizer_task])
def test_an_interrupted_run_ends_with_the_same_bits(make_task, data, tmp_path):
    whole = train(make_task(data), tmp_path / "whole", workers=0)
    train(make_task(data), tmp_path / "parts", workers=0, stop_at=5)
    train(make_task(data), tmp_path / "parts", workers=1, stop_at=8)

    last = train(make_task(data), tmp_path / "parts", workers=0)

    for name, value in whole.state.items():
        assert torch.equal(value, last.state[name]), name
    whole_run, parts_run = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for name, value in whole_run["trained"].items():
        assert torch.equal(value, parts_run["trained"][name]), name


def test_a_run_killed_between_checkpoints_repeats_the_lost_steps(data, tmp_path):
    class Killed(Exception):
        pass

    def kill(done, _):
        if done == 6:
            raise Killed

    whole = train(landmarker_task(data), tmp_path / "whole", workers=0)
    with pytest.raises(Killed):
        train(landmarker_task(data), tmp_path / "parts", workers=0, on_progress=kill)
    resumed_at = []

    last = train(
        landmarker_task(data),
        tmp_path / "parts",
        workers=0,
        on_progress=lambda done, _: resumed_at.append(done),
    )

    assert resumed_at[0] == 4
    assert all(torch.equal(value, last.state[name]) for name, value in whole.state.items())


def test_a_finished_run_writes_its_curve_and_is_not_run_again(data, tmp_path):
    before = train(landmarker_task(data), tmp_path, workers=0)
    rows = (tmp_path / "curve.csv").read_text().splitlines()

    again = train(landmarker_task(data), tmp_path, workers=0)

    assert [row.split(",")[0] for row in rows] == ["step", "3", "6", "9", "12"]
    assert rows[0].split(",")[3:] == ["loss", "points_68", "points_5", "face", "error"]
    assert (tmp_path / "curve.csv").read_text().splitlines() == rows
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert all(torch.equal(value, again.state[name]) for name, value in before.state.items())


def test_another_recipe_or_data_set_does_not_go_on_with_a_run(data, tmp_path):
    train(landmarker_task(data), tmp_path, workers=0, stop_at=4)

    with pytest.raises(StarterError, match="another recipe"):
        train(landmarker_task(data, dataclasses.replace(RECIPE, steps=99)), tmp_path, workers=0)
    with pytest.raises(StarterError, match="another data"):
        train(landmarker_task(data, limit=20), tmp_path, workers=0)


def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    task = landmarker_task(data)
    with torch.no_grad():
        next(task.network.parameters()).fill_(math.nan)

    with pytest.raises(StarterError, match="nan at step 0"):
        train(task, tmp_path, workers=0)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_every_epoch_shows_every_sample_once_in_another_order():
    order = np.concatenate([indices_of_step(step, 7, 21, seed=1) for step in range(6)])

    first, second = order[:21], order[21:]
    assert sorted(first) == sorted(second) == list(range(21))
    assert list(first) != list(second)


def test_the_learning_rate_rises_and_falls_to_zero():
    rates = [learning_rate_at(step, 100, 2.0, 10) for step in range(100)]

    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == 2.0
    assert all(before > after for before, after in itertools.pairwise(rates[10:]))
    assert rates[-1] < 0.001


def test_wing_loss_is_zero_at_the_truth_and_its_two_pieces_meet():
    truth = torch.rand(3, 68, 2) * 100
    unit = landmark_unit(truth)

    def loss(offset):
        return wing_loss(truth + offset * unit[:, None, None], truth, unit).mean().item()

    assert loss(0.0) == 0
    assert loss(0.149999) == pytest.approx(loss(0.150001), abs=1e-4)
    assert loss(1.15) - loss(0.15) == pytest.approx(1.0, abs=1e-4)
    assert loss(0.01) > 0.05  # steep where it matters


def test_arcface_without_a_margin_is_a_softmax_of_scaled_cosines():
    torch.manual_seed(0)
    head, features = ArcFace(10, 16), torch.randn(6, 16)
    identity = torch.arange(6)
    cosine = nn.functional.normalize(features) @ nn.functional.normalize(head.weight).T

    plain, _ = head(features, identity, 0.0, 32.0)
    with_margin, _ = head(features, identity, 0.5, 32.0)

    torch.testing.assert_close(plain, nn.functional.cross_entropy(32 * cosine, identity))
    moved = 32 * torch.cos(torch.acos(cosine) + 0.5 * nn.functional.one_hot(identity, 10))
    torch.testing.assert_close(with_margin, nn.functional.cross_entropy(moved, identity))


def test_person_parameters_cost_nothing_where_right_and_about_one_where_unknown():
    head, rng = make_head(), np.random.default_rng(0)
    distance = HeadDistance(head.shapedirs[..., :NUM_SHAPE], vertex_weights(head))
    shape = torch.from_numpy(rng.normal(0.5, 1, (400, NUM_SHAPE)).astype(np.float32))
    texture = torch.from_numpy(rng.normal(-2, 3, (400, 50)).astype(np.float32))
    person = PersonParameters(NUM_SHAPE + 50, distance, shape, texture)
    nn.init.zeros_(person.shape.weight)
    nn.init.zeros_(person.texture.weight)
    person.shape.bias.data = shape.mean(dim=0)
    nn.init.zeros_(person.texture.bias)
    standardised = (texture - texture.mean(dim=0)) / texture.std(dim=0)
    features = torch.cat([shape - shape.mean(dim=0), standardised], dim=1)

    unknown = person(features, shape, texture)
    person.shape.weight.data[:, :NUM_SHAPE] = torch.eye(NUM_SHAPE)
    person.texture.weight.data[:, NUM_SHAPE:] = torch.eye(50)
    known = person(features, shape, texture)

    assert unknown[0].item() == pytest.approx(1, abs=1e-5)
    assert 0.3 < unknown[1].item() < 1
    assert max(known[0].item(), known[1].item()) < 2e-3


def test_fast_prelu_computes_what_prelu_does_and_keeps_its_names():
    torch.manual_seed(0)
    network = IResNet(TINY_IRESNET).eval()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.1, 0.3)
    x = torch.randn(2, 3, 112, 112)
    names, before = list(network.state_dict()), network(x)
    before.square().sum().backward()
    slope = network.prelu.weight.grad.clone()
    network.zero_grad()

    after = with_fast_prelu(network)(x)
    after.square().sum().backward()

    assert list(network.state_dict()) == names
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(network.prelu.weight.grad, slope, rtol=1e-3, atol=1e-3)


def test_a_tiny_landmarker_learns_a_few_faces(data, tmp_path):
    recipe = Recipe(
        steps=150,
        batch=16,
        learning_rate=6e-3,
        seed=1,
        warmup_steps=10,
        log_every=10,
        ema_decay=0.9,
    )
    rows = []

    train(
        landmarker_task(data, recipe),
        tmp_path,
        workers=0,
        on_progress=lambda _, text: rows.append(text),
    )

    def error(text):
        return float(text.split("error ")[1])

    assert error(rows[1]) > 0.35
    assert error(rows[-1]) < 0.25


def test_a_tiny_recognizer_tells_a_few_people_apart(data, tmp_path):
    recipe = Recipe(
        steps=60, batch=16, learning_rate=5e-3, seed=1, warmup_steps=10, log_every=10, ema_decay=0.9
    )
    rows = []

    train(
        recognizer_task(data, recipe),
        tmp_path,
        workers=0,
        on_progress=lambda _, text: rows.append(text),
    )

    assert float(rows[-1].split("right ")[1]) > 0.8  # by chance 1 / 8
