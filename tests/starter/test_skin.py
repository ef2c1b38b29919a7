# SPDX-License-Identifier: Apache-2.0
"""Painted textures, the space distilled from them, and where on the head their texels lie."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mien_starter import cli
from mien_starter.skin.asset import Projection, albedo_space, painted
from mien_starter.skin.complexions import draw_complexion
from mien_starter.skin.noise import fields_on_head
from mien_starter.skin.paint import BROW_SHAPES, IRISES, Complexion, Painter
from mien_starter.world.assets import WEIGHTS

AFRICAN, ASIAN, CAUCASIAN = np.eye(3)
LEAST = 1 / 255  # what 8 bits a channel show


@pytest.fixture(scope="module")
def albedo_file() -> dict[str, np.ndarray]:
    with np.load(WEIGHTS / "albedo.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def texels(world):
    return world.assets.texels


@pytest.fixture(scope="module")
def painter(texels) -> Painter:
    return Painter(texels)


def changed(painter, first: Complexion, second: Complexion) -> np.ndarray:
    """(S, S) texels of islands that two complexions differ in."""
    off = np.abs(painter.paint(first) - painter.paint(second)).max(axis=-1)
    return (off > LEAST) & (painter.texels.island >= 0)


def test_the_file_is_a_texture_space_in_flames_schema_that_says_its_conventions(albedo_file):
    assert albedo_file["mean"].shape == (256, 256, 3)
    assert albedo_file["tex_dir"].shape == (256, 256, 3, 50)
    assert albedo_file["mean"].dtype == albedo_file["tex_dir"].dtype == np.float16
    assert str(albedo_file["channel_order"]) == "rgb"
    assert float(albedo_file["scale"]) == 1
    assert 0 <= albedo_file["mean"].min() < albedo_file["mean"].max() <= 1
    assert str(albedo_file["licence"]) == "Apache-2.0"
    assert str(albedo_file["origin"])


def test_components_are_orthogonal_under_the_texels_weight_with_decreasing_variance(albedo_file):
    weight = albedo_file["weight"].astype(np.float64)
    root = np.sqrt(weight / weight.sum())[..., None, None]
    flat = (albedo_file["tex_dir"].astype(np.float64) * root).reshape(-1, 50)
    gram = flat.T @ flat
    length = np.sqrt(np.diag(gram))

    assert (np.diff(albedo_file["texture_std"]) < 0).all()
    # Stored values are rounded to 1/2048, which the faintest components feel.
    rounding = 1 / 2048 / np.sqrt(12)
    np.testing.assert_allclose(length, albedo_file["texture_std"], atol=rounding)
    between = np.abs(gram - np.diag(length**2))
    assert (between <= 1.1 * rounding * (length + length[:, None])).all()
    np.testing.assert_allclose(
        gram[:10, :10] / np.outer(length, length)[:10, :10], np.eye(10), atol=2e-3
    )


def test_unseen_textures_survive_the_way_through_50_numbers(world, albedo_file, painter):
    projection = Projection(albedo_file["mean"], albedo_file["tex_dir"], albedo_file["weight"])
    for texture in painted(painter, 4, seed=4321):
        code = projection.codes(texture)
        rebuilt = world.assets.albedo(code)

        assert np.abs(rebuilt - texture).mean() < 0.5 / 255
        assert np.abs(world.assets.mean_albedo - texture).mean() > 5 / 255
        assert np.abs(code).max() < 6  # of unit variance


def test_codes_of_what_the_space_says_are_what_was_said(world, albedo_file):
    projection = Projection(albedo_file["mean"], albedo_file["tex_dir"], albedo_file["weight"])
    code = np.random.default_rng(0).normal(size=50)
    texture = world.assets.mean_albedo + world.assets.albedo_directions @ code

    np.testing.assert_allclose(projection.codes(texture), code, atol=1e-4)


def test_planted_textures_are_found_again():
    rng = np.random.default_rng(5)
    planted, side = 3, 8
    directions = rng.normal(size=(planted, side, side, 3)) * 0.02
    codes = rng.normal(size=(80, planted)) * [3, 2, 1]
    textures = (0.5 + np.tensordot(codes, directions, 1)).astype(np.float32)

    space = albedo_space(textures, np.ones((side, side)))

    assert float(space["kept"]) == pytest.approx(1, abs=1e-6)
    assert space["texture_std"][planted - 1] > 100 * space["texture_std"][planted]
    found = space["tex_dir"][..., :planted].astype(np.float64).reshape(-1, planted)
    truth = directions.reshape(planted, -1).T
    rebuilt = found @ np.linalg.lstsq(found, truth, rcond=None)[0]
    np.testing.assert_allclose(rebuilt, truth, atol=2e-3)


def test_too_few_textures_are_refused_by_name(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"there are 50 textures; 50 components need more than 50"):
        albedo_space(np.zeros((50, 4, 4, 3), np.float32), np.ones((4, 4)))

    status = cli.main(["albedo", "--samples", "2", "--to", str(tmp_path / "albedo.npz")])

    assert status == 2
    assert "there are 2 textures" in capsys.readouterr().err
    assert not (tmp_path / "albedo.npz").exists()


def test_one_seed_paints_the_same_people_and_another_seed_others(painter):
    first, second = painted(painter, 2, seed=7)

    np.testing.assert_array_equal(painted(painter, 1, seed=7)[0], first)
    assert np.abs(first - second).mean() > 2 / 255
    assert np.abs(painted(painter, 1, seed=8)[0] - first).mean() > 2 / 255


def test_more_melanin_makes_all_skin_darker_in_every_channel(painter, texels):
    skin = texels.of("skin")
    tones = [painter.paint(Complexion(melanin=level))[skin] for level in np.linspace(0, 1, 5)]

    for lighter, darker in pairwise(tones):
        assert (darker.mean(axis=0) < lighter.mean(axis=0) - 0.02).all()
        assert (darker < lighter + LEAST).mean() > 0.99


@pytest.mark.parametrize("shape", range(len(BROW_SHAPES)))
def test_brows_change_only_what_lies_beside_the_landmarks_of_the_brows(
    world, painter, texels, shape
):
    bare, full = (Complexion(brow_shape=shape, brow_strength=level) for level in (0.0, 0.95))
    where = texels.position[changed(painter, bare, full)]
    _, landmarks = world.assets.decode(
        np.zeros(300, np.float32), np.zeros(100, np.float32), np.zeros(15, np.float32)
    )
    distance, nearest = cKDTree(landmarks[17:27]).query(where)

    assert len(where) > 200
    assert distance.max() < 0.013
    assert set(nearest) == set(range(10))  # both, from end to end


@pytest.mark.parametrize(
    ("attribute", "levels", "islands"),
    [
        ("iris", (IRISES["dark"], IRISES["blue"]), {"eye_left", "eye_right"}),
        ("tooth_shade", (0.0, 1.0), {"teeth_upper", "teeth_lower"}),
        ("lip_redness", (0.0, 1.0), {"skin"}),
        ("beard", (0.0, 1.0), {"skin"}),
        ("moustache", (0.0, 1.0), {"skin"}),
        ("freckles", (0.0, 1.0), {"skin"}),
        ("lines", (0.0, 1.0), {"skin"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_attribute_stays_on_its_islands(painter, texels, attribute, levels, islands):
    first, second = (Complexion(**{attribute: level}) for level in levels)
    where = changed(painter, first, second)

    touched = {texels.islands[index] for index in np.unique(texels.island[where])}
    assert touched == islands


def test_a_beard_grows_below_the_nose_and_spares_the_lips(painter, texels):
    where = changed(painter, Complexion(), Complexion(beard=1.0, moustache=1.0))
    lips = changed(painter, Complexion(lip_redness=0.0), Complexion(lip_redness=1.0))

    assert texels.position[where][:, 1].max() < 0.0
    assert (where & lips).sum() < 0.35 * lips.sum()


def test_irises_are_round_and_in_the_middle_of_each_eyeball(painter, texels):
    where = changed(painter, Complexion(iris=IRISES["dark"]), Complexion(iris=IRISES["blue"]))

    for name in ("eye_left", "eye_right"):
        rows, columns = np.nonzero(where & texels.of(name))
        all_rows, all_columns = np.nonzero(texels.of(name))
        assert abs(rows.mean() - all_rows.mean()) < 1
        assert abs(columns.mean() - all_columns.mean()) < 1
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 2
        assert 0.1 < np.ptp(rows) / np.ptp(all_rows) < 0.4


def test_texels_say_where_on_the_head_their_place_in_the_layout_is(world, texels):
    """Barycentric coordinates of a texel's centre, by hand, lead to its position."""
    head, side = world.assets.head, texels.uv.shape[0]
    rng = np.random.default_rng(3)
    checked = 0
    for triangle in rng.permutation(len(head.ft))[:600]:
        corners = head.vt[head.ft[triangle]].astype(np.float64)
        u, v = corners.mean(axis=0)
        row, column = int((1 - v) * side), int(u * side)
        centre = np.array([(column + 0.5) / side, 1 - (row + 0.5) / side])
        np.testing.assert_allclose(texels.uv[row, column], centre, atol=1e-6)
        bary = np.linalg.solve(np.vstack([corners.T, np.ones(3)]), [*centre, 1])
        if bary.min() < 1e-3:
            continue
        expected = bary @ head.v_template[head.f[triangle]]
        np.testing.assert_allclose(texels.position[row, column], expected, atol=2e-5)
        name = texels.islands[texels.island[row, column]]
        assert name == world.assets.island[triangle]
        checked += 1
    assert checked > 100


def test_islands_are_at_least_a_texel_apart_and_the_gap_is_filled_from_beside(texels):
    island = texels.island
    for ours, theirs in (
        (island[1:], island[:-1]),
        (island[:, 1:], island[:, :-1]),
        (island[1:, 1:], island[:-1, :-1]),
        (island[1:, :-1], island[:-1, 1:]),
    ):
        assert not ((ours >= 0) & (theirs >= 0) & (ours != theirs)).any()
    full, empty = np.argwhere(island >= 0), np.argwhere(island < 0)
    source = np.stack(np.unravel_index(texels.nearest, island.shape), axis=-1)
    np.testing.assert_array_equal(source[tuple(full.T)], full)
    reached = np.linalg.norm(source[tuple(empty.T)] - empty, axis=1)
    nearest, _ = cKDTree(full).query(empty)
    assert (reached < nearest + 1).all()


def test_complexions_go_with_ancestry_sex_and_age(texels):
    def drawn(gender, age, ancestry):
        rng = np.random.default_rng(1)
        return [draw_complexion(gender, age, ancestry, rng) for _ in range(40)]

    melanin = [
        np.mean([who.melanin for who in drawn(0.0, 0.7, ancestry)])
        for ancestry in (AFRICAN, ASIAN, CAUCASIAN)
    ]
    assert melanin[0] > melanin[1] + 0.2 > melanin[2] + 0.25
    assert not any(who.beard for who in drawn(0.0, 0.7, ASIAN))
    assert np.mean([who.beard > 0.2 for who in drawn(1.0, 0.7, ASIAN)]) > 0.3
    assert not any(who.lines for who in drawn(1.0, 0.65, CAUCASIAN))
    assert all(who.lines for who in drawn(1.0, 0.97, CAUCASIAN))
    grey = np.mean([np.ptp(who.hair) < 0.1 for who in drawn(0.0, 0.97, CAUCASIAN)])
    assert grey > 0.9 > 0.5 > np.mean([np.ptp(who.hair) < 0.1 for who in drawn(0, 0.65, CAUCASIAN)])


def test_noise_has_no_seam_and_about_unit_variance():
    """It is a function of the place alone: the same place in another array has the same value."""
    rng = np.random.default_rng(2)
    places = rng.uniform(-0.1, 0.1, (5000, 3))

    fields = fields_on_head(places, seed=1)

    np.testing.assert_allclose(fields_on_head(places[::-1], seed=1)[:, ::-1], fields, atol=1e-9)
    assert (np.abs(fields.std(axis=1) - 1) < 0.2).all()
    assert np.abs(fields_on_head(places, seed=2) - fields).max() > 1
    near = fields_on_head(places + 1e-5, seed=1)
    assert np.abs(near - fields).max() < 0.2
