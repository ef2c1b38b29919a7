# SPDX-License-Identifier: Apache-2.0
"""The face networks with random weights on the real server, against their own graphs."""

import subprocess
import sys

import numpy as np
import pytest
import tritonclient.grpc as triton

from mien_export.contract import read_config
from mien_export.parity import example_cases, run_onnx
from mien_server.serve import Server, ServerOptions

pytestmark = [pytest.mark.triton, pytest.mark.slow]

NETWORKS = {
    "face_landmarker": "landmarker",
    "deca_encoder": "resnet16_narrow",
    "detail_encoder": "resnet16_narrow",
    "detail_decoder": "deca_narrow",
    "mica_encoder": "mica_narrow",
    "face_denoiser": "morphface_narrow",
    "latent_encoder": "vq_f4_narrow",
    "latent_decoder": "vq_f4_narrow",
    "style_encoder": "conv2_narrow",
    "identity_denoiser": "adm_narrow",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "repository"
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(path)]
    command += ["--weights", "random", "--seed", "2"]
    for model, network in NETWORKS.items():
        command += ["--model", model, "--network", f"{model}={network}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.fixture(scope="module")
def connection(repository):
    options = ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as server, triton.InferenceServerClient(server.grpc_address) as client:
        yield client


@pytest.mark.parametrize("model", NETWORKS)
def test_the_server_answers_with_what_the_graph_computes(model, repository, connection):
    *_, batch = example_cases(read_config(repository / model / "config.pbtxt"))
    case = {name: array[-3:] for name, array in batch.items()}
    inputs = []
    for name, array in case.items():
        inputs.append(triton.InferInput(name, array.shape, "FP32"))
        inputs[-1].set_data_from_numpy(np.ascontiguousarray(array))
    result = connection.infer(model, inputs)
    (expected,) = run_onnx(repository / model / "1/model.onnx", [case])

    for name, array in expected.items():
        np.testing.assert_allclose(result.as_numpy(name), array, atol=1e-4, rtol=1e-4)
