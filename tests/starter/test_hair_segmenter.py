# SPDX-License-Identifier: Apache-2.0
import dataclasses
import functools

import numpy as np
import pytest
import torch

from mien_export.networks.hair_segmenter import HairSegmenter, HairSegmenterConfig
from mien_server.hair.portrait_crop import portrait_window_from_landmarks
from mien_server.warping import moved
from mien_starter.dataset import DatasetPlan, render
from mien_starter.degradation import Degradation
from mien_starter.errors import StarterError
from mien_starter.evaluation.hair_masks import overlap_figures
from mien_starter.hair_masks import HairMasks, write_masks
from mien_starter.recipes.hair_segmenter import (
    HairSegmenterTask,
    classes_shown,
    jittered_window,
    make_task,
    shown,
)
from mien_starter.shards import Photographs
from mien_starter.training.recipe import Recipe
from mien_starter.world import World
from mien_starter.world.masks import BACKGROUND, BODY, HAIR, MaskWorld
from mien_starter.world.shot import draw_shot
from tests.starter.fake_world import FakeWorld

TINY = HairSegmenterConfig(widths=(8, 8, 8, 8, 8), blocks=(0, 0, 0, 0, 1), expansion=1)
RECIPE = Recipe(steps=10, batch=4, learning_rate=3e-3, seed=7)
SIDE = 96


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planted(side, identity, shot):
    """Hair above a line that the person decides, body below another; told by the shot, too."""
    rows = np.arange(side)[:, None] + np.zeros((1, side))
    line = side // 4 + (identity * 7 + shot) % (side // 4)
    labels = np.where(rows < line, HAIR, np.where(rows > line + 20, BODY, BACKGROUND))
    return labels.astype(np.uint8)


def make_labels(side):
    return functools.partial(planted, side)


def make_no_labels(side):
    raise AssertionError("labelled anew")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hair-data")
    render(DatasetPlan("train", identities=5, shots=3, size_px=SIDE), directory, FakeWorld)
    write_masks([directory], make_labels=make_labels)
    return directory


@pytest.mark.parametrize(("identity", "shot"), [(110_007, 3), (110_021, 0)])
def test_labels_lie_where_another_colour_of_hair_changes_the_photograph(identity, shot):
    """The world itself, photographed twice, is the witness."""
    world = World(SIDE)
    person = world.person(identity)
    cut = person.haircut
    assert cut.name != "bald"
    truth = MaskWorld(SIDE)
    pictures = []
    for colour in ((0.05, 0.9, 0.05), (0.9, 0.05, 0.05)):
        dyed = dataclasses.replace(person, haircut=dataclasses.replace(cut, colour=colour))
        pictures.append(calm(world, dyed, shot).image_rgb.astype(int))
    labels = truth_of(truth, person, shot)
    changed = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 24

    hair = labels == HAIR
    assert hair.mean() > 0.02
    assert (changed & hair).sum() > 0.97 * hair.sum()
    assert (hair & changed).sum() > 0.85 * changed.sum()


def calm(world, person, shot):
    """Without anything a camera does, and the same background each time."""
    rng = np.random.default_rng([person.number, shot])
    circumstances = dataclasses.replace(draw_shot(world.assets, rng), accessory="none")
    return world.photograph_of(person, circumstances, rng, camera=Degradation())


def truth_of(masks, person, shot):
    hair = calm(masks, person, shot).face_mask
    return np.where(hair, HAIR, np.where(masks._covers.body > 0.5, BODY, BACKGROUND))


def test_visible_skin_is_body_and_bald_heads_have_no_hair():
    world, truth = World(SIDE), MaskWorld(SIDE)
    for identity in range(110_000, 110_200):
        if world.person(identity).haircut.name == "bald":
            break
    bald = {shot: world.photograph(identity, shot) for shot in range(6)}
    shot, photograph = next(
        (shot, p) for shot, p in bald.items() if p.attributes["haircut"] == "bald"
    )
    labels = truth.labels(identity, shot)

    assert not (labels == HAIR).any()
    assert (labels[photograph.face_mask > 0] == BODY).all()


def test_labels_come_back_by_person_and_shot_and_are_not_made_twice(directory):
    photographs = Photographs([directory])
    write_masks([directory], make_labels=make_no_labels)
    masks = HairMasks([directory])

    assert len(masks.of(photographs)) == 15
    for identity, shot in ((0, 0), (4, 2)):
        np.testing.assert_array_equal(masks.labels(identity, shot), planted(SIDE, identity, shot))


def test_photographs_without_labels_are_left_out_and_none_at_all_is_refused(directory, tmp_path):
    render(DatasetPlan("train", identities=2, shots=2, first=50, size_px=SIDE), tmp_path, FakeWorld)
    photographs = Photographs([directory, tmp_path])

    assert len(photographs) == 19
    assert len(HairMasks([directory]).of(photographs)) == 15
    with pytest.raises(StarterError, match="no labels of hair"):
        HairMasks([tmp_path])
    with pytest.raises(StarterError, match="none of the photographs"):
        HairMasks([directory]).of(Photographs([tmp_path]))


def test_labels_lie_on_the_crop_they_belong_to(directory):
    """A photograph that is its own label stays so in every window."""
    landmarks = Photographs([directory]).labels["landmarks_68"][0]
    classes = planted(SIDE, 3, 1)
    image = np.repeat(classes[..., None] * np.uint8(100), 3, axis=-1)
    for seed in range(5):
        window = jittered_window(landmarks, np.random.default_rng(seed))
        crop, seen = shown(image, window, (0, 0, 0)), classes_shown(classes, window)
        off = np.abs(crop[..., 0].astype(int) - seen * 100) > 50
        assert off.mean() < 0.02  # edges, which one of them softens


def test_windows_for_training_lie_about_those_of_serving(directory):
    landmarks = Photographs([directory]).labels["landmarks_68"][0]
    exact = portrait_window_from_landmarks(landmarks)
    middle = moved(np.linalg.inv(np.vstack([exact, [0, 0, 1]]))[:2], np.full((1, 2), 128.0))
    windows = [jittered_window(landmarks, np.random.default_rng(seed)) for seed in range(200)]
    places = np.concatenate([moved(window, middle) for window in windows])
    scales = [np.hypot(*window[:, 0]) / np.hypot(*exact[:, 0]) for window in windows]

    np.testing.assert_allclose(places.mean(axis=0), 128, atol=3)
    assert 10 < np.abs(places - 128).max() <= 0.06 * 256 + 1e-6
    assert 0.8 < min(scales) < 0.9
    assert 1.1 < max(scales) < 1.2


def test_a_batch_is_always_the_same_one_and_a_task_learns_it(directory):
    torch.manual_seed(0)
    photographs, masks = Photographs([directory]), HairMasks([directory])
    task = HairSegmenterTask(RECIPE, HairSegmenter(TINY), photographs, masks)
    arrays = task.batch(0)
    np.testing.assert_array_equal(arrays["crops"], task.batch(0)["crops"])
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    optimizer = torch.optim.AdamW(task.trained.parameters(), lr=1e-2)
    rows = []
    for step in range(8):
        losses = task.losses(batch, step)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        rows.append({name: value.item() for name, value in losses.items()})

    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert arrays["crops"].shape == (4, 256, 256, 3)
    assert set(np.unique(arrays["classes"])) <= {BACKGROUND, HAIR, BODY}


def test_held_out_people_cannot_be_trained_on(tmp_path):
    render(DatasetPlan("held_out", identities=1, shots=2, size_px=SIDE), tmp_path, FakeWorld)
    write_masks([tmp_path], make_labels=make_labels)

    with pytest.raises(StarterError, match="held_out; expected train"):
        make_task(RECIPE, [tmp_path], tmp_path)


def test_figures_are_those_of_what_was_planted(directory):
    photographs = Photographs([directory])
    labels = photographs.labels
    truth = np.stack(
        [
            classes_shown(
                planted(SIDE, int(identity), int(shot)), portrait_window_from_landmarks(points)
            )
            for identity, shot, points in zip(
                labels["identity"], labels["shot"], labels["landmarks_68"], strict=True
            )
        ]
    )
    exact = np.stack([truth == HAIR, truth == BODY], axis=1).astype(np.float32)
    half = exact.copy()
    half[:, 0, :, ::2] = 0

    found, halved = (
        overlap_figures(lambda _, answer=answer: (answer,), photographs, make_labels(SIDE))
        for answer in (exact, half)
    )

    assert found["hair_iou"] == found["body_iou"] == found["hair_iou_mean"] == 1
    assert 0.4 < halved["hair_iou"] < 0.6
    assert halved["body_iou"] == 1
    assert np.isnan(found["hair_found_on_bald"])


def test_hair_that_is_found_on_the_bald_is_told(directory):
    photographs = Photographs([directory])
    answer = np.ones((15, 2, 256, 256), np.float32)
    figures = overlap_figures(
        lambda _: (answer,), photographs, lambda *_: np.full((SIDE, SIDE), BODY, np.uint8)
    )

    assert figures["hair_found_on_bald"] == 1
    assert figures["hair_iou"] == 0
