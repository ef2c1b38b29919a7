# SPDX-License-Identifier: Apache-2.0
"""A server that made faces stops in good order, whatever its callers did."""

import itertools

import pytest
from tritonclient.utils import InferenceServerException

from mien import Client, GeneratedFace
from mien_server.serve import Server, ServerOptions
from tests.e2e.event_stream import EventStream
from tests.photographs import astronaut, encoded, faceless

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")
COFFEE = encoded(faceless("coffee"))
NUM_LEAVING = 40
MAX_FACES_IN_FLIGHT = 12  # of the repository


def test_stops_with_code_0_after_finished_refused_and_abandoned_streams(random_repository):
    options = ServerOptions(random_repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as server, Client(server.grpc_address) as client:
        address = server.grpc_address
        events = list(client.generate(PHOTO, steps=2, count=2))
        assert sum(isinstance(event, GeneratedFace) for event in events) == 2
        for stream in [EventStream(address, identity_image=COFFEE) for _ in range(8)]:
            with pytest.raises(InferenceServerException, match=r"mien\.NO_FACE"):
                list(stream)
        abandoned = EventStream(address, identity_seed=1, count=2, steps=500, progress=True)
        assert len(list(itertools.islice(abandoned, 2))) == 2
        abandoned.close()
        for seed in range(NUM_LEAVING):  # while the image is made: the last step is announced
            leaving = EventStream(address, identity_seed=seed, count=1, steps=1, progress=True)
            assert len(list(itertools.islice(leaving, 2))) == 2
            leaving.close()
        everything = client.generate(PHOTO, steps=1, count=MAX_FACES_IN_FLIGHT)
        assert sum(isinstance(event, GeneratedFace) for event in everything) == MAX_FACES_IN_FLIGHT

        assert server.stop() == 0
