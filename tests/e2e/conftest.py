# SPDX-License-Identifier: Apache-2.0
"""One server for all networks that have random weights in the tests: building it is slow."""

import subprocess
import sys

import numpy as np
import pytest

from mien_server.serve import Server, ServerOptions
from tests.export.small_heads import save_albedo, save_head

RANDOM_NETWORKS = {
    "face_recognizer": "iresnet18_narrow",
    "face_landmarker": "landmarker",
    "deca_encoder": "resnet16_half",
    "detail_encoder": "resnet16_narrow",
    "detail_decoder": "deca_narrow",
    "mica_encoder": "mica_narrow",
    "face_denoiser": "morphface_narrow",
    "latent_encoder": "vq_f4_narrow",
    "latent_decoder": "vq_f4_narrow",
    "style_encoder": "conv2_narrow",
    "identity_denoiser": "adm_narrow",
}
# Of sampled styles: seen from the front, in white light.
MEAN_CODES = np.zeros(236)
MEAN_CODES[206], MEAN_CODES[209:212] = 7.0, 3.0


@pytest.fixture(scope="session")
def random_repository(tmp_path_factory):
    """Every network in a small size with random weights; head, albedo and styles are planted."""
    folder = tmp_path_factory.mktemp("random")
    save_head(folder / "head.npz")
    save_albedo(folder / "albedo.npz")
    np.savez(folder / "styles.npz", mean=MEAN_CODES, factor=0.1 * np.eye(236))
    command = [sys.executable, "-m", "mien_export", "build", "--to", str(folder / "repository")]
    command += ["--weights", "random", "--seed", "2", "--model", "sample_identities"]
    command += ["--model", "sample_styles"]
    for model, network in RANDOM_NETWORKS.items():
        command += ["--model", model, "--network", f"{model}={network}"]
    for model, file in (
        ("flame_decoder", "head.npz"),
        ("texture_decoder", "albedo.npz"),
        ("style_sampler", "styles.npz"),
    ):
        command += ["--checkpoint", f"{model}={folder / file}"]
    # A landmarker of random weights takes nothing for a face.
    command += ["--set", "face_cropper.landmarker=none"]
    command += ["--set", "generate_faces.max_faces_in_flight=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "repository"


@pytest.fixture(scope="session")
def random_server(random_repository):
    """Serves that repository."""
    options = ServerOptions(random_repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as server:
        yield server
