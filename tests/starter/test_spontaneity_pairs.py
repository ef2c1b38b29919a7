# SPDX-License-Identifier: Apache-2.0
"""Onset and apex in pictures, and shards of their crops."""

import multiprocessing
from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from mien_export.networks.emotion_mlp import EMOTIONS
from mien_server.expression_crop import (
    PLACES_44,
    expression_anchors,
    expression_crop,
    expression_window,
)
from mien_server.warping import moved
from mien_starter import cli
from mien_starter.commands import expressions as command
from mien_starter.errors import StarterError
from mien_starter.spontaneity.actions import action_groups
from mien_starter.spontaneity.circumstances import draw_frames
from mien_starter.spontaneity.expressions import draw_expression, manner_of
from mien_starter.spontaneity.making import ExpressionPlan, write_expressions
from mien_starter.spontaneity.recording import Item, Recorder
from mien_starter.spontaneity.shards import read_pairs, read_photographs
from tests.starter.fake_recorder import DyingRecorder, FakeRecorder

SIZE = 32
PLAN = ExpressionPlan("train", subjects=20, takes=2, size_px=SIZE)
HAPPY = Item(110_001, 0, 1, 0)


@pytest.fixture(scope="module")
def recorder(world):
    return Recorder(world.size, world)


@pytest.fixture(scope="module")
def recordings(recorder):
    """Two people, one of them twice."""
    return [
        recorder.record(item) for item in (HAPPY, Item(110_001, 5, 0, 1), Item(110_002, 3, 0, 0))
    ]


@pytest.fixture(scope="module")
def frames(world):
    """400 recordings' circumstances, which need no renderer."""
    groups, rng = action_groups(world.assets.head.action_names), np.random.default_rng(4)
    manner, found = manner_of(110_001, 0.0, 0.8, world.assets), []
    for number in range(400):
        shown = draw_expression(manner, number % 6, bool(number // 6 % 2), rng, groups)
        found.append(draw_frames(shown, world.assets, rng))
    return found


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name[0] != "."}


def test_an_expression_is_recorded_to_the_same_bytes_again(world, recordings):
    again = Recorder(world.size, world).record(HAPPY)

    for field in fields(again):
        assert_array_equal(getattr(again, field.name), getattr(recordings[0], field.name))


def test_onset_and_apex_show_one_person_in_one_place(recordings, world):
    """The corner of the picture, where nobody is, stays; light, pose and face do not."""
    for recording in recordings:
        onset, apex = recording.photographs.astype(float)
        corner = np.s_[: world.size // 12, : world.size // 12]
        assert np.abs(onset[corner].mean(axis=(0, 1)) - apex[corner].mean(axis=(0, 1))).max() < 3
        assert np.abs(onset - apex).mean() > 3
        assert (recording.pose_deg[0] != recording.pose_deg[1]).all()
        shapes = [np.linalg.norm(p[1] - p[0]) for p in recording.landmarks]
        assert shapes[1] == pytest.approx(shapes[0], rel=0.1)
    corners = [one.photographs[0, :16, :16].mean(axis=(0, 1)) for one in recordings]
    assert np.abs(corners[0] - corners[1]).max() > 3, "another recording, another place"


def test_the_same_shape_and_skin_are_photographed_twice(world, monkeypatch):
    seen, photograph_of = [], world.photograph_of

    def spy(person, shot, *arguments, **options):
        seen.append((person, shot))
        return photograph_of(person, shot, *arguments, **options)

    monkeypatch.setattr(world, "photograph_of", spy)
    Recorder(world.size, world).record(HAPPY)

    (first, onset), (second, apex) = seen
    assert first is second is world.person(HAPPY.identity)
    assert np.abs(onset.light - apex.light).max() > 0.01
    assert np.abs(apex.expression).sum() > 2 * np.abs(onset.expression).sum()
    assert onset.accessory == apex.accessory


def test_frames_of_a_recording_differ_by_a_few_degrees_of_pose_in_light_lids_and_gaze(frames):
    turns = np.array(
        [[f.apex.yaw_deg - f.onset.yaw_deg, f.apex.pitch_deg - f.onset.pitch_deg] for f in frames]
    )
    assert np.abs(turns).max() <= 6
    assert np.abs(turns).mean() > 1
    assert max(abs(f.onset.yaw_deg) for f in frames) <= 15
    for part in ("light", "pose", "camera"):
        assert all((getattr(f.onset, part) != getattr(f.apex, part)).any() for f in frames)
    gazes = np.array([f.apex.pose[9:15] - f.onset.pose[9:15] for f in frames])
    assert (np.abs(gazes).max(axis=1) > 0).all()
    for part in ("accessory", "gloss", "emotion"):
        assert all(getattr(f.onset, part) == getattr(f.apex, part) for f in frames)
    assert {f.onset.accessory for f in frames} == {"none", "glasses"}


def test_crops_are_cut_by_the_landmarks_of_their_pictures(recordings):
    for recording in recordings:
        for image, points, crop in zip(
            recording.photographs, recording.landmarks, recording.crops, strict=True
        ):
            assert_array_equal(crop, expression_crop(image, points))
            found = moved(expression_window(points), expression_anchors(points))
            assert np.linalg.norm(found.mean(axis=0) - PLACES_44.mean(axis=0)) < 1e-3
            assert np.linalg.norm(found - PLACES_44, axis=1).max() < 1.3


def test_eyes_and_mouth_lie_within_a_pixel_of_the_places_in_most_faces(world, frames):
    """Faces have proportions of their own, and a similarity keeps them."""
    from mien_server.rendering.camera import pixels_from_image, project
    from mien_starter.world.world import five_of

    assets, rng = world.assets, np.random.default_rng(3)
    distances = []
    for number, frame in enumerate(frames[:120]):
        row = np.array([1.0, number % 2, rng.uniform(0.6, 1), *rng.dirichlet([0.45] * 3)[:2]])
        free = np.clip(rng.normal(size=300), -2.3, 2.3)
        shape = assets.shape_from_attributes @ row + assets.shape_residual_std * free
        shot = frame.apex if number % 4 else frame.onset
        _, points = assets.decode(shape.astype(np.float32), shot.expression, shot.pose)
        seen = project(points[None], shot.camera[None])[0]
        five = five_of(pixels_from_image(seen, width=160, height=160))
        found = moved(expression_window(five), expression_anchors(five))
        distances.append(np.linalg.norm(found - PLACES_44, axis=1))

    assert (np.array(distances) < 1).mean() > 0.95
    assert np.max(distances) < 2
    assert_allclose(np.mean(distances), 0.35, atol=0.15)


def test_everybody_poses_and_feels_every_emotion_equally_often(tmp_path):
    write_expressions(PLAN, tmp_path, FakeRecorder)
    pairs = read_pairs([tmp_path])

    assert len(pairs) == PLAN.pairs == 20 * 2 * 2 * 6
    items = np.stack([pairs.identity, pairs.emotion, pairs.spontaneous, pairs.take], axis=1)
    assert len(np.unique(items, axis=0)) == len(pairs)
    assert set(pairs.identity) == set(range(20))
    assert set(pairs.emotion) == set(range(len(EMOTIONS)))
    assert set(pairs.spontaneous) == {0, 1}
    for index in (0, 239, 240, 479):
        truth = FakeRecorder(SIZE).record(Item(*map(int, items[index])))
        for name in ("crops", "actions", "cues", "landmarks", "pose_deg"):
            assert_array_equal(getattr(pairs, name)[index], getattr(truth, name))
    assert pairs.crops.shape == (480, 2, 44, 44)
    assert pairs.crops.dtype == np.uint8


def write_until_it_dies(directory):
    write_expressions(PLAN, directory, DyingRecorder)


def test_a_killed_run_is_finished_to_the_same_bytes(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    write_expressions(PLAN, whole, FakeRecorder)
    process = multiprocessing.get_context("fork").Process(
        target=write_until_it_dies, args=(killed,)
    )
    process.start()
    process.join()
    before, counts = set(content(killed)), []

    write_expressions(PLAN, killed, FakeRecorder, on_progress=counts.append)

    assert process.exitcode == 9
    assert before == {"expressions.json", "pairs-00000.npz"}
    assert counts == [240, 480]
    assert content(killed) == content(whole)


def test_photographs_are_kept_where_asked_for_and_missed_otherwise(tmp_path):
    plan = ExpressionPlan("train", subjects=1, takes=1, size_px=SIZE, photographs=True)
    write_expressions(plan, tmp_path / "with", FakeRecorder)
    write_expressions(PLAN, tmp_path / "without", FakeRecorder)

    kept = read_photographs(tmp_path / "with", "00000")
    assert len(kept) == 2 * plan.pairs
    truth = FakeRecorder(SIZE).record(Item(0, 2, 1, 0)).photographs
    for frame in (0, 1):
        assert np.abs(kept[2 * 5 + frame].astype(int) - truth[frame]).mean() < 4
    with pytest.raises(StarterError, match="--photographs"):
        read_photographs(tmp_path / "without", "00000")


def test_another_plans_folder_and_an_empty_one_are_refused(tmp_path):
    write_expressions(ExpressionPlan("train", 1, 1, size_px=SIZE), tmp_path, FakeRecorder)

    with pytest.raises(StarterError, match="other expressions"):
        write_expressions(PLAN, tmp_path, FakeRecorder)
    with pytest.raises(StarterError, match="mien_starter expressions"):
        read_pairs([tmp_path / "nothing"])


def test_the_command_writes_shards_and_sheets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_make_recorder", FakeRecorder)
    asked = ["expressions", "--split", "train", "--subjects", "2"]

    options = ["--takes", "1", "--to", str(tmp_path / "pairs"), "--processes", "1"]
    assert cli.main([*asked, *options]) == 0
    assert len(read_pairs([tmp_path / "pairs"])) == 24
    assert "24 of 24 pairs" in capsys.readouterr().err
    assert cli.main([*asked, "--sheet", str(tmp_path / "sheet.png")]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * 4 * 110
        assert sheet.height > 6 * 110


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--subjects", "0", "--to", "x"], "must be at least 1"),
        (["--subjects", "9", "--measure"], "at least 10"),
        (["--subjects", "200000", "--to", "x"], "people 0 to 199999"),
        (["--subjects", "1", "--sheet", "x.txt"], "must end in"),
        (["--subjects", "1", "--to", "x", "--size", "40"], "at least 160"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options, said, capsys):
    assert cli.main(["expressions", "--split", "train", *options]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_the_command_measures_observers(capsys):
    assert cli.main(["expressions", "--split", "train", "--subjects", "20", "--measure"]) == 0
    said = capsys.readouterr().err
    assert said.count("% wrong by") == 3 + 6
    assert "eyes alone" in said
