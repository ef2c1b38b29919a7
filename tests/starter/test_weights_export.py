# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien_export.starter_weights import read_starter_weights
from mien_starter import weights_export
from mien_starter.errors import StarterError
from mien_starter.evaluation.networks import predictor, wrapped
from mien_starter.recipes import parameters_of
from mien_starter.weights_export import half_size, update_starter, write_card, write_weights

NAME = "face_landmarker"
ABOUT = {"step": "5", "recipe": "Recipe(steps=5)", "data": "7 photographs"}


@pytest.fixture
def tensors():
    return wrapped(NAME, None).network.state_dict()


@pytest.fixture
def crops():
    return np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3)).astype(np.uint8)


def test_what_is_read_back_predicts_what_was_trained(tensors, crops, tmp_path):
    path, parity = write_weights(NAME, tensors, [crops], tmp_path)

    trained = predictor(wrapped(NAME, tensors))(crops)
    stored = predictor(wrapped(NAME, path))(crops)

    for before, after in zip(trained, stored, strict=True):
        np.testing.assert_allclose(after, before, atol=0.1)
    assert set(parity) == {"landmarks_68", "landmarks", "face_score"}
    assert oct(path.stat().st_mode)[-3:] == "644"


def test_matrices_are_halved_and_statistics_are_not(tensors, crops, tmp_path):
    stored = load_file(write_weights(NAME, tensors, [crops], tmp_path)[0])

    kinds = {(value.ndim > 1, value.dtype) for value in stored.values() if value.ndim}
    assert kinds == {(True, torch.float16), (False, torch.float32)}


def test_weights_that_half_precision_ruins_are_refused(tensors, crops, tmp_path):
    ruined = {name: value.clone() for name, value in tensors.items()}
    # What one layer enlarges beyond fp16 the next makes small again: right in fp32 only.
    first, norm = "stages.0.0.0.weight", "stages.0.0.1"
    ruined[first] *= 1e6
    ruined[f"{norm}.running_var"] *= 1e12
    ruined[f"{norm}.running_mean"] *= 1e6

    with pytest.raises(StarterError, match="does not compute what was trained"):
        write_weights(NAME, ruined, [crops], tmp_path)
    assert not list(tmp_path.iterdir())


def test_large_files_and_full_folders_are_refused_and_nothing_is_left(
    tensors, crops, tmp_path, monkeypatch
):
    monkeypatch.setattr(weights_export, "MAX_FILE_BYTES", 1000)
    with pytest.raises(StarterError, match="at most 1,000"):
        write_weights(NAME, tensors, [crops], tmp_path)
    monkeypatch.undo()
    (tmp_path / "other.npz").write_bytes(bytes(95_900_000))
    with pytest.raises(StarterError, match="95,900,000 of other"):
        write_weights(NAME, tensors, [crops], tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["other.npz"]


def test_the_exporter_reads_the_entry_and_others_stay(tensors, crops, tmp_path):
    path, _ = write_weights(NAME, tensors, [crops], tmp_path)
    (tmp_path / "head.npz").write_bytes(b"head")
    other = {"network": "n", "file": "head.npz", "licence": "x", "allow_commercial": True}
    (tmp_path / "starter.json").write_text(json.dumps({"flame_decoder": other}))

    update_starter(NAME, "landmarker", path)

    entries = read_starter_weights(tmp_path)
    assert set(entries) == {NAME, "flame_decoder"}
    assert entries[NAME].network == "landmarker"
    assert entries[NAME].file == "face_landmarker.safetensors"
    assert entries[NAME].allow_commercial


def test_new_weights_lose_the_threshold_of_the_former_ones(tmp_path):
    path = tmp_path / "face_recognizer.safetensors"
    path.write_bytes(b"")

    assert not update_starter("face_recognizer", "iresnet18_narrow", path)
    table = tmp_path / "starter.json"
    entries = json.loads(table.read_text())
    entries["face_recognizer"]["parameters"] = {"verify_faces": {"threshold": "0.3"}}
    table.write_text(json.dumps(entries))

    assert update_starter("face_recognizer", "iresnet18_narrow", path)
    assert "parameters" not in json.loads(table.read_text())["face_recognizer"]


def test_parameters_that_belong_to_a_recipe_are_entered_and_stay(tmp_path):
    path = tmp_path / "deca_encoder.safetensors"
    path.write_bytes(b"")
    parameters = parameters_of("deca_encoder")

    assert parameters == {"fit_faces": {"mirrored_shape": "true"}}
    assert not update_starter("deca_encoder", "resnet16_half", path, parameters)
    assert not update_starter("deca_encoder", "resnet16_half", path, parameters)
    assert read_starter_weights(tmp_path)["deca_encoder"].parameters == parameters
    assert parameters_of("face_landmarker") == {}


def test_the_card_says_what_it_is_made_of_and_how_well_it_does(tensors, crops, tmp_path):
    path, parity = write_weights(NAME, tensors, [crops], tmp_path)
    figures = {
        "photographs": 12,
        "splits": ["held_out"],
        "figures": {"trained": {"nme": 0.031}, "random": {"nme": 0.9}},
    }

    text = write_card(NAME, path, ABOUT, parity, figures).read_text()

    for part in ("Apache-2.0", "7 photographs", "Recipe(steps=5)", "| nme | 0.031 | 0.9 |"):
        assert part in text
    assert "12 photographs of people of the split held_out" in text


def test_whole_numbers_stay_whole():
    tensors = {"a": torch.ones(3, 3), "b": torch.ones(3), "c": torch.tensor(7)}

    small = half_size(tensors)

    assert [small[name].dtype for name in "abc"] == [torch.float16, torch.float32, torch.int64]
