# SPDX-License-Identifier: Apache-2.0
"""What figures of avatars rest on, and what sliders do, on the real server."""

import pytest
import tritonclient.grpc as triton
from scipy.spatial import cKDTree

from bench.avatars.fitted_heads import ServedHeads
from bench.avatars.in_process import AvatarLoop, texts
from bench.avatars.sliders import at_rest_in, measure_sliders
from mien import Client
from mien_server.threads import available_cores
from mien_starter.world.assets import default_assets
from tests.photographs import astronaut, encoded

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")


@pytest.fixture(scope="module")
def client(starter_server):
    with Client(starter_server.grpc_address) as client:
        yield client


@pytest.fixture(scope="module")
def avatar(client):
    return client.avatar(PHOTO)


@pytest.fixture(scope="module")
def heads(starter_server):
    with triton.InferenceServerClient(starter_server.grpc_address) as graphs:
        yield ServedHeads(graphs, default_assets().head)


def test_one_process_makes_the_file_that_the_server_makes(client, starter_repository):
    served = client.avatar(PHOTO, hairstyle="bob")
    loop = AvatarLoop(starter_repository, available_cores())

    own = loop.create(PHOTO, hairstyle=texts(b"bob"))

    loop.close()
    assert own["file"][0] == served.file
    assert own["difd"][0] == served.quality.difd
    assert {"fit_faces", "face_cropper", "flame_decoder"} <= loop.models.calls.keys()


def test_the_head_that_is_measured_is_that_of_the_file(avatar, heads):
    measured = heads.of(avatar).neutral

    nearest, _ = cKDTree(measured).query(at_rest_in(avatar.file))

    assert nearest.max() < 1e-6


def test_sliders_move_what_they_should_and_leave_the_person_alone(avatar, heads):
    found = measure_sliders([avatar], heads, default_assets().head)

    assert found.rising == 1
    assert found.expected == 1
    assert found.rest_mm == found.zero_mm == found.order_mm == 0
    assert min(found.moved_mm.values()) > 0.5
    assert max(found.beyond_mm.values()) < 0.2
