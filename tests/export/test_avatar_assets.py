# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_export.avatar_assets import hairstyle_digests, write_avatar_head, write_hairstyles
from mien_export.errors import CheckpointError
from mien_export.generator_digests import digest_parameters
from mien_export.head_model import read_head
from mien_server.avatar.head_asset import HeadAsset
from mien_server.hair.head import Head
from mien_server.hair.library import HairstyleLibrary
from tests.export import flame_oracle

from .small_heads import save_flame, save_head


@pytest.fixture
def written(tmp_path):
    save_head(tmp_path / "head.npz")
    write_avatar_head(tmp_path / "head.npz", tmp_path / "avatar.npz")
    return read_head(tmp_path / "head.npz"), HeadAsset.read(tmp_path / "avatar.npz")


def test_the_server_reads_the_head_that_the_build_wrote(written):
    head, asset = written

    np.testing.assert_array_equal(asset.vertices, head.v_template)
    np.testing.assert_array_equal(asset.topology.uv_faces, head.ft)
    np.testing.assert_array_equal(asset.joint_weights, head.weights)
    assert asset.action_names == head.action_names
    assert not asset.scalp.any() or asset.scalp.tolist() == head.regions["scalp"].tolist()


def test_actions_move_the_head_as_the_independent_decoder_says(written):
    head, asset = written

    rest, landmarks, _ = flame_oracle.decode(head, np.zeros(300), np.zeros(100), np.zeros(15))
    np.testing.assert_allclose(asset.landmarks, landmarks, atol=1e-6)
    for action in range(len(head.action_names)):
        moved, _, _ = flame_oracle.decode(
            head,
            np.zeros(300),
            head.expression_from_actions[:, action],
            head.pose_from_actions[:, action],
        )
        np.testing.assert_allclose(asset.action_deltas[action], moved - rest, atol=1e-6)


def test_a_head_without_texture_coordinates_is_refused(tmp_path, monkeypatch):
    file = save_flame(tmp_path, monkeypatch)

    with pytest.raises(CheckpointError, match="UV layout"):
        write_avatar_head(file, tmp_path / "avatar.npz")


@pytest.mark.parametrize("change", [{"f": None}, {"weights": np.zeros((3, 5), np.float32)}])
def test_a_damaged_head_names_the_remedy(tmp_path, change):
    save_head(tmp_path / "head.npz")
    write_avatar_head(tmp_path / "head.npz", tmp_path / "avatar.npz")
    with np.load(tmp_path / "avatar.npz") as archive:
        arrays = {name: archive[name] for name in archive.files} | change
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(tmp_path / "avatar.npz", **arrays)

    with pytest.raises(ValueError, match="mien-export build"):
        HeadAsset.read(tmp_path / "avatar.npz")


def test_the_shipped_hairstyles_and_the_head_they_were_made_on_are_copied(tmp_path):
    write_hairstyles(tmp_path / "no head", tmp_path / "styles")

    with np.load(tmp_path / "styles" / "head.npz") as stand:
        head = Head.of(stand["v_template"], stand["f"], stand["region_scalp"])
    library = HairstyleLibrary(tmp_path / "styles", None, head)
    assert len(library.entries()) >= 12
    assert len(library.hairstyle("bob").strands) == library.entry("bob").strands
    copied = {path.name for path in (tmp_path / "styles").iterdir()}
    assert copied == hairstyle_digests().keys()


def test_a_head_that_knows_no_actions_and_no_regions_will_do(tmp_path):
    extra = ("action_names", "expression_from_actions", "pose_from_actions", "region_scalp")
    save_head(tmp_path / "head.npz", **dict.fromkeys(extra))
    write_avatar_head(tmp_path / "head.npz", tmp_path / "avatar.npz")

    asset = HeadAsset.read(tmp_path / "avatar.npz")

    assert asset.action_names == ()
    assert asset.moving_actions() == []
    assert asset.hair_head().scalp.any()


def test_codes_of_one_pipeline_are_good_for_the_others():
    behind = {"flame_decoder": "a", "texture_decoder": "b"}
    spaces = [
        digest_parameters(model, {**behind, **more})["avatar_space"]
        for model, more in (
            ("create_avatar", {"deca_encoder": "c", "emotion_mlp": "d"}),
            ("apply_emotion", {"emotion_mlp": "d"}),
            ("try_hairstyle", {"emotion_mlp": "e"}),
        )
    ]
    other = digest_parameters("create_avatar", {**behind, "texture_decoder": "c"})["avatar_space"]

    assert len(set(spaces)) == 1
    assert other != spaces[0]
