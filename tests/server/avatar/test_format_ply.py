# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
import trimesh

from mien_server.avatar.formats import to_ply
from mien_server.hair.strands import Strands
from tests.server.avatar.avatars import BROWN, strands


def elements(data):
    """trimesh's reading: rows of each element, by name."""
    loaded = trimesh.load(io.BytesIO(data), file_type="ply")
    raw = loaded.metadata["_ply_raw"]
    return {name: raw[name]["data"] for name in ("vertex", "edge")}


def some_strands():
    points = strands(7, 5)
    curliness = np.arange(35, dtype=np.float32).reshape(7, 5)
    return Strands(points, curliness)


def test_trimesh_reads_back_points_and_curliness():
    hair = some_strands()
    vertices = elements(to_ply(hair, BROWN))["vertex"]

    found = np.column_stack([vertices[axis] for axis in "xyz"])
    np.testing.assert_array_equal(found, hair.points.reshape(-1, 3))
    np.testing.assert_array_equal(np.ravel(vertices["curliness"]), hair.curliness.ravel())


def test_edges_lead_from_each_point_of_a_strand_to_the_next():
    edges = elements(to_ply(some_strands(), BROWN))["edge"]
    found = np.column_stack([edges["vertex1"], edges["vertex2"]])

    wanted = [(s * 5 + p, s * 5 + p + 1) for s in range(7) for p in range(4)]
    np.testing.assert_array_equal(found, wanted)


def test_points_have_the_colour_of_the_hair_or_their_own():
    hair = some_strands()
    own = np.random.default_rng(0).uniform(0, 1, hair.points.shape).astype(np.float32)
    for colour in (BROWN, own):
        vertices = elements(to_ply(hair, colour))["vertex"]
        found = np.column_stack([vertices[channel] for channel in ("red", "green", "blue")])
        wanted = np.broadcast_to(colour, hair.points.shape).reshape(-1, 3)
        np.testing.assert_allclose(found / 255, wanted, atol=0.5 / 255 + 1e-6)


def test_the_file_is_as_long_as_its_header_says():
    data = to_ply(some_strands(), BROWN)
    header, _, body = data.partition(b"end_header\n")

    assert b"\nformat binary_little_endian 1.0\n" in header
    assert len(body) == 35 * (3 * 4 + 3 + 4) + 28 * 8


def test_a_bald_head_gives_a_file_without_strands():
    bald = Strands(np.zeros((0, 5, 3), np.float32), np.zeros((0, 5), np.float32))

    assert to_ply(bald, BROWN).endswith(
        b"element edge 0\nproperty int vertex1\nproperty int vertex2\nend_header\n"
    )


def test_the_same_strands_give_the_same_bytes():
    assert to_ply(some_strands(), BROWN) == to_ply(some_strands(), BROWN)


@pytest.mark.parametrize(
    ("colour", "text"),
    [
        ((1, 2), r"shape \(2,\)"),
        ((0, 0, 255), "outside 0 to 1"),
        ((0, 0, np.nan), "outside 0 to 1"),
    ],
)
def test_a_colour_that_is_none_is_refused(colour, text):
    with pytest.raises(ValueError, match=text):
        to_ply(some_strands(), colour)
