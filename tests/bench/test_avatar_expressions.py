# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from bench.avatars.expressions import KINDS, MEAN_HEAD, ON_TRUE_HEAD, measure_expressions
from bench.avatars.heads import Yardstick
from bench.avatars.scans import NOW_LANDMARKS, Alignment, even_places
from tests.bench.planted_avatars import PlantedAvatar, PlantedClient, PlantedHeads

FIVE = np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])
POINTS_68 = np.zeros((68, 2))
POINTS_68[36], POINTS_68[45] = (25, 40), (75, 40)
HAPPY = np.float32([0.7, 0, 0, 0, 0, 0])
# Where the seven landmarks lie on the planted head, seen from its middle.
DIRECTIONS = [
    (-5, 3, 8), (-2, 3, 9), (2, 3, 9), (5, 3, 8), (0, -1, 10), (-2.5, -4, 9), (2.5, -4, 9)
]  # fmt: skip


@pytest.fixture(scope="module")
def yardstick():
    """Of an egg with a nose."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    places, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    nose = 0.02 * np.exp(-np.square(places - (0, 0, 1)).sum(axis=1) / 0.05)
    vertices = places * (0.075, 0.1, 0.085) * (1 + 5 * nose)[:, None]
    centres = places[faces].mean(axis=1)
    rows = np.zeros(68, np.int64)
    for landmark, direction in zip(NOW_LANDMARKS, DIRECTIONS, strict=True):
        rows[landmark] = (centres @ (np.array(direction) / np.linalg.norm(direction))).argmax()
    head = SimpleNamespace(
        v_template=vertices.astype(np.float32),
        f=faces,
        full_lmk_faces_idx=rows[None],
        full_lmk_bary_coords=np.full((1, 68, 3), 1 / 3),
    )
    return Yardstick(head, even_places(vertices, faces[centres[:, 2] > 0], 500))


@pytest.fixture(scope="module")
def mouth(yardstick):
    """(V, 3) metres: what is below the nose goes down by 6 mm."""
    points = yardstick.head.v_template
    return np.where((points[:, 1] < -0.03)[:, None], (0, -0.006, 0), 0)


@pytest.fixture(scope="module")
def narrow(yardstick):
    """(V, 3) a head of another shape."""
    return yardstick.head.v_template * (0.9, 1, 1)


def photographed(neutral, vertices, view):
    return SimpleNamespace(
        image_rgb=np.zeros((4, 4, 3), np.uint8),
        landmarks=FIVE,
        landmarks_68=POINTS_68,
        view=view,
        neutral=neutral,
        vertices=vertices,
        intensities=HAPPY,
    )


def measured(yardstick, heads, shown, answers):
    return measure_expressions(PlantedClient(answers), heads, yardstick, shown)


def seen():
    return (FIVE, np.ones(4), PlantedAvatar())


def means(distances, view, how=Alignment.NOW):
    return {
        row: mm.mean()
        for (row, where, by), mm in distances.mm.items()
        if (where, by) == (view, how)
    }


def test_each_row_has_the_expression_that_it_says(yardstick, mouth):
    head = yardstick.head.v_template
    shown = [photographed(head, head + mouth, view) for view in ("front", "side")]

    def half(emotions, code):
        assert (emotions == HAPPY).all()
        return 0.5 * mouth

    right = measured(yardstick, PlantedHeads(head, head + mouth, half), shown, [seen(), seen()])

    for view in ("front", "side"):
        off = means(right, view)
        assert set(off) == {*KINDS, *ON_TRUE_HEAD, MEAN_HEAD}
        assert off["detected"] < 0.01
        assert 0.01 < off["emotions"] < 0.7 * off["neutral"]
        assert off[MEAN_HEAD] == pytest.approx(off["neutral"])
        for row in KINDS:
            assert off[f"true_{row}"] == pytest.approx(off[row])
    assert right.photographs == {"front": 1, "side": 1}
    assert not right.lost


def test_on_the_true_head_only_the_expression_counts(yardstick, mouth, narrow):
    head = yardstick.head.v_template
    shown = [photographed(head, head + mouth, "front")]
    heads = PlantedHeads(narrow, narrow + mouth, lambda *_: mouth)

    off = means(measured(yardstick, heads, shown, [seen()]), "front")

    assert off["detected"] > 0.5
    assert off["true_detected"] < 0.01
    assert off["true_emotions"] < 0.01
    assert off["true_neutral"] > 0.1


def test_distances_of_all_photographs_are_kept_and_lost_ones_counted(yardstick, mouth):
    head = yardstick.head.v_template
    shown = [photographed(head, head + mouth, "front")] * 4
    elsewhere = (FIVE + 200, np.ones(4), PlantedAvatar())
    heads = PlantedHeads(head, head, lambda *_: mouth)

    found = measured(yardstick, heads, shown, [seen(), None, elsewhere, seen()])

    assert found.lost == {"front": 2}
    one, *_ = yardstick.errors_mm(head, head + mouth, [Alignment.LANDMARKS]).values()
    both = found.mm["neutral", "front", Alignment.LANDMARKS]
    assert both == pytest.approx(np.concatenate([one, one]))


def test_a_view_without_any_avatar_is_refused(yardstick):
    head = yardstick.head.v_template
    shown = [photographed(head, head, view) for view in ("front", "side")]

    with pytest.raises(ValueError, match="from the side gave an avatar"):
        measured(yardstick, PlantedHeads(head, head, lambda *_: head), shown, [seen(), None])
