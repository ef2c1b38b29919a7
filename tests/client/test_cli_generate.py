# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import sys

import pytest

from mien._cli import main
from tests.fakes.fake_triton import PNG, Hang, Stream, generation_event, unbatched

PATIENCE_S = 20
STARTED, PROGRESS, PREVIEW, FACE = map(generation_event, ("started", "progress", "preview", "face"))
SECOND = generation_event(
    "face", index=unbatched("INT32", "i", 1), seed=unbatched("UINT64", "Q", 8)
)
SEED = 2**64 - 1


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "me.jpg"
    path.write_bytes(b"me")
    return str(path)


@pytest.fixture(autouse=True)
def server_in_environment(monkeypatch, triton):
    monkeypatch.setenv("MIEN_SERVER", triton.address)


def on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def sent(triton):
    request = triton.calls[0].request
    return {t.name: raw for t, raw in zip(request.inputs, request.raw_input_contents, strict=True)}


def test_generate_writes_every_face_and_says_how_similar_it_is(photo, tmp_path, triton, capsys):
    triton.script("generate_faces", Stream((STARTED, PROGRESS, FACE, SECOND)))
    folder = tmp_path / "new" / "faces"

    assert main(["generate", photo, "--to", str(folder), "--count", "2"]) == 0

    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"request     {triton.calls[0].request.id}",
        f"face        {folder}/face-{SEED}.png, similarity 0.7500",
        f"face        {folder}/face-8.png, similarity 0.7500",
    ]
    assert err == ""
    assert sorted(path.name for path in folder.iterdir()) == [f"face-{SEED}.png", "face-8.png"]
    assert {path.read_bytes() for path in folder.iterdir()} == {PNG}


def test_generate_writes_previews(photo, tmp_path, triton, capsys):
    triton.script("generate_faces", Stream((STARTED, PREVIEW, FACE)))

    main(["generate", photo, "--to", str(tmp_path), "--preview-every", "2"])

    assert (tmp_path / "preview-0-2.png").read_bytes() == PNG
    assert f"preview     {tmp_path}/preview-0-2.png, after 2 of 4 steps" in capsys.readouterr().out


def test_progress_is_shown_on_a_terminal_and_wiped_before_a_result(
    photo, tmp_path, triton, capsys, monkeypatch
):
    on_a_terminal(monkeypatch)
    triton.script("generate_faces", Stream((STARTED, PROGRESS, FACE)))

    main(["generate", photo, "--to", str(tmp_path)])

    err = capsys.readouterr().err
    assert err.split("\r")[3] == f"{'1 of 4 steps':<30}"
    assert err.endswith(f"\r{'':<30}\r")
    assert sent(triton)["progress"] == b"\1"


def test_progress_is_not_asked_for_where_nobody_looks(photo, tmp_path, triton):
    main(["generate", photo, "--to", str(tmp_path)])

    assert sent(triton)["progress"] == b"\0"


def test_generate_sends_the_options(photo, tmp_path, triton):
    options = [
        "--style", photo, "--style-parts", "pose", "light", "--keep-shape", "--seed", "7",
        "--solver", "ddim", "--steps", "5", "--eta", "0.5", "--guidance-weight", "1",
        "--switch-at", "300", "--blending-order", "identity_first", "--preview-every", "2",
        "--face-policy", "single", "--count", "1",
    ]  # fmt: skip

    main(["generate", photo, "--to", str(tmp_path), *options])

    assert set(sent(triton)) == {
        "identity_image", "style_image", "style_parts", "replace_shape", "face_policy", "count",
        "seed", "solver", "steps", "eta", "guidance_weight", "switch_at", "blending_order",
        "progress", "preview_every", "image_format",
    }  # fmt: skip
    assert sent(triton)["replace_shape"] == b"\0"
    assert sent(triton)["seed"] == (7).to_bytes(8, "little")


def test_options_left_out_are_left_to_the_server(photo, tmp_path, triton):
    main(["generate", photo, "--to", str(tmp_path)])

    assert set(sent(triton)) == {"identity_image", "face_policy", "progress", "image_format"}


def test_generate_as_json_is_one_object(photo, tmp_path, triton, capsys, monkeypatch):
    on_a_terminal(monkeypatch)
    triton.script("generate_faces", Stream((STARTED, PREVIEW, FACE)))

    assert main(["generate", photo, "--to", str(tmp_path), "--json"]) == 0

    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert out.count("\n") == 1
    assert err == ""
    assert answer["request_id"] == triton.calls[0].request.id
    assert answer["identity_token"] == "sealed"
    (face,), (preview,) = answer["faces"], answer["previews"]
    assert (face["seed"], face["similarity"], len(face["codes"])) == (SEED, 0.75, 236)
    assert face["path"] == str(tmp_path / f"face-{SEED}.png")
    assert preview["path"] == str(tmp_path / "preview-0-2.png")


def test_untrained_weights_are_said_loudly_and_first(photo, tmp_path, triton, capsys):
    untrained = unbatched("BOOL", "?", True)
    started = generation_event("started", untrained=untrained)
    triton.script("generate_faces", Stream((started, FACE)))

    main(["generate", photo, "--to", str(tmp_path)])

    assert capsys.readouterr().out.startswith("UNTRAINED ")


def test_a_refusal_exits_2_and_keeps_the_faces_that_came(photo, tmp_path, triton, capsys):
    triton.script("generate_faces", Stream((STARTED, FACE, "mien.MODEL_FAILED: broken")))

    assert main(["generate", photo, "--to", str(tmp_path)]) == 2

    assert capsys.readouterr().err.startswith("mien: ServerError: broken")
    assert (tmp_path / f"face-{SEED}.png").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_sent(photo, triton, capsys):
    assert main(["generate", photo, "--to", photo]) == 2

    assert "cannot be made" in capsys.readouterr().err
    assert triton.calls == []


@pytest.mark.parametrize("option", [["--solver", "euler"], ["--style-parts", "hair"], []], ids=str)
def test_wrong_usage_exits_2(photo, option, tmp_path):
    target = ["--to", str(tmp_path)] if option else []
    with pytest.raises(SystemExit) as caught:
        main(["generate", photo, *target, *option])

    assert caught.value.code == 2


def test_interrupt_exits_130_and_cancels_the_stream(photo, tmp_path, triton):
    triton.script("generate_faces", Stream((STARTED, Hang())))
    command = [sys.executable, "-m", "mien", "generate", photo, "--to", str(tmp_path)]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout.readline().startswith("request ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert err == "mien: interrupted, the request is cancelled\n"
    assert triton.calls[0].cancelled.wait(PATIENCE_S)
