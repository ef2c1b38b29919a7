# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import sys

import pytest

from mien._cli import main
from tests.fakes.fake_avatars import TURNTABLE, FakeAvatars, avatar_event, sent_inputs, told
from tests.fakes.fake_triton import Hang, Stream, unbatched

PATIENCE_S = 20


@pytest.fixture
def triton():
    with FakeAvatars() as server:
        yield server


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "me.jpg"
    path.write_bytes(b"me")
    return str(path)


@pytest.fixture(autouse=True)
def server_in_environment(monkeypatch, triton):
    monkeypatch.setenv("MIEN_SERVER", triton.address)


def sent(triton):
    return sent_inputs(triton.calls[-1].request)


def test_avatar_writes_the_file_and_says_how_like_it_is(photo, tmp_path, triton, capsys):
    target = tmp_path / "me.glb"

    assert main(["avatar", photo, "--out", str(target)]) == 0

    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"avatar      {target}, {target.stat().st_size} bytes",
        "likeness    similarity 0.7500, DIFD 0.5000, PSNR 24.0 dB, SSIM 0.875",
        f"request     {triton.calls[0].request.id}",
    ]
    assert err == ""
    assert told(target.read_bytes()) == sent(triton)
    assert sent(triton) == {"images": ["me"], "face_policy": "largest", "format": "glb"}


def test_avatar_sends_the_options(photo, tmp_path, triton):
    options = [
        "--happiness", "0.5", "--surprise", "1", "--hairstyle", "bob", "--hair-color", "ff0000",
        "--hair-form", "mesh", "--level", "low", "--texture-size", "256", "--no-detail",
        "--shape-source", "mica", "--face-policy", "single", "--expression", "emotions",
    ]  # fmt: skip

    assert main(["avatar", photo, photo, "--out", str(tmp_path / "me.zip"), *options]) == 0

    assert sent(triton) == {
        "images": ["me", "me"], "emotions": [0.5, 0, 0, 0, 0, 1], "hairstyle": "bob",
        "hair_color": [1, 0, 0], "hair_form": "mesh", "level": "low", "texture_size": 256,
        "detail": False, "shape_source": "mica", "face_policy": "single",
        "expression": "emotions", "format": "zip",
    }  # fmt: skip


def test_avatar_writes_the_turntable_of_one_request(photo, tmp_path, triton, capsys):
    picture = tmp_path / "sides.png"

    argv = ["avatar", photo, "--out", str(tmp_path / "me.glb"), "--turntable", str(picture)]
    assert main(argv) == 0

    assert picture.read_bytes() == TURNTABLE
    assert f"turntable   {picture}" in capsys.readouterr().out
    assert len(triton.calls) == 1


def test_progress_is_shown_on_a_terminal_and_wiped(photo, tmp_path, triton, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    main(["avatar", photo, "--out", str(tmp_path / "me.glb")])

    err = capsys.readouterr().err
    assert err.split("\r")[1] == f"{'1 of 4 stages, fit done':<30}"
    assert err.endswith(f"\r{'':<30}\r")


def test_avatar_as_json_is_one_object(photo, tmp_path, triton, capsys):
    target = str(tmp_path / "me.glb")

    assert main(["avatar", photo, "--out", target, "--json"]) == 0

    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert out.count("\n") == 1
    assert err == ""
    assert (answer["path"], answer["format"], answer["turntable_path"]) == (target, "glb", None)
    assert answer["quality"]["similarity"] == 0.75
    assert answer["request_id"] == triton.calls[0].request.id


def test_untrained_weights_are_said_loudly_and_first(photo, tmp_path, triton, capsys):
    untrained = unbatched("BOOL", "?", True)
    triton.script("create_avatar", Stream((avatar_event(untrained=untrained),)))

    main(["avatar", photo, "--out", str(tmp_path / "me.glb")])

    assert capsys.readouterr().out.startswith("UNTRAINED ")


def test_a_refusal_exits_2_and_leaves_the_file_that_was_there(photo, tmp_path, triton, capsys):
    target = tmp_path / "me.glb"
    target.write_bytes(b"before")
    triton.script("create_avatar", Stream(("mien.NO_FACE: no face; try another",)))

    assert main(["avatar", photo, "--out", str(target)]) == 2

    assert capsys.readouterr().err.startswith("mien: NoFaceError: no face; try another")
    assert target.read_bytes() == b"before"


@pytest.mark.parametrize(
    "options",
    [["--out", "me.obj"], ["--happiness", "1.5"], ["--hair-color", "brown"], ["--out", "me.ply"]],
    ids=str,
)
def test_what_no_server_would_take_exits_2_before_anything_is_sent(
    photo, tmp_path, triton, capsys, options
):
    argv = ["avatar", photo, "--out", str(tmp_path / "me.glb"), *options]

    assert main(argv) == 2

    assert capsys.readouterr().err.startswith("mien: InvalidOptionError: ")
    assert triton.calls == []


@pytest.mark.parametrize(
    "argv",
    [["avatar"], ["avatar", "a"], ["hairstyles"], ["hairstyles", "add", "a"], ["hairstyles", "x"]],
    ids=str,
)
def test_wrong_usage_exits_2(argv):
    with pytest.raises(SystemExit) as caught:
        main(argv)

    assert caught.value.code == 2


def test_hairstyles_are_listed(capsys):
    assert main(["hairstyles", "list"]) == 0

    assert capsys.readouterr().out == (
        "hairstyle   bob               Bob, 900 strands of 22 cm, CC0-1.0, grown\n"
    )


def test_hairstyles_as_json_are_one_object(capsys):
    assert main(["hairstyles", "list", "--json"]) == 0

    (bob,) = json.loads(capsys.readouterr().out)["hairstyles"]
    assert (bob["name"], bob["strands"]) == ("bob", 900)


def test_a_picture_of_a_hairstyle_is_written(tmp_path, capsys):
    target = tmp_path / "bob.png"

    assert main(["hairstyles", "preview", "bob", "--out", str(target)]) == 0

    assert target.read_bytes() == b"\x89PNG of bob"
    assert capsys.readouterr().out == f"preview     {target}\n"


def test_a_hairstyle_is_added_under_the_name_of_its_file_and_removed(tmp_path, triton, capsys):
    path = tmp_path / "mop.data"
    path.write_bytes(b"strands")
    told_of_it = ["--licence", "CC0-1.0", "--author", "me"]

    assert main(["hairstyles", "add", str(path), *told_of_it]) == 0
    assert sent(triton) == {
        "operation": "add", "name": "mop", "title": "mop", "file": "strands",
        "licence": "CC0-1.0", "author": "me",
    }  # fmt: skip
    assert main(["hairstyles", "remove", "mop"]) == 0

    assert set(triton.library) == {"bob"}
    added, removed = capsys.readouterr().out.splitlines()
    assert added.startswith("added       mop ")
    assert added.endswith(", one's own")
    assert removed == "removed     mop"


def test_an_unknown_hairstyle_exits_2(tmp_path, capsys):
    argv = ["hairstyles", "preview", "mop", "--out", str(tmp_path / "mop.png"), "--json"]

    assert main(argv) == 2

    assert json.loads(capsys.readouterr().err)["error"]["code"] == "INVALID_OPTION"
    assert list(tmp_path.iterdir()) == []


def test_interrupt_exits_130_and_cancels_the_stream(photo, tmp_path, triton):
    triton.script("create_avatar", Stream((Hang(),)))
    command = [sys.executable, "-m", "mien", "avatar", photo, "--out", str(tmp_path / "me.glb")]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert triton.received.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert err == "mien: interrupted, the request is cancelled\n"
    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    assert not (tmp_path / "me.glb").exists()
