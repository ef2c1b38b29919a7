# SPDX-License-Identifier: Apache-2.0
"""The maps of a head against DECA's renderer, written again on ray casting and torch."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from mien_server.rendering import rasterize
from mien_server.rendering.camera import project
from mien_server.rendering.maps import (
    ALBEDO,
    LAMBERTIAN,
    NORMALS,
    make_scene,
    rgba_images,
    style_maps,
)
from mien_server.rendering.topology import Topology
from tests.heads import ball_head, ball_topology, head_inputs
from tests.server.test_rasterizer import cast_rays

TOPOLOGY = ball_topology()


def scene_of(inputs, topology=TOPOLOGY):
    return make_scene(**inputs, topology=topology)


def deca_maps(vertices, albedo, camera, light, topology, size):
    """SRenderY.forward for one head: float64, trimesh's rays, torch's sampling and normalising."""
    faces = torch.tensor(topology.faces.astype(np.int64))
    world = torch.tensor(vertices, dtype=torch.float64)
    scale, *shift = camera.astype(np.float64)
    screen = (world + torch.tensor([*shift, 0.0])) * scale * torch.tensor([1.0, -1.0, -1.0])
    normals = torch.zeros_like(world)
    for corner in range(3):
        here, following, last = (world[faces[:, (corner + i) % 3]] for i in range(3))
        normals.index_add_(0, faces[:, corner], torch.linalg.cross(following - here, last - here))
    normals = torch.nn.functional.normalize(normals, eps=1e-6, dim=1)

    seen, depth = cast_rays(screen.numpy(), topology.faces, size, size)
    rows, columns = np.nonzero(seen >= 0)
    shown = seen[rows, columns]
    points = np.stack(
        [(2 * columns + 1) / size - 1, (2 * rows + 1) / size - 1, depth[rows, columns]], axis=1
    )
    weights = torch.tensor(
        trimesh.triangles.points_to_barycentric(screen.numpy()[topology.faces[shown]], points)
    )[..., None]
    normal = (normals[faces[shown]] * weights).sum(dim=1)
    uv = torch.tensor(topology.uv, dtype=torch.float64)[topology.uv_faces[shown].astype(np.int64)]
    grid = ((uv * 2 - 1) * torch.tensor([1.0, -1.0]) * weights).sum(dim=1)
    colour = torch.nn.functional.grid_sample(
        torch.tensor(albedo[None], dtype=torch.float64), grid[None, None], align_corners=False
    )[0, :, 0].T
    lit = colour * torch.tensor(sh_shading(normal.numpy(), light.reshape(9, 3)))

    maps = np.zeros((9, size, size))
    for channels, values in ((NORMALS, normal), (ALBEDO, colour), (LAMBERTIAN, lit)):
        maps[channels, rows, columns] = values.numpy().T
    return maps


def sh_shading(normals, light):
    """DECA's add_SHlight, term by term."""
    x, y, z = normals.T.astype(np.float64)
    pi = np.pi
    first = (2 * pi / 3) * np.sqrt(3 / (4 * pi))
    second = (pi / 4) * 3 * np.sqrt(5 / (12 * pi))
    terms = [
        np.full_like(x, 1 / np.sqrt(4 * pi)),
        *(first * axis for axis in (x, y, z)),
        *(second * product for product in (x * y, x * z, y * z)),
        (pi / 4) * (3 / 2) * np.sqrt(5 / (12 * pi)) * (x**2 - y**2),
        (pi / 4) * (1 / 2) * np.sqrt(5 / (4 * pi)) * (3 * z**2 - 1),
    ]
    return np.stack(terms, axis=1) @ light.astype(np.float64)


@pytest.mark.parametrize("seed", range(3))
def test_maps_are_those_of_decas_renderer(seed):
    inputs = head_inputs(1, seed=seed)
    one = {name: array[0] for name, array in inputs.items()}

    (maps,) = style_maps(scene_of(inputs), size=48)

    expected = deca_maps(**one, topology=TOPOLOGY, size=48)
    np.testing.assert_array_equal(maps.any(axis=0), expected.any(axis=0))
    np.testing.assert_allclose(maps[NORMALS], expected[NORMALS], atol=1e-4)
    # Noise for a texture: a texel is a step of up to 1, and a vertex moves by 1/32768 pixel.
    np.testing.assert_allclose(maps[ALBEDO], expected[ALBEDO], atol=2e-3)
    np.testing.assert_allclose(maps[LAMBERTIAN], expected[LAMBERTIAN], atol=4e-3)


def test_the_lambertian_image_is_albedo_times_shading():
    inputs = head_inputs(3)
    maps = style_maps(scene_of(inputs))

    for one, light in zip(maps, inputs["light"].reshape(-1, 9, 3), strict=True):
        normals = one[NORMALS].reshape(3, -1).T
        alpha = one[NORMALS].any(axis=0).ravel()[:, None]
        expected = one[ALBEDO].reshape(3, -1).T * sh_shading(normals, light) * alpha
        np.testing.assert_allclose(one[LAMBERTIAN].reshape(3, -1).T, expected, atol=1e-5)


def test_the_lambertian_image_is_not_clamped_but_the_picture_is():
    inputs = head_inputs(1)
    inputs["light"] = np.zeros((1, 9, 3), np.float32)
    inputs["light"][:, 0], inputs["light"][:, 1] = 2.0, 6.0
    scene = scene_of(inputs)

    lambertian = style_maps(scene, 224)[:, LAMBERTIAN]
    picture = rgba_images(scene, 224)

    assert lambertian.min() < -0.5
    assert lambertian.max() > 1.5
    np.testing.assert_array_equal(picture[:, :3], lambertian.clip(0, 1))


def test_alpha_is_the_silhouette():
    inputs = head_inputs(2)

    alpha = rgba_images(scene_of(inputs), 100)[:, 3]

    image = project(inputs["vertices"], inputs["camera"])
    mask = rasterize(image, TOPOLOGY.faces, height=100, width=100).mask
    np.testing.assert_array_equal(alpha, mask.astype(np.float32))


def test_a_light_from_the_left_brightens_the_left_side():
    inputs = head_inputs(1)
    inputs["albedo"][:] = 0.6
    pictures = {}
    for name, strength in (("left", -1.5), ("right", 1.5)):
        inputs["light"] = np.zeros((1, 9, 3), np.float32)
        inputs["light"][:, 0], inputs["light"][:, 1] = 3.0, strength
        pictures[name] = rgba_images(scene_of(inputs), 224)[0]

    def halves(picture):
        columns = picture[3].sum(axis=0).cumsum()
        middle = int(np.searchsorted(columns, columns[-1] / 2))
        left, right = picture[:, :, :middle], picture[:, :, middle:]
        return [half[:3].sum() / half[3].sum() for half in (left, right)]

    left, right = halves(pictures["left"])
    assert left > 1.2 * right
    left, right = halves(pictures["right"])
    assert right > 1.2 * left


def test_up_in_the_world_is_up_in_the_image_and_in_the_texture():
    inputs = head_inputs(1)
    inputs["albedo"][:] = np.linspace(1, 0, 256, dtype=np.float32)[:, None]  # bright at v = 1

    (maps,) = style_maps(scene_of(inputs))

    upper, lower = maps[:, :64], maps[:, 64:]
    assert upper[1].sum() > 0 > lower[1].sum()  # normals
    assert upper[ALBEDO].mean() > 1.3 * lower[ALBEDO].mean()
    assert maps[2][maps.any(axis=0)].mean() > 0.5  # what is seen faces the viewer


def test_maps_at_another_size_show_the_same_head():
    scene = scene_of(head_inputs(1))

    (small,), (large,) = style_maps(scene, 64)[:, NORMALS], style_maps(scene, 192)[:, NORMALS]

    centres = large[:, 1::3, 1::3]  # pixel centres that both have
    np.testing.assert_allclose(small, centres, atol=1e-3)


def test_a_texture_of_one_colour_has_it_everywhere_even_at_the_seam():
    inputs = head_inputs(1)
    inputs["albedo"][:] = np.float32([0.2, 0.5, 0.9])[:, None, None]

    (maps,) = style_maps(scene_of(inputs))

    shown = maps[NORMALS].any(axis=0)
    np.testing.assert_allclose(maps[ALBEDO][:, shown].T, [(0.2, 0.5, 0.9)] * shown.sum(), atol=1e-6)


def test_a_batch_gives_the_images_of_a_loop_bit_for_bit():
    inputs = head_inputs(4)
    scene = scene_of(inputs)
    alone = [scene_of({name: array[i : i + 1] for name, array in inputs.items()}) for i in range(4)]

    np.testing.assert_array_equal(
        style_maps(scene), np.concatenate([style_maps(one) for one in alone])
    )
    np.testing.assert_array_equal(
        rgba_images(scene, 224), np.concatenate([rgba_images(one, 224) for one in alone])
    )


def test_the_order_of_the_triangles_changes_nothing_to_see():
    inputs = head_inputs(1)
    order = np.random.default_rng(0).permutation(len(TOPOLOGY.faces))
    permuted = Topology(TOPOLOGY.faces[order], TOPOLOGY.uv, TOPOLOGY.uv_faces[order])

    np.testing.assert_allclose(
        style_maps(scene_of(inputs, permuted)), style_maps(scene_of(inputs)), atol=1e-5
    )


def test_arguments_are_read_and_never_written():
    inputs = head_inputs(2)
    kept = {name: array.copy() for name, array in inputs.items()}
    for array in inputs.values():
        array.flags.writeable = False

    first = style_maps(scene_of(inputs))
    again = style_maps(scene_of(inputs))

    np.testing.assert_array_equal(first, again)
    for name, array in inputs.items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("vertices", (2, 10, 3), r"vertices.*\(2, 10, 3\).*\(2, 642, 3\)"),
        ("albedo", (1, 3, 8, 8), r"albedo.*\(1, 3, 8, 8\).*\(2, 3, 8, 8\)"),
        ("camera", (2, 4), r"camera.*\(2, 4\).*\(2, 3\)"),
        ("light", (2, 9), r"light.*\(2, 9\).*\(2, 9, 3\) or \(2, 27\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(name, shape, message):
    with pytest.raises(ValueError, match=message):
        scene_of({**head_inputs(2), name: np.zeros(shape, np.float32)})


def test_a_topology_is_read_from_its_file(tmp_path):
    path = tmp_path / "topology.npz"
    np.savez(path, f=TOPOLOGY.faces, vt=TOPOLOGY.uv, ft=TOPOLOGY.uv_faces)

    read = Topology.read(path)

    for field in dataclasses.fields(Topology):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(TOPOLOGY, field.name))
    assert read.vertex_count == len(ball_head(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": None}, "no array f, only"),
        ({"ft": TOPOLOGY.uv_faces[1:]}, "1280 rows and uv_faces 1279"),
        ({"ft": TOPOLOGY.uv_faces + 642}, "642 to 1925; uv has 1284"),
        ({"f": TOPOLOGY.faces - 1}, "names vertex -1"),
        ({"f": TOPOLOGY.faces.astype(np.float32)}, r"float32 \(1280, 3\).*whole numbers"),
        ({"vt": TOPOLOGY.uv[:, :1]}, r"\(1284, 1\).*\(T, 2\)"),
        ({"vt": TOPOLOGY.uv * np.nan}, "not finite"),
        ({"vt": np.array([[{}, {}]])}, "Object arrays cannot be loaded"),
    ],
)
def test_a_file_that_is_no_topology_is_refused_with_the_reason(tmp_path, change, message):
    path = tmp_path / "topology.npz"
    arrays = {"f": TOPOLOGY.faces, "vt": TOPOLOGY.uv, "ft": TOPOLOGY.uv_faces, **change}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    with pytest.raises(
        ValueError, match=rf"topology\.npz is no topology: .*{message}.*mien-export"
    ):
        Topology.read(path)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 half"])
def test_a_missing_or_broken_file_is_refused_with_the_remedy(tmp_path, content):
    path = tmp_path / "topology.npz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=r"topology\.npz.*mien-export build"):
        Topology.read(path)


def test_a_lone_array_is_no_topology(tmp_path):
    with (tmp_path / "topology.npz").open("wb") as file:
        np.save(file, TOPOLOGY.faces)

    with pytest.raises(ValueError, match=r"topology\.npz is no topology"):
        Topology.read(tmp_path / "topology.npz")
