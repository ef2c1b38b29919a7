# SPDX-License-Identifier: Apache-2.0
"""Hairstyles that a number says all about: straight strands whose tilt the map's colour shows."""

import numpy as np

from mien_server.hair.orientation import encoded_map
from mien_starter.groom_making import StyleView

ROOTS = np.stack(
    [*np.meshgrid(np.linspace(-0.08, 0.08, 32), np.linspace(0.1, -0.1, 32)), np.zeros((32, 32))],
    axis=-1,
).astype(np.float32)


def tilt_of(number):
    """Radians from the vertical, at most 60 degrees to either side."""
    return np.deg2rad((number * 37) % 121 - 60)


def length_of(number):
    return 0.1 + 0.02 * (number % 5)


def grows_of(number):
    """All but the outermost ring, and but for a column that the number says."""
    grows = np.zeros((32, 32), bool)
    grows[1:-1, 1:-1] = True
    grows[:, 1 + number % 30] = False
    return grows


class PlantedWigs:
    """A style's strands hang, tilted to the person's left; the map shows how far."""

    roots = ROOTS

    def groom(self, number):
        way = np.array([np.sin(tilt_of(number)), -np.cos(tilt_of(number)), 0.2])
        way = way / np.linalg.norm(way) * length_of(number)
        points = ROOTS[:, :, None] + np.linspace(0, 1, 100)[:, None] * way
        grid = np.concatenate([points, np.full((32, 32, 100, 1), 1e-4)], axis=-1)
        grid[:, :, [0, -1], 3] = 0
        return (grid * grows_of(number)[..., None, None]).astype(np.float32)

    def views(self, number, grid, count):
        hair = np.zeros((256, 256), bool)
        hair[40 : int(40 + 1000 * length_of(number)), 60:200] = True
        angles = np.full(hair.shape, tilt_of(number) - np.pi / 2)
        map_rgb = encoded_map(angles, hair, ~hair)
        seen = np.zeros((32, 32, 33), bool)
        seen[:16] = grows_of(number)[:16, :, None]
        return [StyleView(map_rgb, seen, 10.0 * view) for view in range(count)]


class NoWigs(PlantedWigs):
    """Asked for nothing."""

    def groom(self, number):
        raise AssertionError(f"style {number} was made again")
