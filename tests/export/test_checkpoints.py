# SPDX-License-Identifier: Apache-2.0
import hashlib
import pickle

import pytest
import torch
from safetensors.torch import save_file

from mien_export.checkpoints import (
    load_strictly,
    read_checkpoint,
    rename_from_adaface,
    rename_from_arcface,
    rename_from_tface,
)
from mien_export.errors import CheckpointError
from mien_export.networks.ir50 import IRBackbone
from mien_export.networks.iresnet import IResNet, IResNetConfig

from .tiny import TINY_IR, TINY_IRESNET


def make_trained(make=IResNet, config=TINY_IRESNET) -> torch.nn.Module:
    """Every tensor different from that of a fresh network."""
    network = make(config)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    return network


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def assert_loads(path, source, rename) -> None:
    config = TINY_IRESNET if isinstance(source, IResNet) else TINY_IR
    network = type(source)(config)
    load_strictly(network, read_checkpoint(path), rename)

    for key, value in source.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(network.state_dict()[key], value), key


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".tar"])
@pytest.mark.parametrize("container", [None, "state_dict", "model", "backbone"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_torch_files_load_in_every_container_and_behind_every_prefix(
    suffix, container, prefix, tmp_path
):
    source = make_trained()
    state = prefixed(source.state_dict(), prefix)
    path = tmp_path / f"weights{suffix}"
    torch.save({container: state, "epoch": 7} if container else state, path)

    assert_loads(path, source, rename_from_arcface)


def test_the_old_torch_format_loads(tmp_path):
    source, path = make_trained(), tmp_path / "weights.tar"
    torch.save(source.state_dict(), path, _use_new_zipfile_serialization=False)

    assert_loads(path, source, rename_from_arcface)


def test_safetensors_load(tmp_path):
    source, path = make_trained(), tmp_path / "weights.safetensors"
    save_file(source.state_dict(), path)

    assert_loads(path, source, rename_from_arcface)


def test_adaface_lightning_files_load_without_their_training_head(tmp_path):
    source, path = make_trained(IRBackbone, TINY_IR), tmp_path / "adaface.ckpt"
    state = {**prefixed(source.state_dict(), "model."), "head.kernel": torch.rand(512, 10)}
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1}}, path)

    assert_loads(path, source, rename_from_adaface)


def test_half_precision_files_load(tmp_path):
    source, path = make_trained(), tmp_path / "weights.pth"
    torch.save({key: value.half() for key, value in source.state_dict().items()}, path)
    network = IResNet(TINY_IRESNET)
    load_strictly(network, read_checkpoint(path), rename_from_arcface)

    assert network.fc.weight.dtype == torch.float32
    torch.testing.assert_close(network.fc.weight, source.fc.weight, atol=1e-3, rtol=0)


def test_files_without_batch_counters_load(tmp_path):
    source, path = make_trained(), tmp_path / "weights.pth"
    state = source.state_dict()
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)

    assert_loads(path, source, rename_from_arcface)


def test_the_digest_is_that_of_the_file(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(make_trained().state_dict(), path)

    assert read_checkpoint(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


class Hostile:
    """Would create a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_does_nothing(zipped, tmp_path):
    touched, path = tmp_path / "touched", tmp_path / "weights.pth"
    state = {"state_dict": make_trained().state_dict(), "extra": Hostile(touched)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)

    with pytest.raises(CheckpointError, match="was refused: it holds more than tensors"):
        read_checkpoint(path)
    assert not touched.exists()


def test_a_bare_hostile_pickle_is_refused_and_does_nothing(tmp_path):
    touched, path = tmp_path / "touched", tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(Hostile(touched)))

    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not touched.exists()


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
def test_a_damaged_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"\x93 these are not weights")

    with pytest.raises(CheckpointError, match=path.name):
        read_checkpoint(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(make_trained().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-5000])

    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        read_checkpoint(tmp_path / "nothing.pth")


def test_an_unknown_suffix_is_an_error_that_lists_the_known_ones(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"")

    with pytest.raises(CheckpointError, match=r"'\.bin'.*\.safetensors"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"state_dict": {"a": "b"}}])
def test_a_file_without_tensors_is_an_error(content, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(content, path)

    with pytest.raises(CheckpointError, match="holds no state_dict"):
        read_checkpoint(path)


def fail_to_load(state, tmp_path, network=None, rename=rename_from_arcface) -> str:
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    network = network or IResNet(TINY_IRESNET)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_strictly(network, read_checkpoint(path), rename)
    for key, value in network.state_dict().items():
        assert torch.equal(before[key], value), "a refused file must not be loaded in part"
    return str(caught.value)


def test_missing_unexpected_and_misshapen_keys_are_all_listed(tmp_path):
    state = make_trained().state_dict()
    del state["fc.weight"], state["fc.bias"]
    state |= {"classifier.weight": torch.ones(2), "bn1.weight": torch.ones(9)}

    message = fail_to_load(state, tmp_path)

    assert "2 missing: fc.weight, fc.bias." in message
    assert "1 unexpected: classifier.weight." in message
    assert "1 mis-shaped: bn1.weight (9,) instead of (8,)." in message


def test_a_long_list_of_keys_is_cut_but_counted(tmp_path):
    state = {f"x{i}": torch.ones(1) for i in range(100)}

    assert "100 unexpected: x0, x1, x2, x3, x4, …." in fail_to_load(state, tmp_path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(bad, tmp_path):
    state = make_trained().state_dict()
    state["fc.bias"][3] = bad

    assert "NaN or infinite values in fc.bias" in fail_to_load(state, tmp_path)


def test_an_iresnet_file_for_an_ir_network_gets_a_hint(tmp_path):
    message = fail_to_load(
        make_trained().state_dict(), tmp_path, IRBackbone(TINY_IR), rename_from_tface
    )

    assert "looks like the iresnet family" in message


def test_an_ir_file_for_an_iresnet_gets_a_hint(tmp_path):
    message = fail_to_load(make_trained(IRBackbone, TINY_IR).state_dict(), tmp_path)

    assert "looks like the IR family" in message


def test_an_adaface_file_for_plain_ir50_gets_a_hint(tmp_path):
    state = prefixed(make_trained(IRBackbone, TINY_IR).state_dict(), "model.")
    state["head.kernel"] = torch.ones(2)

    message = fail_to_load(state, tmp_path, IRBackbone(TINY_IR), rename_from_tface)

    assert "adaface_ir50" in message


def test_a_file_of_another_depth_gets_a_hint(tmp_path):
    deeper = IResNetConfig(blocks=(1, 2, 1, 1), widths=TINY_IRESNET.widths)

    message = fail_to_load(make_trained(config=deeper).state_dict(), tmp_path)

    assert "has 5 residual blocks, the chosen network 4" in message


def test_an_original_face_evolve_file_is_explained(tmp_path):
    """Its units have no BatchNorm at position 2, so everything behind moves up by one."""
    state = {}
    moved = {"0": "0", "1": "1", "3": "2", "4": "3", "5": "4"}
    for key, value in make_trained(IRBackbone, TINY_IR).state_dict().items():
        head, _, rest = key.partition(".res_layer.")
        position, _, name = rest.partition(".")
        if not rest:
            state[key] = value
        elif position in moved:
            state[f"{head}.res_layer.{moved[position]}.{name}"] = value

    message = fail_to_load(state, tmp_path, IRBackbone(TINY_IR), rename_from_tface)

    assert "original face.evoLVe file" in message
