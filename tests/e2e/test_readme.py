# SPDX-License-Identifier: Apache-2.0
"""Every block of the README is run."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from demo.photographs import write_photographs
from mien_export.networks import iresnet

pytestmark = [pytest.mark.triton, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


COMMANDS = [line.split("#")[0].strip() for text in blocks("bash") for line in text.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the README's reader stands: with photographs and a checkpoint of their own."""
    path = tmp_path_factory.mktemp("reader")
    write_photographs(path)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = iresnet.IResNet(iresnet.IRESNET18)
    torch.save(network.state_dict(), path / "backbone.pth")
    return path


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    name, *arguments = shlex.split(command)
    return subprocess.run(
        [str(Path(sys.executable).parent / name), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def commands(*names: str) -> list[str]:
    return [command for command in COMMANDS if command.split()[0] in names]


def test_no_block_is_left_out():
    assert {kind for kind, _ in BLOCKS} <= {"bash", "python", "text"}
    assert {command.split()[0] for command in COMMANDS} == {
        "make", "mien", "mien-export", "mien-serve",
    }  # fmt: skip
    assert len(blocks("python")) == len(blocks("text")) == 1


@pytest.mark.parametrize("command", commands("make"))
def test_make_knows_the_target(command):
    done = subprocess.run(
        [*shlex.split(command), "--dry-run", "--always-make"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_the_exporter_commands_do_what_the_text_says(folder):
    for command in commands("mien-export"):
        done = run(command, folder)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    manifest = (folder / "repository" / "face_recognizer" / "manifest.json").read_text()
    assert '"licence": "my own"' in manifest
    assert '"untrained": false' in manifest
    assert (
        'value { string_value: "0.31" }'
        in (folder / "repository" / "verify_faces" / "config.pbtxt").read_text()
    )


@pytest.mark.parametrize("command", commands("mien"))
def test_the_client_commands_answer(command, folder, starter_server):
    done = run(command, folder, MIEN_SERVER=starter_server.grpc_address)

    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_server_command_serves_the_repository_it_names(starter_repository, tmp_path):
    (command,) = commands("mien-serve")
    assert command == "mien-serve repository"
    (tmp_path / "repository").symlink_to(starter_repository)
    name, *arguments = shlex.split(command)
    ports = ["--grpc-port", "0", "--metrics-port", "0"]
    process = subprocess.Popen(
        [Path(sys.executable).parent / name, *arguments, *ports],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        for line in process.stdout:
            if "Ctrl-C stops it" in line:
                process.terminate()
        assert process.wait() == 0
    finally:
        killer.cancel()
        process.stdout.close()
        process.stderr.close()


def test_the_program_prints_what_the_readme_shows(folder, starter_server, monkeypatch):
    (program,), (shown,) = blocks("python"), blocks("text")
    monkeypatch.chdir(folder)
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(
            compile(
                program.replace("localhost:8001", starter_server.grpc_address), "README", "exec"
            ),
            {},
        )

    # Rounding aside, which differs between processors.
    numbers = re.compile(r"-?\d+\.?\d*")
    assert numbers.sub("#", printed.getvalue()) == numbers.sub("#", shown)
    found, expected = (
        [float(n) for n in numbers.findall(text)] for text in (printed.getvalue(), shown)
    )
    assert found == pytest.approx(expected, abs=0.02, rel=0.01)


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http|#)([^)]+)\)", README))
def test_every_link_leads_somewhere(path):
    assert (ROOT / path).exists()
