# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import shutil

import pytest
import torch
from safetensors.torch import save_file

from mien_export import starter_weights
from mien_export.check import check_repository
from mien_export.checkpoints import load_strictly, read_checkpoint, rename_from_arcface
from mien_export.cli import main
from mien_export.contract import read_config
from mien_export.errors import CheckpointError, UsageError
from mien_export.manifest import read_manifest
from mien_export.networks.iresnet import IResNet
from mien_export.registry import SPECS
from mien_export.starter_weights import read_starter_weights, starter_folder

from .small_heads import ROOT, save_head
from .tiny import CONTRACTS, TINY_IRESNET, make_specs

ENTRY = {
    "network": "iresnet",
    "file": "recognizer.safetensors",
    "licence": "Apache-2.0",
    "allow_commercial": True,
    "parameters": {"verify_faces": {"threshold": "0.271"}},
}


@pytest.fixture
def starter(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(1)
    state = IResNet(TINY_IRESNET).state_dict()
    halves = {key: value.half() if value.is_floating_point() else value
              for key, value in state.items()}  # fmt: skip
    save_file(halves, folder / "recognizer.safetensors")
    write(folder, face_recognizer=ENTRY)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The contracts of verification and one optional graph."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("verify_faces", "embed_faces", "face_cropper", "face_recognizer"):
        shutil.copytree(CONTRACTS / name, folder / name)
    for name in ("flame_decoder", "face_detector"):
        shutil.copytree(CONTRACTS / name, folder / name)
    return folder


@pytest.fixture
def run(starter, source, target):
    def run(*arguments) -> int:
        argv = ["build", "--to", target, "--source", source, *arguments]
        return main([str(item) for item in argv], specs=make_specs(), starter=starter)

    return run


def read_project() -> str:
    return (ROOT / "pyproject.toml").read_text()


def write(folder, **entries):
    (folder / "starter.json").write_text(json.dumps(entries))


def threshold(target) -> str:
    return read_config(target / "verify_faces/config.pbtxt").parameters["threshold"]


def test_starter_weights_give_a_trained_repository_with_their_parameters(run, target):
    assert run("--weights", "starter") == 0
    manifest = read_manifest(target / "face_recognizer")

    assert manifest.untrained is False
    assert manifest.weights["source"] == "starter"
    assert manifest.weights["file"] == "recognizer.safetensors"
    assert manifest.weights["network"] == "iresnet"
    assert manifest.weights["licence"] == "Apache-2.0"
    assert manifest.weights["allow_commercial"] is True
    assert threshold(target) == "0.271"
    assert read_config(target / "verify_faces/config.pbtxt").parameters["untrained"] == "false"
    assert check_repository(target)


def test_half_precision_files_fill_single_precision_networks(starter):
    network = IResNet(TINY_IRESNET)
    stored = read_checkpoint(starter / "recognizer.safetensors")
    load_strictly(network, stored, rename_from_arcface)

    assert stored.tensors["fc.weight"].dtype == torch.float16
    for key, value in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert value.dtype == torch.float32
            assert torch.equal(value, stored.tensors[key].float()), key


def test_what_the_command_line_says_wins(run, target, checkpoint):
    own = ["--checkpoint", f"face_recognizer={checkpoint}", "--network", "face_recognizer=iresnet"]
    assert run("--weights", "starter", *own) == 0
    weights = read_manifest(target / "face_recognizer").weights

    assert (weights["source"], weights["file"]) == ("checkpoint", "trained.pth")
    assert (weights["licence"], weights["allow_commercial"]) == ("unknown", False)
    assert threshold(target) == "0.35"  # the starter's belongs to the starter's weights


def test_parameters_and_licences_of_the_command_line_win_one_by_one(run, target):
    options = ["--set", "verify_faces.threshold=0.5", "--licence", "face_recognizer=MIT"]
    assert run("--weights", "starter", *options) == 0
    weights = read_manifest(target / "face_recognizer").weights

    assert threshold(target) == "0.5"
    assert (weights["source"], weights["licence"]) == ("starter", "MIT")


def test_another_network_does_not_get_the_starters_file_nor_random_weights(run, target, capsys):
    assert run("--weights", "starter", "--network", "face_recognizer=ir") == 1

    assert "the starter weights have no ir for it" in capsys.readouterr().err
    assert not target.exists()


def test_a_graph_without_starter_weights_is_an_error_and_never_random(run, starter, target, capsys):
    write(starter)

    assert run("--weights", "starter") == 1
    assert "face_recognizer has no weights (the starter weights have no" in capsys.readouterr().err
    assert not target.exists()


def test_optional_graphs_without_starter_weights_are_left_out(run, target):
    assert run("--weights", "starter") == 0

    assert "face_detector" not in os.listdir(target)
    assert "flame_decoder" not in os.listdir(target)


def test_optional_graphs_with_starter_weights_are_built(run, starter, target):
    save_head(starter / "head.npz")
    head = {"network": "flame", "file": "head.npz", "licence": "CC0", "allow_commercial": True}
    write(starter, face_recognizer=ENTRY, flame_decoder=head)

    assert run("--weights", "starter") == 0
    assert read_manifest(target / "flame_decoder").weights["source"] == "starter"


def test_parameters_of_weights_that_are_not_built_now_are_not_set(run, target):
    """verify_faces keeps the threshold of the recogniser that stays."""
    assert run("--weights", "random", "--network", "face_recognizer=iresnet") == 0
    assert run("--weights", "starter", "--model", "verify_faces") == 0

    assert read_manifest(target / "face_recognizer").weights["source"] == "random"
    assert threshold(target) == "0.35"
    assert run("--weights", "starter", "--model", "face_recognizer") == 0
    assert threshold(target) == "0.271"


def test_a_seed_is_for_random_weights_only(run, target, capsys):
    assert run("--weights", "starter", "--seed", 3) == 2
    assert "--seed is for random weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "holds a list; expected an object"),
        ("{", "cannot be read"),
        (json.dumps({"face_recognizer": 3}), "face_recognizer is 3; expected dict"),
        (json.dumps({"face_recognizer": {**ENTRY, "sha": ""}}), r"has the unknown \['sha'\]"),
        (json.dumps({"face_recognizer": {"file": "x"}}), r"lacks \['allow_commercial', 'licence'"),
        (json.dumps({"face_recognizer": {**ENTRY, "allow_commercial": "yes"}}), "expected bool"),
        (json.dumps({"face_recognizer": {**ENTRY, "file": "none.pth"}}), "none.pth.*lies beside"),
        (json.dumps({"face_recognizer": {**ENTRY, "file": "../recognizer.safetensors"}}), "name"),
        (
            json.dumps({"face_recognizer": {**ENTRY, "parameters": {"verify_faces": {"t": 1}}}}),
            "parameters.verify_faces.t is 1; expected str",
        ),
    ],
)
def test_a_document_of_another_form_is_refused(starter, document, message):
    (starter / "starter.json").write_text(document)

    with pytest.raises(CheckpointError, match=rf"starter\.json.*{message}"):
        read_starter_weights(starter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nobody": ENTRY}, "unknown graph 'nobody'"),
        ({"face_recognizer": {**ENTRY, "network": "vgg"}}, "unknown network of face_recognizer"),
        (
            {"face_recognizer": {**ENTRY, "parameters": {"verify_faces": {"tresh": "1"}}}},
            "unknown parameter of verify_faces 'tresh'",
        ),
        ({"face_recognizer": {**ENTRY, "parameters": {"no": {"t": "1"}}}}, "unknown model 'no'"),
    ],
)
def test_names_that_do_not_exist_are_refused(run, starter, capsys, changes, message):
    write(starter, **changes)

    assert run("--weights", "starter") == 2
    assert message in capsys.readouterr().err


def test_an_installation_without_starter_weights_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(starter_weights, "_PACKAGE", tmp_path / "a" / "b" / "mien_export")

    with pytest.raises(UsageError, match=r"no starter weights\. Give --checkpoint"):
        starter_folder()


def test_a_wheel_carries_them_where_they_are_looked_for(monkeypatch, tmp_path):
    packed = re.search(r'^"starter/weights" = "(\w+)/(\w+)"$', read_project(), re.MULTILINE)
    package, folder = packed.groups()
    (tmp_path / package / folder).mkdir(parents=True)
    (tmp_path / package / folder / "starter.json").write_text("{}")
    monkeypatch.setattr(starter_weights, "_PACKAGE", tmp_path / package)

    assert starter_folder() == tmp_path / package / folder


def test_the_releases_own_entries_name_graphs_networks_and_files_that_exist():
    entries = read_starter_weights(starter_folder())

    for graph, entry in entries.items():
        assert entry.network in SPECS[graph].networks
        assert entry.licence
