# SPDX-License-Identifier: Apache-2.0
"""The stage `style_renderer` on the real Triton server."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from mien_server.rendering import make_scene, rgba_images, style_maps
from mien_server.serve import ServeError, Server, ServerOptions
from tests.heads import ball_topology, head_inputs
from tests.repositories import seal, write_model

pytestmark = pytest.mark.triton

SOURCE = Path(__file__).parents[2] / "model_repository" / "style_renderer"
TOPOLOGY = ball_topology()
SIZES = {"style_maps": 128, "rgba_224": 224, "rgba_512": 512}


def renderer_repository(folder, topology=TOPOLOGY):
    """A repository with this one model, as a build would leave it."""
    files = {"1/model.py": (SOURCE / "1" / "model.py").read_bytes()}
    if topology is not None:
        archive = io.BytesIO()
        np.savez(archive, f=topology.faces, vt=topology.uv, ft=topology.uv_faces)
        files["1/topology.npz"] = archive.getvalue()
    config = (SOURCE / "config.pbtxt").read_text()
    model = write_model(folder, "style_renderer", config, files)
    seal(model, kind="python", untrained=False)
    return folder


def options(repository):
    return ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    repository = renderer_repository(tmp_path_factory.mktemp("repository"))
    with (
        Server(options(repository)) as server,
        triton.InferenceServerClient(server.grpc_address) as client,
    ):
        yield client


def render(client, inputs, outputs=tuple(SIZES)):
    tensors = []
    for name, array in inputs.items():
        tensor = triton.InferInput(name, list(array.shape), "FP32")
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    wanted = [triton.InferRequestedOutput(name) for name in outputs]
    result = client.infer("style_renderer", tensors, outputs=wanted)
    return {name: result.as_numpy(name) for name in SIZES}


def expected(inputs):
    scene = make_scene(**inputs, topology=TOPOLOGY)
    return {
        name: style_maps(scene, size) if name == "style_maps" else rgba_images(scene, size)
        for name, size in SIZES.items()
    }


@pytest.mark.parametrize("count", [1, 3])
def test_served_images_are_those_of_the_pure_functions(plain, count):
    inputs = head_inputs(count, seed=count)

    served = render(plain, inputs)

    for name, array in expected(inputs).items():
        np.testing.assert_array_equal(served[name], array)


def test_only_what_was_asked_for_is_sent(plain):
    inputs = head_inputs(1)

    served = render(plain, inputs, outputs=["rgba_224"])

    assert served["style_maps"] is None
    assert served["rgba_512"] is None
    np.testing.assert_array_equal(served["rgba_224"], expected(inputs)["rgba_224"])


def test_callers_at_once_each_get_their_own_head(plain):
    heads = [head_inputs(1, seed=seed) for seed in range(12)]

    with ThreadPoolExecutor(6) as pool:
        served = list(pool.map(lambda head: render(plain, head, ["style_maps"]), heads))

    for answer, head in zip(served, heads, strict=True):
        np.testing.assert_array_equal(answer["style_maps"], expected(head)["style_maps"])


def bad(name, value):
    inputs = head_inputs(1)
    inputs[name] = np.full_like(inputs[name], value)
    return inputs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (bad("albedo", np.nan), "albedo has NaN or infinity"),
        (bad("camera", -1), "camera has the scale -1"),
        (
            {**head_inputs(1), "vertices": np.zeros((1, 5023, 3), np.float32)},
            "5023 vertices a head; this renderer was built for a head of 642",
        ),
    ],
)
def test_bad_numbers_are_refused_and_the_next_request_is_served(plain, inputs, message):
    with pytest.raises(InferenceServerException, match=rf"mien\.INVALID_TENSOR: .*{message}"):
        render(plain, inputs)

    inputs = head_inputs(1)
    np.testing.assert_array_equal(
        render(plain, inputs)["style_maps"], expected(inputs)["style_maps"]
    )


def test_a_repository_without_the_topology_is_not_served(tmp_path):
    repository = renderer_repository(tmp_path, topology=None)

    with (
        pytest.raises(ServeError, match=r"topology\.npz is missing; build the repository again"),
        Server(options(repository)),
    ):
        pass
