# SPDX-License-Identifier: Apache-2.0
"""Cancellable templates: cosines stay, and say nothing across galleries."""

import numpy as np

from mien_server.gallery.rotation import Rotation
from tests.server.gallery.planted_people import KEY, OTHER_KEY, people

SALT, OTHER_SALT = bytes(32), bytes(31) + b"\1"
FIRST = (0.07294004, -0.00302167, 0.01288723)
FACES = people(300, per=2).reshape(600, 512)


def test_cosines_are_those_of_the_templates_themselves():
    turned = Rotation(KEY, SALT).turn(FACES)

    expected = FACES.astype(np.float64) @ FACES.T.astype(np.float64)
    assert np.abs(turned @ turned.T - expected).max() < 1e-5
    assert np.abs(np.linalg.norm(turned, axis=1) - 1).max() < 1e-5


def test_the_rotation_follows_from_key_and_salt_alone():
    turned = Rotation(KEY, SALT).turn(FACES[:1])

    assert np.array_equal(turned, Rotation(KEY, SALT).turn(FACES[:1]))
    # Of the first release: one that turned otherwise could not compare faces with its galleries.
    axis = np.eye(512, dtype=np.float32)[:1]
    assert np.allclose(Rotation(KEY, SALT).turn(axis)[0, :3], FIRST, atol=1e-5)


def test_one_face_under_two_salts_or_two_keys_is_like_two_strangers():
    one = Rotation(KEY, SALT).turn(FACES)
    for other in (Rotation(KEY, OTHER_SALT), Rotation(OTHER_KEY, SALT)):
        across = (one * other.turn(FACES)).sum(axis=1)

        # Independent directions in 512 dimensions: standard deviation 1 / sqrt(512), mean 0.
        assert abs(across.mean()) < 5 / np.sqrt(512 * len(FACES))
        assert 0.8 < across.std() * np.sqrt(512) < 1.2
        assert np.abs(across).max() < 6 / np.sqrt(512)
    # As the same people are no strangers in one gallery:
    assert (FACES[::2] * FACES[1::2]).sum(axis=1).min() > 6 / np.sqrt(512)


def test_templates_are_turned_back_with_the_key_and_not_without():
    turned = Rotation(KEY, SALT).turn(FACES)

    assert np.abs(Rotation(KEY, SALT).turn_back(turned) - FACES).max() < 1e-6
    assert np.abs(Rotation(OTHER_KEY, SALT).turn_back(turned) - FACES).max() > 0.1


def test_rotations_favour_no_direction():
    axis = np.eye(512, dtype=np.float32)[:1]
    seen = np.concatenate([Rotation(KEY, bytes([n]) * 32).turn(axis) for n in range(6)])

    # 6 * 512 coordinates of variance 1 / 512.
    count = seen.size
    assert abs((seen**2).sum() * 512 - count) < 1e-2 * count  # each has length 1
    assert abs(seen.mean()) * np.sqrt(512 * count) < 5
    assert abs((seen**4).mean() * 512**2 / 3 - 1) < 0.25  # as of normal numbers
