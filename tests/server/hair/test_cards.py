# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from mien_server.errors import ServingError
from mien_server.hair.card_plan import plan_cards, strands_for_cards
from mien_server.hair.card_texture import SCALP_STRIP, STRIPS, card_texture, card_texture_png
from mien_server.hair.cards import hair_cards
from mien_server.hair.closest_points import closest_points, heights_above
from mien_server.hair.knots import knots_of, points_along
from mien_server.hair.levels import LEVELS, hair_level
from mien_server.hair.more_strands import more_strands
from mien_server.hair.placing import placed, pushed_out
from mien_server.hair.polylines import curliness_of
from mien_server.hair.scalp_cap import root_cover, scalp_cap, usual_gap
from mien_server.hair.strands import Strands
from mien_server.hair.surface import HairSurface, joined
from tests.server.hair.planted_hair import hair_on, mean_head, random_head

BROWN = (0.4, 0.25, 0.15)


def curly(strands, radius=0.005, length=0.02):
    along = np.arange(strands.points.shape[1]) * 0.004
    turn = 2 * np.pi * along / length + np.arange(len(strands))[:, None]
    curl = radius * np.stack([np.cos(turn), 0 * turn, np.sin(turn)], axis=2)
    points = strands.points + curl * np.minimum(1, along / 0.02)[:, None]
    return Strands(points, curliness_of(points))


def strips_of(surface, plan):
    """(K, N, 2, 3) vertices of each card, left and right."""
    return surface.vertices.reshape(len(plan.leaders), plan.segments + 1, 2, 3)


@pytest.mark.parametrize("budget", [6, 100, 3_000, 12_000, 36_000])
@pytest.mark.parametrize("shape", [lambda s: s, curly], ids=["smooth", "curly"])
def test_cards_keep_to_the_number_of_triangles(budget, shape):
    strands = shape(hair_on(mean_head(), count=600, points=60))

    plan = plan_cards(strands, budget)
    surface = hair_cards(strands, plan)

    assert len(surface.triangles) == plan.triangles <= budget
    assert plan.triangles > 0.8 * min(budget, 2 * plan.segments * len(strands))
    assert len(np.unique(plan.leaders)) == len(plan.leaders)


def test_curls_are_given_more_segments():
    strands = hair_on(mean_head(), count=600, points=60)

    assert plan_cards(curly(strands), 12_000).segments > plan_cards(strands, 12_000).segments


def test_knots_lie_where_hair_bends_and_few_of_them_follow_it():
    turn = np.clip((np.linspace(0, 0.5, 200) - 0.05) / 0.05, 0, 1) * np.pi / 2
    way = np.column_stack([np.cos(turn), -np.sin(turn), 0 * turn])
    course = np.cumsum(way, axis=0) * 0.5 / 200
    strands = Strands(course[None], np.zeros((1, 200)))

    knots = knots_of(strands, 6)

    assert len(knots) <= 7
    assert (knots[[0, -1]] == [0, 1]).all()
    assert (np.diff(knots) > 0).all()
    assert ((knots > 0.08) & (knots < 0.22)).sum() >= 3
    corners = points_along(strands.points, knots)[0]
    ends = np.stack([corners[:-1], corners[1:]], axis=1)
    assert polyline_distance(course, ends).max() < 0.002


def polyline_distance(points, ends):
    """Metres from each point to the nearest of some straight pieces (M, 2, 3)."""
    a, b = ends[:, 0], ends[:, 1]
    t = np.einsum("pmj,mj->pm", points[:, None] - a, b - a) / ((b - a) ** 2).sum(axis=1)
    on_piece = a + np.clip(t, 0, 1)[..., None] * (b - a)
    return np.linalg.norm(points[:, None] - on_piece, axis=2).min(axis=1)


def test_a_helix_has_evenly_spread_knots():
    angle = np.linspace(0, 16 * np.pi, 400)
    course = np.column_stack([0.006 * np.cos(angle), -0.2 * angle / 50, 0.006 * np.sin(angle)])

    knots = knots_of(Strands(course[None], np.zeros((1, 400))), 40)

    np.testing.assert_allclose(np.diff(knots), 1 / (len(knots) - 1), rtol=0.2)


def test_the_middle_of_each_card_runs_along_its_strand_and_its_edges_are_level_with_it():
    strands = hair_on(mean_head(), points=60)
    plan = plan_cards(strands, 6_000)

    cards = strips_of(hair_cards(strands, plan), plan)

    middle = cards.mean(axis=2)
    dense = more_strands(strands, plan.strands, seed=plan.seed)
    course = points_along(dense.points[plan.leaders], plan.knots)
    off = np.linalg.norm(middle - course, axis=2)
    np.testing.assert_allclose(off, np.broadcast_to(plan.lift[:, None], off.shape), atol=1e-6)
    widths = np.linalg.norm(cards[:, :, 1] - cards[:, :, 0], axis=2)
    np.testing.assert_allclose(widths, plan.widths, atol=1e-6)
    ahead = np.gradient(course, axis=1)
    lean = np.einsum("knj,knj->kn", cards[:, :, 1] - cards[:, :, 0], ahead)
    assert np.abs(lean / widths / np.linalg.norm(ahead, axis=2)).max() < 0.35


def test_triangles_look_where_their_normals_do():
    strands = hair_on(mean_head(), points=60)
    surface = hair_cards(strands, plan_cards(strands, 6_000))

    a, b, c = np.moveaxis(surface.vertices[surface.triangles], 1, 0)
    faces = np.cross(b - a, c - a)
    agree = (faces * surface.normals[surface.triangles].mean(axis=1)).sum(axis=1)
    assert (agree > 0).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-6)


def test_the_texture_runs_from_root_to_tip_within_one_strip():
    strands = hair_on(mean_head())
    plan = plan_cards(strands, 3_000)

    uv = hair_cards(strands, plan).uv.reshape(len(plan.leaders), plan.segments + 1, 2, 2)

    np.testing.assert_allclose(
        uv[..., 1], np.broadcast_to(1 - plan.knots[:, None], uv.shape[:-1]), atol=1e-6
    )
    edges = np.sort(uv[:, 0, :, 0], axis=1)
    np.testing.assert_allclose(edges, np.array(STRIPS)[plan.strip], atol=1e-6)
    np.testing.assert_array_equal(uv[..., 0], np.broadcast_to(uv[:, :1, :, 0], uv[..., 0].shape))


def test_cards_of_neighbouring_strands_leave_no_gaps_on_a_wall_of_hair():
    x = np.linspace(-0.1, 0.1, 80)
    rows = np.stack([np.stack([x, np.full(80, y), np.full(80, 0.1)], 1) for y in (0.1, 0, -0.1)], 1)
    wall = Strands(rows, np.zeros((80, 3)))

    plan = plan_cards(wall, 240)
    cards = strips_of(hair_cards(wall, plan, middle=(0, 0, -0.5)), plan)

    middle = cards[:, 1]  # halfway down
    left, right = np.sort(middle[..., 0], axis=1).T
    covered = ((x[10:-10, None] >= left) & (x[10:-10, None] <= right)).sum(axis=1)
    assert covered.min() >= 1


def test_a_plan_fits_the_same_hairstyle_on_any_head():
    strands = hair_on(mean_head(), points=40)
    plan = plan_cards(strands, 6_000)
    worn = placed(strands, random_head(1), mean_head())

    surface = hair_cards(worn, plan, colour=BROWN)

    assert len(surface.triangles) == plan.triangles
    np.testing.assert_array_equal(surface.uv, hair_cards(strands, plan).uv)


def test_cards_need_few_points_of_strands():
    strands = hair_on(mean_head(), points=100)
    plan = plan_cards(strands, 6_000)

    few = strands_for_cards(strands, plan)
    whole, thin = (hair_cards(some, plan) for some in (strands, few))

    assert few.points.shape[1] < 50
    assert strands_for_cards(few, plan) is few
    off = np.linalg.norm(whole.vertices - thin.vertices, axis=1)
    assert np.quantile(off, 0.99) < 0.001


def test_the_same_seed_gives_the_same_cards():
    strands = hair_on(mean_head())

    first, second = (hair_cards(strands, plan_cards(strands, 3_000, seed=5)) for _ in range(2))
    other = hair_cards(strands, plan_cards(strands, 3_000, seed=6))

    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.colours, second.colours)
    assert not np.array_equal(first.colours, other.colours)


def test_colours_are_about_the_hairs_and_darker_at_the_roots():
    strands = hair_on(mean_head(), points=40)
    plan = plan_cards(strands, 6_000)

    colours = hair_cards(strands, plan, colour=BROWN).colours.reshape(
        len(plan.leaders), plan.segments + 1, 2, 3
    )

    np.testing.assert_allclose(
        colours / colours[..., :1], np.broadcast_to(np.array(BROWN) / 0.4, colours.shape), rtol=1e-4
    )
    assert colours[:, 0].mean() < 0.9 * colours[:, -1].mean()
    assert 0.6 < colours.mean() / np.mean(BROWN) < 1.1


def test_a_plan_of_another_hairstyle_is_refused():
    plan = plan_cards(hair_on(mean_head(), count=200), 3_000)

    with pytest.raises(ValueError, match="another hairstyle"):
        hair_cards(hair_on(mean_head(), count=20), plan)


@pytest.mark.parametrize(("count", "budget"), [(0, 1000), (5, 5)])
def test_cards_need_a_strand_and_some_triangles(count, budget):
    strands = hair_on(mean_head(), count=5)
    with pytest.raises(ValueError, match="it takes a strand"):
        plan_cards(Strands(strands.points[:count], strands.curliness[:count]), budget)


def test_the_texture_is_a_png_of_hairs_that_are_dense_at_the_root_and_loose_at_the_tip():
    picture = Image.open(io.BytesIO(card_texture_png()))
    texture = np.asarray(picture)

    assert (picture.mode, picture.size) == ("RGBA", (256, 256))
    np.testing.assert_array_equal(texture, card_texture())
    for left, right in STRIPS:
        alpha = texture[:, int(left * 256) : int(right * 256) + 1, 3] / 255
        assert alpha[20:60].mean() > 0.6
        assert alpha[245:].mean() < 0.5 * alpha[20:60].mean()
        assert alpha[255].max() < 0.5
    order = [texture[100, int(left * 256) : int(right * 256), 3].mean() for left, right in STRIPS]
    assert order == sorted(order, reverse=True)


def test_the_texture_has_the_colour_of_hair_also_where_it_is_transparent():
    texture = card_texture()

    assert texture[..., :3].min() > 60
    np.testing.assert_array_equal(texture[..., 0], texture[..., 2])


def test_the_scalps_strip_goes_from_covered_to_bare():
    left, right = (int(u * 256) for u in SCALP_STRIP)
    alpha = card_texture()[:, left:right, 3] / 255

    rows = alpha.mean(axis=1)
    assert rows[:20].min() == 1
    assert rows[-20:].max() == 0
    assert 0.3 < rows[118:138].mean() < 0.7


def test_the_cap_covers_the_roots_and_leaves_the_face_free():
    strands = hair_on(mean_head(), count=900)
    head = mean_head()

    cap = scalp_cap(strands, head, colour=BROWN)

    on_cap = closest_points(strands.roots, cap.vertices, cap.triangles)
    np.testing.assert_allclose(
        np.linalg.norm(on_cap.points - strands.roots, axis=1), 5e-4, atol=2e-4
    )
    v = (cap.uv[cap.triangles[on_cap.face], 1] * on_cap.weights).sum(axis=1)
    assert v.min() > 0.45
    assert v.mean() > 0.95
    face = (cap.vertices[:, 2] > 0.06) & (cap.vertices[:, 1] < 0.05)
    assert not (face & (cap.uv[:, 1] > 0.5)).any()
    height, _ = heights_above(cap.vertices, head.vertices, head.skin)
    np.testing.assert_allclose(height, 5e-4, atol=2e-4)


def test_what_roots_cover_ends_a_little_beyond_them():
    x, z = np.meshgrid(np.arange(0, 0.1, 0.008), np.arange(0, 0.1, 0.008))
    roots = np.column_stack([x.ravel(), 0 * x.ravel(), z.ravel()])
    rows = np.stack([roots, roots + np.array([0, 0.1, 0])], axis=1)
    strands = Strands(rows, np.zeros(rows.shape[:2]))
    probes = np.array([[0.05, 0, 0.05], [0.052, 0, 0.052], [-0.009, 0, 0.05], [-0.014, 0, 0.05]])

    cover = root_cover(probes, strands, usual_gap(strands))

    assert usual_gap(strands) == pytest.approx(0.008, rel=1e-5)
    np.testing.assert_array_equal(cover[[0, 1, 3]], [1, 1, 0])
    assert 0 < cover[2] < 1


def test_cap_and_cards_become_one_surface():
    strands = pushed_out(hair_on(mean_head()), mean_head(), clearance=0.001)
    cards = hair_cards(strands, plan_cards(strands, 3_000), colour=BROWN)
    cap = scalp_cap(strands, mean_head(), colour=BROWN)

    both = joined(cap, cards)

    assert len(both.triangles) == len(cap.triangles) + len(cards.triangles)
    np.testing.assert_array_equal(
        both.vertices[both.triangles[len(cap.triangles) :]], cards.vertices[cards.triangles]
    )
    np.testing.assert_array_equal(both.uv[: len(cap.uv)], cap.uv)


def test_surfaces_of_different_kinds_do_not_join():
    plain = HairSurface(np.eye(3), np.eye(3), [[0, 1, 2]])
    tinted = HairSurface(np.eye(3), np.eye(3), [[0, 1, 2]], None, np.eye(3))

    with pytest.raises(ValueError, match="colours"):
        joined(plain, tinted)
    assert joined(plain, plain).uv is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"normals": np.eye(2)}, "normals", id="shape"),
        pytest.param({"vertices": np.full((3, 3), np.nan)}, "finite", id="NaN"),
        pytest.param({"triangles": [[0, 1, 3]]}, "numbered from 0", id="corner"),
        pytest.param({"triangles": [[0, 1]]}, "must be", id="edges"),
        pytest.param({"uv": np.zeros((3, 3))}, "uv", id="uv"),
    ],
)
def test_surfaces_that_do_not_hold_together_are_refused(change, said):
    whole = {"vertices": np.eye(3), "normals": np.eye(3), "triangles": [[0, 1, 2]]}

    with pytest.raises(ValueError, match=said):
        HairSurface(**{**whole, **change})


def test_levels_grow_from_low_to_high():
    low, medium, high = (hair_level(name) for name in ("low", "medium", "high"))

    for field in ("strands", "strand_points", "card_triangles", "shell_triangles"):
        assert getattr(low, field) < getattr(medium, field) < getattr(high, field)
    assert set(LEVELS) == {"low", "medium", "high"}


def test_an_unknown_level_is_refused_with_those_there_are():
    with pytest.raises(ServingError, match="high, medium, low") as refused:
        hair_level("ultra")

    assert refused.value.code == "INVALID_OPTION"
