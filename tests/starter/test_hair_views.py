# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.hair.orientation import decoded_map
from mien_server.hair.portrait_crop import CROWN_XY, PORTRAIT_SIZE_PX
from mien_server.rendering.camera import pixels_from_image
from mien_starter.hair.dense import dense_hairs
from mien_starter.hair.grounds import shipped_ground
from mien_starter.hair_views import head_view, seen_of
from mien_starter.wigs import RandomWigs
from mien_starter.world.assets import default_assets

LENGTH_M = 0.04


def in_pixels(view, points):
    side = PORTRAIT_SIZE_PX
    return pixels_from_image(view.projected(points), width=side, height=side)


@pytest.fixture(scope="module")
def hedgehog():
    """(32, 32, 100, 4) straight strands that stand off the scalp."""
    scalp = shipped_ground().scalp
    way = np.linspace(0, LENGTH_M, 100)[:, None] * scalp.normals[:, :, None]
    grid = np.concatenate([scalp.roots[:, :, None] + way, np.zeros((32, 32, 100, 1))], axis=-1)
    return (grid * scalp.growable[..., None, None]).astype(np.float32)


def view_of(grid, yaw_deg):
    view = head_view(default_assets(), yaw_deg, 0.0)
    hairs = dense_hairs(grid, shipped_ground().scalp, 6000, 0)
    return view, seen_of(view, shipped_ground().vertices, shipped_ground().faces, hairs, grid)


def test_the_head_is_framed_as_the_portrait_crop_frames_it():
    vertices = shipped_ground().vertices[: shipped_ground().head_vertices]
    shown = in_pixels(head_view(default_assets(), 0.0, 0.0), vertices)

    np.testing.assert_allclose(shown[shown[:, 1].argmin()], CROWN_XY, atol=4)
    assert shown[:, 0].mean() == pytest.approx(128, abs=1)


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(-30, 8), (20, -10), (30, 0)])
def test_a_turned_head_keeps_its_eyes_level_and_looks_where_it_is_said_to(yaw_deg, pitch_deg):
    head = default_assets().head
    corners = head.v_template[head.f[head.full_lmk_faces_idx[0]]]
    landmarks = (corners * head.full_lmk_bary_coords[0][..., None]).sum(axis=1)
    view = head_view(default_assets(), yaw_deg, pitch_deg)
    shown = in_pixels(view, landmarks)
    right, left = shown[36:42].mean(axis=0), shown[42:48].mean(axis=0)
    ahead = view.turn @ (0, 0, 1)

    assert right[0] < left[0]
    assert abs(right[1] - left[1]) < 0.3
    np.testing.assert_allclose(view.turn @ view.turn.T, np.eye(3), atol=1e-5)
    assert np.rad2deg(np.arctan2(ahead[0], ahead[2])) == pytest.approx(yaw_deg, abs=1.5)


def test_the_front_of_a_hedgehog_is_seen_and_its_back_is_not(hedgehog):
    view, found = view_of(hedgehog, 0.0)
    towards = shipped_ground().scalp.normals @ view.turn[2]
    grows = shipped_ground().scalp.growable

    assert found.seen[grows & (towards > 0.6), -1].mean() > 0.9
    assert found.seen[grows & (towards < -0.3)].mean() < 0.05  # at the outline
    assert not found.seen[~grows].any()


def test_the_side_that_is_turned_to_the_viewer_is_seen(hedgehog):
    _, found = view_of(hedgehog, 30.0)
    # A face that looks to the image's right shows its own right side; column 0 is the right ear.
    right, left = found.seen[:, :8].mean(), found.seen[:, -8:].mean()

    assert right > 2 * left


def test_colours_are_the_directions_of_the_strands_that_are_seen(hedgehog):
    view, found = view_of(hedgehog, 15.0)
    angles, hair, body = decoded_map(found.map_rgb)
    middle, tip = (in_pixels(view, hedgehog[:, :, i, :3]) for i in (66, 99))
    way = (tip - middle) * (1, -1)
    flat = np.linalg.norm(way, axis=-1) > 4  # pixels; others point at the viewer
    chosen = found.seen[..., 21] & flat
    column, row = np.floor(middle[chosen]).astype(int).T
    wanted = np.arctan2(way[..., 1], way[..., 0])[chosen]
    on_hair = hair[row, column]
    off = np.abs(angles[row, column] - wanted)[on_hair] % np.pi
    off = np.rad2deg(np.minimum(off, np.pi - off))

    assert chosen.sum() > 50
    assert on_hair.mean() > 0.9
    assert np.median(off) < 6
    assert body.sum() > 5000


def test_a_number_is_always_the_same_style_from_every_third_of_the_angles():
    wigs = RandomWigs()
    grid = wigs.groom(110_003)
    views = wigs.views(110_003, grid, 3)
    again = wigs.views(110_003, wigs.groom(110_003), 3)
    grows = grid.any(axis=(2, 3))

    np.testing.assert_allclose(grid[grows][:, 0, :3], wigs.roots[grows], atol=1e-5)
    assert [int((view.yaw_deg + 30) // 20) for view in views] == [0, 1, 2]
    for one, other in zip(views, again, strict=True):
        np.testing.assert_array_equal(one.map_rgb, other.map_rgb)
        np.testing.assert_array_equal(one.seen, other.seen)
    assert not np.array_equal(grid, wigs.groom(110_004))
