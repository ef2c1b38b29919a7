# SPDX-License-Identifier: Apache-2.0
"""What is in training sets that a fake generator made."""

import io
import json
import tarfile

import pytest

from tests.client.training_sets import FORMATS, contents, make, rows, told
from tests.fakes.fake_generator import FakeGenerator


def test_folders_hold_every_image_once_with_its_row(tmp_path, server):
    result = make(tmp_path, server)

    assert (result.num_images, result.new_images, result.generator) == (12, 12, "abc")
    assert [(row["identity"], row["image"]) for row in rows(tmp_path)] == [
        (k, j) for k in range(3) for j in range(4)
    ]
    for row in rows(tmp_path):
        k, j = row["identity"], row["image"]
        assert row["file"] == f"images/{k:06d}/{k:06d}_{j:04d}.png"
        made_of = told((tmp_path / row["file"]).read_bytes())
        assert made_of["seed"] == row["seed"]
        assert made_of["identity_seed"] == row["identity_seed"]
        assert row["similarity"] == pytest.approx(1 / (1 + row["seed"] % 7), abs=1e-6)
        assert row["codes"] == [row["seed"] % 11] * 236
    assert len(list(tmp_path.rglob("*.png"))) == 12
    assert len({row["seed"] for row in rows(tmp_path)}) == 12


def test_tars_hold_every_image_once_in_order(tmp_path, server):
    make(tmp_path, server, format="webdataset")

    names = []
    for shard in range(3):
        with tarfile.open(tmp_path / f"shard-{shard:05d}.tar") as archive:
            members = archive.getmembers()
            names += [member.name for member in members]
            assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {
                (0, 0, 0, "", 0o644)
            }
            for member in members[::2]:
                row = json.load(archive.extractfile(member))
                png = archive.extractfile(row["file"]).read()
                assert told(png)["seed"] == row["seed"]
                assert row in rows(tmp_path)
    keys = [f"{k:06d}_{j:04d}" for k in range(3) for j in range(4)]
    assert names == [f"{key}.{extension}" for key in keys for extension in ("json", "png")]


def test_pillow_reads_the_images(tmp_path, server):
    from PIL import Image

    make(tmp_path, server)

    image = Image.open(io.BytesIO((tmp_path / "images/000000/000000_0000.png").read_bytes()))
    assert image.text["mien.generator"] == "abc"


def test_the_manifest_has_every_parameter(tmp_path, server):
    make(tmp_path, server, solver="ddim", eta=0.5)

    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["complete"] is manifest["synthetic"] is True
    assert manifest["plan"] == {
        "identities": 3, "images": 4, "seed": 0, "format": "folders", "shard_size": 5,
        "max_similarity": 0.3, "solver": "ddim", "steps": 50, "eta": 0.5, "guidance_weight": 0.5,
        "switch_at": 500, "blending_order": "style_first",
    }  # fmt: skip
    assert manifest["generator"] == {
        "digest": "abc", "untrained": False, "server": "triton 2.51.0"
    }  # fmt: skip
    assert manifest["counts"] == {"identities": 3, "images": 12, "shards": 3}
    made_of = told((tmp_path / "images/000000/000000_0000.png").read_bytes())
    assert (made_of["steps"], made_of["eta"]) == (50, 0.5)


def test_people_are_the_first_that_differ_enough(tmp_path, server):
    make(tmp_path, server, identities=40, images=1)

    text = (tmp_path / "identities.jsonl").read_text()
    people = [json.loads(line) for line in text.splitlines()]
    seeds = [person["identity_seed"] for person in people]
    assert [person["identity"] for person in people] == list(range(40))
    assert seeds == [s for s in range(seeds[0], seeds[-1] + 1) if s % 3]
    assert [row["identity_seed"] for row in rows(tmp_path)] == seeds
    assert "key" not in text


@pytest.mark.parametrize("set_format", FORMATS)
def test_a_set_has_the_same_bytes_however_it_is_made(tmp_path, server, set_format):
    make(tmp_path / "a", server, format=set_format, identities=4)
    with FakeGenerator(key="b", max_faces_in_flight=3) as second, FakeGenerator() as third:
        make(tmp_path / "b", second, third, format=set_format, identities=4, in_flight=1)
        assert max(count for *_, count in second.portions) <= 3

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_makes_other_people_and_images(tmp_path, server):
    make(tmp_path / "a", server)
    make(tmp_path / "b", server, seed=1)

    a, b = rows(tmp_path / "a"), rows(tmp_path / "b")
    assert not {row["seed"] for row in a} & {row["seed"] for row in b}
    assert not {row["identity_seed"] for row in a} & {row["identity_seed"] for row in b}
