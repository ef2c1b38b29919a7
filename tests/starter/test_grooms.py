# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_starter import groom_making
from mien_starter.errors import StarterError
from mien_starter.groom_making import GroomPlan, write_grooms
from mien_starter.grooms import STEPS, Grooms
from tests.starter.planted_wigs import ROOTS, NoWigs, PlantedWigs, grows_of

WIGS = PlantedWigs()
PLAN = GroomPlan("train", styles=5, views=2)


@pytest.fixture
def shards_of_two(monkeypatch):
    monkeypatch.setattr(groom_making, "SHARD_STYLES", 2)


def test_styles_and_views_come_back(tmp_path, shards_of_two):
    write_grooms(PLAN, tmp_path, PlantedWigs)
    grooms = Grooms([tmp_path])

    assert (len(grooms), grooms.views, grooms.splits) == (10, 2, ["train"])
    np.testing.assert_array_equal(grooms.roots, ROOTS)
    np.testing.assert_array_equal(grooms.yaw_deg, [0, 10] * 5)
    for index in (0, 3, 9):
        number = index // 2
        grid, groom = WIGS.groom(number), grooms.groom(index)
        view = WIGS.views(number, grid, 2)[index % 2]
        np.testing.assert_array_equal(groom.grows, grows_of(number))
        np.testing.assert_array_equal(grooms.map_rgb(index), view.map_rgb)
        np.testing.assert_array_equal(grooms.seen(index), np.moveaxis(view.seen, -1, 0))
        places = groom.steps[:3].cumsum(axis=1).transpose(2, 3, 1, 0)
        expected = (grid[:, :, 3::3, :3] - grid[:, :, :1, :3]) * groom.grows[..., None, None]
        np.testing.assert_allclose(places, expected, atol=1e-4)
        np.testing.assert_allclose(
            groom.steps[3], np.moveaxis(grid[:, :, 3::3, 3], -1, 0), rtol=1e-3
        )
        assert groom.steps.shape == (4, STEPS, 32, 32)


def test_what_is_finished_is_not_made_again_and_what_is_not_is(tmp_path, shards_of_two):
    write_grooms(PLAN, tmp_path, PlantedWigs)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_grooms(PLAN, tmp_path, NoWigs)
    # Killed between the two files of a shard, and between two shards.
    (tmp_path / "grooms-00001.npz").unlink()
    (tmp_path / "grooms-00002.npz").unlink()
    (tmp_path / "strands-00002.npy").unlink()
    heard = []
    write_grooms(PLAN, tmp_path, PlantedWigs, on_progress=heard.append)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert heard == [2, 4, 5]


def test_a_folder_keeps_its_plan(tmp_path):
    write_grooms(GroomPlan("train", styles=1, views=1), tmp_path, PlantedWigs)

    with pytest.raises(StarterError, match="holds other grooms"):
        write_grooms(GroomPlan("train", styles=2, views=1), tmp_path, PlantedWigs)


def test_styles_of_another_split_are_refused(tmp_path):
    write_grooms(GroomPlan("held_out", styles=1, views=1), tmp_path, PlantedWigs)

    assert Grooms([tmp_path]).numbers.tolist() == [110_000]
    with pytest.raises(StarterError, match="held_out; expected train"):
        Grooms([tmp_path]).of_split("train")


def test_folders_that_were_made_differently_are_refused(tmp_path):
    for name, views in (("two", 2), ("three", 3)):
        plan = GroomPlan("train", styles=1, views=views)
        write_grooms(plan, tmp_path / name, PlantedWigs)

    with pytest.raises(StarterError, match="another number of views"):
        Grooms([tmp_path / "two", tmp_path / "three"])


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(StarterError, match="mien_starter grooms"):
        Grooms([tmp_path])


def test_a_limit_counts_views(tmp_path):
    write_grooms(PLAN, tmp_path, PlantedWigs)

    assert len(Grooms([tmp_path], limit=3)) == 3
