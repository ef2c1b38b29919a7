# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import struct
import subprocess
import sys

import grpc
import pytest

from mien import __version__
from mien._cli import main
from tests.fakes.fake_triton import Hang, Refusal, Reply, boolean, bytes_elements, fp32

S = grpc.StatusCode
PATIENCE_S = 20
NO_FACE = Refusal(S.INVALID_ARGUMENT, "in ensemble 'x', mien.NO_FACE: probe: no face; try another")
CALIBRATED = Reply(
    {"fmr": fp32(1e-4, shape=(1, 1)), "log10_likelihood_ratio": fp32(3.2, shape=(1, 1))}
)
NO_MATCH = Reply({"similarity": fp32(0.25, shape=(1, 1)), "is_match": boolean(False)})


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


@pytest.fixture(autouse=True)
def server_in_environment(monkeypatch, triton):
    monkeypatch.setenv("MIEN_SERVER", triton.address)
    monkeypatch.delenv("MIEN_API_KEY", raising=False)


def test_verify_of_a_match_exits_0_and_shows_the_decision(photos, capsys):
    assert main(["verify", *photos]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "verdict     match"
    assert lines[1] == "similarity  0.7500 >= threshold 0.5000"
    assert lines[2] == "calibration none: no false match rate is known for this threshold"
    assert lines[3] == "probe       face 100 x 120 px at 10, 20"
    assert lines[4] == "reference   face 50 x 60 px at 1, 2"
    assert "UNTRAINED" not in out


def test_verify_of_no_match_exits_1(photos, triton, capsys):
    triton.script("verify_faces", NO_MATCH)

    assert main(["verify", *photos]) == 1

    out = capsys.readouterr().out
    assert "no match" in out
    assert "0.2500 < threshold 0.5000" in out


def test_verify_shows_what_threshold_and_similarity_are_worth(photos, triton, capsys):
    triton.script("verify_faces", CALIBRATED)

    assert main(["verify", *photos, "--fmr", "1e-4"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "similarity  0.7500 >= threshold 0.5000"
    assert (
        lines[2]
        == "threshold   false match rate 0.0001: 1 in 10,000 pairs of two people reaches it"
    )
    assert lines[3] == (
        "evidence    strong support for one person: 1,600 times likelier than from two "
        "(log10 likelihood ratio +3.20)"
    )
    (sent,) = [
        raw
        for tensor, raw in zip(
            triton.calls[0].request.inputs, triton.calls[0].request.raw_input_contents, strict=True
        )
        if tensor.name == "fmr"
    ]
    assert sent == struct.pack("<f", 1e-4)


def test_calibration_as_json_is_numbers_or_null(photos, triton, capsys):
    triton.script("verify_faces", CALIBRATED)

    main(["verify", *photos, "--json"])
    main(["verify", *photos, "--json"])

    calibrated, not_calibrated = map(json.loads, capsys.readouterr().out.splitlines())
    assert calibrated["fmr"] == pytest.approx(1e-4)
    assert calibrated["log10_likelihood_ratio"] == pytest.approx(3.2)
    assert not_calibrated["fmr"] is not_calibrated["log10_likelihood_ratio"] is None


def test_untrained_weights_are_said_loudly_and_first(photos, triton, capsys):
    triton.script("verify_faces", Reply({"untrained": boolean(True)}))

    main(["verify", *photos])

    assert capsys.readouterr().out.startswith("UNTRAINED ")


def test_verify_sends_the_files_in_order(photos, triton):
    main(["verify", *photos, "--face-policy", "single"])

    raw = triton.calls[0].request.raw_input_contents
    assert [bytes_elements(r) for r in raw] == [[b"a.jpg"], [b"b.jpg"], [b"single"]]


def test_verify_as_json_is_one_object(photos, triton, capsys):
    assert main(["verify", *photos, "--json"]) == 0

    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert out.count("\n") == 1
    assert err == ""
    assert answer["is_match"] is True
    assert answer["similarity"] == 0.75
    assert answer["threshold"] == 0.5
    assert answer["untrained"] is False
    assert answer["probe"]["box_xyxy"] == [10, 20, 110, 140]
    assert answer["request_id"] == triton.calls[0].request.id


def test_embed_exits_0_and_shows_the_face(photos, capsys):
    assert main(["embed", photos[0]]) == 0

    out = capsys.readouterr().out
    assert "512 numbers" in out
    assert "aligned by eyes" in out


def test_embed_as_json_holds_the_whole_vector(photos, capsys):
    assert main(["--json", "embed", photos[0]]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["embedding"] == [0.0] * 511 + [1.0]
    assert answer["face"]["face_count"] == 2


def test_fit_exits_0_and_shows_how_well_the_head_fits(photos, triton, capsys):
    assert main(["fit", photos[0]]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "face        face 100 x 120 px at 10, 20"
    assert lines[1].startswith("head        4 vertices, turned by ")
    assert lines[2] == "landmarks   fitted to within 5.0 px of those found, on average"
    asked = {output.name for output in triton.calls[0].request.outputs}
    assert "overlay" not in asked


def test_fit_writes_the_overlay_where_it_is_told(photos, tmp_path, capsys):
    target = tmp_path / "fitted.png"

    assert main(["fit", photos[0], "--overlay", str(target)]) == 0

    assert target.read_bytes() == b"\x89PNG and so on"
    assert f"overlay     {target}" in capsys.readouterr().out


def test_fit_as_json_is_one_object_with_named_codes(photos, capsys):
    assert main(["fit", photos[0], "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["camera"] == [206, 207, 208]
    assert answer["vertices"] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert answer["landmark_error_px"] == 5.0
    assert "overlay" not in answer


def test_status_lists_pipelines_and_exits_0(triton, capsys):
    triton.parameters["embed_faces"]["untrained"] = "true"
    triton.unready.add("verify_faces")

    assert main(["status"]) == 0

    out = capsys.readouterr().out
    assert "server      ready (triton 2.51.0)" in out
    assert "pipeline    embed_faces        ready" in out
    assert "pipeline    verify_faces       not served" in out
    assert "UNTRAINED" in out


def test_status_of_a_server_that_is_not_ready_exits_2(triton, capsys):
    triton.ready = False

    assert main(["status", "--json"]) == 2

    answer = json.loads(capsys.readouterr().out)
    assert answer["live"] is True
    assert answer["ready"] is False


def test_error_exits_2_with_two_lines_on_stderr(photos, triton, capsys):
    triton.script("verify_faces", NO_FACE)

    assert main(["verify", *photos]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "mien: NoFaceError: probe: no face; try another",
        f"      code NO_FACE, model verify_faces, request {triton.calls[0].request.id}",
    ]


def test_error_as_json_is_one_object_on_stderr(photos, triton, capsys):
    triton.script("verify_faces", NO_FACE)

    assert main(["verify", *photos, "--json"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["error"] == {
        "type": "NoFaceError",
        "code": "NO_FACE",
        "message": "probe: no face; try another",
        "status": "INVALID_ARGUMENT",
        "model_name": "verify_faces",
        "request_id": triton.calls[0].request.id,
    }


@pytest.mark.parametrize(
    "argv",
    [
        ["embed", "absent.jpg"],
        ["fit", __file__, "--overlay", "/absent/folder/fitted.png"],
        ["verify", __file__, __file__, "--fmr", "2"],
        ["status", "--deadline", "-1"],
        ["status", "--server", "http://localhost:8001"],
        ["status", "--tls-ca", "absent.pem"],
        ["status", "--tls-cert", "absent.pem"],
        ["status", "--server", "127.0.0.1:1", "--deadline", "1"],
    ],
    ids=[
        "file",
        "folder",
        "rate",
        "deadline",
        "scheme",
        "authority",
        "half a certificate",
        "nobody there",
    ],
)
def test_refusals_exit_2_without_a_traceback(argv, capsys):
    assert main(argv) == 2

    err = capsys.readouterr().err
    assert err.startswith("mien: ")
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err


@pytest.mark.parametrize("argv", [[], ["verify", "a"], ["embed"], ["unknown"]], ids=str)
def test_wrong_usage_exits_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)

    assert caught.value.code == 2
    assert "usage: mien" in capsys.readouterr().err


def test_options_work_before_and_after_the_command(monkeypatch, triton, capsys):
    monkeypatch.setenv("MIEN_SERVER", "127.0.0.1:1")

    assert main(["--server", triton.address, "--json", "status"]) == 0
    assert main(["status", "--server", triton.address, "--json"]) == 0


def test_key_of_the_environment_is_sent(monkeypatch, triton):
    monkeypatch.setenv("MIEN_API_KEY", "secret")

    main(["status"])

    assert {c.metadata["authorization"] for c in triton.calls} == {"Bearer secret"}


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"mien {__version__}\n"


def test_interrupt_exits_130_and_cancels_the_call(photos, triton):
    triton.script("verify_faces", Hang())
    command = [sys.executable, "-m", "mien", "verify", *photos]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert triton.received.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert err == "mien: interrupted, the request is cancelled\n"
    assert triton.calls[0].cancelled.wait(PATIENCE_S)
