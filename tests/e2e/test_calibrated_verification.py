# SPDX-License-Identifier: Apache-2.0
"""A calibration report, built into a repository and served: decisions at rates of the caller's."""

import asyncio
import dataclasses
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton

from mien import AsyncClient, Client, InvalidOptionError, MienError
from mien_export.manifest import read_manifest, weights_digest
from mien_server.serve import Server, ServerOptions
from tests.export.calibration_reports import make_report, write_report
from tests.photographs import altered_astronaut, astronaut, encoded

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut())
ALTERED = encoded(altered_astronaut(), quality=60)
THRESHOLDS = {1e-2: 0.2, 1e-3: 0.4, 1e-4: 0.9}


def make_served_report(weights):
    """Thresholds between which random weights put two photographs of one person."""
    report = make_report(weights=weights)
    points = tuple(
        dataclasses.replace(point, threshold=THRESHOLDS[point.wanted_fmr], supported=True)
        for point in report.operating_points
    )
    return dataclasses.replace(report, operating_points=points)


@pytest.fixture(scope="module")
def report(repository):
    return make_served_report(weights_digest(read_manifest(repository / "face_recognizer").weights))


@pytest.fixture(scope="module")
def calibrated(repository, report, tmp_path_factory):
    """The server of a copy of the repository, with the report built into it."""
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(repository, folder / "repository")
    command = [
        *(sys.executable, "-m", "mien_export", "build", "--to", str(folder / "repository")),
        *("--model", "verify_faces", "--calibration-report"),
        str(write_report(folder / "report.json", report)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    options = ServerOptions(
        folder / "repository", grpc_port=0, metrics_port=0, tritonserver="embedded"
    )
    with Server(options) as server:
        yield server


@pytest.fixture
def calibrated_client(calibrated):
    with Client(calibrated.grpc_address) as client:
        yield client


def test_an_answer_carries_the_rate_of_its_threshold_and_the_worth_of_its_similarity(
    calibrated_client, report
):
    answer = calibrated_client.verify(PHOTO, ALTERED)

    assert answer.threshold == pytest.approx(THRESHOLDS[1e-3])
    assert answer.fmr == pytest.approx(1e-3)
    worth = report.likelihood_ratio(np.array([answer.similarity]))[0]
    assert answer.log10_likelihood_ratio == pytest.approx(worth, abs=1e-3)


def test_the_rate_of_a_request_decides_and_the_similarity_stays(calibrated_client):
    loose, strict = (calibrated_client.verify(PHOTO, ALTERED, fmr=fmr) for fmr in (1e-2, 1e-4))

    assert (loose.threshold, strict.threshold) == pytest.approx((0.2, 0.9))
    assert (loose.fmr, strict.fmr) == pytest.approx((1e-2, 1e-4))
    assert loose.similarity == strict.similarity
    assert loose.log10_likelihood_ratio == strict.log10_likelihood_ratio
    assert (loose.is_match, strict.is_match) == (True, False)


def test_a_rate_between_two_calibrated_ones_lies_between_their_thresholds(calibrated_client):
    answer = calibrated_client.verify(PHOTO, ALTERED, fmr=10**-2.5)

    assert answer.threshold == pytest.approx(0.3, abs=1e-5)
    assert answer.fmr == pytest.approx(10**-2.5)


@pytest.mark.parametrize("fmr", [1e-6, 0.5])
def test_a_rate_beyond_the_calibration_is_refused_with_those_there_are(calibrated_client, fmr):
    with pytest.raises(InvalidOptionError, match=r"0\.0001, 0\.001, 0\.01 and what") as caught:
        calibrated_client.verify(PHOTO, ALTERED, fmr=fmr)

    assert caught.value.code == "INVALID_OPTION"
    assert caught.value.status == "INVALID_ARGUMENT"


def test_a_server_without_calibration_refuses_every_rate_and_answers_without(client):
    with pytest.raises(InvalidOptionError, match="no calibration"):
        client.verify(PHOTO, ALTERED, fmr=1e-3)
    answer = client.verify(PHOTO, ALTERED)
    assert answer.fmr is answer.log10_likelihood_ratio is None


def test_requests_of_one_batch_keep_their_rates_and_refusals_to_themselves(calibrated):
    rates = [None, 1e-2, 1e-6, 1e-4] * 8
    expected = [0.4, 0.2, "INVALID_OPTION", 0.9] * 8

    def outcome(fmr):
        try:
            return round(client.verify(PHOTO, ALTERED, fmr=fmr).threshold, 5)
        except MienError as error:
            return error.code

    with Client(calibrated.grpc_address) as client, ThreadPoolExecutor(16) as pool:
        assert list(pool.map(outcome, rates)) == expected


def test_pairs_of_one_request_have_rates_of_their_own(calibrated):
    def pairs(name, values, dtype="BYTES"):
        tensor = triton.InferInput(name, [3, 1], dtype)
        kind = object if dtype == "BYTES" else np.float32
        tensor.set_data_from_numpy(np.array(values, dtype=kind)[:, None])
        return tensor

    with triton.InferenceServerClient(calibrated.grpc_address) as plain:
        result = plain.infer(
            "verify_faces",
            [
                pairs("probe_image", [PHOTO] * 3),
                pairs("reference_image", [ALTERED] * 3),
                pairs("fmr", [1e-2, 1e-6, 1e-4], "FP32"),
                pairs("on_error", [b"report"] * 3),
            ],
        )

    np.testing.assert_allclose(result.as_numpy("threshold").ravel(), [0.2, np.nan, 0.9], rtol=1e-6)
    assert result.as_numpy("is_match").ravel().tolist() == [True, False, False]
    errors = [bytes(error) for error in result.as_numpy("error").ravel()]
    assert errors[0] == errors[2] == b""
    assert errors[1].startswith(b"mien.INVALID_OPTION: fmr is 1e-06")


def test_the_async_client_asks_for_rates_too(calibrated):
    async def scenario():
        async with AsyncClient(calibrated.grpc_address) as client:
            return await client.verify(PHOTO, ALTERED, fmr=1e-4)

    assert asyncio.run(scenario()).threshold == pytest.approx(0.9)


def test_the_command_decides_at_a_rate_and_says_what_it_means(calibrated, tmp_path):
    for name, photo in (("a.jpg", PHOTO), ("b.jpg", ALTERED)):
        (tmp_path / name).write_bytes(photo)

    def verify(*options):
        command = [sys.executable, "-m", "mien", "--server", calibrated.grpc_address, "verify"]
        return subprocess.run(
            [*command, "a.jpg", "b.jpg", *options],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    loose, strict = verify("--fmr", "1e-2"), verify("--fmr", "1e-4", "--json")

    assert loose.returncode == 0, loose.stderr
    assert "false match rate 0.01: 1 in 100 pairs of two people reaches it" in loose.stdout
    assert "evidence    " in loose.stdout
    assert strict.returncode == 1, strict.stderr
    assert json.loads(strict.stdout)["fmr"] == pytest.approx(1e-4)
