# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from scipy import sparse

from mien_export.errors import CheckpointError
from mien_export.head_files import LANDMARK_KEYS, files_of_head
from mien_export.head_model import HeadModel, read_head

from .small_heads import (
    MODEL_KEYS,
    extra_arrays,
    head_arrays,
    save_flame,
    save_head,
    save_landmarks,
    save_template,
)


def arrays_of(head: HeadModel) -> dict[str, np.ndarray]:
    fields = {field.name: getattr(head, field.name) for field in dataclasses.fields(head)}
    return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}


def assert_same(one: HeadModel, other: HeadModel) -> None:
    assert arrays_of(one).keys() == arrays_of(other).keys()
    for name, array in arrays_of(one).items():
        np.testing.assert_array_equal(array, arrays_of(other)[name], err_msg=name, strict=True)


def test_an_archive_gives_back_the_arrays_that_were_saved(tmp_path):
    arrays = head_arrays()
    head = read_head(save_head(tmp_path / "head.npz", arrays))

    for key in MODEL_KEYS + LANDMARK_KEYS + ("vt", "ft"):
        if key == "kintree_table":
            continue
        kind = np.float32 if arrays[key].dtype.kind == "f" else np.int32
        np.testing.assert_allclose(getattr(head, key), arrays[key].astype(kind), rtol=1e-6)
        assert getattr(head, key).dtype == kind
    assert head.kintree_table.tolist() == [[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]
    assert head.num_vertices == len(arrays["v_template"])
    assert head.has_uv


def test_our_extras_are_read_too(tmp_path):
    arrays = head_arrays()
    extras = extra_arrays(len(arrays["v_template"]))
    head = read_head(save_head(tmp_path / "head.npz", arrays | extras))

    assert head.action_names == tuple(extras["action_names"])
    assert head.emotion_names == ("joy", "anger")
    assert head.expression_from_actions.shape == (100, 4)
    assert head.pose_from_actions.shape == (15, 4)
    assert head.actions_from_emotions.shape == (4, 2)
    np.testing.assert_allclose(head.shape_std, extras["shape_std"], rtol=1e-6)
    assert head.regions["nose"].sum() == 5
    assert (head.origin, head.licence) == ("made by a test", "Apache-2.0")


def test_a_head_without_extras_has_no_deviations_and_no_actions(tmp_path):
    head = read_head(save_head(tmp_path / "head.npz"))

    assert (head.shape_std == 0).all()
    assert (head.expression_std == 0).all()
    assert (head.action_names, head.regions) == ((), {})


def test_half_precision_weights_sum_to_one_again(tmp_path):
    halves = head_arrays()["weights"].astype(np.float16)
    head = read_head(save_head(tmp_path / "head.npz", weights=halves))

    assert np.abs(halves.sum(axis=1, dtype=np.float64) - 1).max() > 1e-5
    np.testing.assert_allclose(head.weights.sum(axis=1), 1, atol=2e-7)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_flame_pickles_load_as_the_archive_of_the_same_arrays(tmp_path, monkeypatch, protocol):
    arrays = head_arrays()
    flame = save_flame(tmp_path, monkeypatch, arrays, protocol)
    plain = {key: value for key, value in arrays.items() if key not in ("vt", "ft")}

    assert_same(read_head(flame), read_head(save_head(tmp_path / "head.npz", plain)))


def test_a_flame_pickle_is_read_without_importing_scipy_or_chumpy(tmp_path, monkeypatch):
    flame = save_flame(tmp_path, monkeypatch)
    wanted = read_head(save_head(tmp_path / "head.npz", vt=None, ft=None))
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering", "scipy", "scipy.sparse"):
        monkeypatch.setitem(__import__("sys").modules, name, None)  # importing it now fails

    assert_same(read_head(flame), wanted)


def test_compressed_rows_are_as_good_as_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse, "csc_matrix", sparse.csr_matrix)
    flame = save_flame(tmp_path, monkeypatch)

    assert b"csr_matrix" in flame.read_bytes()
    np.testing.assert_allclose(
        read_head(flame).J_regressor, head_arrays()["J_regressor"].astype(np.float32)
    )


def test_landmarks_come_from_the_given_file_before_those_beside_it(tmp_path, monkeypatch):
    flame = save_flame(tmp_path, monkeypatch)
    (tmp_path / "other").mkdir()
    other = head_arrays(seed=5)
    save_landmarks(tmp_path / "other" / "landmarks.npy", other)
    head = read_head(flame, tmp_path / "other" / "landmarks.npy")

    np.testing.assert_array_equal(head.full_lmk_faces_idx, other["full_lmk_faces_idx"])
    assert (head.full_lmk_faces_idx != read_head(flame).full_lmk_faces_idx).any()


def test_landmarks_may_be_an_archive(tmp_path, monkeypatch):
    flame = save_flame(tmp_path, monkeypatch)
    other = head_arrays(seed=5)
    np.savez(tmp_path / "landmarks.npz", **{key: other[key] for key in LANDMARK_KEYS})

    head = read_head(flame, tmp_path / "landmarks.npz")

    np.testing.assert_array_equal(head.static_lmk_faces_idx, other["static_lmk_faces_idx"])


def test_the_uv_layout_comes_from_the_template_beside_the_pickle(tmp_path, monkeypatch):
    arrays = head_arrays()
    flame = save_flame(tmp_path, monkeypatch, arrays)
    bare = read_head(flame)
    save_template(tmp_path / "head_template.obj", arrays)
    head = read_head(flame)

    assert not bare.has_uv
    np.testing.assert_array_equal(head.ft, arrays["ft"])
    np.testing.assert_allclose(head.vt, arrays["vt"], atol=1e-7)


def test_a_template_of_another_topology_is_refused(tmp_path, monkeypatch):
    arrays = head_arrays()
    flame = save_flame(tmp_path, monkeypatch, arrays)
    save_template(tmp_path / "head_template.obj", {**arrays, "f": arrays["f"][:, ::-1]})

    with pytest.raises(CheckpointError, match="triangles that are not those of the head"):
        read_head(flame)


def test_all_files_that_are_read_are_named(tmp_path, monkeypatch):
    flame = save_flame(tmp_path, monkeypatch)
    save_template(tmp_path / "head_template.obj", head_arrays())
    whole = save_head(tmp_path / "head.npz")

    names = [file.name for file in files_of_head(flame)]

    assert names == ["generic_model.pkl", "landmark_embedding.npy", "head_template.obj"]
    assert files_of_head(whole) == (whole,)


def nan_in(key: str):
    array = head_arrays()[key].copy()
    array.flat[7] = np.nan
    return {key: array}


def index_in(key: str, value: int):
    array = head_arrays()[key].astype(np.int64)
    array.flat[3] = value
    return {key: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"posedirs": None}, "lacks posedirs; it has .*J_regressor"),
        ({"full_lmk_bary_coords": None}, "lacks full_lmk_bary_coords"),
        ({"shapedirs": np.zeros((98, 3, 150))}, r"shapedirs has shape \(98, 3, 150\), expected"),
        ({"weights": np.full((98, 4), 0.25)}, r"weights has shape \(98, 4\), expected \(V, 5\)"),
        ({"J_regressor": np.zeros((5, 97))}, "V is 98"),
        ({"v_template": np.zeros((0, 3))}, "v_template|V is 0"),
        ({"weights": head_arrays()["weights"] * 0.9}, "weights sum to 0.9..0.9"),
        ({"v_template": head_arrays()["v_template"] * 1000}, "expected metres"),
        ({"kintree_table": np.array([[-1, 0, 1, 2, 1], range(5)])}, r"parents are \(-1, 0, 1, 2"),
        ({"static_lmk_bary_coords": np.ones((51, 3))}, "static_lmk_bary_coords sum to 3..3"),
        ({"f": head_arrays()["f"].astype(float)}, "f is of float64; expected integers"),
        ({"shape_std": np.full(300, -1.0)}, "standard deviation is negative"),
        ({"region_nose": np.ones(5, bool)}, r"region 'nose' has shape \(5,\)"),
        ({"action_names": np.array(["jawOpen"])}, "expression_from_actions has shape"),
        (nan_in("posedirs"), "posedirs has NaN"),
        (index_in("f", 98), "f points to 0..98, expected 0..97"),
        (index_in("f", -1), "f points to -1"),
        (index_in("ft", 10**12), "ft points to"),
        (index_in("dynamic_lmk_faces_idx", 5000), "dynamic_lmk_faces_idx points to .*5000"),
    ],
)
def test_a_file_that_is_no_head_is_refused_with_the_reason(tmp_path, changes, message):
    with pytest.raises(CheckpointError, match=f"head.npz.*{message}"):
        read_head(save_head(tmp_path / "head.npz", **changes))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.npz does not exist"):
        read_head(tmp_path / "none.npz")


def test_another_ending_is_refused(tmp_path):
    (tmp_path / "head.glb").write_bytes(b"glTF")

    with pytest.raises(CheckpointError, match=r"ends in '\.glb'; expected \.npz, \.pkl"):
        read_head(tmp_path / "head.glb")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"\x93NUMPY", b"\x80\x02}q\x00"])
@pytest.mark.parametrize("suffix", ["npz", "pkl"])
def test_a_damaged_file_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"head.{suffix}"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=path.name):
        read_head(path)


def test_an_archive_of_objects_is_refused(tmp_path):
    path = save_head(tmp_path / "head.npz", origin=np.array([object], dtype=object))

    with pytest.raises(CheckpointError, match="not an archive of plain arrays"):
        read_head(path)
