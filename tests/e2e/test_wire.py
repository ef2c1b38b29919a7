# SPDX-License-Identifier: Apache-2.0
"""What other clients see: tritonclient alone, raw requests, cancellation, metrics."""

import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from mien import Client, DeadlineExceededError
from mien_server.serve import Server, ServerOptions
from tests.photographs import altered_astronaut, astronaut, encoded, faceless

pytestmark = pytest.mark.triton

PHOTO = encoded(astronaut())
ALTERED = encoded(altered_astronaut())
COFFEE = encoded(faceless("coffee"))


@pytest.fixture
def plain(server):
    with triton.InferenceServerClient(server.grpc_address) as client:
        yield client


def bytes_input(name, values):
    tensor = triton.InferInput(name, [len(values), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[value] for value in values], dtype=object))
    return tensor


def test_tritonclient_alone_verifies_two_jpegs(plain):
    result = plain.infer(
        "verify_faces",
        [bytes_input("probe_image", [PHOTO]), bytes_input("reference_image", [PHOTO])],
    )

    assert result.as_numpy("similarity")[0, 0] == pytest.approx(1, abs=1e-5)
    assert result.as_numpy("is_match")[0, 0]
    assert result.as_numpy("untrained")[0, 0]
    assert result.as_numpy("probe_box_xyxy").shape == (1, 4)


def test_a_batch_of_pairs_gives_each_pair_what_it_gets_alone(plain, client):
    alone = [client.verify(*pair).similarity for pair in ((PHOTO, ALTERED), (ALTERED, ALTERED))]

    result = plain.infer(
        "verify_faces",
        [
            bytes_input("probe_image", [PHOTO, COFFEE, ALTERED]),
            bytes_input("reference_image", [ALTERED, PHOTO, ALTERED]),
            bytes_input("on_error", [b"report"] * 3),
        ],
    )

    similarity = result.as_numpy("similarity").ravel()
    assert similarity[[0, 2]].tolist() == alone
    assert np.isnan(similarity[1])
    assert not result.as_numpy("is_match")[1, 0]
    errors = [bytes(error).decode() for error in result.as_numpy("error").ravel()]
    assert errors[0] == errors[2] == ""
    assert errors[1].startswith("mien.NO_FACE: probe_image: ")


def test_by_default_one_bad_pair_fails_its_request_and_is_named(plain):
    with pytest.raises(InferenceServerException, match=r"mien\.NO_FACE: pair 2 of 2: probe_image"):
        plain.infer(
            "verify_faces",
            [
                bytes_input("probe_image", [PHOTO, COFFEE]),
                bytes_input("reference_image", [PHOTO, PHOTO]),
            ],
        )


def test_empty_bytes_are_refused_by_the_server_too(plain):
    with pytest.raises(InferenceServerException, match=r"mien\.EMPTY_IMAGE"):
        plain.infer("embed_faces", [bytes_input("image", [b""])])


@pytest.mark.parametrize("option", ["face_policy", "on_error"])
def test_unknown_options_are_refused(plain, option):
    with pytest.raises(InferenceServerException, match=rf"mien\.INVALID_OPTION.*{option}"):
        plain.infer(
            "verify_faces",
            [
                bytes_input("probe_image", [PHOTO]),
                bytes_input("reference_image", [PHOTO]),
                bytes_input(option, [b"whatever"]),
            ],
        )


def test_wrong_dtype_and_oversized_batches_are_refused_before_any_work(plain):
    numbers = triton.InferInput("image", [1, 1], "FP32")
    numbers.set_data_from_numpy(np.zeros((1, 1), np.float32))
    with pytest.raises(InferenceServerException, match="INVALID_ARGUMENT"):
        plain.infer("embed_faces", [numbers])
    with pytest.raises(InferenceServerException, match="batch-size must be <= 32"):
        plain.infer("embed_faces", [bytes_input("image", [PHOTO] * 33)])


def test_shared_memory_and_log_settings_are_not_for_applications(plain):
    with pytest.raises(InferenceServerException, match="restricted"):
        plain.register_system_shared_memory("region", "/region", 64)
    with pytest.raises(InferenceServerException, match="restricted"):
        plain.update_log_settings({"log_verbose_level": 1})


def test_models_cannot_be_unloaded_by_applications(server, plain):
    with pytest.raises(InferenceServerException, match="restricted"):
        plain.unload_model("verify_faces")


def test_the_http_endpoint_is_as_closed_as_the_other(repository):
    options = ServerOptions(
        repository, grpc_port=0, metrics_port=0, http_port=0, tritonserver="embedded"
    )
    with Server(options) as running:
        base = f"http://127.0.0.1:{running.http_port}/v2"
        with urllib.request.urlopen(f"{base}/models/verify_faces/ready") as answer:
            assert answer.status == 200
        for path in (
            "repository/index",
            "repository/models/verify_faces/unload",
            "systemsharedmemory/region/r/register",
        ):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(f"{base}/{path}", b"{}"))
            with caught.value as refusal:
                assert refusal.status == 403


def executed(server, model: str) -> int:
    """Images that a stage has worked on, from Triton's own counters."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = f'nv_inference_count{{model="{model}",'
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(wanted))


# Before the deadline each of the two instances of verify_faces can begin two batches of 16 pairs,
# and face_cropper two of 32 photographs; of those, an ensemble lets none go on once it has passed.
@pytest.mark.parametrize(
    ("kind", "stage", "begun"),
    [("verify", "face_cropper", 2 * 2 * 16 * 2), ("embed", "face_recognizer", 2 * 32)],
)
def test_work_whose_deadline_passes_in_the_queue_is_never_done(server, kind, stage, begun):
    """100 calls at once with a deadline that only the first few can meet."""
    before = executed(server, stage)
    photos = {"verify": (PHOTO, ALTERED), "embed": (PHOTO,)}[kind]
    met, missed = [], []

    def call():
        try:
            met.append(getattr(client, kind)(*photos, deadline_s=0.4))
        except DeadlineExceededError:
            missed.append(1)

    with Client(server.grpc_address) as client:
        threads = [threading.Thread(target=call) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert missed
        # The server must be free again soon, not busy with what nobody waits for.
        client.verify(PHOTO, ALTERED, deadline_s=30)

    assert executed(server, stage) - before <= begun + 2
    assert len(met) + len(missed) == 100


def test_cancelled_calls_leave_the_queue(server):
    before = executed(server, "face_cropper")
    pending = []
    with triton.InferenceServerClient(server.grpc_address) as client:
        for _ in range(100):
            inputs = [bytes_input("probe_image", [PHOTO]), bytes_input("reference_image", [PHOTO])]
            pending.append(client.async_infer("verify_faces", inputs, lambda result, error: None))
        for call in pending:
            call.cancel()
        time.sleep(0.1)
    with Client(server.grpc_address) as client:
        client.verify(PHOTO, PHOTO, deadline_s=20)

    assert executed(server, "face_cropper") - before <= 2 * 2 * 16 * 2 + 2
