# SPDX-License-Identifier: Apache-2.0
"""Builders that die. Whatever happens, the target is one whole repository, old or new."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from mien_export import staging
from mien_export.build import build_repository
from mien_export.check import check_repository
from mien_export.errors import TargetError
from mien_export.manifest import read_manifest
from mien_export.registry import PIPELINE_DEPENDENCIES

from .tiny import HandmadeNetwork, RecordingReporter, make_request, make_specs, read_tree

# One server process imports everything once; each builder is a fork of it, without threads.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__])


class Stepper:
    """Stops at every step of a build until the other side says to go on."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def step(self, model: str, text: str) -> None:
        self.pipe.send(f"{model}: {text}")
        self.pipe.recv()

    def note(self, text: str) -> None:
        # Heads have no weights here; nothing else may be worth a remark.
        assert "left out" in text

    def half(self) -> None:
        self.step("face_recognizer", "half of the file is written")


def build_in_steps(target: Path, seed: int, pipe: Connection) -> None:
    """The other process. Two renames or one is decided here as anywhere else."""
    reporter = Stepper(pipe)
    specs = make_specs(slow=HandmadeNetwork(on_half=reporter.half))
    try:
        build_repository(
            make_request(target, random_seed=seed), specs, PIPELINE_DEPENDENCIES, reporter
        )
    finally:
        pipe.close()


def interrupt(target: Path, seed: int, moment: str, number: int) -> int:
    """Run a builder up to a moment, send it a signal there; gives its exit status."""
    ours, theirs = SERVER.Pipe()
    builder = SERVER.Process(target=build_in_steps, args=(target, seed, theirs))
    builder.start()
    theirs.close()
    while moment not in ours.recv():
        ours.send("go on")
    os.kill(builder.pid, number)
    ours.close() if number == signal.SIGKILL else None
    builder.join(60)
    return builder.exitcode


def build_whole(target: Path, seed: int) -> None:
    specs = make_specs(slow=HandmadeNetwork())
    build_repository(
        make_request(target, random_seed=seed), specs, PIPELINE_DEPENDENCIES, RecordingReporter()
    )


def leftovers(target: Path) -> list[str]:
    return [path.name for path in target.parent.glob(".*") if not path.name.endswith(".lock")]


MOMENTS = ["face_cropper", "fp32 graph", "half of the file", "verify_faces", "publishing"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_builder_leaves_the_old_repository_and_the_next_one_cleans_up(moment, tmp_path):
    target = tmp_path / "repository"
    build_whole(target, seed=0)
    before = read_tree(target)

    assert interrupt(target, 1, moment, signal.SIGKILL) == -signal.SIGKILL
    assert read_tree(target) == before
    assert len(leftovers(target)) == 1

    build_whole(target, seed=1)
    assert leftovers(target) == []
    assert read_manifest(target / "face_recognizer").weights["seed"] == 1
    assert check_repository(target)


def test_a_killed_first_builder_leaves_no_target(tmp_path):
    target = tmp_path / "repository"

    assert interrupt(target, 0, "half of the file", signal.SIGKILL) == -signal.SIGKILL
    assert not target.exists()


def test_a_terminated_builder_cleans_up_itself(tmp_path):
    target = tmp_path / "repository"
    build_whole(target, seed=0)
    before = read_tree(target)

    assert interrupt(target, 1, "half of the file", signal.SIGTERM) == 128 + signal.SIGTERM
    assert read_tree(target) == before
    assert leftovers(target) == []


def test_an_interrupted_builder_cleans_up_itself(tmp_path):
    target = tmp_path / "repository"
    build_whole(target, seed=0)
    before = read_tree(target)

    assert interrupt(target, 1, "half of the file", signal.SIGINT) != 0
    assert read_tree(target) == before
    assert leftovers(target) == []


def make_directories(tmp_path: Path) -> tuple[Path, Path]:
    target, fresh = tmp_path / "repository", tmp_path / ".repository.staging-1-x"
    for directory, text in ((target, "old"), (fresh, "new")):
        directory.mkdir()
        (directory / "file").write_text(text)
    return target, fresh


def die_after_exchange(target: Path, fresh: Path) -> None:
    def exchange(a: Path, b: Path) -> bool:
        assert staging._exchange(a, b)
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    staging.publish(fresh, target, exchange)


def test_a_builder_killed_right_after_the_exchange_has_published(tmp_path):
    target, fresh = make_directories(tmp_path)
    builder = SERVER.Process(target=die_after_exchange, args=(target, fresh))
    builder.start()
    builder.join(60)

    assert builder.exitcode == -signal.SIGKILL
    assert (target / "file").read_text() == "new"
    with staging.staged(target, on_wait=lambda: None):
        assert not fresh.exists()


@pytest.mark.parametrize("exchange", [None, lambda _a, _b: False], ids=["exchange", "two-renames"])
def test_publishing_swaps_the_two_directories(exchange, tmp_path):
    target, fresh = make_directories(tmp_path)
    staging.publish(fresh, target, exchange)

    assert (target / "file").read_text() == "new"
    assert (fresh / "file").read_text() == "old"
    assert not (tmp_path / ".repository.previous").exists()


def test_a_builder_that_died_between_two_renames_is_undone(tmp_path):
    target, fresh = make_directories(tmp_path)
    target.rename(tmp_path / ".repository.previous")

    with staging.staged(target, on_wait=lambda: None):
        assert (target / "file").read_text() == "old"
        assert not fresh.exists()


def test_a_target_that_cannot_be_renamed_is_explained(tmp_path):
    target, fresh = make_directories(tmp_path)

    def exchange(_a: Path, _b: Path) -> bool:
        raise OSError(16, "Device or resource busy")

    with pytest.raises(TargetError, match=r"busy\. A mount point cannot be renamed"):
        staging.publish(fresh, target, exchange)


def test_linking_falls_back_to_copying(tmp_path):
    (tmp_path / "a").write_text("text")
    (tmp_path / "there").write_text("in the way")
    staging.link_or_copy(tmp_path / "a", tmp_path / "deep" / "b")
    staging.link_or_copy(tmp_path / "a", tmp_path / "there")

    assert (tmp_path / "deep" / "b").samefile(tmp_path / "a")
    assert (tmp_path / "there").read_text() == "text"
    assert not (tmp_path / "there").samefile(tmp_path / "a")


def test_a_neighbour_whose_name_begins_alike_is_left_alone(tmp_path):
    neighbour = tmp_path / ".repository.staging"
    neighbour.mkdir()

    with staging.staged(tmp_path / "repository", on_wait=lambda: None):
        assert neighbour.is_dir()
