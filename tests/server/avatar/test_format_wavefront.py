# SPDX-License-Identifier: Apache-2.0
import io
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from mien_server.avatar.formats import to_obj_zip, wavefront
from tests.server.avatar.avatars import (
    BROWN,
    card_hair,
    encoded_image,
    parts,
    shell_hair,
    starter_avatar,
    strand_hair,
)


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def loaded(data, name="me"):
    """trimesh's reading, by the names of materials."""
    files = unzipped(data)
    scene = trimesh.load_scene(
        io.BytesIO(files[f"{name}.obj"]),
        file_type="obj",
        resolver=trimesh.resolvers.ZipResolver(
            {path: io.BytesIO(content) for path, content in files.items()}
        ),
        process=False,
        split_object=True,
        group_material=True,
    )
    return {mesh.visual.material.name: mesh for mesh in scene.geometry.values()}


def lines_of(data, kind, name="me"):
    """The words of each line of the OBJ that begins with `kind`."""
    text = unzipped(data)[f"{name}.obj"].decode()
    return [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [kind]]


def test_trimesh_reloads_the_head_and_its_texture():
    model = starter_avatar()
    meshes = loaded(to_obj_zip(model, "me"))

    assert set(meshes) == {"skin", "wet"}
    for material, triangles in model.surfaces():
        mesh = meshes[material.name]
        corners = mesh.faces.ravel()
        vertices = model.topology.faces[triangles].ravel()
        uv = model.topology.uv[model.topology.uv_faces[triangles].ravel()]
        np.testing.assert_allclose(mesh.vertices[corners], model.vertices[vertices], atol=6e-7)
        np.testing.assert_allclose(mesh.visual.uv[corners], uv, atol=6e-7)
        assert mesh.visual.material.image.size == (64, 64)


def test_corners_are_counted_from_one_and_seams_kept_apart():
    model = starter_avatar()
    data = to_obj_zip(model, "me")

    corners = np.array([[c.split("/") for c in face] for face in lines_of(data, "f")], int) - 1
    order = np.concatenate([triangles for _, triangles in model.surfaces()])
    np.testing.assert_array_equal(corners[..., 0], model.topology.faces[order])
    np.testing.assert_array_equal(corners[..., 1], model.topology.uv_faces[order])
    assert len(lines_of(data, "v")) == len(model.vertices)
    assert len(lines_of(data, "vt")) == len(model.topology.uv)


def test_strands_are_lines_of_all_their_points():
    hair = strand_hair()
    data = to_obj_zip(starter_avatar(hair=hair), "me")
    vertices = np.array(lines_of(data, "v"), float)

    rows = np.array(lines_of(data, "l"), int) - 1
    np.testing.assert_allclose(vertices[rows], hair.points, atol=6e-7)


@pytest.mark.parametrize("make", [card_hair, shell_hair], ids=["cards", "shell"])
def test_trimesh_reloads_hair_that_is_a_surface(make):
    hair = make()
    mesh = loaded(to_obj_zip(starter_avatar(hair=hair), "me"))["hair"]

    np.testing.assert_allclose(mesh.triangles, hair.vertices[hair.faces], atol=6e-7)
    if make is card_hair:
        np.testing.assert_allclose(mesh.visual.uv[mesh.faces], hair.uv[hair.faces], atol=6e-7)


def test_every_file_that_is_named_is_there_and_no_other():
    hair = card_hair(texture=encoded_image(mode="RGBA"))
    files = unzipped(to_obj_zip(starter_avatar(parts=parts(normal_map=True), hair=hair), "me"))
    library = files["me.mtl"].decode()

    named = re.findall(r"^(?:map_Kd|map_d|norm|map_Bump) (\S+)$", library, re.MULTILINE)
    assert set(files) == {"me.obj", "me.mtl", *named}
    assert re.findall(r"^newmtl (\S+)$", library, re.MULTILINE) == ["skin", "wet", "hair"]
    assert set(files) == {
        "me.obj", "me.mtl", "me_skin.png", "me_skin_normals.png", "me_hair.png",
    }  # fmt: skip
    assert files["me_hair.png"] == hair.texture.data
    # A viewer would move the surface by the map of normals.
    assert "disp" not in library


def test_a_jpeg_stays_one():
    image = encoded_image("JPEG")
    files = unzipped(to_obj_zip(starter_avatar(parts=parts(texture=image)), "me"))

    assert files["me_skin.jpg"] == image.data


def test_hair_of_many_colours_gets_their_mean():
    hair = strand_hair(shaded=True)
    library = unzipped(to_obj_zip(starter_avatar(hair=hair), "me"))["me.mtl"].decode()

    found = np.array(re.findall(r"newmtl hair\nKd (.*)", library)[0].split(), float)
    np.testing.assert_allclose(found, 0.75 * BROWN, atol=1e-5)


def test_the_archive_is_safe_to_open():
    data = to_obj_zip(starter_avatar(hair=strand_hair()), "a-name_1")

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    assert len({entry.filename for entry in entries}) == len(entries)
    for entry in entries:
        assert re.fullmatch(r"a-name_1[A-Za-z0-9_]*\.(obj|mtl|png)", entry.filename)
        assert entry.external_attr >> 16 == 0o100644  # a plain file, no link
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.flag_bits & 1 == 0
        assert entry.file_size < 40 * entry.compress_size
    assert sum(entry.file_size for entry in entries) < wavefront.MAX_ZIP_BYTES


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../me",
        "/me",
        "a/b",
        "a\\b",
        "C:me",
        "me.obj",
        "me\n",
        ".me",
        "-me",
        "mé",
        "a" * 65,
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(name):
    with pytest.raises(ValueError, match="a name has 1 to 64 letters"):
        to_obj_zip(starter_avatar(full=False), name)


@pytest.mark.parametrize("name", ["nul", "CON", "com1"])
def test_names_of_devices_are_refused(name):
    with pytest.raises(ValueError, match="keeps for a device"):
        to_obj_zip(starter_avatar(full=False), name)


def test_an_archive_that_grows_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(wavefront, "MAX_ZIP_BYTES", 100_000)

    with pytest.raises(ValueError, match="at most 100000 are allowed"):
        to_obj_zip(starter_avatar(full=False), "me")


def test_the_same_avatar_gives_the_same_archive():
    model = starter_avatar(hair=card_hair())

    assert to_obj_zip(model, "me") == to_obj_zip(replace(model), "me")
