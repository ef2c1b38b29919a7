# SPDX-License-Identifier: Apache-2.0
import io
import pickle
import struct

import numpy as np
import pytest

from mien_server.errors import ServingError
from mien_server.hair.polylines import curliness_of, lengths
from mien_server.hair.strand_files import MAX_BYTES, read_strand_file, read_vismap
from mien_server.hair.strand_formats import (
    convdata_from_grid,
    data_from_strands,
    grid_from_convdata,
    vismap_from_mask,
)
from mien_server.hair.strands import GRID, GRID_POINTS, Strands, strands_from_grid

ON_THE_GROUND = np.array([0.0, 1.7, 0.0])


def planted_grid(seed=0, bald=60):
    """HairNet's grid with smooth strands a person's height above the ground, some cells empty."""
    generator = np.random.default_rng(seed)
    roots = generator.uniform(-0.09, 0.09, (GRID * GRID, 1, 3)) + ON_THE_GROUND
    along = np.linspace(0, 1, GRID_POINTS)[None, :, None]
    bend = generator.normal(0, 0.03, (GRID * GRID, 1, 3))
    points = roots + along * generator.normal(0, 0.1, (GRID * GRID, 1, 3)) + along**2 * bend
    rows = np.concatenate([points, curliness_of(points)[..., None]], axis=2).astype(np.float32)
    rows[generator.permutation(GRID * GRID)[:bald]] = 0
    return rows.reshape(GRID, GRID, GRID_POINTS, 4)


def npy(array, *, allow_pickle=False):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def data_file(*strands):
    content = struct.pack("<i", len(strands))
    for strand in strands:
        content += struct.pack("<i", len(strand)) + np.asarray(strand, "<f4").tobytes()
    return content


def line(count, start=(0, 1.7, 0), step=(0, -0.01, 0.002)):
    return np.asarray(start) + np.arange(count)[:, None] * np.asarray(step)


def test_a_convdata_file_gives_the_strands_of_its_filled_cells():
    grid = planted_grid()

    # As HairNet's own tool indexes it: conv[(p * 4 + axis), row, column].
    planes = np.zeros((400, 32, 32), np.float32)
    for point in range(GRID_POINTS):
        for axis in range(4):
            planes[point * 4 + axis] = grid[:, :, point, axis]
    file = read_strand_file(npy(planes), "hair.convdata")

    expected = strands_from_grid(grid)
    assert (file.kind, file.count, file.bald) == ("convdata", 964, 60)
    np.testing.assert_array_equal(file.strands.points, expected.points)
    np.testing.assert_allclose(file.strands.curliness, expected.curliness, atol=3e-7)
    np.testing.assert_array_equal(file.cells, np.flatnonzero(grid.reshape(1024, -1).any(axis=1)))


def test_what_is_written_as_convdata_reads_back_as_it_was():
    grid = planted_grid(1)

    content = convdata_from_grid(grid)

    np.testing.assert_array_equal(grid_from_convdata(content), grid)
    np.testing.assert_array_equal(
        np.load(io.BytesIO(content), allow_pickle=False)[7], grid[:, :, 1, 3]
    )


def test_what_is_written_as_vismap_reads_back_as_it_was():
    mask = np.random.default_rng(2).random((GRID, GRID, GRID_POINTS)) < 0.3

    content = vismap_from_mask(mask)

    np.testing.assert_array_equal(read_vismap(content), mask)
    np.testing.assert_array_equal(
        np.load(io.BytesIO(content), allow_pickle=False)[5], mask[:, :, 5].astype(np.float32)
    )


def test_what_is_written_as_data_reads_back_as_it_was():
    points = np.stack([line(30, step=(0.001 * i, -0.008, 0)) for i in range(50)])
    strands = Strands(points, curliness_of(points))

    file = read_strand_file(data_from_strands(strands), "mine.data", points=30)

    assert (file.kind, file.count, file.bald, file.cells) == ("data", 50, 0, None)
    np.testing.assert_allclose(file.strands.points, strands.points, atol=2e-6)
    np.testing.assert_allclose(file.strands.curliness, strands.curliness, atol=1e-6)


def test_bald_roots_of_a_data_file_are_skipped_and_counted():
    content = data_file(line(1), line(20), line(1), np.tile([0.1, 1.7, 0], (9, 1)), line(7))

    file = read_strand_file(content, "some.data", points=10)

    assert (file.count, file.bald) == (2, 3)
    np.testing.assert_allclose(file.strands.points[0, [0, -1]], line(20)[[0, -1]], rtol=1e-6)
    np.testing.assert_allclose(file.strands.points[1, [0, -1]], line(7)[[0, -1]], rtol=1e-6)


def test_points_of_a_data_file_end_up_at_equal_distances():
    uneven = line(50)[[0, 1, 2, 3, 30, 40, 49]]

    strands = read_strand_file(data_file(uneven), points=25).strands

    np.testing.assert_allclose(
        strands.points[0], line(25, step=(0, -0.49 / 24, 0.098 / 24)), atol=1e-6
    )


def test_a_long_file_is_thinned_out_evenly_and_always_alike():
    content = data_file(*[line(5, start=(0, 1.7, 0.001 * i)) for i in range(100)])

    few = read_strand_file(content, max_strands=25, points=5)
    again = read_strand_file(content, max_strands=25, points=5)

    assert few.count == 100
    np.testing.assert_allclose(few.strands.roots[:, 2], 0.004 * np.arange(25), atol=1e-6)
    np.testing.assert_array_equal(few.strands.points, again.strands.points)


def test_thinned_out_cells_still_name_the_strands_that_were_kept():
    grid = planted_grid(3)

    file = read_strand_file(convdata_from_grid(grid), max_strands=100)

    rows = grid.reshape(-1, GRID_POINTS, 4)[file.cells]
    assert len(file.strands) == 100
    np.testing.assert_array_equal(file.strands.points, rows[..., :3])


def test_a_convdata_file_with_other_points_keeps_the_length_of_its_strands():
    content = convdata_from_grid(planted_grid(4))

    few, all_points = read_strand_file(content, points=50), read_strand_file(content)

    np.testing.assert_allclose(
        lengths(few.strands.points), lengths(all_points.strands.points), rtol=1e-3
    )


def test_a_convdata_file_is_told_by_its_bytes_whatever_it_is_called():
    content = convdata_from_grid(planted_grid(5))

    assert read_strand_file(content).kind == "convdata"
    assert read_strand_file(content, "style.npy").kind == "convdata"


GOOD = data_file(line(20), line(10))


class Trap:
    def __reduce__(self):
        return (exec, ("raise RuntimeError('unpickled')",))


def header(shape, dtype="<f4"):
    """An npy file that promises much and holds nothing."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def with_value(value):
    grid = planted_grid()
    grid[5, 5, 50, 1] = value
    return convdata_from_grid(grid)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        pytest.param(b"", "a.data", "0 bytes came", id="nothing"),
        pytest.param(b"\0" * 4, "a.data", "4 bytes came", id="nearly nothing"),
        pytest.param(GOOD[:-1], "a.data", "multiple of 4", id="cut within a number"),
        pytest.param(GOOD[:-4], "a.data", "within strand 1 of 2", id="cut within a strand"),
        pytest.param(GOOD[: 8 + 240], "a.data", "after 1 of 2", id="cut between strands"),
        pytest.param(GOOD + b"\0" * 8, "a.data", "8 bytes follow", id="appended"),
        pytest.param(
            struct.pack("<ii", 2**31 - 1, 100) + b"\0" * 1200,
            "a.data",
            "promises 2147483647 strands",
            id="promises gigabytes",
        ),
        pytest.param(struct.pack("<i", -3) + GOOD[4:], "a.data", "promises -3", id="negative"),
        pytest.param(struct.pack("<i", 0) + GOOD[4:], "a.data", "promises 0", id="none"),
        pytest.param(
            struct.pack("<ii", 1, 2**30) + b"\0" * 1200,
            "a.data",
            "promises 1073741824 vertices",
            id="strand promises gigabytes",
        ),
        pytest.param(
            struct.pack("<ii", 1, -1) + b"\0" * 12, "a.data", "promises -1 v", id="negative strand"
        ),
        pytest.param(
            data_file(line(5), [(0, np.nan, 0), (0, 1, 0)]), "a.data", "not finite", id="NaN"
        ),
        pytest.param(
            data_file(line(5), [(0, np.inf, 0), (0, 1, 0)]), "a.data", "not finite", id="infinite"
        ),
        pytest.param(data_file(line(1), line(1)), "a.data", "bald", id="bald"),
        pytest.param(data_file(line(9) * 100), "a.data", "metres", id="centimetres"),
        pytest.param(data_file(line(9) / 100), "a.data", "metres", id="too small"),
        pytest.param(data_file(line(9) * 1e6), "a.data", "metres", id="far off"),
        pytest.param(GOOD, "photo.jpg", ".jpg file came", id="another name"),
        pytest.param(GOOD, "hair.convdata", "no npy header", id="data named convdata"),
        pytest.param(
            convdata_from_grid(planted_grid()), "a.data", "is an npy file", id="convdata named data"
        ),
        pytest.param(b"PK\x03\x04" + b"\0" * 100, "", "zip", id="zip"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "", "PNG", id="PNG"),
        pytest.param(b"glTF" + b"\0" * 100, "", "GLB", id="GLB"),
        pytest.param(pickle.dumps(Trap()), "hair.data", "pickle", id="pickle"),
        pytest.param(
            npy(np.array([Trap()], object), allow_pickle=True), "", "object", id="pickled array"
        ),
        pytest.param(
            header((400, 32, 32), "|O") + pickle.dumps(Trap()), "", "object", id="pickle in shape"
        ),
        pytest.param(header((2**40, 32, 32)), "", "an npy file of", id="npy of terabytes"),
        pytest.param(header((400, 32, 32)), "", "0 bytes after", id="npy without numbers"),
        pytest.param(
            convdata_from_grid(planted_grid())[:-4], "", "bytes after", id="npy truncated"
        ),
        pytest.param(
            convdata_from_grid(planted_grid()) + b"more", "", "bytes after", id="npy appended"
        ),
        pytest.param(b"\x93NUMPY\x01\x00\xff\xff{'descr", "", "header", id="npy header truncated"),
        pytest.param(b"\x93NUMPY\x09\x00" + b"\0" * 90, "", "header", id="npy of another version"),
        pytest.param(
            npy(np.zeros((400, 32, 32))), "", "float64", id="npy of doubles"
        ),
        pytest.param(
            vismap_from_mask(np.ones((32, 32, 100), bool)), "a.vismap", "is a .vismap", id="vismap"
        ),
        pytest.param(with_value(np.nan), "", "not finite", id="npy with NaN"),
        pytest.param(with_value(1e30), "", "metres", id="npy far off"),
        pytest.param(convdata_from_grid(np.zeros((32, 32, 100, 4))), "", "bald", id="npy bald"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_good_strands_are_refused_with_the_reason(content, name, said):
    with pytest.raises(ServingError) as refused:
        read_strand_file(content, name)

    assert refused.value.code == "INVALID_TENSOR"
    assert said in refused.value.text


def test_a_file_that_is_too_large_is_refused_before_it_is_read():
    with pytest.raises(ServingError, match="at most"):
        read_strand_file(bytes(MAX_BYTES + 4), "large.data")


def test_every_truncation_and_any_flipped_byte_is_read_or_refused_and_nothing_else():
    generator = np.random.default_rng(0)
    small = data_file(*[line(int(n)) for n in generator.integers(1, 9, 12)])
    damaged = [small[:size] for size in range(len(small))]
    for _ in range(400):
        flipped = bytearray(small)
        flipped[generator.integers(len(small))] ^= 1 << generator.integers(8)
        damaged.append(bytes(flipped))
    grid = convdata_from_grid(planted_grid())
    for place in range(128):
        flipped = bytearray(grid)
        flipped[place] ^= 1 << generator.integers(8)
        damaged.append(bytes(flipped))

    outcomes = set()
    for content in damaged:
        try:
            outcomes.add(np.isfinite(read_strand_file(content).strands.points).all())
        except ServingError as refused:
            outcomes.add(refused.code)

    assert outcomes == {True, "INVALID_TENSOR"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(npy(np.full((100, 32, 32), 0.5, np.float32)), "neither 0 nor 1", id="half"),
        pytest.param(npy(np.full((100, 32, 32), np.nan, np.float32)), "finite", id="NaN"),
        pytest.param(
            npy(np.zeros((400, 32, 32), np.float32)), "this is a .convdata", id="convdata"
        ),
        pytest.param(GOOD, "no npy header", id="data"),
    ],
)
def test_a_vismap_that_is_none_is_refused(content, said):
    with pytest.raises(ServingError, match=said):
        read_vismap(content)


def test_asking_for_no_strand_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="max_strands"):
        read_strand_file(GOOD, max_strands=0)
