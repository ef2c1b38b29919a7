# SPDX-License-Identifier: Apache-2.0
"""`create_avatar` and the pipelines about it on the real server, with the weights that ship."""

import io
import json
import zipfile

import numpy as np
import pytest
import tritonclient.grpc as triton
import trimesh
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.e2e.event_stream import EventStream, tensor
from tests.photographs import astronaut, encoded, faceless
from tests.server.avatar.glb_reader import read_glb

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")
COFFEE = encoded(faceless("coffee"))
EMOTIONS = ["happiness", "anger", "sadness", "fear", "contempt", "surprise"]
HAPPY = np.float32([1, 0, 0, 0, 0, 0])


@pytest.fixture(scope="module")
def address(starter_server):
    return starter_server.grpc_address


def create(address, *images, **options):
    return list(EventStream(address, "create_avatar", images=list(images), **options))


@pytest.fixture(scope="module")
def avatar(address):
    """The last event of an avatar with hair."""
    return create(address, PHOTO, hairstyle="bob")[-1]


def infer(address, model, **inputs):
    with triton.InferenceServerClient(address) as client:
        answer = client.infer(model, [tensor(name, value) for name, value in inputs.items()])
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def parts(event):
    return {"avatar_code": event["avatar_code"][0], "texture": event["texture"][0]}
