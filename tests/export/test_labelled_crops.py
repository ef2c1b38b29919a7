# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_export.errors import CalibrationError
from mien_export.labelled_crops import read_labelled_crops

from .calibration_reports import make_crops, write_crops

CROPS, IDENTITIES = make_crops()


def test_what_was_saved_is_read(tmp_path):
    found = read_labelled_crops(write_crops(tmp_path / "a.npz", note=np.array("any")), 112)

    np.testing.assert_array_equal(found.crops, CROPS)
    np.testing.assert_array_equal(found.identities, IDENTITIES)
    assert found.identity_count == 12


@pytest.mark.parametrize(
    "labels",
    [
        IDENTITIES * 1000 - 7,
        IDENTITIES.astype(np.uint8),
        np.array([f"person {number:02d}" for number in IDENTITIES]),
        np.array([b"%02d" % number for number in IDENTITIES]),
    ],
    ids=["numbers", "bytes", "names", "byte strings"],
)
def test_identities_may_be_called_anything(labels, tmp_path):
    found = read_labelled_crops(write_crops(tmp_path / "a.npz", identities=labels), 112)
    plain = read_labelled_crops(write_crops(tmp_path / "b.npz"), 112)

    np.testing.assert_array_equal(found.identities, IDENTITIES)
    assert found.digest == plain.digest


def test_the_digest_is_that_of_pixels_and_owners(tmp_path):
    plain = read_labelled_crops(write_crops(tmp_path / "a.npz"), 112).digest
    pixels, owners = CROPS.copy(), IDENTITIES.copy()
    pixels[5, 1, 2, 0] += 1
    owners[0] = 1

    assert read_labelled_crops(write_crops(tmp_path / "b.npz", crops=pixels), 112).digest != plain
    assert (
        read_labelled_crops(write_crops(tmp_path / "c.npz", identities=owners), 112).digest != plain
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        pytest.param({"crops": CROPS.astype(np.float32)}, "dtype float32", id="dtype"),
        pytest.param({"crops": CROPS[:, :100]}, r"shape \(36, 100, 112, 3\)", id="size"),
        pytest.param({"crops": CROPS.transpose(0, 3, 1, 2)}, r"\(36, 3, 112, 112\)", id="layout"),
        pytest.param({"identities": IDENTITIES[:-1]}, r"\(35,\).*for 36 crops", id="too few"),
        pytest.param({"identities": IDENTITIES[:, None]}, r"\(36, 1\)", id="two axes"),
        pytest.param({"identities": IDENTITIES / 2}, "dtype float64", id="fractions"),
        pytest.param(
            {"crops": CROPS[:0], "identities": IDENTITIES[:0]}, "holds no crop", id="nothing"
        ),
    ],
)
def test_arrays_of_another_form_are_refused_with_the_form_they_must_have(arrays, message, tmp_path):
    with pytest.raises(CalibrationError, match=message) as caught:
        read_labelled_crops(write_crops(tmp_path / "a.npz", **arrays), 112)
    assert "(N, 112, 112, 3) uint8 RGB" in str(caught.value)


def test_an_archive_without_identities_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", crops=CROPS)

    with pytest.raises(CalibrationError, match=r"\['crops'\], without identities"):
        read_labelled_crops(tmp_path / "a.npz", 112)


def test_objects_are_refused_unopened(tmp_path):
    np.savez(tmp_path / "a.npz", crops=CROPS, identities=np.array([object()] * 36))

    with pytest.raises(CalibrationError, match="cannot be read"):
        read_labelled_crops(tmp_path / "a.npz", 112)


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 half an archive", b"\x93NUMPY"], ids=str)
def test_a_file_that_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CalibrationError, match=r"expected an \.npz"):
        read_labelled_crops(path, 112)


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with path.open("wb") as stream:
        np.save(stream, CROPS)

    with pytest.raises(CalibrationError, match="is a single array"):
        read_labelled_crops(path, 112)
