# SPDX-License-Identifier: Apache-2.0
import multiprocessing

import numpy as np
import pytest

from mien_starter.dataset import DatasetPlan, read_plan, render
from mien_starter.errors import StarterError
from mien_starter.shards import FACES, NEGATIVES, Photographs
from tests.starter.fake_world import DyingWorld, FakeWorld

SIZE = 64
PLAN = DatasetPlan("train", identities=100, shots=6, negatives=40, seed=3, size_px=SIZE)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dataset")
    render(PLAN, directory, FakeWorld)
    return directory


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name[0] != "."}


def test_every_photograph_is_stored_once_with_its_own_labels(rendered):
    photographs = Photographs([rendered])

    pairs = list(zip(photographs.labels["identity"], photographs.labels["shot"], strict=True))
    assert sorted(pairs) == [(person, shot) for person in range(100) for shot in range(6)]
    world = FakeWorld(SIZE)
    for index in (0, 1, 255, 256, 599):
        truth = world.photograph(*map(int, pairs[index]))
        assert np.abs(photographs.image_rgb(index).astype(int) - truth.image_rgb).mean() < 4
        np.testing.assert_array_equal(photographs.face_mask(index), truth.face_mask)
        for name in ("codes", "shape", "expression", "pose"):
            np.testing.assert_array_equal(photographs.labels[name][index], getattr(truth, name))
        for name in ("landmarks", "landmarks_68"):  # from pixel centres to pixel corners
            moved = getattr(truth, name) + np.float32(0.5)
            np.testing.assert_array_equal(photographs.labels[name][index], moved)
        assert photographs.attributes(index) == truth.attributes


def test_negatives_are_backgrounds_and_are_no_one(rendered):
    negatives = Photographs([rendered], NEGATIVES)

    assert len(negatives) == 40
    assert (negatives.labels["identity"] == -1).all()
    assert not negatives.face_mask(3).any()
    background = FakeWorld(SIZE).background(int(negatives.labels["shot"][3]))
    assert np.abs(negatives.image_rgb(3).astype(int) - background).mean() < 4


def test_splits_share_no_background():
    def numbers(split):
        shards = DatasetPlan(split, 1, 1, negatives=3000).shards()
        return {number for shard in shards for person, number in shard.items if person < 0}

    assert not numbers("train") & numbers("held_out")


def test_the_first_part_of_a_data_set_shows_everyone_in_a_few_shots(rendered):
    first_part = Photographs([rendered], FACES, limit=400)

    people, counts = np.unique(first_part.labels["identity"], return_counts=True)
    assert len(people) == 100
    assert set(counts) == {4}
    first_shard = first_part.labels["identity"][:256]
    assert abs(np.mean(first_shard) - 49.5) < 8  # anyone, not the first ones


def test_a_second_data_set_can_have_the_people_that_follow():
    def people(plan):
        return {person for shard in plan.shards() for person, _ in shard.items}

    first, second = DatasetPlan("train", 30, 2), DatasetPlan("train", 50, 2, first=30)

    assert people(first) == set(range(30))
    assert people(second) == set(range(30, 80))


def render_until_it_dies(directory):
    render(PLAN, directory, DyingWorld)


def test_a_killed_run_is_finished_to_the_same_bytes(rendered, tmp_path):
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=render_until_it_dies, args=(tmp_path,))
    process.start()
    process.join()
    done_before = set(content(tmp_path))
    counts = []

    render(PLAN, tmp_path, FakeWorld, on_progress=counts.append)

    assert process.exitcode == 9
    assert done_before == {"dataset.json", "faces-00000.bin", "faces-00000.npz"}
    assert counts[0] == 256
    assert counts[-1] == 640
    assert content(tmp_path) == content(rendered)


def test_content_without_labels_is_an_unfinished_shard(rendered, tmp_path):
    render(PLAN, tmp_path, FakeWorld)
    (tmp_path / "faces-00001.npz").unlink()
    (tmp_path / "faces-00001.bin").write_bytes(b"half")

    render(PLAN, tmp_path, FakeWorld)

    assert content(tmp_path) == content(rendered)


def test_two_processes_write_what_one_does(rendered, tmp_path):
    render(PLAN, tmp_path, FakeWorld, processes=2)

    assert content(tmp_path) == content(rendered)


def test_a_folder_with_another_data_set_is_refused(rendered):
    with pytest.raises(StarterError, match="another data set"):
        render(DatasetPlan("train", 1, 1, size_px=SIZE), rendered, FakeWorld)
    assert read_plan(rendered) == PLAN


def test_a_folder_without_shards_is_refused_with_the_cure(tmp_path):
    with pytest.raises(StarterError, match="mien_starter dataset"):
        Photographs([tmp_path])
