# SPDX-License-Identifier: Apache-2.0
"""`make demo`, told from a clone that has its environment already."""

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest
import trimesh
from PIL import Image

from mien_server.serve.repository import read_repository

pytestmark = [pytest.mark.triton, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "demo"
COMMAND = [sys.executable, "-m", "demo"]


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended between two looks
        return ""


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def left_over(pids: set[int]) -> list[str]:
    """Command lines that still work on this clone's demo, or for one of these processes."""
    found = []
    for process in psutil.process_iter():
        words = command_line(process)
        if any(f"mien-serve-{pid}-" in words for pid in pids):
            found.append(words)  # tritonserver and its stubs name the server's own directory
        elif "build/demo" in words and working_directory(process) == ROOT:
            found.append(words)
    return found


def working_directory(process: psutil.Process) -> Path | None:
    try:
        return Path(process.cwd())
    except psutil.NoSuchProcess:
        return None


@pytest.fixture(scope="module")
def done():
    """A demo from its beginning to its end."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_it_accepts_and_rejects_photographs_and_leaves_nothing_running(done):
    # Two photographs of a synthetic person, and of a real one; two people; no person.
    assert re.findall(r"^verdict +(.+)$", done.stdout, re.MULTILINE) == [
        "match", "no match", "match", "no match",
    ]  # fmt: skip
    assert done.stdout.count("false match rate 0.001") == 4
    assert done.stdout.count("(exit code 2)") == 1
    assert done.stderr.count("NoFaceError: reference_image") == 1
    assert "UNTRAINED" not in done.stdout
    with Image.open(BUILD / "demo.png") as picture:
        assert picture.height > 5 * 400
    assert re.search(r"fitted to within \d\.\d px", done.stdout)
    similarity = re.search(r"^likeness +similarity (\S+), DIFD \d", done.stdout, re.MULTILINE)
    assert float(similarity[1]) > 0.5
    assert left_over(set()) == []


def test_it_leaves_an_avatar_behind_that_other_programs_open(done):
    with Image.open(BUILD / "avatar.png") as picture:
        assert picture.width > 4 * 300
    scene = trimesh.load(BUILD / "avatar.glb")
    with zipfile.ZipFile(BUILD / "avatar.zip") as archive:
        positions = sum(line.startswith(b"v ") for line in archive.open("avatar.obj"))

    assert sum(len(mesh.faces) for mesh in scene.geometry.values()) > 10_000
    assert positions > 5_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["building", "serving"])
def test_stopped_half_way_it_leaves_no_process_and_no_half_written_repository(number, moment):
    arguments = {"building": ["--force-build"], "serving": []}[moment]
    demo = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    word = {"building": "mien-export", "serving": "tritonserver"}[moment]
    deadline = time.monotonic() + 120
    children: list[psutil.Process] = []
    while not any(word in command_line(process) for process in children):
        assert demo.poll() is None, demo.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
        children = children_of(demo.pid)
    time.sleep(2 if moment == "building" else 0.2)

    children = children_of(demo.pid)
    os.kill(demo.pid, number)
    demo.communicate(timeout=120)

    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    assert left_over({demo.pid, *(child.pid for child in children)}) == []
    assert list(BUILD.glob(".repository.staging*")) == []
    # Either there is a whole repository, or none: this may be the first build of this clone.
    if (BUILD / "repository").exists():
        assert "verify_faces" in {model.name for model in read_repository(BUILD / "repository")}
    else:
        assert moment == "building"
