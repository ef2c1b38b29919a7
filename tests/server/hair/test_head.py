# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from mien_server.hair.head import Head, likely_scalp
from tests.server.hair.planted_hair import head_arrays, mean_head


def area(vertices, faces):
    return trimesh.Trimesh(vertices, faces, process=False).area


def test_the_skin_is_the_part_that_trimesh_finds_largest():
    arrays = head_arrays()
    parts = trimesh.Trimesh(arrays["v_template"], arrays["f"], process=False).split(
        only_watertight=False
    )

    assert len(parts) > 1
    assert len(mean_head().skin) == max(len(part.faces) for part in parts)
    eyes = np.setdiff1d(arrays["f"], mean_head().skin)
    assert len(eyes) == sum(len(part.vertices) for part in parts) - len(np.unique(mean_head().skin))


def test_hollows_of_ears_are_no_part_of_the_scalp():
    scalp = mean_head().vertices[mean_head().scalp]

    in_ear = (np.abs(scalp[:, 0]) > 0.06) & (np.abs(scalp[:, 1]) < 0.02) & (scalp[:, 2] > -0.02)
    assert not in_ear.any()
    assert area(mean_head().vertices, mean_head().scalp_faces) > 0.055


@pytest.mark.parametrize("scale", [0.5, 1.0, 100.0])
def test_the_likely_scalp_is_about_where_the_model_says_in_any_unit_and_place(scale):
    head = mean_head()

    mask = likely_scalp(head.vertices * scale + [3, -8, 2], head.skin)

    said = head.skin[head.scalp[head.skin].all(axis=1)]
    guessed = head.skin[mask[head.skin].all(axis=1)]
    both = head.skin[(mask & head.scalp)[head.skin].all(axis=1)]
    assert area(head.vertices, both) > 0.95 * area(head.vertices, said)
    assert area(head.vertices, guessed) < 1.3 * area(head.vertices, said)


def test_another_head_of_the_model_shares_its_triangles():
    other = mean_head().with_vertices(mean_head().vertices * 1.1)

    assert other.is_of_model_of(mean_head())
    assert other.skin is mean_head().skin
    assert not mean_head().is_of_model_of(Head.of(np.eye(3), [[0, 1, 2]], np.ones(3, bool)))


@pytest.mark.parametrize(
    ("vertices", "faces", "scalp", "said"),
    [
        pytest.param(np.zeros((3, 2)), [[0, 1, 2]], np.ones(3, bool), "must be", id="flat"),
        pytest.param(np.full((3, 3), np.nan), [[0, 1, 2]], np.ones(3, bool), "finite", id="NaN"),
        pytest.param(np.eye(3), [[0, 1, 3]], np.ones(3, bool), "numbered from 0", id="corner"),
        pytest.param(np.eye(3), np.zeros((0, 3)), np.ones(3, bool), "no triangles", id="none"),
        pytest.param(np.eye(3), [[0, 1, 2]], np.ones(4, bool), "scalp has shape", id="mask"),
        pytest.param(np.eye(3), [[0, 1, 2]], np.zeros(3, bool), "no triangle", id="bald"),
    ],
)
def test_meshes_that_are_no_head_are_refused(vertices, faces, scalp, said):
    with pytest.raises(ValueError, match=said):
        Head.of(vertices, faces, scalp)


def test_vertices_of_another_model_are_refused():
    with pytest.raises(ValueError, match="this head has"):
        mean_head().with_vertices(np.zeros((7, 3)))
