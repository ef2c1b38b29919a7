# SPDX-License-Identifier: Apache-2.0
import json
import signal
import subprocess
import sys
import time

import pytest

from mien._cli import main
from tests.fakes.fake_generator import FakeGenerator
from tests.fakes.fake_triton import Stream, generation_event

PATIENCE_S = 20
BROKEN = Stream((generation_event("started"), "mien.MODEL_FAILED: broken"))


@pytest.fixture
def server():
    with FakeGenerator() as server:
        yield server


def command(server, folder, *options):
    given = ["--identities", "3", "--images", "4", "--out", str(folder)]
    return ["synthesize", *given, "--address", server.address, "--shard-size", "5", *options]


def test_a_set_is_made_and_told_of(tmp_path, server, capsys):
    assert main(command(server, tmp_path)) == 0

    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"set         {tmp_path}, complete",
        "images      12 of 3 identities, 12 of them new",
        "generator   abc",
    ]
    assert err.splitlines()[0] == "[------------------------] 0 of 3 identities"
    assert err.splitlines()[-1].startswith("[########################] 12 of 12 images, ")


def test_untrained_weights_are_said_loudly_and_first(tmp_path, server, capsys):
    server.parameters["generate_faces"]["untrained"] = "true"

    main(command(server, tmp_path))

    assert capsys.readouterr().out.startswith("UNTRAINED ")


def test_the_result_as_json_is_one_object(tmp_path, server, capsys):
    assert main(command(server, tmp_path, "--json")) == 0

    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert result.pop("elapsed_s") > 0
    assert result == {
        "folder": str(tmp_path), "num_identities": 3, "num_images": 12, "new_images": 12,
        "generator": "abc", "untrained": False,
    }  # fmt: skip


def test_every_option_reaches_the_plan(tmp_path, server):
    options = [
        "--seed", "5", "--format", "webdataset", "--max-similarity", "0.5", "--solver", "ddim",
        "--steps", "7", "--eta", "0.25", "--guidance-weight", "1.5", "--switch-at", "300",
        "--blending-order", "identity_first", "--in-flight", "2", "--patience", "9",
    ]  # fmt: skip

    assert main(command(server, tmp_path, *options)) == 0

    assert json.loads((tmp_path / "manifest.json").read_text())["plan"] == {
        "identities": 3, "images": 4, "seed": 5, "format": "webdataset", "shard_size": 5,
        "max_similarity": 0.5, "solver": "ddim", "steps": 7, "eta": 0.25, "guidance_weight": 1.5,
        "switch_at": 300, "blending_order": "identity_first",
    }  # fmt: skip


def test_several_addresses_may_be_given_in_both_ways(tmp_path, server):
    with FakeGenerator() as second, FakeGenerator() as third:
        more = [second.address, "--address", third.address]
        arguments = command(server, tmp_path)
        position = arguments.index(server.address) + 1

        assert main([*arguments[:position], *more, *arguments[position:]]) == 0

        assert all(s.calls_of("ModelConfig") for s in (server, second, third))


def test_the_server_is_that_of_all_commands_where_no_address_is_given(tmp_path, server):
    given = ["--identities", "1", "--images", "1", "--out", str(tmp_path)]

    assert main(["--server", server.address, "synthesize", *given]) == 0


def test_a_failure_exits_2_and_the_same_command_goes_on(tmp_path, server, capsys):
    server.script("generate_faces", *[BROKEN] * 5)
    assert main(command(server, tmp_path, "--in-flight", "1")) == 2
    assert "mien: ServerError: 127.0.0.1:" in capsys.readouterr().err

    assert main(command(server, tmp_path)) == 0


def test_other_options_exit_2(tmp_path, server, capsys):
    main(command(server, tmp_path))

    assert main(command(server, tmp_path, "--steps", "3")) == 2

    assert "steps 16, and 3 is asked for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str
)
def test_a_signal_ends_it_soon_and_the_same_command_goes_on(tmp_path, server, signum, status):
    server.never_ends = True
    arguments = [sys.executable, "-m", "mien", *command(server, tmp_path)]

    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not server.portions and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signum)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == status
    assert err.splitlines()[-1] == "mien: ended early; the same command goes on with the set"
    assert "Traceback" not in err
    calls = server.calls_of("ModelStreamInfer")
    assert all(call.cancelled.wait(PATIENCE_S) for call in calls)
    server.never_ends = False
    assert main(command(server, tmp_path)) == 0
