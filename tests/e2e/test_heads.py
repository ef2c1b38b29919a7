# SPDX-License-Identifier: Apache-2.0
"""flame_decoder and texture_decoder on the real server, against numpy in float64."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from mien_export.head_model import read_head
from mien_export.texture_space import read_texture_space
from mien_server.serve import Server, ServerOptions
from tests.export.flame_oracle import decode_all
from tests.export.small_heads import save_albedo, save_head

pytestmark = [pytest.mark.triton, pytest.mark.slow]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("heads")
    return {
        "flame_decoder": save_head(folder / "head.npz"),
        "texture_decoder": save_albedo(folder / "albedo.npz"),
    }


@pytest.fixture(scope="module")
def connection(files, tmp_path_factory):
    repository = tmp_path_factory.mktemp("served") / "repository"
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(repository)]
    for model, file in files.items():
        command += ["--model", model, "--checkpoint", f"{model}={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    options = ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as server, triton.InferenceServerClient(server.grpc_address) as client:
        yield client


def call(connection, model, case) -> dict[str, np.ndarray]:
    inputs = []
    for name, array in case.items():
        inputs.append(triton.InferInput(name, array.shape, "FP32"))
        inputs[-1].set_data_from_numpy(array)
    result = connection.infer(model, inputs)
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def head_codes(batch_size, seed) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    scales = {"shape": (300, 1.0), "expression": (100, 1.0), "pose": (15, 0.4)}
    return {
        name: rng.normal(0, scale, (batch_size, size)).astype(np.float32)
        for name, (size, scale) in scales.items()
    }


def test_a_served_head_is_the_papers(connection, files):
    head, case = read_head(files["flame_decoder"]), head_codes(5, seed=1)
    found = call(connection, "flame_decoder", case)

    wanted = decode_all(head, case)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6, err_msg=name)


def test_heads_that_the_server_batches_do_not_mix(connection, files):
    head = read_head(files["flame_decoder"])
    cases = [head_codes(1 + i % 3, seed=i) for i in range(12)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda case: call(connection, "flame_decoder", case), cases))

    for case, outputs in zip(cases, found, strict=True):
        wanted = decode_all(head, case)["vertices"]
        np.testing.assert_allclose(outputs["vertices"], wanted, rtol=0, atol=1e-6)


def test_a_served_albedo_is_the_linear_space_clamped(connection, files):
    space = read_texture_space(files["texture_decoder"])
    texture = np.random.default_rng(2).normal(size=(2, 50)).astype(np.float32)
    found = call(connection, "texture_decoder", {"texture": texture})["albedo"]

    flat = space.basis.astype(np.float64) @ texture.T + space.mean[..., None]
    np.testing.assert_allclose(found, np.clip(flat, 0, 1).transpose(3, 2, 0, 1), atol=1e-5)
