# SPDX-License-Identifier: Apache-2.0
"""Files of the structure of ``deca_model.tar`` and ``mica.tar``, with tiny networks inside."""

import dataclasses

import pytest
import torch
from safetensors.torch import save_file

from mien_export.checkpoint_parts import DECA_D_DETAIL, DECA_E_DETAIL, DECA_E_FLAME, MICA_TAR
from mien_export.checkpoints import load_strictly, read_checkpoint, rename_nothing
from mien_export.errors import CheckpointError
from mien_export.networks.deca import DecaEncoder
from mien_export.networks.deca_detail import DetailGenerator
from mien_export.networks.mica import Mica

from .tiny_faces import TINY_ENCODER, TINY_GENERATOR, TINY_MICA

TINY_DETAIL_ENCODER = dataclasses.replace(TINY_ENCODER, outputs=128)
NETWORKS = {
    "E_flame": (DECA_E_FLAME, lambda: DecaEncoder(TINY_ENCODER)),
    "E_detail": (DECA_E_DETAIL, lambda: DecaEncoder(TINY_DETAIL_ENCODER)),
    "D_detail": (DECA_D_DETAIL, lambda: DetailGenerator(TINY_GENERATOR)),
    "mica": (MICA_TAR, lambda: Mica(TINY_MICA)),
}
DECA_NAMES = ("E_flame", "E_detail", "D_detail")


def make_trained(name, seed=0) -> torch.nn.Module:
    """Every tensor different from that of a fresh network."""
    generator = torch.Generator().manual_seed(seed)
    network = NETWORKS[name][1]()
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network


def make_deca_file(*, is_training=False, prefix=""):
    states = {
        name: {f"{prefix}{key}": value for key, value in make_trained(name).state_dict().items()}
        for name in DECA_NAMES
    }
    extras = {"opt": {"state": {0: {"step": 3}}}, "global_step": 1000, "batch_size": 8}
    return {**states, **(extras if is_training else {})}


def make_mica_file(*, is_training=False, prefix=""):
    state = make_trained("mica").state_dict()
    arcface, flame = {}, {"generator.shapedirs": torch.ones(2, 3), "generator.faces": torch.ones(3)}
    for key, value in state.items():
        if key.startswith("arcface."):
            arcface[key.removeprefix("arcface.")] = value
        else:
            flame[key] = value
    flame = {f"{prefix}{key}": value for key, value in flame.items()}
    extras = {"opt": {}, "scheduler": {}, "validator": {"now": 1.5}, "epoch": 1, "global_step": 2}
    extras |= {"batch_size": 8}
    return {"arcface": arcface, "flameModel": flame, **(extras if is_training else {})}


def write(content, tmp_path):
    path = tmp_path / "weights.tar"
    torch.save(content, path)
    return path


def assert_loads(path, name):
    select, make = NETWORKS[name]
    network = make()
    load_strictly(network, read_checkpoint(path, select), rename_nothing)
    for key, value in make_trained(name).state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(network.state_dict()[key], value), key


def refusal(content, name, tmp_path) -> str:
    select, make = NETWORKS[name]
    path, network = write(content, tmp_path), make()
    with pytest.raises(CheckpointError) as caught:
        load_strictly(network, read_checkpoint(path, select), rename_nothing)
    return str(caught.value)


@pytest.mark.parametrize("name", DECA_NAMES)
@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_network_of_a_deca_file_gets_its_own_tensors(name, is_training, prefix, tmp_path):
    path = write(make_deca_file(is_training=is_training, prefix=prefix), tmp_path)

    assert_loads(path, name)


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_mica_takes_trunk_and_regressor_and_leaves_flame(is_training, prefix, tmp_path):
    path = write(make_mica_file(is_training=is_training, prefix=prefix), tmp_path)

    assert_loads(path, "mica")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_of_one_network_alone_loads(name, tmp_path):
    path = tmp_path / "starter.safetensors"
    save_file(make_trained(name).state_dict(), path)

    assert_loads(path, name)


@pytest.mark.parametrize("name", DECA_NAMES)
def test_a_deca_file_without_the_network_is_refused(name, tmp_path):
    content = make_deca_file()
    del content[name]

    message = refusal(content, name, tmp_path)

    assert f"1 missing: {name}." in message


@pytest.mark.parametrize("key", ["arcface", "flameModel"])
def test_a_mica_file_without_one_of_its_halves_is_refused(key, tmp_path):
    content = make_mica_file()
    del content[key]

    assert f"1 missing: {key}." in refusal(content, "mica", tmp_path)


def test_an_entry_that_nobody_accounts_for_is_refused(tmp_path):
    content = {**make_deca_file(), "E_other": {}, "notes": "x"}

    assert "2 unexpected: E_other, notes." in refusal(content, "E_flame", tmp_path)


@pytest.mark.parametrize("name", DECA_NAMES)
def test_a_name_that_is_missing_left_over_or_misshapen_inside_the_entry_is_listed(name, tmp_path):
    content = make_deca_file()
    kept, gone, *_ = [key for key in content[name] if key.endswith(".weight")]
    del content[name][gone]
    content[name] |= {kept: torch.ones(7), "extra.weight": torch.ones(1)}

    message = refusal(content, name, tmp_path)

    assert f"1 missing: {gone}." in message
    assert "1 unexpected: extra.weight." in message
    assert f"1 mis-shaped: {kept} (7,) instead of" in message


def test_what_is_wrong_inside_a_mica_file_is_listed_by_its_place_in_the_network(tmp_path):
    content = make_mica_file()
    del content["arcface"]["fc.bias"], content["flameModel"]["regressor.output.bias"]
    content["flameModel"] |= {"renderer.faces": torch.ones(1)}

    message = refusal(content, "mica", tmp_path)

    assert "2 missing: arcface.fc.bias, regressor.output.bias." in message
    assert "1 unexpected: renderer.faces." in message


def test_damage_in_a_network_that_is_not_read_does_not_matter(tmp_path):
    content = make_deca_file()
    content["E_detail"] = {"layers.0.weight": torch.tensor([float("nan")])}

    assert_loads(write(content, tmp_path), "E_flame")


@pytest.mark.parametrize("content", [3, {}, {"a": "b"}, {7: torch.ones(1)}])
def test_an_entry_that_is_no_state_dict_is_refused(content, tmp_path):
    file = {**make_deca_file(), "E_flame": content}

    message = refusal(file, "E_flame", tmp_path)

    assert "holds no state_dict" in message or "unexpected: 7" in message


@pytest.mark.parametrize("content", [[1, 2], "text", {}])
def test_a_file_that_holds_nothing_is_refused(content, tmp_path):
    message = refusal(content, "E_flame", tmp_path)

    assert "E_flame" in message


def test_a_recognisers_file_is_refused_without_a_misleading_hint(tmp_path):
    content = make_mica_file()["arcface"]

    message = refusal(content, "mica", tmp_path)

    assert "missing: arcface.conv1.weight" in message
    assert "--network" not in message
