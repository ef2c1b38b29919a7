# SPDX-License-Identifier: Apache-2.0
import importlib
import json

import pytest

from mien_starter import cli
from mien_starter.commands import dataset as dataset_command
from tests.starter.fake_world import FakeWorld

RENDER = ["dataset", "--identities", "3", "--shots", "2", "--processes", "1", "--size", "64"]


@pytest.fixture
def fake_world(monkeypatch):
    monkeypatch.setattr(dataset_command, "_make_world", FakeWorld)


def test_every_command_of_the_table_has_its_module():
    for name in cli.COMMANDS:
        command = importlib.import_module(f"mien_starter.commands.{name}")
        assert callable(command.add_arguments)
        assert callable(command.run)


def test_a_data_set_is_rendered_once_and_resumed_for_nothing(fake_world, tmp_path, capsys):
    command = [*RENDER, "--split", "held_out", "--to", str(tmp_path)]

    assert cli.main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("faces-*")}
    assert cli.main(command) == 0

    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("faces-*")} == before
    assert json.loads((tmp_path / "dataset.json").read_text())["split"] == "held_out"
    assert "6 of 6 photographs" in capsys.readouterr().err


def test_training_on_held_out_people_is_refused_with_exit_status_1(fake_world, tmp_path, capsys):
    data = tmp_path / "data"
    cli.main([*RENDER, "--split", "held_out", "--to", str(data)])

    status = cli.main(
        ["train", "face_recognizer", "--data", str(data), "--work", str(tmp_path / "run")]
    )

    assert status == 1
    assert "expected train" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([*RENDER, "--split", "train", "--to", "x", "--negatives", "-1"], "not be negative"),
        (["evaluate", "--data", "x"], "either NAME"),
        (["train", "face_recognizer", "--data", "x", "--threads", "0"], "at least 1"),
    ],
    ids=["negatives", "nothing to evaluate", "no thread"],
)
def test_impossible_requests_end_with_exit_status_2(argv, reason, capsys):
    assert cli.main(argv) == 2
    assert reason in capsys.readouterr().err


def test_a_folder_without_a_run_says_how_to_start_one(tmp_path, capsys, fake_world):
    cli.main([*RENDER, "--split", "held_out", "--to", str(tmp_path / "data")])

    status = cli.main(
        ["export", "deca_encoder", "--data", str(tmp_path / "data"), "--work", str(tmp_path)]
    )

    assert status == 1
    assert "mien_starter train" in capsys.readouterr().err
