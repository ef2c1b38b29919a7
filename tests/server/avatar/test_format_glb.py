# SPDX-License-Identifier: Apache-2.0
"""What a GLB holds, read back by pygltflib and trimesh."""

import io
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from mien_server.avatar.appearance import Material
from mien_server.avatar.formats import to_glb
from mien_server.avatar.model import Joints, Metadata, Morphs, Part
from tests.server.avatar.avatars import (
    BROWN,
    card_hair,
    encoded_image,
    head_asset,
    parts,
    shell_hair,
    starter_avatar,
    strand_hair,
)
from tests.server.avatar.glb_reader import read_glb

# Half a step of 16 bits over a head, and of a metre in 16 bits.
DRACO_M, PACKED_M = 0.3 / 2**16, 0.5 / 32767


def geometries(data):
    """trimesh's, in the order of the file; corners as they were written."""
    scene = trimesh.load(io.BytesIO(data), file_type="glb", process=False)
    return list(scene.geometry.values())


def head_corners(model):
    """For each material, the vertex and texture coordinate of each corner of its triangles."""
    topology = model.topology
    return [
        (topology.faces[triangles].ravel(), topology.uv_faces[triangles].ravel())
        for _, triangles in model.surfaces()
    ]


@pytest.mark.parametrize("compression", ["none", "draco"])
def test_trimesh_reloads_the_head_corner_by_corner(compression):
    model = starter_avatar()
    loaded = geometries(to_glb(model, compression=compression))

    tolerance = {"none": 0, "draco": DRACO_M}[compression]
    for mesh, (vertices, uv_rows) in zip(loaded, head_corners(model), strict=True):
        corners = mesh.faces.ravel()
        pairs = np.unique(np.column_stack([vertices, uv_rows]), axis=0)
        assert len(mesh.vertices) == len(pairs)
        np.testing.assert_allclose(
            mesh.vertices[corners], model.vertices[vertices], rtol=0, atol=tolerance
        )
        np.testing.assert_allclose(
            mesh.visual.uv[corners], model.topology.uv[uv_rows], rtol=0, atol=1e-7 + tolerance * 10
        )


def test_normals_are_smooth_across_seams_of_the_texture():
    glb = read_glb(to_glb(starter_avatar(full=False)))
    (skin, _) = glb.primitives("head")
    positions, normals = (
        glb.values(getattr(skin.attributes, name)) for name in ("POSITION", "NORMAL")
    )
    _, first, inverse = np.unique(positions, axis=0, return_index=True, return_inverse=True)

    assert len(first) < len(positions)
    np.testing.assert_array_equal(normals, normals[first[inverse.ravel()]])


@pytest.mark.parametrize("options", [{}, {"compression": "draco"}], ids=["none", "draco"])
def test_morph_targets_come_back_at_every_corner(options):
    model = starter_avatar(parts=parts())
    glb = read_glb(to_glb(model, **options))
    corner_rows = [mesh.faces.ravel() for mesh in geometries(to_glb(model, **options))]

    mesh = next(mesh for mesh in glb.gltf.meshes if mesh.name == "head")
    assert mesh.extras["targetNames"] == list(model.morphs.names)
    for primitive, rows, (vertices, _) in zip(
        mesh.primitives, corner_rows, head_corners(model), strict=True
    ):
        assert len(primitive.targets) == 58
        for target, deltas in zip(glb.targets(primitive), model.morphs.deltas, strict=True):
            found = glb.values(target)
            np.testing.assert_allclose(found[rows], deltas[vertices], rtol=0, atol=1e-6)


def test_packed_morph_targets_are_half_a_step_off_at_most_and_take_half_the_room():
    model = starter_avatar()
    plain, packed = (to_glb(model, pack_morphs=on) for on in (False, True))
    bare = len(to_glb(replace(model, morphs=None)))

    assert len(packed) - bare < 0.62 * (len(plain) - bare)
    glb = read_glb(packed)
    rows = [mesh.faces.ravel() for mesh in geometries(packed)]
    for primitive, corners, (vertices, _) in zip(
        glb.primitives("head"), rows, head_corners(model), strict=True
    ):
        for target, deltas in zip(glb.targets(primitive), model.morphs.deltas, strict=True):
            found = glb.values(target)
            np.testing.assert_allclose(
                found[corners], deltas[vertices], rtol=0, atol=PACKED_M * 1.001
            )


def test_vertices_that_stay_take_no_room():
    model = starter_avatar()
    glb = read_glb(to_glb(model))
    name = model.morphs.names.index("eyeBlinkLeft")
    (skin, _) = glb.primitives("head")
    accessor = glb.gltf.accessors[glb.targets(skin)[name]]

    moving = (np.abs(model.morphs.deltas[name]) > 1e-6).any(axis=1).sum()
    assert accessor.bufferView is None
    assert 0 < accessor.sparse.count < 1.1 * moving < 0.3 * accessor.count


def test_every_accessor_has_bytes_and_says_where_they_begin():
    """Both may be left away in glTF 2.0, and VTK 9.7 refuses files that do so."""
    for accessor in read_glb(to_glb(starter_avatar())).gltf.accessors:
        if accessor.bufferView is None:
            assert accessor.sparse.count > 0
            assert (accessor.sparse.indices.byteOffset, accessor.sparse.values.byteOffset) == (0, 0)


def test_a_morph_target_that_moves_everything_is_stored_whole():
    model = starter_avatar(full=False)
    shift = np.full((1, len(model.vertices), 3), 0.01, np.float32)
    glb = read_glb(to_glb(replace(model, morphs=Morphs(("up",), shift, (0.25,)))))

    for primitive in glb.primitives("head"):
        (index,) = glb.targets(primitive)
        assert glb.gltf.accessors[index].sparse is None
        np.testing.assert_array_equal(glb.values(index), np.float32(0.01))
    assert glb.gltf.meshes[0].weights == [0.25]


def test_joints_hang_together_as_flames_do():
    model = starter_avatar()
    glb = read_glb(to_glb(model))
    skin = glb.gltf.skins[0]
    names = [glb.gltf.nodes[joint].name for joint in skin.joints]
    parents = {
        glb.gltf.nodes[child].name: node.name
        for node in glb.gltf.nodes
        for child in node.children or ()
    }

    assert names == ["root", "neck", "jaw", "left_eye", "right_eye"]
    assert parents == {"neck": "root", "jaw": "neck", "left_eye": "neck", "right_eye": "neck"}
    places = glb.places()
    inverse_bind = glb.values(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    for name, wanted, inverse in zip(names, model.joints.positions, inverse_bind, strict=True):
        np.testing.assert_allclose(places[name], wanted, atol=1e-8)
        np.testing.assert_array_equal(
            inverse, np.block([[np.eye(3), -wanted[:, None]], [0, 0, 0, 1]])
        )
    # The person's left is +x.
    assert places["left_eye"][0] > 0.02


@pytest.mark.parametrize("compression", ["none", "draco"])
@pytest.mark.parametrize("joint", range(5))
def test_turning_a_joint_of_the_file_moves_the_head_as_linear_blend_skinning(joint, compression):
    model = starter_avatar(morphs=None)
    data = to_glb(model, compression=compression)
    turned = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    # Joints come after their parents, so that a joint turns all of those that follow from it.
    below = {joint}
    for child, parent in enumerate(model.joints.parents):
        if parent in below:
            below.add(child)
    share = model.joints.weights[:, sorted(below)].sum(axis=1, keepdims=True)
    pivot = model.joints.positions[joint]
    truth = model.vertices + share * ((model.vertices - pivot) @ turned.T + pivot - model.vertices)

    glb = read_glb(data)
    for primitive, mesh, (vertices, _) in zip(
        glb.primitives("head"), geometries(data), head_corners(model), strict=True
    ):
        assert compression == "draco" or primitive.extensions == {}
        names = primitive.attributes
        influences = attribute(data, glb, primitive, "JOINTS_0", names.JOINTS_0).astype(int)
        weights = attribute(data, glb, primitive, "WEIGHTS_0", names.WEIGHTS_0) / 65535
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
        moved_share = (np.isin(influences, sorted(below)) * weights).sum(axis=1, keepdims=True)
        places = mesh.vertices
        moved = places + moved_share * ((places - pivot) @ turned.T + pivot - places)
        np.testing.assert_allclose(
            moved[mesh.faces.ravel()], truth[vertices], rtol=0, atol=2 * DRACO_M
        )


def attribute(data, glb, primitive, name, accessor):
    """As stored, also where Draco has it."""
    import DracoPy

    if not primitive.extensions:
        return glb.raw(accessor)
    packed = primitive.extensions["KHR_draco_mesh_compression"]
    mesh = DracoPy.decode(glb.view(packed["bufferView"]))
    wanted = packed["attributes"][name]
    return next(entry["data"] for entry in mesh.attributes if entry["unique_id"] == wanted)


def test_the_four_strongest_of_more_joints_share_the_weight():
    positions = np.zeros((6, 3), np.float32)
    weights = np.tile(np.float32([0.3, 0.02, 0.2, 0.25, 0.03, 0.2]), (4850, 1))
    many = Joints(positions, weights, tuple("abcdef"), (-1, 0, 0, 0, 0, 0))
    glb = read_glb(to_glb(starter_avatar(joints=many, morphs=None)))

    names = glb.primitives("head")[0].attributes
    assert (glb.raw(names.JOINTS_0) == [0, 3, 2, 5]).all()
    shares = np.array([0.3, 0.25, 0.2, 0.2]) / 0.95
    np.testing.assert_allclose(
        glb.values(names.WEIGHTS_0),
        np.tile(shares, (len(glb.raw(names.JOINTS_0)), 1)),
        atol=2 / 65535,
    )


@pytest.mark.parametrize("make", [card_hair, shell_hair], ids=["cards", "shell"])
def test_trimesh_reloads_the_same_hair(make):
    hair = make()
    *_, mesh = geometries(to_glb(starter_avatar(full=False, hair=hair)))

    np.testing.assert_array_equal(mesh.vertices, hair.vertices)
    np.testing.assert_array_equal(mesh.faces, hair.faces)


@pytest.mark.parametrize("make", [card_hair, shell_hair], ids=["cards", "shell"])
def test_hair_in_draco_is_the_same_in_another_order(make):
    hair = make()
    truth = hair.vertices[hair.faces]
    *_, mesh = geometries(to_glb(starter_avatar(full=False, hair=hair), compression="draco"))

    _, rows = cKDTree(truth.mean(axis=1)).query(mesh.triangles_center)
    assert sorted(rows) == list(range(len(hair.faces)))
    # A triangle may begin at another of its corners, but not run the other way round.
    turns = [np.roll(truth[rows], turn, axis=1) for turn in range(3)]
    off = np.min([np.abs(turn - mesh.triangles).max(axis=(1, 2)) for turn in turns], axis=0)
    assert off.max() < DRACO_M


def test_strands_are_lines_from_point_to_point():
    hair = strand_hair()
    glb = read_glb(to_glb(starter_avatar(hair=hair)))
    (primitive,) = glb.primitives("hair")
    points = glb.values(primitive.attributes.POSITION)[glb.raw(primitive.indices)[:, 0]]

    assert primitive.mode == 1
    steps = np.stack([hair.points[:, :-1], hair.points[:, 1:]], axis=2)
    np.testing.assert_array_equal(points.reshape(-1, 2, 3), steps.reshape(-1, 2, 3))


@pytest.mark.parametrize("full", [True, False], ids=["joints", "no-joints"])
def test_hair_hangs_on_the_neck_and_lies_where_it_was(full):
    glb = read_glb(to_glb(starter_avatar(full=full, hair=card_hair())))
    index = glb.gltf.nodes.index(glb.node("hair"))

    np.testing.assert_allclose(glb.places()["hair"], 0, atol=1e-8)
    if full:
        assert index in glb.node("neck").children
    else:
        assert index in glb.gltf.scenes[0].nodes


def test_colours_of_hair_are_kept_in_linear_light():
    shaded = strand_hair(shaded=True)
    plain, points = (
        read_glb(to_glb(starter_avatar(full=False, hair=hair))) for hair in (strand_hair(), shaded)
    )
    factor = next(m for m in plain.gltf.materials if m.name == "hair").pbrMetallicRoughness
    colours = points.values(points.primitives("hair")[0].attributes.COLOR_0)

    # sRGB's curve is within 1 % of its own definition's linear light here.
    def light(srgb):
        return ((np.float64(srgb) + 0.055) / 1.055) ** 2.4

    np.testing.assert_allclose(factor.baseColorFactor, [*light(BROWN), 1], atol=1e-6)
    np.testing.assert_allclose(colours[:, :3], light(shaded.colour.reshape(-1, 3)), atol=1e-4)
    assert (colours[:, 3] == 1).all()


@pytest.mark.parametrize("mode", ["MASK", "BLEND"])
def test_cards_are_seen_from_both_sides_and_cut_by_their_texture(mode):
    image = encoded_image(mode="RGBA")
    glb = read_glb(to_glb(starter_avatar(hair=card_hair(texture=image, alpha_mode=mode))))
    material = next(m for m in glb.gltf.materials if m.name == "hair")

    assert (material.alphaMode, material.doubleSided) == (mode, True)
    assert material.pbrMetallicRoughness.metallicFactor == 0
    source = glb.gltf.textures[material.pbrMetallicRoughness.baseColorTexture.index].source
    assert glb.view(glb.gltf.images[source].bufferView) == image.data


def test_images_pass_through_byte_for_byte_and_once():
    image = encoded_image("JPEG")
    glb = read_glb(to_glb(starter_avatar(parts=parts(texture=image, normal_map=True))))

    assert [material.name for material in glb.gltf.materials] == ["skin", "wet"]
    stored = [glb.view(entry.bufferView) for entry in glb.gltf.images]
    assert stored[0] == image.data
    assert len(stored) == len(set(stored)) == 2
    assert [entry.mimeType for entry in glb.gltf.images] == ["image/jpeg", "image/png"]
    used = [material.pbrMetallicRoughness.baseColorTexture.index for material in glb.gltf.materials]
    assert used == [0, 0]


def test_parts_with_one_material_are_one_primitive():
    glb = read_glb(to_glb(starter_avatar()))

    assert len(starter_avatar().parts) == 3
    assert len(glb.primitives("head")) == 2


def test_the_file_says_what_it_is():
    metadata = Metadata("sha256:7", absent_targets=("tongueOut",), licences=("Made up.",))
    asset = read_glb(to_glb(starter_avatar(metadata=metadata))).gltf.asset

    assert asset.extras == {
        "generatorDigest": "sha256:7",
        "synthetic": True,
        "absentTargets": ["tongueOut"],
        "licences": ["Made up."],
    }


@pytest.mark.parametrize("compression", ["none", "draco"])
def test_the_same_avatar_gives_the_same_bytes(compression):
    def made():
        whole = np.arange(9480, dtype=np.int32)
        skin = Part("skin", whole, Material("skin", encoded_image()))
        asset = head_asset()
        turning = Joints(asset["J_regressor"] @ asset["v_template"], asset["weights"].copy())
        return starter_avatar(parts=(skin,), joints=turning, hair=card_hair())

    assert to_glb(made(), compression=compression) == to_glb(made(), compression=compression)


def test_draco_makes_hair_a_fraction_of_its_size():
    bald = starter_avatar(full=False)
    hairy = replace(bald, hair=card_hair(200, 24))

    def size(compression):
        return len(to_glb(hairy, compression=compression)) - len(
            to_glb(bald, compression=compression)
        )

    assert size("draco") < 0.25 * size("none")


def test_an_unknown_compression_is_refused():
    with pytest.raises(ValueError, match="'zip'; it must be 'none' or 'draco'"):
        to_glb(starter_avatar(full=False), compression="zip")


def test_a_morph_target_of_more_than_a_metre_cannot_be_packed():
    far = Morphs(("far",), np.full((1, 4850, 3), 1.5, np.float32))

    with pytest.raises(ValueError, match=r"moves a vertex by 1\.5 m"):
        to_glb(starter_avatar(morphs=far), pack_morphs=True)
