# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import trimesh
from scipy.spatial import Delaunay
from trimesh.ray.ray_triangle import ray_triangle_id

from mien_server.rendering import interpolate, rasterize

SEEDS = range(4)


class Bounds:
    """Bounding boxes of triangles, with what trimesh wants of its tree."""

    def __init__(self, mesh):
        self.low, self.high = mesh.triangles.min(axis=1), mesh.triangles.max(axis=1)
        self.bounds = np.concatenate([self.low.min(axis=0), self.high.max(axis=0)])

    def intersection(self, box):
        return np.flatnonzero(((self.low <= box[3:]) & (self.high >= box[:3])).all(axis=1))


def cast_rays(vertices, faces, height, width):
    """The triangle seen at each pixel centre and its depth, from trimesh's ray casting."""
    mesh = trimesh.Trimesh(vertices.astype(np.float64), faces, process=False)
    x, y = pixel_centres(height, width)
    origins = np.stack([x, y, np.full_like(x, -10)], axis=-1).reshape(-1, 3)
    triangle, ray, location = ray_triangle_id(
        mesh.triangles,
        origins,
        np.tile([0.0, 0.0, 1.0], (len(origins), 1)),
        triangles_normal=mesh.face_normals,
        tree=Bounds(mesh),
        multiple_hits=False,
    )
    seen = np.full(height * width, -1)
    depth = np.full(height * width, np.inf)
    seen[ray], depth[ray] = triangle, location[:, 2]
    return seen.reshape(height, width), depth.reshape(height, width)


def pixel_centres(height, width):
    return np.meshgrid(
        (2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1
    )


def bumpy_ball(seed, subdivisions=3):
    """A closed, folded surface that leaves the image on some sides, away from the lattice."""
    ball = trimesh.creation.icosphere(subdivisions)
    generator = np.random.default_rng(seed)
    bumps = np.sin(ball.vertices @ generator.uniform(-6, 6, (3, 6))).sum(axis=1)
    vertices = ball.vertices * (0.8 + 0.08 * bumps[:, None]) + generator.uniform(-0.3, 0.3, 3)
    return vertices.astype(np.float32), ball.faces.astype(np.int32)


def triangle_soup(seed, count=150):
    generator = np.random.default_rng(seed)
    vertices = generator.uniform(-1.5, 1.5, (3 * count, 3)).astype(np.float32)
    return vertices, np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


@pytest.mark.parametrize("make_mesh", [bumpy_ball, triangle_soup])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [(48, 48), (40, 56)])
def test_every_pixel_shows_the_triangle_that_ray_casting_hits_first(make_mesh, seed, size):
    vertices, faces = make_mesh(seed)
    expected, expected_depth = cast_rays(vertices, faces, *size)

    raster = rasterize(vertices[None], faces, height=size[0], width=size[1])

    np.testing.assert_array_equal(raster.mask[0], expected >= 0)
    np.testing.assert_array_equal(raster.triangle[0], expected)
    np.testing.assert_allclose(raster.depth[0], expected_depth, atol=2e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_barycentrics_lead_back_to_the_pixel_centre(seed):
    vertices, faces = bumpy_ball(seed)
    raster = rasterize(vertices[None], faces, height=64, width=80)
    seen = raster.mask

    position = interpolate(raster, faces, vertices)
    x, y = (axis[None][seen] for axis in pixel_centres(64, 80))

    assert raster.barycentric[seen].min() >= 0
    np.testing.assert_allclose(raster.barycentric[seen].sum(axis=-1), 1, atol=1e-6)
    # Vertices lie within half a lattice step (1/32768 px) of where they were asked to be.
    np.testing.assert_allclose(position[seen][:, 0], x, atol=2 / 64 / 16384)
    np.testing.assert_allclose(position[seen][:, 1], y, atol=2 / 64 / 16384)
    np.testing.assert_allclose(position[seen][:, 2], raster.depth[seen], atol=1e-5)
    assert not raster.barycentric[~seen].any()
    assert not position[~seen].any()
    assert np.isinf(raster.depth[~seen]).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lattice", [False, True])
def test_a_triangulated_square_has_no_hole_and_no_pixel_twice(seed, lattice):
    generator = np.random.default_rng(seed)
    inner = generator.uniform(-1, 1, (120, 2))
    if lattice:  # on pixel centres and borders, where ties are decided
        inner = np.unique(np.round(inner * 16) / 16, axis=0)
    frame = np.array([(-1.5, -1.5), (1.5, -1.5), (1.5, 1.5), (-1.5, 1.5)])
    faces = flat_triangulation(np.concatenate([frame, inner]))
    vertices = np.pad(np.concatenate([frame, inner]), ((0, 0), (0, 1))).astype(np.float32)

    whole = rasterize(vertices[None], faces, height=32, width=32)
    counts = sum(
        rasterize(vertices[None], face[None], height=32, width=32).mask.astype(int)
        for face in faces
    )

    assert whole.mask.all()
    np.testing.assert_array_equal(counts, np.ones((1, 32, 32)))


def flat_triangulation(points):
    """Triangles of alternating winding that cover the hull of the points once."""
    faces = Delaunay(points).simplices.astype(np.int32)
    faces[::2] = faces[::2, ::-1]
    return faces


def quad(z, left, right):
    corners = [(left, -0.5, z), (right, -0.5, z), (right, 0.5, z), (left, 0.5, z)]
    return np.array(corners, np.float32), np.array([(0, 1, 2), (0, 2, 3)], np.int32)


@pytest.mark.parametrize("near_first", [True, False])
@pytest.mark.parametrize("shift", [0.0, -7.0, 7.0])
def test_the_smaller_z_is_seen_whatever_the_order(near_first, shift):
    near, far = quad(shift - 0.3, -0.5, 0.25), quad(shift + 0.3, -0.25, 0.5)
    first, second = (near, far) if near_first else (far, near)
    vertices = np.concatenate([first[0], second[0]])
    faces = np.concatenate([first[1], second[1] + 4])

    depth = rasterize(vertices[None], faces, height=16, width=16).depth[0, 8]

    np.testing.assert_array_equal(
        depth,
        np.repeat(np.float32([np.inf, shift - 0.3, shift + 0.3, np.inf]), (4, 6, 2, 4)),
    )


def test_intersecting_quads_change_places_where_they_cross():
    tilted, faces = quad(0.0, -1.0, 1.0)
    tilted[:, 2] = tilted[:, 0]
    level = quad(0.0, -1.0, 1.0)[0]
    vertices = np.concatenate([tilted, level])

    triangle = rasterize(
        vertices[None], np.concatenate([faces, faces + 4]), height=16, width=16
    ).triangle[0, 8]

    assert (triangle[:8] < 2).all()
    assert (triangle[8:] >= 2).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_triangles_does_not_matter(seed):
    vertices, faces = bumpy_ball(seed)
    order = np.random.default_rng(seed).permutation(len(faces))

    given = rasterize(vertices[None], faces, height=64, width=64)
    permuted = rasterize(vertices[None], faces[order], height=64, width=64)

    seen = given.mask
    np.testing.assert_array_equal(permuted.mask, seen)
    np.testing.assert_array_equal(order[permuted.triangle[seen]], given.triangle[seen])
    np.testing.assert_array_equal(permuted.depth, given.depth)
    np.testing.assert_array_equal(permuted.barycentric, given.barycentric)


def test_a_batch_gives_the_images_of_a_loop_bit_for_bit():
    meshes = [bumpy_ball(seed) for seed in SEEDS]
    faces = meshes[0][1]

    batch = rasterize(np.stack([mesh[0] for mesh in meshes]), faces, height=33, width=47)
    singles = [rasterize(mesh[0][None], faces, height=33, width=47) for mesh in meshes]

    for name in ("triangle", "barycentric", "depth"):
        loop = np.concatenate([getattr(single, name) for single in singles])
        np.testing.assert_array_equal(getattr(batch, name), loop)


def test_threads_get_the_images_of_a_loop():
    meshes = [bumpy_ball(seed, subdivisions=4) for seed in range(16)]

    def image(mesh):
        return rasterize(mesh[0][None], mesh[1], height=96, width=96)

    loop = [image(mesh) for mesh in meshes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(image, meshes))

    for alone, beside in zip(loop, together, strict=True):
        np.testing.assert_array_equal(beside.triangle, alone.triangle)
        np.testing.assert_array_equal(beside.barycentric, alone.barycentric)


def test_culling_leaves_the_side_that_looks_at_the_viewer():
    ball = trimesh.creation.icosphere(3, radius=0.8)
    y_down_z_away = (ball.vertices * (1, -1, -1)).astype(np.float32)
    mirrored = (ball.vertices * (-1, -1, -1)).astype(np.float32)

    whole = rasterize(y_down_z_away[None], ball.faces, height=64, width=64)
    outside = rasterize(y_down_z_away[None], ball.faces, height=64, width=64, cull_backfaces=True)
    inside = rasterize(mirrored[None], ball.faces, height=64, width=64, cull_backfaces=True)

    np.testing.assert_array_equal(outside.triangle, whole.triangle)
    assert (outside.depth[outside.mask] < 0).all()
    assert (inside.depth[inside.mask] > 0).all()


def test_a_mesh_without_triangles_shows_nothing():
    raster = rasterize(np.zeros((2, 3, 3)), np.zeros((0, 3), int), height=4, width=5)

    assert raster.mask.shape == (2, 4, 5)
    assert not raster.mask.any()


def test_what_cannot_be_drawn_is_left_out():
    vertices, faces = quad(0.0, -0.5, 0.5)
    broken = np.concatenate([vertices, np.float32([(np.nan, 0, 0), (np.inf, 0, 0), (0, 0, 0)])])
    more = np.array([(0, 1, 4), (0, 1, 5), (6, 6, 6), (0, 6, 6)], np.int32)

    alone = rasterize(vertices[None], faces, height=32, width=32)
    with_more = rasterize(broken[None], np.concatenate([faces, more]), height=32, width=32)

    np.testing.assert_array_equal(with_more.triangle, alone.triangle)


def test_a_triangle_far_larger_than_the_image_fills_it():
    huge = np.float32([(-1e6, -1e6, 0), (3e6, -1e6, 0), (-1e6, 3e6, 0)])

    assert rasterize(huge[None], [(0, 1, 2)], height=20, width=30).mask.all()


def test_arguments_are_read_and_never_written():
    vertices, faces = bumpy_ball(0)
    vertices.flags.writeable = faces.flags.writeable = False
    kept = vertices.copy(), faces.copy()

    first = rasterize(vertices[None], faces, height=32, width=32)
    again = rasterize(vertices[None], faces, height=32, width=32)
    interpolate(first, faces, vertices)

    np.testing.assert_array_equal(vertices, kept[0])
    np.testing.assert_array_equal(faces, kept[1])
    np.testing.assert_array_equal(first.triangle, again.triangle)
    assert not np.shares_memory(first.triangle, again.triangle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.zeros((4, 3))}, r"\(4, 3\).*\(B, V, 3\)"),
        ({"faces": np.zeros((2, 4), int)}, r"\(2, 4\).*\(F, 3\)"),
        ({"faces": [(0, 1, 4)]}, "0 to 4; there are 4"),
        ({"faces": [(0, 1, -1)]}, "-1 to 1; there are 4"),
        ({"height": 0}, "0 x 8 pixels.*1 to 16384"),
        ({"width": 20_000}, "8 x 20000 pixels.*1 to 16384"),
        ({"device": "cuda:77"}, "'cuda:77'.*this machine has"),
    ],
)
def test_what_is_not_allowed_is_named(change, message):
    vertices, faces = quad(0.0, -0.5, 0.5)
    arguments = {"vertices": vertices[None], "faces": faces, "height": 8, "width": 8, **change}

    with pytest.raises(ValueError, match=message):
        rasterize(arguments.pop("vertices"), arguments.pop("faces"), **arguments)


def test_interpolation_of_one_attribute_for_all_equals_one_each():
    vertices, faces = bumpy_ball(1)
    raster = rasterize(np.stack([vertices, vertices * 0.5]), faces, height=24, width=24)
    colours = np.random.default_rng(0).uniform(size=(len(vertices), 5)).astype(np.float32)

    shared = interpolate(raster, faces, colours)

    np.testing.assert_array_equal(shared, interpolate(raster, faces, np.stack([colours] * 2)))
    assert shared[raster.mask].min() >= colours.min() - 1e-6
    assert shared[raster.mask].max() <= colours.max() + 1e-6


@pytest.mark.parametrize(
    ("corners", "attributes", "message"),
    [
        ([(0, 1, 2)], np.zeros((3, 4, 1)), r"\(4|\(3, 4, 1\).*\(1, N, C\)"),
        ([(0, 1, 2)], np.zeros((4, 1)), "triangle 1; corners has 1 rows"),
        ([(0, 1, 2), (0, 2, 9)], np.zeros((4, 1)), "0 to 9; there are 4"),
    ],
)
def test_interpolation_refuses_what_does_not_belong_together(corners, attributes, message):
    vertices, faces = quad(0.0, -0.5, 0.5)
    raster = rasterize(vertices[None], faces, height=8, width=8)

    with pytest.raises(ValueError, match=message):
        interpolate(raster, corners, attributes)
