# SPDX-License-Identifier: Apache-2.0
"""Planted sets: generated people have a colour each, or, where they are worthless, none."""

import itertools
import json

import cv2
import numpy as np
import pytest
import torch

from mien_export.networks.iresnet import IResNetConfig
from mien_starter import cli
from mien_starter.dataset import DatasetPlan, render
from mien_starter.errors import StarterError
from mien_starter.face_reader import crops_of
from mien_starter.recipes.face_recognizer import RECIPE
from mien_starter.recognition_study import StudyTask, recipe_of_study, study
from mien_starter.recognition_study_faces import (
    read_generated_set,
    rendered_faces,
)
from mien_starter.recognition_study_figures import (
    area_under_curve,
    study_figures,
    verification_accuracy,
)
from mien_starter.shards import Photographs
from mien_starter.training.recipe import Recipe
from tests.starter.fake_world import FakeWorld

TINY = IResNetConfig(blocks=(1, 1, 1, 1), widths=(16, 16, 16, 32), num_features=32)
SHORT = Recipe(
    steps=6, batch=8, learning_rate=1e-2, seed=5, warmup_steps=2, log_every=2, checkpoint_every=3
)
PEOPLE, IMAGES = 8, 6


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """By split."""
    made = {}
    for split, people in (("train", PEOPLE), ("held_out", 10)):
        directory = tmp_path_factory.mktemp(split)
        render(
            DatasetPlan(split, identities=people, shots=IMAGES, size_px=128), directory, FakeWorld
        )
        made[split] = Photographs([directory])
    return made


def written_set(folder, crops, complete=True, set_format="folders"):
    """(P, M) crops as `mien synthesize` writes them, in shards that cut through people."""
    rows = []
    for person, own in enumerate(crops):
        for number, crop in enumerate(own):
            file = f"images/{person:06d}/{person:06d}_{number:04d}.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / file), crop[..., ::-1])
            rows.append({"file": file, "identity": person, "image": number})
    for shard, start in enumerate(range(0, len(rows), 4)):
        index = "".join(f"{json.dumps(row)}\n" for row in rows[start : start + 4])
        (folder / f"shard-{shard:05d}.jsonl").write_text(index)
    manifest = {
        "made_by": "mien synthesize",
        "complete": complete,
        "plan": {"format": set_format},
        "generator": {"digest": "0123456789abcdef", "untrained": False, "server": "x"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def generated(tmp_path_factory, photographs):
    """A perfect generator: its people are those of the world."""
    crops = rendered_faces(photographs["train"], PEOPLE, IMAGES).crops
    folder = tmp_path_factory.mktemp("generated")
    return written_set(folder, crops.reshape(PEOPLE, IMAGES, 128, 128, 3))


def test_a_generated_set_is_read_person_by_person_as_it_was_written(generated, photographs):
    whole = rendered_faces(photographs["train"], PEOPLE, IMAGES)

    faces = read_generated_set(generated).faces(3, 2)

    expected = whole.crops.reshape(PEOPLE, IMAGES, 128, 128, 3)[:3, :2]
    assert (faces.crops.reshape(3, 2, 128, 128, 3) == expected).all()
    assert faces.identity.tolist() == [0, 0, 1, 1, 2, 2]


def test_rendered_people_are_the_first_with_enough_photographs_by_number_and_shot(photographs):
    labels = photographs["train"].labels

    faces = rendered_faces(photographs["train"], 4, 3)

    rows = [
        row
        for person in sorted(set(labels["identity"].tolist()))[:4]
        for shot in range(3)
        for row in np.flatnonzero((labels["identity"] == person) & (labels["shot"] == shot))
    ]
    assert (faces.crops == crops_of(photographs["train"], rows)).all()
    assert faces.identity.tolist() == np.repeat(range(4), 3).tolist()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"complete": False}, "not complete"),
        ({"set_format": "webdataset"}, "expected folders"),
    ],
    ids=["unfinished", "tar"],
)
def test_sets_that_cannot_be_used_are_refused(options, reason, tmp_path):
    written_set(tmp_path, np.zeros((1, 1, 128, 128, 3), np.uint8), **options)

    with pytest.raises(StarterError, match=reason):
        read_generated_set(tmp_path)


def test_what_is_missing_is_said(generated, photographs, tmp_path):
    small = written_set(tmp_path / "small", np.zeros((2, 2, 64, 64, 3), np.uint8))

    with pytest.raises(StarterError, match="holds no data set"):
        read_generated_set(tmp_path)
    with pytest.raises(StarterError, match="has 8 people with 6 images or more; 9 are needed"):
        read_generated_set(generated).faces(PEOPLE + 1, IMAGES)
    with pytest.raises(StarterError, match="is 64 x 64; expected a face of 128 x 128"):
        read_generated_set(small).faces(2, 2)
    with pytest.raises(StarterError, match="expected train"):
        rendered_faces(photographs["held_out"], 2, 2)


class Cut(Exception):
    pass


def test_the_same_faces_train_the_same_network_from_any_origin_and_after_a_cut(
    generated, photographs, tmp_path
):
    faces = {
        "generated": read_generated_set(generated).faces(PEOPLE, IMAGES),
        "rendered": rendered_faces(photographs["train"], PEOPLE, IMAGES),
    }
    told = []

    def cut(name, done, _):
        told.append((name, done))
        if (name, done) == ("rendered", 4):
            raise Cut

    arguments = (SHORT, faces, photographs["held_out"], tmp_path)
    with pytest.raises(Cut):
        study(*arguments, config=TINY, workers=0, on_progress=cut)
    told.clear()
    figures = study(
        *arguments, config=TINY, workers=0, on_progress=lambda n, done, _: told.append((n, done))
    )

    assert [told[0], told[1]] == [("generated", 6), ("rendered", 3)]
    assert figures["generated"] == figures["rendered"]
    assert figures["rendered"] != figures["untrained"]


def test_a_network_that_was_shown_people_knows_others_better(photographs, tmp_path):
    faces = {"people": rendered_faces(photographs["train"], PEOPLE, IMAGES)}
    recipe = Recipe(60, 8, 1e-2, 5, warmup_steps=5)

    figures = study(recipe, faces, photographs["held_out"], tmp_path, config=TINY, workers=0)

    before, after = (figures[name]["area_under_curve"] for name in ("untrained", "people"))
    assert after > before + 0.04


def test_a_run_does_not_go_on_with_other_faces(photographs, tmp_path):
    some, others = (rendered_faces(photographs["train"], n, IMAGES) for n in (4, 5))
    held_out = photographs["held_out"]
    short = Recipe(1, 4, 1e-2, 5, warmup_steps=0)
    study(short, {"a": some}, held_out, tmp_path, config=TINY, workers=0)

    with pytest.raises(StarterError, match="another data"):
        study(short, {"a": others}, held_out, tmp_path, config=TINY, workers=0)


def test_people_of_the_training_split_are_not_measured_on(photographs, tmp_path):
    faces = {"a": rendered_faces(photographs["train"], 2, 2)}

    with pytest.raises(StarterError, match="expected held_out"):
        study(SHORT, faces, photographs["train"], tmp_path, config=TINY)


def test_batches_are_crops_of_the_generators_template_and_always_the_same(photographs):
    faces = rendered_faces(photographs["train"], PEOPLE, IMAGES)
    task = StudyTask(SHORT, TINY, faces)

    first, again, next_one = task.batch(2), task.batch(2), task.batch(3)

    assert first["crops"].shape == (8, 112, 112, 3)
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["crops"] != next_one["crops"]).any()
    assert set(first["identity"].tolist()) <= set(range(PEOPLE))


def test_both_sets_are_passed_as_often_as_asked():
    recipe = recipe_of_study(4800, epochs=40, seed=9)

    assert recipe.steps * recipe.batch == 40 * 4800
    assert (recipe.seed, recipe.learning_rate) == (9, RECIPE.learning_rate)
    assert recipe_of_study(96, epochs=50, seed=9).warmup_steps == 5


def test_area_under_the_curve_is_the_share_of_pairs_of_pairs_in_order():
    rng = np.random.default_rng(0)
    mated, nonmated = (rng.integers(0, 6, n).astype(np.float32) for n in (9, 14))

    shares = [(m > n) + 0.5 * (m == n) for m, n in itertools.product(mated, nonmated)]

    assert area_under_curve(mated, nonmated) == pytest.approx(np.mean(shares))


def test_accuracy_of_what_is_apart_is_1_and_of_what_is_alike_a_half():
    rng = np.random.default_rng(1)
    low, high, any_ = rng.uniform(0, 0.4, 400), rng.uniform(0.5, 1, 90), rng.uniform(0, 1, 400)

    assert verification_accuracy(high.astype(np.float32), low.astype(np.float32)) == 1
    alike = verification_accuracy(any_.astype(np.float32), rng.uniform(0, 1, 4000))
    assert alike == pytest.approx(0.5, abs=0.05)


def test_accuracy_of_two_normal_distributions_is_the_one_in_the_tables():
    rng = np.random.default_rng(2)
    mated, nonmated = rng.normal(1, 0.5, 20_000), rng.normal(0, 0.5, 20_000)

    # One deviation from either mean: Phi(1).
    assert verification_accuracy(mated, nonmated) == pytest.approx(0.8413, abs=0.006)


def test_figures_of_perfect_embeddings_are_perfect():
    people = np.repeat(np.arange(30), 3)
    embeddings = np.eye(30, dtype=np.float32)[people]

    assert study_figures(embeddings, people) == {
        "fnmr_at_fmr_1e2": 0,
        "fnmr_at_fmr_1e3": 0,
        "equal_error_rate": 0,
        "accuracy": 1,
        "area_under_curve": 1,
    }


def test_the_command_studies_equally_many_and_writes_what_it_found(
    generated, tmp_path, capsys, monkeypatch
):
    folders = {}
    for split, people in (("train", 3), ("held_out", 4)):
        folders[split] = tmp_path / split
        plan = DatasetPlan(split, identities=people, shots=4, size_px=64)
        render(plan, folders[split], FakeWorld)
    work, asked = tmp_path / "work", {}

    def fake_study(recipe, faces, photographs, folder, **options):
        asked.update(recipe=recipe, faces=faces, photographs=photographs)
        folder.mkdir()
        options["on_progress"]("rendered", recipe.steps, "done")
        return {"generated": {"accuracy": 0.75}, "untrained": {"accuracy": 0.5}}

    monkeypatch.setattr("mien_starter.recognition_study.study", fake_study)
    status = cli.main(
        ["recognition_study", "--generated", str(generated), "--rendered", str(folders["train"]),
         "--data", str(folders["held_out"]), "--people", "3", "--images", "4", "--epochs", "40",
         "--work", str(work), "--threads", "1"]
    )  # fmt: skip

    assert status == 0
    assert {name: len(faces) for name, faces in asked["faces"].items()} == {
        "generated": 12,
        "rendered": 12,
    }
    assert asked["photographs"].splits == ["held_out"]
    assert asked["recipe"] == recipe_of_study(12, epochs=40, seed=RECIPE.seed)
    content = json.loads((work / "figures.json").read_text())
    assert content["figures"]["generated"] == {"accuracy": 0.75}
    assert content["data"]["generated"] == "12 images of 3 people by generator 0123456789ab"
    out, err = capsys.readouterr()
    assert "0.7500" in out
    assert "10 of 10 steps" in err


@pytest.mark.parametrize("options", [["--people", "1"], ["--images", "1"], ["--epochs", "0"]])
def test_impossible_studies_end_with_exit_status_2(options, capsys):
    needed = ["--generated", "x", "--rendered", "x", "--data", "x"]

    assert cli.main(["recognition_study", *needed, *options]) == 2
    assert "must be at least 2" in capsys.readouterr().err
