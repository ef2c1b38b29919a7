# SPDX-License-Identifier: Apache-2.0
"""Photographs seen through the texture: which texels are seen, and what colour they get."""

import dataclasses

import numpy as np
import pytest

from mien_server.avatar.texture import project_photograph
from mien_server.avatar.texture.texels import texel_map
from mien_server.avatar.texture.visibility import head_sight
from tests.server.avatar.portraits import (
    asset,
    atlas,
    mean_head,
    pattern,
    photograph,
    plain,
    topology,
    turned,
)

ATLAS = atlas()
TEXELS = ATLAS.texels


def hidden(points, vertices, faces, clearance=1e-4):
    """Which points have a triangle between them and a viewer at z = infinity."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    x1, y1 = (b - a)[:, :2].T
    x2, y2 = (c - a)[:, :2].T
    area = x1 * y2 - x2 * y1
    area = np.where(np.abs(area) < 1e-14, np.inf, area)
    found = []
    for point in points:
        x, y = (point[:2] - a[:, :2]).T
        second, third = (x * y2 - x2 * y) / area, (x1 * y - x * y1) / area
        inside = (second >= 0) & (third >= 0) & (second + third <= 1)
        height = a[:, 2] + second * (b - a)[:, 2] + third * (c - a)[:, 2]
        found.append((inside & (height > point[2] + clearance)).any())
    return np.array(found)


@pytest.mark.parametrize("yaw_deg", [0, 35, -50])
def test_what_is_seen_has_the_colour_that_was_planted(yaw_deg):
    planted = pattern()

    samples = project_photograph(photograph(planted, yaw_deg=yaw_deg), ATLAS)

    sure = samples.weight > 0.5
    assert sure.sum() > 0.15 * ATLAS.photograph.sum()
    error = np.abs(samples.colour - planted)[sure]
    assert np.median(error) < 0.006
    assert np.percentile(error, 99) < 0.03


@pytest.mark.parametrize("yaw_deg", [40, -40])
def test_the_nose_is_not_painted_onto_the_cheek_behind_it(yaw_deg):
    vertices = turned(yaw_deg)
    position = TEXELS.of_vertices(vertices)
    weight = project_photograph(photograph(plain(), yaw_deg=yaw_deg), ATLAS).weight
    generator = np.random.default_rng(0)
    face = np.argwhere(ATLAS.photograph > 0.5)
    rows, columns = face[generator.choice(len(face), 1500, replace=False)].T

    is_hidden = hidden(position[rows, columns], vertices, asset()["f"], clearance=2e-3)

    assert is_hidden.sum() > 100
    facing = project_photograph(photograph(plain()), ATLAS).weight[rows, columns] > 0.9
    assert (is_hidden & facing).sum() > 50  # it is the pose that hides them
    assert (weight[rows, columns][is_hidden] == 0).all()


def test_a_cheek_that_nothing_hides_is_seen_wholly():
    weight = project_photograph(photograph(plain(), yaw_deg=40), ATLAS).weight

    # At 40 degrees to the image's right, the cheek on the person's right faces the camera.
    x, y = ATLAS.position[..., 0], ATLAS.position[..., 1]
    cheek = (ATLAS.photograph > 0.99) & (x < -0.03) & (x > -0.05) & (y < -0.02) & (y > -0.04)
    assert cheek.sum() > 200
    assert (weight[cheek] > 0.99).all()


@pytest.mark.parametrize("yaw_deg", [0, 25, -45])
def test_the_background_never_enters(yaw_deg):
    samples = project_photograph(photograph(plain((0.2, 0.7, 0.3)), yaw_deg=yaw_deg), ATLAS)

    used = samples.colour[samples.weight > 0]
    np.testing.assert_allclose(used, np.broadcast_to((0.2, 0.7, 0.3), used.shape), atol=0.01)


def test_a_surface_that_turns_away_counts_less_and_then_nothing():
    weight = project_photograph(photograph(plain()), ATLAS).weight
    normal = project_photograph(photograph(plain()), ATLAS).normal
    facing = normal[..., 2] / np.maximum(np.linalg.norm(normal, axis=-1), 1e-6)

    assert (weight[facing < 0.15] == 0).all()
    assert (weight <= ATLAS.photograph + 1e-6).all()
    beyond = (facing > 0.15) & (facing < 0.4)
    assert weight[beyond].max() < 0.6


def test_lookups_count_pixels_by_their_centres():
    """A picture whose colour is its place is read at the very place."""
    size = 400
    there = photograph(plain(), size=size)
    x = (np.arange(size) + 0.5) / size
    ramps = np.stack(np.broadcast_arrays(x, x[:, None], 0.5), axis=-1)
    ramped = dataclasses.replace(there, image_rgb=np.rint(ramps * 255).astype(np.uint8))

    samples = project_photograph(ramped, ATLAS)

    used = samples.weight > 0
    expected = TEXELS.of_vertices(there.vertices_px)[used][:, :2] / size
    np.testing.assert_allclose(samples.colour[used][:, :2], expected, atol=0.5 / 255 + 1e-4)


def test_outside_the_photograph_nothing_is_seen_and_the_rest_stays():
    planted = pattern()
    whole = photograph(planted)
    left, top = 200, 150
    shift = np.float32([left, top, 0])
    part = dataclasses.replace(
        whole, image_rgb=whole.image_rgb[top:, left:], vertices_px=whole.vertices_px - shift
    )

    all_of_it, cut = (project_photograph(each, ATLAS) for each in (whole, part))

    at = TEXELS.of_vertices(part.vertices_px)
    outside = (at[..., :2] < 0).any(axis=-1)
    inside = (at[..., :2] > 3).all(axis=-1)
    assert (cut.weight[outside] == 0).all()
    np.testing.assert_allclose(cut.weight[inside], all_of_it.weight[inside], atol=1e-5)
    seen = inside & (cut.weight > 0)
    # OpenCV looks up at 32nds of a pixel.
    np.testing.assert_allclose(cut.colour[seen], all_of_it.colour[seen], atol=2e-3)


def test_a_head_beside_the_photograph_is_not_seen_at_all():
    there = photograph(plain())
    beside = dataclasses.replace(there, vertices_px=there.vertices_px + np.float32([900, 0, 0]))

    assert not project_photograph(beside, ATLAS).weight.any()


def test_a_large_photograph_is_averaged_and_not_picked_from():
    """Pixel-wide stripes, which a lookup of single pixels would turn into a moire pattern."""
    there = photograph(plain(), size=1600)
    stripes = np.zeros_like(there.image_rgb)
    stripes[:, ::2] = 255
    striped = dataclasses.replace(there, image_rgb=stripes)

    samples = project_photograph(striped, ATLAS)

    used = samples.colour[samples.weight > 0.5]
    np.testing.assert_allclose(used.mean(), 0.5, atol=0.02)
    assert used.std() < 0.15


def test_noise_is_smoothed_away_and_edges_stay():
    planted = plain()
    planted[:, :128] = (0.4, 0.3, 0.25)
    clean = photograph(planted)
    noise = np.random.default_rng(0).normal(0, 12, clean.image_rgb.shape)
    noisy = dataclasses.replace(
        clean, image_rgb=(clean.image_rgb + noise).clip(0, 255).astype(np.uint8)
    )

    samples = project_photograph(noisy, ATLAS)

    columns = np.arange(256)
    far = (samples.weight > 0.9) & (np.abs(columns - 127.5) > 6)
    error = (samples.colour - planted)[far]
    assert error.std() < 0.4 * 12 / 255
    bright = samples.colour[(samples.weight > 0.9) & (columns > 133)].mean()
    dark = samples.colour[(samples.weight > 0.9) & (columns < 122)].mean()
    np.testing.assert_allclose(bright - dark, planted[0, 200].mean() - planted[0, 0].mean(), 0.05)


def test_hair_that_is_known_is_left_out():
    hair = np.zeros((400, 400), np.float32)
    hair[:, :200] = 1
    there = photograph(plain(), hair=hair)

    with_hair = project_photograph(there, ATLAS).weight
    without = project_photograph(dataclasses.replace(there, hair=None), ATLAS).weight

    x = TEXELS.of_vertices(there.vertices_px)[..., 0]
    assert (with_hair[x < 199] == 0).all()
    np.testing.assert_allclose(with_hair[x > 202], without[x > 202], atol=1e-6)


def test_the_sight_is_the_same_at_every_size_of_photograph():
    small, large = photograph(plain(), size=200), photograph(plain(), size=1000)

    sights = [head_sight(each.vertices, each.vertices_px, asset()["f"]) for each in (small, large)]

    np.testing.assert_allclose(sights[0].pixels_per_metre * 5, sights[1].pixels_per_metre, 1e-4)
    rims = [sight.rim_distance / sight.pixels_per_metre for sight in sights]
    assert (np.abs(rims[0] - rims[1]) < 2e-4).mean() > 0.99


def test_texels_show_what_the_renderer_looks_up_there():
    """The position of a texel, drawn as a texture, comes back at each pixel of a rendered head."""
    texels = texel_map(topology(), 512)
    position = texels.padded(texels.of_vertices(mean_head()))
    there = photograph(position + 0.5, size=300)

    shown = there.image_rgb[150, 150] / 255 - 0.5

    # The middle of the picture is where the camera looks: x = 0 and y = -0.01.
    np.testing.assert_allclose(shown[:2], (0.0, -0.01), atol=0.004)


def test_padding_leaves_what_is_shown_and_fills_the_rest():
    texture = np.where(TEXELS.covered[..., None], pattern(), np.nan)

    padded = TEXELS.padded(texture)

    np.testing.assert_array_equal(padded[TEXELS.covered], texture[TEXELS.covered])
    assert np.isfinite(padded).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_rgb": np.zeros((9, 9), np.uint8)}, r"uint8 \(9, 9\)"),
        ({"image_rgb": np.zeros((9, 9, 3))}, "float64"),
        ({"vertices": np.zeros((7, 3), np.float32)}, r"\(7, 3\)"),
        ({"vertices_px": np.full_like(mean_head(), np.nan)}, "not finite"),
        ({"light": np.zeros(9, np.float32)}, r"\(9,\)"),
        ({"hair": np.zeros((3, 3))}, r"\(400, 400\)"),
    ],
)
def test_what_is_no_photographed_head_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(photograph(plain()), **change)


def test_a_head_of_another_model_is_refused():
    there = photograph(plain())
    other = dataclasses.replace(
        there, vertices=there.vertices[:100], vertices_px=there.vertices_px[:100]
    )

    with pytest.raises(ValueError, match="100 vertices"):
        project_photograph(other, ATLAS)


def test_a_head_of_no_size_is_refused():
    there = photograph(plain())

    with pytest.raises(ValueError, match="some size"):
        project_photograph(
            dataclasses.replace(there, vertices=np.zeros_like(there.vertices)), ATLAS
        )


def test_only_sizes_that_are_offered_are_made():
    with pytest.raises(ValueError, match="300"):
        texel_map(topology(), 300)


def test_a_photograph_mirrored_gives_the_mirrored_texture():
    there = photograph(pattern(), yaw_deg=30)
    turned_back = photograph(plain(), yaw_deg=-30)  # the starter head is symmetric
    flipped = np.ascontiguousarray(there.image_rgb[:, ::-1])
    mirrored = dataclasses.replace(turned_back, image_rgb=flipped)

    samples, other = (project_photograph(each, ATLAS) for each in (there, mirrored))

    both = (samples.weight[:, ::-1] > 0.5) & (other.weight > 0.5)
    assert both.sum() > 0.9 * (other.weight > 0.5).sum()
    error = np.abs(samples.colour[:, ::-1] - other.colour)[both]
    assert np.percentile(error, 95) < 0.03
