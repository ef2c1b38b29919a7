# SPDX-License-Identifier: Apache-2.0
"""Files of hairstyles, written and read."""

import io

import numpy as np
import pytest

from mien_server.hair import style_files
from mien_server.hair.strands import Strands
from mien_server.hair.style_files import style_file_bytes, style_from_bytes
from tests.server.hair.planted_hair import hair_on, mean_head

SMALL = {
    "root": np.zeros((3, 3), np.float32),
    "unit": np.full(3, 0.001, np.float32),
    "step": np.ones((3, 3), np.int8),
    "bends": np.zeros((3, 5, 3), np.int8),
}


def npz(arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("points", [3, 100])
def test_style_files_give_wild_strands_back_as_well_as_smooth_ones(points):
    generator = np.random.default_rng(points)
    wild = np.cumsum(generator.normal(0, 0.01, (50, points, 3)), axis=1) * [[[1, 5, 1]]]
    strands = Strands(wild, np.zeros(wild.shape[:2]))

    found = style_from_bytes(style_file_bytes(strands)).strands

    step = np.abs(np.diff(wild, axis=1)).max(axis=(1, 2))[:, None, None]
    assert (np.abs(found.points - strands.points) / step).max() < 0.02
    assert len(style_file_bytes(hair_on(mean_head(), count=200, points=100))) < 80_000


@pytest.mark.parametrize(
    "points", [np.zeros((2, 5, 3)), np.zeros((0, 5, 3)), np.ones((3, 2, 3)) * [[[0]], [[1]], [[2]]]]
)
def test_strands_that_a_style_file_cannot_hold_are_refused(points):
    with pytest.raises(ValueError, match="3 points or more"):
        style_file_bytes(Strands(points, np.zeros(points.shape[:2])))


def test_a_style_file_is_the_sums_that_it_says():
    strands = style_from_bytes(npz(SMALL)).strands

    np.testing.assert_allclose(
        strands.points, np.tile(0.001 * np.arange(7)[:, None], (3, 1, 3)), atol=1e-7
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"bends": np.zeros((3, 5), np.int8)}, "bends has shape", id="flat"),
        pytest.param({"bends": np.zeros((0, 5, 3), np.int8)}, "bends has shape", id="bald"),
        pytest.param({"bends": np.zeros((3, 5, 3))}, "whole numbers", id="real bends"),
        pytest.param({"root": np.zeros((2, 3), np.float32)}, "root is", id="few roots"),
        pytest.param({"root": np.full((3, 3), np.nan)}, "not finite", id="NaN"),
        pytest.param({"unit": np.full(3, 1e38)}, "not finite", id="overflow"),
        pytest.param({"step": np.zeros((3, 4), np.int8)}, "step is", id="four dimensions"),
        pytest.param({"hairs": np.zeros(3)}, "it holds bends, hairs", id="other name"),
        pytest.param({"grid_cells": np.arange(2)}, "3 whole", id="few cells"),
        pytest.param({"grid_cells": np.array([1, 1, 2])}, "different", id="cell twice"),
        pytest.param({"grid_cells": np.array([1, 5, 1024])}, "different", id="no such cell"),
        pytest.param({"step": np.array([[object()] * 3] * 3)}, "Object arrays", id="pickle"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_style_files_with_other_arrays_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        style_from_bytes(npz({**SMALL, **change}))


def test_a_style_file_without_an_array_is_refused():
    with pytest.raises(ValueError, match="expected root, unit, step, bends"):
        style_from_bytes(npz({name: SMALL[name] for name in ("root", "unit", "step")}))


def test_a_style_file_that_unpacks_to_too_much_is_refused_before_it_does(monkeypatch):
    monkeypatch.setattr(style_files, "MAX_UNPACKED_BYTES", 100_000)
    content = npz({**SMALL, "bends": np.zeros((3, 20_000, 3), np.int8)})

    with pytest.raises(ValueError, match="unpacks to"):
        style_from_bytes(content)
    assert len(content) < 5_000
