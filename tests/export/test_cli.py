# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import pytest

from mien_export.cli import main
from mien_export.manifest import read_manifest

from .tiny import CONTRACTS, make_specs


def run(*arguments: object) -> int:
    return main([str(item) for item in arguments], specs=make_specs())


def test_building_checking_and_listing_succeed(tmp_path, capsys):
    target = tmp_path / "repository"

    assert run("build", "--to", target, "--weights", "random", "--precision", "fp16") == 0
    printed = capsys.readouterr()
    assert "UNTRAINED: face_recognizer, embed_faces, verify_faces" in printed.out
    assert "cosine" in printed.out
    assert "face_recognizer: fp16 graph" in printed.err  # progress, in plain lines
    assert "\x1b" not in printed.out + printed.err
    assert run("check", target) == 0
    assert "ok face_recognizer" in capsys.readouterr().out


def test_options_reach_the_repository(tmp_path):
    target = tmp_path / "repository"
    arguments = ["--to", target, "--weights", "random", "--seed", 7, "--source", CONTRACTS]
    arguments += ["--set", "verify_faces.threshold=0.5", "--network", "face_recognizer=other"]
    arguments += ["--licence", "face_recognizer=own work = mine"]
    arguments += ["--allow-commercial", "face_recognizer=false"]

    assert run("build", *arguments) == 0
    weights = read_manifest(target / "face_recognizer").weights
    assert (weights["seed"], weights["network"]) == (7, "other")
    assert (weights["licence"], weights["allow_commercial"]) == ("own work = mine", False)
    assert '"0.5"' in (target / "verify_faces/config.pbtxt").read_text()


def test_list_as_json_names_every_model_with_its_choices(capsys):
    assert main(["list", "--json"]) == 0
    models = {item["model"]: item for item in json.loads(capsys.readouterr().out)}

    assert set(models) == {path.parent.name for path in CONTRACTS.glob("*/config.pbtxt")}
    assert models["verify_faces"]["public"] is True
    assert models["face_detector"]["optional"] is True
    assert list(models["face_recognizer"]["networks"]) == [
        "iresnet18_narrow",
        "iresnet18",
        "iresnet34",
        "iresnet50",
        "iresnet100",
        "ir50",
        "adaface_ir50",
    ]
    assert models["face_recognizer"]["default_network"] == "iresnet50"


def test_list_for_people_shows_the_same_names(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out

    for name in ("verify_faces", "iresnet50 (default)", "yunet", "scrfd", "non-commercial"):
        assert name in printed


def test_a_failed_check_exits_with_1_and_says_why(tmp_path, capsys):
    target = tmp_path / "repository"
    run("build", "--to", target, "--weights", "random")
    (target / "verify_faces/1/model.py").write_text("tampered")
    capsys.readouterr()

    assert run("check", target) == 1
    assert "1/model.py is not the file that was built" in capsys.readouterr().out
    assert run("check", target, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [model["model"] for model in report["models"] if model["problems"]] == ["verify_faces"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param([], 1, "--weights random", id="no-weights"),
        pytest.param(["--seed", "3"], 2, "--seed is for random weights", id="seed-alone"),
        pytest.param(["--precision", "fp64"], 2, "is not a list of fp32", id="precision"),
        pytest.param(["--precision", ""], 2, "is not a list of fp32", id="no-precision"),
        pytest.param(["--precision", "int8"], 2, "--calibration face_recognizer=PATH", id="int8"),
        pytest.param(
            ["--precision", "int8", "--calibration", "face_detector=x"],
            2,
            "graph that is offered in int8 'face_detector'; it has face_denoiser, face_recognizer",
            id="int8-of-none",
        ),
        pytest.param(["--calibration", "face_recognizer=x"], 2, "is for int8", id="no-int8"),
        pytest.param(["--calibration", "crops.npz"], 2, "MODEL=VALUE", id="calibration"),
        pytest.param(["--network", "iresnet50"], 2, "MODEL=VALUE", id="pair"),
        pytest.param(["--set", "threshold=1"], 2, "MODEL.PARAM=VALUE", id="parameter"),
        pytest.param(["--licence", "a=b", "--licence", "a=c"], 2, "given twice", id="twice"),
        pytest.param(["--allow-commercial", "a=yes"], 2, "true or false", id="boolean"),
        pytest.param(["--model", "nobody"], 2, "unknown model 'nobody'", id="model"),
    ],
)
def test_what_cannot_be_done_exits_with_its_status_and_leaves_nothing(
    arguments, status, message, tmp_path, capsys
):
    target = tmp_path / "repository"

    assert run("build", "--to", target, *arguments) == status
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not target.exists()


def test_tensorrt_where_there_is_none_exits_with_2_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # as on a machine without it
    target = tmp_path / "deep" / "repository"

    assert run("build", "--to", target, "--weights", "random", "--precision", "tensorrt") == 2
    message = capsys.readouterr().err
    assert "TensorRT Python package" in message
    assert "https://pypi.nvidia.com" in message
    assert "Every other precision works without it" in message
    assert not target.parent.exists()


def test_check_of_nothing_exits_with_1(tmp_path, capsys):
    assert run("check", tmp_path / "nothing") == 1
    assert "is no directory" in capsys.readouterr().err


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "mien_export", "list", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == len(list(CONTRACTS.glob("*/config.pbtxt")))


@pytest.mark.slow
def test_the_smallest_public_network_goes_the_whole_way(tmp_path):
    """The one test with a published size."""
    target = tmp_path / "repository"
    arguments = ["--to", target, "--weights", "random", "--network", "face_recognizer=iresnet18"]

    assert main(["build", *map(str, arguments), "--precision", "fp16"]) == 0
    manifest = read_manifest(target / "face_recognizer")
    assert manifest.weights["parameters"] == 24_025_600
    sizes = {graph["precision"]: graph["bytes"] for graph in manifest.graphs.values()}
    assert sizes["fp16"] < 0.51 * sizes["fp32"]
