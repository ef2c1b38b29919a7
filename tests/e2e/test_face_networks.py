# SPDX-License-Identifier: Apache-2.0
"""The face networks with random weights on the real server, against their own graphs."""

import numpy as np
import pytest
import tritonclient.grpc as triton

from mien_export.contract import read_config
from mien_export.parity import example_cases, run_onnx
from tests.e2e.conftest import RANDOM_NETWORKS

pytestmark = [pytest.mark.triton, pytest.mark.slow]


@pytest.fixture
def connection(random_server):
    with triton.InferenceServerClient(random_server.grpc_address) as client:
        yield client


@pytest.mark.parametrize("model", [*RANDOM_NETWORKS, "style_sampler"])
def test_the_server_answers_with_what_the_graph_computes(model, random_repository, connection):
    *_, batch = example_cases(read_config(random_repository / model / "config.pbtxt"))
    case = {name: array[-3:] for name, array in batch.items()}
    inputs = []
    for name, array in case.items():
        inputs.append(triton.InferInput(name, array.shape, "FP32"))
        inputs[-1].set_data_from_numpy(np.ascontiguousarray(array))
    result = connection.infer(model, inputs)
    (expected,) = run_onnx(random_repository / model / "1/model.onnx", [case])

    for name, array in expected.items():
        np.testing.assert_allclose(result.as_numpy(name), array, atol=1e-4, rtol=1e-4)
