# SPDX-License-Identifier: Apache-2.0
"""Photographs of synthetic people: repeatable, and everything said about them is true."""

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mien_export.head_model import read_head
from mien_export.networks.flame import Flame
from mien_server.rendering.lighting import sh_basis
from mien_starter.degradation import Degradation
from mien_starter.sheets import calm_shot, portrait
from mien_starter.splits import identities
from mien_starter.world import World
from mien_starter.world.assets import WEIGHTS
from mien_starter.world.shot import draw_shot

SIDE = 192
ELSEWHERE = """
import hashlib
from mien_starter.world import World
taken = World({side}).photograph(110_003, 4)
print("hash", hashlib.sha256(taken.image_rgb.tobytes() + taken.codes.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def bald(world):
    """The first held-out person, without hair."""
    person = world.person(110_000)
    return dataclasses.replace(
        person, haircut=dataclasses.replace(person.haircut, name="bald", length_m=0.0)
    )


def plain(world, person, shot, ground=0.5):
    """A photograph without noise before an even background."""
    background = np.full((world.size, world.size, 3), ground, np.float32)
    rng = np.random.default_rng(0)
    return world.photograph_of(person, shot, rng, camera=Degradation(), background=background)


def light_from(direction):
    """(9, 3) the spherical harmonics of a lamp and a little sky."""
    normals = np.random.default_rng(0).normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    direction = np.asarray(direction) / np.linalg.norm(direction)
    shade = 0.3 + 0.8 * np.clip(normals @ direction, 0, None)
    light, *_ = np.linalg.lstsq(sh_basis(normals).astype(np.float64), shade, rcond=None)
    return np.repeat(light[:, None], 3, axis=1).astype(np.float32)


def cheeks(photograph):
    """Mean brightness of the image-left and the image-right cheek."""
    points = photograph.landmarks_68
    means = []
    for jaw, nostril in ((3, 31), (13, 35)):
        x, y = np.round((points[jaw] + points[nostril]) / 2).astype(int)
        means.append(photograph.image_rgb[y - 2 : y + 3, x - 2 : x + 3].mean())
    return means


def test_the_same_person_and_shot_give_the_same_bytes_in_another_process_too(world):
    # What was photographed before must not matter.
    world.photograph(110_001, 2)
    taken, again = world.photograph(110_003, 4), world.photograph(110_003, 4)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.format(side=SIDE)],
        capture_output=True,
        text=True,
        check=True,
    )

    expected = hashlib.sha256(taken.image_rgb.tobytes() + taken.codes.tobytes()).hexdigest()
    assert f"hash {expected}" in done.stdout.splitlines()
    np.testing.assert_array_equal(taken.image_rgb, again.image_rgb)
    np.testing.assert_array_equal(taken.landmarks_68, again.landmarks_68)


def test_shots_of_one_person_share_the_person_and_nothing_else(world):
    one, two, other = (world.photograph(*key) for key in ((110_003, 0), (110_003, 1), (110_004, 0)))

    np.testing.assert_array_equal(one.shape, two.shape)
    np.testing.assert_array_equal(one.codes[:150], two.codes[:150])
    assert np.abs(one.codes[150:] - two.codes[150:]).max() > 0.1
    assert np.abs(one.shape[:20] - other.shape[:20]).max() > 0.5
    assert one.identity == two.identity == 110_003


@pytest.mark.parametrize("yaw_deg", [0, 15])
def test_a_light_from_the_left_brightens_the_left_cheek(world, bald, yaw_deg):
    shot = calm_shot(yaw_deg=yaw_deg, pitch_deg=0)
    from_left, from_right = (
        cheeks(plain(world, bald, dataclasses.replace(shot, light=light_from((x, 0.1, 0.5)))))
        for x in (-1, 1)
    )

    assert from_left[0] > 1.3 * from_left[1]
    assert from_right[1] > 1.3 * from_right[0]


@pytest.mark.parametrize("number", range(6))
def test_the_codes_of_a_photograph_decode_to_its_landmarks(world, number):
    person = world.person(110_000 + number)
    coded = np.where(np.arange(300) < 100, person.shape, 0).astype(np.float32)
    person = dataclasses.replace(person, shape=coded)
    rng = np.random.default_rng(number)
    taken = world.photograph_of(person, draw_shot(world.assets, rng), rng)
    codes = torch.from_numpy(taken.codes)[None]
    pose = torch.zeros(1, 15)
    pose[:, :3], pose[:, 6:9] = codes[:, 200:203], codes[:, 203:206]
    expression = torch.zeros(1, 100)
    expression[:, :50] = codes[:, 150:200]
    shape = torch.zeros(1, 300)
    shape[:, :100] = codes[:, :100]

    with torch.no_grad():
        _, _, points = Flame(read_head(WEIGHTS / "head.npz")).eval()(shape, expression, pose)

    scale, right, up = taken.codes[206:209].astype(np.float64)
    x, y, _ = points[0].double().numpy().T
    seen = np.stack([scale * (x + right), -scale * (y + up)], axis=1)
    pixels = (seen * 0.5 + 0.5) * SIDE - 0.5
    assert np.abs(pixels - taken.landmarks_68).max() < 0.01
    eyes = pixels[36:42].mean(axis=0), pixels[42:48].mean(axis=0)
    five = np.stack([*eyes, *pixels[[30, 48, 54]]])
    assert np.abs(five - taken.landmarks).max() < 0.01
    np.testing.assert_array_equal(taken.codes[100:150], person.texture)


@pytest.mark.parametrize("number", range(3))
def test_skin_lies_where_the_mask_says_and_nowhere_else(world, number):
    person = world.person(110_000 + number)
    shot = calm_shot(yaw_deg=20 * (number - 1), pitch_deg=0)
    taken = plain(world, person, shot)
    # The first component is how dark skin is.
    darker = person.texture + 2.0 * (np.arange(50) == 0)
    other_skin = dataclasses.replace(person, texture=darker.astype(np.float32))
    changed = np.abs(
        plain(world, other_skin, shot).image_rgb.astype(int) - taken.image_rgb.astype(int)
    ).max(axis=2)
    ground = np.abs(
        plain(world, person, shot, ground=0.9).image_rgb.astype(int) - taken.image_rgb.astype(int)
    ).max(axis=2)
    mask = taken.face_mask
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
    outer = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0

    assert set(np.unique(mask)) == {0, 1}
    assert 0.05 < mask.mean() < 0.6
    assert ground[inner].max() <= 2
    assert np.median(changed[inner]) > 10
    assert (changed[~outer] > 0.5 * np.median(changed[inner])).mean() < 0.005
    inside = np.round(taken.landmarks_68[27:]).astype(int)
    assert outer[inside[:, 1], inside[:, 0]].all()


def test_a_head_that_turns_to_the_right_shows_its_nose_farther_right(world, bald):
    noses = [
        taken.landmarks[2, 0] - taken.landmarks[:2, 0].mean()
        for taken in (
            plain(world, bald, calm_shot(yaw_deg=yaw, pitch_deg=0)) for yaw in (-30, 0, 30)
        )
    ]

    assert noses[0] < -2 < noses[1] < 2 < noses[2]


def test_photographs_are_of_the_size_asked_for_and_show_the_same_at_any(world):
    small, large = World(96).photograph(110_002, 1), world.photograph(110_002, 1)

    assert small.image_rgb.shape == (96, 96, 3)
    assert small.face_mask.shape == (96, 96)
    np.testing.assert_array_equal(small.codes, large.codes)
    np.testing.assert_allclose(
        (small.landmarks_68 + 0.5) / 96, (large.landmarks_68 + 0.5) / SIDE, atol=1e-5
    )


def test_a_detector_of_real_faces_finds_these_and_few_in_backgrounds(world):
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(str(path))

    def faces(image):
        return cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 1.1, 3)

    found = [len(faces(portrait(world, person))) == 1 for person in identities("held_out", 25)]
    mistaken = [len(faces(world.background(number))) > 0 for number in range(40)]

    assert np.mean(found) >= 0.8
    assert np.mean(mistaken) <= 0.05


def test_backgrounds_are_repeatable_and_differ(world):
    np.testing.assert_array_equal(world.background(3), world.background(3))
    assert np.abs(world.background(3).astype(int) - world.background(4)).mean() > 5
