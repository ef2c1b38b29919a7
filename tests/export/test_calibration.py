# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mien_export.calibration import read_calibration
from mien_export.contract import parse_config
from mien_export.errors import CalibrationError

CROPS = parse_config(
    """
    name: "crops" backend: "onnxruntime" max_batch_size: 8
    input [ { name: "crop" data_type: TYPE_FP32 dims: [ 3, 16, 16 ] } ]
    """,
    "a test",
)
NOISE = parse_config(
    """
    name: "noise" backend: "onnxruntime" max_batch_size: 8
    input [
      { name: "z" data_type: TYPE_FP32 dims: [ 2, 4 ] },
      { name: "t" data_type: TYPE_FP32 dims: [ 1 ] }
    ]
    """,
    "a test",
)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)


def test_directories_and_arrays_give_the_same_images_in_the_order_of_names(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    for i, image in reversed(list(enumerate(IMAGES))):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    (folder / "notes.txt").write_text("ignored")
    np.save(tmp_path / "crops.npy", IMAGES)
    np.savez_compressed(tmp_path / "crops.npz", crops=IMAGES)

    sets = [
        read_calibration(tmp_path / name, CROPS) for name in ("crops", "crops.npy", "crops.npz")
    ]

    for item in sets:
        assert_array_equal(item.arrays["crop"], IMAGES)
    assert len({item.digest for item in sets}) == 1


def test_the_judging_images_are_not_among_the_calibrating_ones(tmp_path):
    np.save(tmp_path / "crops.npy", IMAGES)
    item = read_calibration(tmp_path / "crops.npy", CROPS)

    both = np.concatenate([item.calibrating()["crop"], item.held_out()["crop"]])
    assert_array_equal(both, IMAGES.transpose(0, 3, 1, 2).astype(np.float32))
    assert len(item.held_out()["crop"]) == 2


def test_another_order_is_another_digest(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", IMAGES[::-1])

    assert (
        read_calibration(tmp_path / "a.npy", CROPS).digest
        != read_calibration(tmp_path / "b.npy", CROPS).digest
    )


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        pytest.param(IMAGES.astype(np.float32), "dtype float32; expected", id="floats"),
        pytest.param(IMAGES[:, :8], r"shape \(12, 8, 16, 3\)", id="size"),
        pytest.param(IMAGES[0], r"shape \(16, 16, 3\)", id="one"),
        pytest.param(IMAGES[:4], "has 4 samples; expected at least 5", id="few"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(array, problem, tmp_path):
    np.save(tmp_path / "crops.npy", array)

    with pytest.raises(CalibrationError, match=problem):
        read_calibration(tmp_path / "crops.npy", CROPS)


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "crops.npy", np.array([{"a": 1}], dtype=object))

    with pytest.raises(CalibrationError, match="not a plain array file"):
        read_calibration(tmp_path / "crops.npy", CROPS)


def test_images_of_another_size_are_refused_by_name(tmp_path):
    Image.fromarray(IMAGES[0][:8]).save(tmp_path / "face.png")

    with pytest.raises(CalibrationError, match=r"face\.png is 16x8; expected 16x16"):
        read_calibration(tmp_path, CROPS)


def test_a_broken_image_is_refused_by_name(tmp_path):
    (tmp_path / "face.jpg").write_bytes(b"no jpeg")

    with pytest.raises(CalibrationError, match=r"face\.jpg cannot be read"):
        read_calibration(tmp_path, CROPS)


@pytest.mark.parametrize("name", ["", "nothing", "readme.md"])
def test_a_place_without_images_is_refused_with_what_to_give(name, tmp_path):
    (tmp_path / "readme.md").write_text("x")

    with pytest.raises(CalibrationError, match="aligned"):
        read_calibration(tmp_path / name, CROPS)


def noise_inputs(count=10):
    rng = np.random.default_rng(1)
    return {"z": rng.normal(size=(count, 2, 4)), "t": rng.uniform(0, 999, (count, 1))}


def test_a_graph_of_several_inputs_is_calibrated_with_an_array_for_each(tmp_path):
    inputs = noise_inputs()
    np.savez(tmp_path / "inputs.npz", **inputs)

    item = read_calibration(tmp_path / "inputs.npz", NOISE)

    parts = item.calibrating(), item.held_out()
    assert [len(part["z"]) for part in parts] == [8, 2]
    for name, array in inputs.items():
        joined = np.concatenate([part[name] for part in parts])
        assert joined.dtype == np.float32
        assert_array_equal(joined, array.astype(np.float32))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"t": None}, r"holds z \(10, 2, 4\) float64; expected z", id="one missing"),
        pytest.param({"y": np.zeros((10, 1))}, r"y \(10, 1\)", id="one too many"),
        pytest.param({"t": np.zeros((9, 1))}, r"t \(9, 1\)", id="fewer of one"),
        pytest.param({"t": np.zeros(10)}, r"t \(10,\)", id="other shape"),
        pytest.param({"t": np.float64(3)}, r"t \(\)", id="a number"),
        pytest.param({"t": np.zeros((10, 1), np.int64)}, "int64", id="integers"),
        pytest.param({"t": np.full((10, 1), np.nan)}, "not finite in t", id="not finite"),
        pytest.param(noise_inputs(4), "has 4 samples; expected at least 5", id="few"),
    ],
)
def test_inputs_of_the_wrong_kind_are_refused(changed, problem, tmp_path):
    inputs = {**noise_inputs(), **changed}
    np.savez(tmp_path / "inputs.npz", **{k: v for k, v in inputs.items() if v is not None})

    with pytest.raises(CalibrationError, match=problem):
        read_calibration(tmp_path / "inputs.npz", NOISE)


@pytest.mark.parametrize("name", ["", "nothing.npz", "broken.npz", "pickled.npz"])
def test_a_place_without_inputs_is_refused_with_what_to_give(name, tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    np.savez(tmp_path / "pickled.npz", z=np.array([{}], dtype=object))

    with pytest.raises(CalibrationError, match=r"give an \.npz of z|not a plain array file"):
        read_calibration(tmp_path / name, NOISE)
