# SPDX-License-Identifier: Apache-2.0
"""Where the photograph may show, against what the starter head says of itself."""

import numpy as np
import pytest

from mien_server.avatar.texture import face_atlas
from mien_server.avatar.texture.regions import FaceMeasures, ramp, texture_regions
from mien_server.rendering import Topology
from tests.server.avatar.portraits import asset, atlas, mean_head, mean_landmarks, topology

REGIONS = texture_regions(topology(), mean_head(), mean_landmarks())


def coordinates_of(*islands):
    return np.unique(asset()["ft"][np.isin(asset()["island"], islands)])


def coordinates_of_vertices(mask):
    """Texture coordinates of the skin that belong to vertices of a mask."""
    skin = asset()["island"] == "skin"
    faces, uv_faces = asset()["f"][skin], asset()["ft"][skin]
    return np.unique(uv_faces[mask[faces]])


def test_eyeballs_teeth_tongue_and_mouth_never_come_from_a_photograph():
    others = sorted(set(asset()["island"]) - {"skin"})

    assert (REGIONS.photograph[coordinates_of(*others)] == 0).all()


def test_skin_is_the_skin_and_the_neck():
    skin = coordinates_of("skin", "neck")

    np.testing.assert_array_equal(np.flatnonzero(REGIONS.skin), skin)
    assert set(np.unique(REGIONS.skin)) == {0.0, 1.0}


def test_the_middle_of_the_face_shows_all_of_a_photograph():
    x, y, z = mean_head().T
    middle = asset()["region_face"] & (np.abs(x) < 0.045) & (y < 0.05) & (y > -0.09) & (z > 0.04)

    assert (REGIONS.photograph[coordinates_of_vertices(middle)] > 0.999).all()


def test_scalp_ears_and_the_back_show_none_of_it():
    upper = asset()["region_scalp"] & (mean_head()[:, 1] > 0.1)
    back = mean_head()[:, 2] < -0.01

    assert (REGIONS.photograph[coordinates_of_vertices(upper)] == 0).all()
    assert (REGIONS.photograph[coordinates_of_vertices(back)] == 0).all()


def test_between_them_it_fades():
    part = (REGIONS.photograph > 0.01) & (REGIONS.photograph < 0.99)

    assert part.sum() > 100


def test_the_rule_knows_no_number_of_vertices_and_no_place_of_the_origin():
    """The same head upside down in its numbering, larger and elsewhere."""
    order = np.random.default_rng(0).permutation(len(mean_head()))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    vertices, landmarks = (1.3 * points + (0.0, 1.5, -0.2) for points in
                           (mean_head()[order], mean_landmarks()))  # fmt: skip
    renumbered = Topology(place[asset()["f"]], asset()["vt"], asset()["ft"])

    regions = texture_regions(renumbered, vertices, landmarks)

    np.testing.assert_allclose(regions.photograph, REGIONS.photograph, atol=1e-4)
    np.testing.assert_array_equal(regions.skin, REGIONS.skin)


def test_the_starter_heads_texture_is_symmetric():
    assert atlas().is_symmetric


def test_a_layout_that_is_not_mirrored_is_known_as_such():
    shifted = Topology(asset()["f"], asset()["vt"] * np.float32([0.9, 1.0]), asset()["ft"])

    assert not face_atlas(shifted, mean_head(), mean_landmarks(), 256).is_symmetric


def test_ramps_are_smooth_steps_in_either_direction():
    values = np.array([0.0, 1.0, 1.5, 2.0, 9.0])

    np.testing.assert_allclose(ramp(values, 1.0, 2.0), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(ramp(values, 2.0, 1.0), [1, 1, 0.5, 0, 0])


def test_a_head_upside_down_is_refused():
    with pytest.raises(ValueError, match="upright"):
        FaceMeasures.of(-mean_landmarks())


def test_landmarks_of_another_number_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 3\)"):
        FaceMeasures.of(mean_landmarks()[:5])


def test_vertices_of_another_head_are_refused():
    with pytest.raises(ValueError, match="4850"):
        texture_regions(topology(), mean_head()[:100], mean_landmarks())
