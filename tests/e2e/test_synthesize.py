# SPDX-License-Identifier: Apache-2.0
"""`mien synthesize` on the real server: killed and gone on with, a set is what it would have been.

Its networks are random, and it takes 12 faces at once, so that requests are refused all the time.
"""

import json
import subprocess
import sys
import tarfile
import time

import pytest

from mien import Client, GeneratedFace, NewIdentity

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(1200)]

IDENTITIES, IMAGES, SHARD_SIZE = 20, 10, 15
NUM_SHARDS = 14  # of 15 images, the last one of 5
FEW = 4  # identities: the first ones of a set are the same however many there are
TIMEOUT_S = 400


@pytest.fixture
def address(random_server):
    return random_server.grpc_address


def command(address, folder, set_format="folders", identities=IDENTITIES):
    return [
        sys.executable, "-m", "mien", "synthesize", "--address", address, "--out", str(folder),
        "--identities", str(identities), "--images", str(IMAGES), "--shard-size", str(SHARD_SIZE),
        "--format", set_format, "--steps", "1", "--max-similarity", "1", "--json",
    ]  # fmt: skip


def made(*arguments):
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_where(is_reached, *arguments):
    """Begin a set, and kill the command without warning once `is_reached`."""
    with subprocess.Popen(command(*arguments)) as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not is_reached():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(folder):
    lines = [path.read_text().splitlines() for path in sorted(folder.glob("shard-*.jsonl"))]
    return [json.loads(line) for shard in lines for line in shard]


@pytest.fixture(scope="module")
def whole(random_server, tmp_path_factory):
    """A set that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    result = made(random_server.grpc_address, folder)
    assert result["new_images"] == IDENTITIES * IMAGES
    assert result["untrained"]
    return folder


def test_a_set_that_was_killed_again_and_again_is_the_same_set(address, whole, tmp_path):
    def complete():
        return len(list(tmp_path.glob("shard-*.jsonl")))

    kill_where((tmp_path / "manifest.json").exists, address, tmp_path)
    kill_where(lambda: complete() >= 2, address, tmp_path)
    kill_where(lambda: complete() >= 7, address, tmp_path)
    before = complete()
    assert before < NUM_SHARDS
    result = made(address, tmp_path)

    assert 0 < result["new_images"] <= IDENTITIES * IMAGES - before * SHARD_SIZE + SHARD_SIZE
    assert contents(tmp_path) == contents(whole)
    assert [(row["identity"], row["image"]) for row in rows(tmp_path)] == [
        (k, j) for k in range(IDENTITIES) for j in range(IMAGES)
    ]
    assert len({row["sha256"] for row in rows(tmp_path)}) == IDENTITIES * IMAGES


def test_tars_hold_the_same_images(address, whole, tmp_path):
    arguments = (address, tmp_path, "webdataset", FEW)
    kill_where((tmp_path / "shard-00000.tar").exists, *arguments)
    made(*arguments)

    images = {}
    for path in sorted(tmp_path.glob("shard-*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".png"):
                    images[member.name] = archive.extractfile(member).read()
    wanted = [whole / row["file"] for row in rows(whole)[: FEW * IMAGES]]
    assert list(images.items()) == [(path.name, path.read_bytes()) for path in wanted]


def test_a_row_is_enough_to_make_an_image_again(address, whole):
    row = rows(whole)[37]

    with Client(address) as client:
        identity = NewIdentity(row["identity_seed"])
        events = list(client.generate(identity, seed=row["seed"], steps=1))

    (face,) = (event for event in events if isinstance(event, GeneratedFace))
    assert face.image == (whole / row["file"]).read_bytes()
    assert face.similarity == pytest.approx(row["similarity"], abs=1e-6)
