# SPDX-License-Identifier: Apache-2.0
"""Avatars of `FakeTransport`, for the tests of applications."""

import asyncio
import io
import json
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mien import AsyncClient, Client, FakeTransport, NoFaceError


def test_the_fake_makes_changes_and_saves_an_avatar(tmp_path):
    codes = np.linspace(-1, 1, 236, dtype=np.float32)
    client = Client(transport=FakeTransport(similarity=0.5, codes=codes, untrained=True))
    seen = []

    avatar = client.avatar(b"me", on_progress=seen.append).with_hairstyle("bob")

    assert [progress.share for progress in seen] == [0.25, 0.5, 0.75, 1]
    assert_array_equal(avatar.codes, codes)
    assert (avatar.quality.similarity, avatar.hairstyle, avatar.untrained) == (0.5, "bob", True)
    for name in ("me.glb", "me.zip", "me.ply"):
        avatar.with_emotion(fear=1).save(tmp_path / name)
    glb = (tmp_path / "me.glb").read_bytes()
    assert glb.startswith(b"glTF")
    assert int.from_bytes(glb[8:12], "little") == len(glb)
    assert json.loads(glb[20:])["asset"]["version"] == "2.0"
    assert zipfile.ZipFile(tmp_path / "me.zip").namelist() == []
    assert (tmp_path / "me.ply").read_bytes().startswith(b"ply\n")
    assert Image.open(io.BytesIO(avatar.preview())).size == (1, 1)


def test_the_fake_has_hairstyles_in_both_clients():
    client = AsyncClient(transport=FakeTransport())

    async def scenario():
        added = await client.add_hairstyle(
            b"strands", name="mop", title="Mop", licence="CC0-1.0", author="me"
        )
        await client.remove_hairstyle("mop")
        return await client.hairstyles(), added, await client.hairstyle_preview("bob")

    styles, added, png = asyncio.run(scenario())

    assert [style.name for style in styles] == ["bob", "bun"]
    assert (added.name, added.title, added.is_own) == ("mop", "Mop", True)
    assert Image.open(io.BytesIO(png)).size == (1, 1)


def test_the_fake_raises_a_given_error_in_place_of_an_avatar():
    client = Client(transport=FakeTransport(errors=[NoFaceError("no face")]))

    with pytest.raises(NoFaceError, match="no face"):
        client.avatar(b"me")
    assert client.avatar(b"me").format == "glb"
