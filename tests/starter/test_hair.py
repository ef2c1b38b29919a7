# SPDX-License-Identifier: Apache-2.0
"""Hair grows where hair grows, and nothing shows through it that is not behind it."""

import dataclasses

import cv2
import numpy as np
import pytest

from mien_starter.degradation import Degradation
from mien_starter.sheets import calm_shot
from mien_starter.world import World
from mien_starter.world.hair import Haircut, curtain, draw_haircut, hair_cover, shell_offsets

SHORT = Haircut(
    name="short",
    colour=(0.1, 0.1, 0.1),
    thickness_m=0.015,
    hairline_m=0.0,
    temples_m=0.0,
    length_m=0.0,
    wave=0.5,
    density=1.0,
    seed=4,
)
LONG = dataclasses.replace(SHORT, name="long", length_m=0.2)
BALD = dataclasses.replace(SHORT, name="bald", thickness_m=0.0)


@pytest.fixture(scope="module")
def head(world):
    return world.assets.head


def cover_of(cut, points) -> np.ndarray:
    return hair_cover(cut, points, np.zeros(len(points)))


def plain(world, person, shot, ground):
    """A photograph without noise before an even background."""
    background = np.full((world.size, world.size, 3), ground, np.float32)
    taken = world.photograph_of(
        person, shot, np.random.default_rng(0), camera=Degradation(), background=background
    )
    return taken.image_rgb.astype(int)


def test_hair_covers_the_crown_and_neither_the_face_nor_the_ears(head):
    x, y, z = head.v_template.T
    crown = (y > 0.10) & (z < 0.05)
    face = (y < 0.04) & (z > 0.03) & (np.abs(x) < 0.06)
    hollow_of_the_ear = (np.abs(x) > 0.066) & (np.abs(x) < 0.075) & (np.abs(y + 0.012) < 0.008)
    hollow_of_the_ear &= (z > -0.016) & (z < -0.004)

    assert crown.sum() > 40
    assert hollow_of_the_ear.sum() > 10
    assert cover_of(SHORT, head.v_template[crown]).min() == 1
    assert cover_of(SHORT, head.v_template[face]).max() == 0
    assert cover_of(SHORT, head.v_template[hollow_of_the_ear]).max() == 0
    assert cover_of(SHORT, head.v_template[head.regions["ears"] & (np.abs(x) > 0.077)]).max() == 0


def test_a_higher_hairline_leaves_more_skin_and_a_fringe_less(head):
    covered = [
        (cover_of(dataclasses.replace(SHORT, hairline_m=shift), head.v_template) > 0.5)
        for shift in (-0.04, 0.0, 0.02)
    ]

    assert covered[0].sum() > covered[1].sum() > covered[2].sum()
    assert not (covered[2] & ~covered[1]).any()


def test_the_shell_stands_off_only_where_hair_is_and_never_into_the_head(head):
    wave = np.random.default_rng(0).uniform(-3, 3, head.num_vertices)
    offsets = shell_offsets(SHORT, head.v_template, wave)
    cover = cover_of(SHORT, head.v_template)

    assert offsets.min() == 0
    assert not offsets[cover == 0].any()
    assert 0.5 * SHORT.thickness_m < offsets.max() < 2 * SHORT.thickness_m


def test_a_bald_head_has_no_hair_at_all(head):
    assert not cover_of(BALD, head.v_template).any()
    assert not shell_offsets(BALD, head.v_template, np.ones(head.num_vertices)).any()


def test_a_curtain_hangs_around_the_back_as_far_as_its_length(head):
    vertices, faces, uv = curtain(LONG)
    x, y, z = vertices.T
    shorter, _, _ = curtain(dataclasses.replace(LONG, length_m=0.1))

    assert faces.min() == 0
    assert faces.max() == len(vertices) - 1
    assert 0 <= uv.min() < uv.max() <= 1
    assert shorter[:, 1].min() - y.min() == pytest.approx(0.1, abs=0.015)
    # Open in front: what is before the face is beside it.
    assert np.abs(x[z > 0.02]).min() > 0.05
    assert z.min() < head.v_template[:, 2].min()


def test_one_seed_gives_one_haircut_and_women_and_men_differ_in_theirs():
    def cuts(gender):
        rng = np.random.default_rng(6)
        return [draw_haircut(gender, 0.7, np.eye(3)[2], (0.1, 0.1, 0.1), rng) for _ in range(60)]

    assert cuts(0.0) == cuts(0.0)
    women, men = ([cut.name for cut in cuts(gender)] for gender in (0.0, 1.0))
    assert women.count("long") + women.count("bob") > 10 > men.count("long") + men.count("bob")
    assert men.count("short") + men.count("buzz") > women.count("short") + women.count("buzz")


@pytest.mark.parametrize(("identity", "yaw_deg"), [(110_000, 0), (110_006, 20), (110_033, 20)])
def test_no_background_shows_between_a_head_and_its_hair(identity, yaw_deg):
    """The thin edge of the shell is transparent; behind it is more hair, not the wall."""
    world = World(256)
    person, shot = world.person(identity), calm_shot(yaw_deg=yaw_deg, pitch_deg=0)
    dark, light = (plain(world, person, shot, ground) for ground in (0.2, 0.9))
    background = (np.abs(light - dark).max(axis=2) > 40).astype(np.uint8)

    count, labels, statistics, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    enclosed = [statistics[label, 4] for label in range(1, count) if label not in set(rim)]

    assert background.mean() > 0.2
    assert sum(enclosed) < 30


@pytest.mark.parametrize("cut", [SHORT, LONG, BALD], ids=lambda cut: cut.name)
def test_a_head_beside_the_picture_leaves_the_background_as_it_is(world, cut):
    person = dataclasses.replace(world.person(110_000), haircut=cut)
    shot = calm_shot(yaw_deg=0, pitch_deg=0)
    away = dataclasses.replace(shot, camera=shot.camera + np.array([0, 3, 3], np.float32))

    assert (plain(world, person, away, 0.5) == 128).all()
