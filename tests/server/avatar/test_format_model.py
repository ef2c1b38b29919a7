# SPDX-License-Identifier: Apache-2.0
"""What an avatar that is to be written may be made of."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from mien_server.avatar.appearance import EncodedImage, Material
from mien_server.avatar.hair_geometry import StrandHair
from mien_server.avatar.model import AvatarModel, Joints, Morphs, Part
from tests.server.avatar.avatars import (
    BROWN,
    card_hair,
    encoded_image,
    joints,
    parts,
    shell_hair,
    starter_avatar,
)


def saved(kind, image, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


SQUARE = Image.new("RGB", (16, 8), (200, 100, 50))


@pytest.mark.parametrize(
    ("kind", "mode", "extension", "alpha"),
    [("PNG", "RGB", "png", False), ("PNG", "RGBA", "png", True), ("JPEG", "RGB", "jpg", False),
     ("PNG", "L", "png", False), ("PNG", "P", "png", False)],
)  # fmt: skip
def test_images_say_what_they_are(kind, mode, extension, alpha):
    image = EncodedImage(saved(kind, SQUARE.convert(mode)))

    assert (image.width, image.height) == (16, 8)
    assert (image.extension, image.has_alpha) == (extension, alpha)


def gamma(value):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", value.to_bytes(4, "big"))
    return saved("PNG", SQUARE, pnginfo=info)


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BAD_IMAGES = {
    "nothing": (b"", "are no PNG or JPEG"),
    "a GIF": (saved("GIF", SQUARE), "are no PNG or JPEG"),
    "cut off PNG": (saved("PNG", SQUARE)[:-6], "it was cut off"),
    "cut off JPEG": (saved("JPEG", SQUARE)[:-1], "it was cut off"),
    "more behind it": (saved("PNG", SQUARE) + b"PK", "something was added"),
    "CMYK": (saved("JPEG", SQUARE.convert("CMYK")), "of the kind CMYK"),
    "16 bits": (saved("PNG", Image.fromarray(np.zeros((4, 4), np.uint16))), "8 bits each"),
    "PNG with a profile": (saved("PNG", SQUARE, icc_profile=PROFILE), "convert it to sRGB"),
    "JPEG with a profile": (saved("JPEG", SQUARE, icc_profile=PROFILE), "convert it to sRGB"),
    "linear light": (gamma(100_000), "convert it to sRGB"),
    "animation": (
        saved("PNG", SQUARE, save_all=True, append_images=[SQUARE.rotate(180)]), "is animated",
    ),
    "too large": (saved("PNG", Image.new("L", (8193, 1))), "at most 8192"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_images_that_viewers_cannot_use_are_refused(case):
    data, text = BAD_IMAGES[case]
    with pytest.raises(ValueError, match=text):
        EncodedImage(data)


def test_srgb_may_say_so():
    assert EncodedImage(gamma(45455)).width == 16


def joined(**changes):
    return replace(joints(), **changes)


def some_part(**changes):
    return replace(parts()[0], **changes)


WRONG = {
    "no material name": (lambda: Material(""), "a name has 1 to 64"),
    "line break in a name": (lambda: Material("a\nb"), "a name has 1 to 64"),
    "colour of bytes": (lambda: Material("a", colour=(0, 0, 255)), "must be 0 to 1"),
    "four colours": (lambda: Material("a", colour=(0, 0, 1, 1)), "colours three"),
    "alpha from nowhere": (lambda: Material("a", alpha_mode="MASK"), "without a texture"),
    "alpha of none": (
        lambda: Material("a", encoded_image(), alpha_mode="BLEND"), "without a texture that has",
    ),
    "vertices of 2": (lambda: starter_avatar(vertices=np.zeros((5, 2))), r"must be \(any, 3\)"),
    "too few vertices": (
        lambda: starter_avatar(full=False, vertices=np.zeros((9, 3))),
        "faces name 4850 vertices, the avatar 9",
    ),
    "not finite": (
        lambda: starter_avatar(vertices=np.full((4850, 3), np.inf)), "not finite",
    ),
    "no parts": (lambda: starter_avatar(parts=()), "parts have 0 triangles"),
    "a triangle twice": (lambda: starter_avatar(parts=parts() + parts()[:1]), "exactly one part"),
    "two parts of one name": (
        lambda: starter_avatar(parts=tuple(replace(part, name="a") for part in parts())),
        "share a name",
    ),
    "two materials of one name": (
        lambda: starter_avatar(
            parts=(some_part(material=Material("wet")), *parts()[1:])
        ),
        "different ones need different names",
    ),
    "hair's material": (
        lambda: starter_avatar(parts=(some_part(material=Material("hair")), *parts()[1:])),
        "'hair' is that of the hair",
    ),
    "an empty part": (lambda: some_part(triangles=np.zeros(0, np.int32)), "has no triangle"),
    "triangles by mask": (lambda: some_part(triangles=np.ones(4, bool)), "whole numbers"),
    "negative triangle": (lambda: some_part(triangles=np.array([-1])), "from -1 to -1"),
    "child before parent": (lambda: joined(parents=(-1, 2, 1, 1, 1)), "comes before it"),
    "two roots": (lambda: joined(parents=(-1, -1, 1, 1, 1)), "comes before it"),
    "hair on no joint": (lambda: joined(hair_joint=5), "hair_joint 5"),
    "weights of half": (lambda: joined(weights=joints().weights / 2), "sum to 1"),
    "negative weights": (
        lambda: joined(weights=np.tile(np.float32([2, -1, 0, 0, 0]), (4850, 1))), "negative",
    ),
    "weights of another head": (
        lambda: starter_avatar(joints=joined(weights=joints().weights[:99])),
        "weights of joints have 99 vertices, the avatar 4850",
    ),
    "morphs of another head": (
        lambda: starter_avatar(morphs=Morphs(("a",), np.zeros((1, 7, 3)))),
        "deltas of morph targets have 7 vertices, the avatar 4850",
    ),
    "no morphs": (lambda: Morphs((), np.zeros((0, 7, 3))), "a name of its own"),
    "a morph twice": (lambda: Morphs(("a", "a"), np.zeros((2, 7, 3))), "a name of its own"),
    "a weight of two": (lambda: Morphs(("a",), np.zeros((1, 7, 3)), (2,)), "from 2.0 to 2.0"),
    "too many weights": (lambda: Morphs(("a",), np.zeros((1, 7, 3)), (0, 0)), "2 weights"),
    "no strands": (lambda: StrandHair(np.zeros((0, 4, 3)), BROWN), "at least one strand"),
    "strands of a point": (lambda: StrandHair(np.zeros((4, 1, 3)), BROWN), "at least one strand"),
    "colour of two": (lambda: StrandHair(np.zeros((4, 2, 3)), BROWN[:2]), r"must be \(3,\) or"),
    "cards without triangles": (
        lambda: card_hair(faces=np.zeros((0, 3), np.int32)), "without a triangle",
    ),
    "cards past their vertices": (
        lambda: card_hair(faces=np.full((1, 3), 10**6)), "within 0 and",
    ),
    "uv of too few": (lambda: card_hair(uv=np.zeros((3, 2))), "uv of cards has shape"),
    "cards without alpha": (lambda: card_hair(texture=encoded_image()), "has no alpha"),
    "normals of too few": (lambda: shell_hair(normals=np.zeros((3, 3))), "normals of a shell"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_together_is_refused(case):
    make, text = WRONG[case]
    with pytest.raises(ValueError, match=text):
        make()


def test_the_arrays_of_an_avatar_cannot_be_changed():
    model = starter_avatar()

    for array in (model.vertices, model.morphs.deltas, model.joints.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_the_arrays_an_avatar_was_made_of_stay_writable():
    vertices = np.array(starter_avatar().vertices)
    model = starter_avatar(vertices=vertices)

    vertices[0] = 0
    assert isinstance(model, AvatarModel)


def test_surfaces_are_materials_with_the_triangles_of_all_their_parts():
    model = starter_avatar()
    surfaces = model.surfaces()

    assert [material.name for material, _ in surfaces] == ["skin", "wet"]
    assert sum(len(triangles) for _, triangles in surfaces) == len(model.topology.faces)
    eyes_and_mouth = np.concatenate([part.triangles for part in model.parts[1:]])
    np.testing.assert_array_equal(surfaces[1][1], eyes_and_mouth)


def test_a_head_of_a_single_joint_may_carry_its_hair():
    lone = Joints(np.zeros((1, 3)), np.ones((4850, 1)), ("root",), (-1,), hair_joint=0)

    assert isinstance(Part("all", np.arange(3), Material("a")), Part)
    assert starter_avatar(joints=lone).joints is lone
