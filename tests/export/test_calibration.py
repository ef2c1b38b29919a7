# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mien_export.calibration import read_calibration
from mien_export.errors import CalibrationError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)


def test_directories_and_arrays_give_the_same_images_in_the_order_of_names(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    for i, image in reversed(list(enumerate(IMAGES))):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    (folder / "notes.txt").write_text("ignored")
    np.save(tmp_path / "crops.npy", IMAGES)
    np.savez_compressed(tmp_path / "crops.npz", crops=IMAGES)

    sets = [read_calibration(tmp_path / name, 16) for name in ("crops", "crops.npy", "crops.npz")]

    for item in sets:
        assert_array_equal(item.images, IMAGES)
    assert len({item.digest for item in sets}) == 1


def test_the_judging_images_are_not_among_the_calibrating_ones(tmp_path):
    np.save(tmp_path / "crops.npy", IMAGES)
    item = read_calibration(tmp_path / "crops.npy", 16)

    both = np.concatenate([item.calibrating(), item.held_out()])
    assert_array_equal(both, IMAGES.transpose(0, 3, 1, 2).astype(np.float32))
    assert len(item.held_out()) == 2


def test_another_order_is_another_digest(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", IMAGES[::-1])

    assert (
        read_calibration(tmp_path / "a.npy", 16).digest
        != read_calibration(tmp_path / "b.npy", 16).digest
    )


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        pytest.param(IMAGES.astype(np.float32), "dtype float32; expected", id="floats"),
        pytest.param(IMAGES[:, :8], r"shape \(12, 8, 16, 3\)", id="size"),
        pytest.param(IMAGES[0], r"shape \(16, 16, 3\)", id="one"),
        pytest.param(IMAGES[:4], "has 4 images; expected at least 5", id="few"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(array, problem, tmp_path):
    np.save(tmp_path / "crops.npy", array)

    with pytest.raises(CalibrationError, match=problem):
        read_calibration(tmp_path / "crops.npy", 16)


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "crops.npy", np.array([{"a": 1}], dtype=object))

    with pytest.raises(CalibrationError, match="not a plain array file"):
        read_calibration(tmp_path / "crops.npy", 16)


def test_images_of_another_size_are_refused_by_name(tmp_path):
    Image.fromarray(IMAGES[0][:8]).save(tmp_path / "face.png")

    with pytest.raises(CalibrationError, match=r"face\.png is 16x8; expected 16x16"):
        read_calibration(tmp_path, 16)


def test_a_broken_image_is_refused_by_name(tmp_path):
    (tmp_path / "face.jpg").write_bytes(b"no jpeg")

    with pytest.raises(CalibrationError, match=r"face\.jpg cannot be read"):
        read_calibration(tmp_path, 16)


@pytest.mark.parametrize("name", ["", "nothing", "readme.md"])
def test_a_place_without_images_is_refused_with_what_to_give(name, tmp_path):
    (tmp_path / "readme.md").write_text("x")

    with pytest.raises(CalibrationError, match="aligned"):
        read_calibration(tmp_path / name, 16)
