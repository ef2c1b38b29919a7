# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.avatar.neckline import distance_from_neckline
from mien_server.avatar.turntable import BACKGROUND, VIEW_PX, YAWS_DEG, turntable
from mien_server.hair.strands import Strands
from mien_server.rendering import Topology
from tests.server.avatar.avatars import head_asset
from tests.server.hair.planted_hair import hair_on, mean_head

GREEN, RED = (0.1, 0.6, 0.1), (200, 120, 100)
FRONT = YAWS_DEG.index(0)


@pytest.fixture(scope="module")
def topology():
    asset = head_asset()
    return Topology(asset["f"], asset["vt"], asset["ft"])


def drawn(topology, hair=None):
    """(5, 320, 320, 3) of a red head, whose hair is green, in 0..1."""
    skin = np.full((64, 64, 3), RED, np.uint8)
    picture = turntable(mean_head().vertices, skin, topology, hair, GREEN)
    assert picture.shape == (VIEW_PX, len(YAWS_DEG) * VIEW_PX, 3)
    return np.stack(np.split(picture / 255, len(YAWS_DEG), axis=1))


@pytest.fixture(scope="module")
def bald(topology):
    return drawn(topology)


@pytest.fixture(scope="module")
def hairy(topology):
    hair = hair_on(mean_head(), 900)
    behind = hair.points[..., 2].max(axis=1) < 0.02
    return drawn(topology, Strands(hair.points[behind], hair.curliness[behind]))


def is_head(view):
    return np.abs(view - BACKGROUND).max(axis=-1) > 0.02


def is_green(view):
    return view[..., 1] > 1.3 * view[..., 0]


def test_the_head_turns_from_its_left_over_the_front_to_its_right(bald, hairy):
    edges = []
    for view in bald:
        columns = np.nonzero(is_head(view)[150:200].any(axis=0))[0]
        edges.append((columns[0], columns[-1]))
    assert edges[0][0] == pytest.approx(VIEW_PX - 1 - edges[-1][1], abs=3)
    widths = [last - first for first, last in edges]
    assert widths[FRONT] < min(widths[0], widths[-1])
    # Hair grows behind: whoever stands at its left has that on the right.
    behind = [np.nonzero(is_green(view))[1].mean() - VIEW_PX / 2 for view in hairy]
    assert min(behind[0], behind[1]) > 20 > abs(behind[FRONT])
    assert max(behind[-1], behind[-2]) < -20


def test_light_falls_from_above_and_from_the_left(bald):
    view, shown = bald[FRONT], is_head(bald[FRONT])
    rows = np.nonzero(shown.any(axis=1))[0]
    left, right = (slice(None, VIEW_PX // 2), slice(VIEW_PX // 2, None))
    crown, throat = slice(rows[0] + 10, rows[0] + 30), slice(rows[-1] - 65, rows[-1] - 50)

    assert view[:, left][shown[:, left]].mean() > 1.05 * view[:, right][shown[:, right]].mean()
    assert view[crown][shown[crown]].mean() > 1.02 * view[throat][shown[throat]].mean()


def test_hair_covers_the_scalp_and_leaves_the_face(bald, hairy):
    assert not is_green(bald).any()
    shares = [is_green(view).sum() / is_head(view).sum() for view in hairy]
    assert min(shares[0], shares[-1]) > shares[FRONT] > 0.02
    middle = hairy[FRONT][170:200, VIEW_PX // 2 - 10 : VIEW_PX // 2 + 10]
    assert not is_green(middle).any()


def test_the_scalp_between_hairs_is_dark_and_has_their_colour(topology, bald):
    hair = hair_on(mean_head(), 900)
    roots = hair.points[:, :1]
    stubble = Strands(roots + 0.004 * (hair.points - roots), hair.curliness)
    behind = drawn(topology, stubble)[0]  # from its left: the face looks to the left

    crown, skin = (view[30:60, 150:180].reshape(-1, 3) for view in (behind, bald[0]))
    assert (crown[:, 1] > crown[:, 0]).mean() > 0.4 > 0.01 > (skin[:, 1] > skin[:, 0]).mean()
    assert crown.mean() < 0.8 * skin.mean()
    np.testing.assert_allclose(behind[200:230, 60:100], bald[0][200:230, 60:100], atol=0.05)


def test_an_expression_is_drawn(topology, bald):
    moved = mean_head().vertices.copy()
    moved[:, 1] *= np.where(moved[:, 1] < -0.02, 1.1, 1)
    other = turntable(moved, np.full((64, 64, 3), RED, np.uint8), topology)

    assert (other / 255 != np.concatenate(list(bald), axis=1)).mean() > 0.05


def test_the_neck_fades_and_has_no_edge(topology, bald):
    distance = distance_from_neckline(mean_head().vertices, topology.faces)
    # The neck's edge runs round at the bottom; sockets and lips are open too, but higher.
    edge = mean_head().vertices[distance == 0]
    assert len(edge) > 20
    assert edge[:, 1].max() < -0.07
    assert distance[mean_head().vertices[:, 1].argmax()] > 0.1
    for view in bald:
        columns = np.nonzero(is_head(view)[-60:].any(axis=0))[0]
        steps = np.abs(np.diff(view[VIEW_PX // 2 :, columns[len(columns) // 2]].mean(axis=-1)))
        bottom = np.nonzero(is_head(view)[VIEW_PX // 2 :, columns[len(columns) // 2]])[0][-1]
        assert steps[bottom - 3 : bottom + 3].max() < 0.08


def test_a_closed_mesh_has_no_neckline():
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])

    assert np.isinf(distance_from_neckline(np.eye(4, 3), tetrahedron)).all()
