# SPDX-License-Identifier: Apache-2.0
"""`generate_faces` on the real server; its networks are random, so faces mean nothing."""

import io
import itertools
import urllib.request

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from mien import Client, GeneratedFace, GenerationStarted
from mien_server.deca_codes import CODE_PARTS
from mien_server.diffusion.noise import gaussian_noise
from tests.e2e.event_stream import EventStream, faces, wait_until
from tests.photographs import astronaut, encoded, faceless

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")
COFFEE = encoded(faceless("coffee"))


@pytest.fixture
def address(random_server):
    return random_server.grpc_address


def kinds(events):
    return [event["event"][0].decode() for event in events]


def test_a_stream_tells_of_start_steps_previews_and_faces(address):
    events = list(
        EventStream(
            address, identity_image=PHOTO, count=2, seed=5, steps=3, progress=True, preview_every=1
        )
    )

    assert kinds(events)[0] == "started"
    assert kinds(events).count("progress") == 3
    assert kinds(events)[-1] == "face"
    assert "preview" in kinds(events)
    (started,) = (event for event in events if event["event"][0] == b"started")
    assert started["untrained"].tolist() == [True]
    for event in events:
        if "image" in event:
            assert Image.open(io.BytesIO(event["image"][0])).size == (128, 128)
            assert -1 <= event.get("similarity", [0])[0] <= 1


def test_one_step_is_what_the_graphs_compute(address, random_repository):
    """DDIM in one step, at t = 0 where alpha_bar is 1 - 1e-4, from the formula alone."""
    *_, face = EventStream(
        address, identity_image=PHOTO, seed=3, steps=1, solver="ddim", guidance_weight=0.0,
        image_format="raw",
    )  # fmt: skip
    crop = stage(address, "face_cropper", "crop_112", image=[[PHOTO]])
    (embedding,) = stage(address, "face_recognizer", "embedding", crop_112=crop)
    parts = {name: face["codes"][None, part] for name, part in CODE_PARTS.items()}
    (context,) = stage(
        address,
        "encode_styles",
        "c_sty",
        shape=np.pad(parts["shape"], ((0, 0), (0, 200))),
        expression=np.pad(parts["expression"], ((0, 0), (0, 50))),
        pose=np.insert(np.pad(parts["pose"], ((0, 0), (0, 6))), [3, 3, 3], 0, axis=1),
        texture=parts["texture"],
        camera=parts["camera"],
        light=parts["light"],
    )

    def run(model, **inputs):
        path = random_repository / model / "1/model.onnx"
        given = {name: np.float32(array) for name, array in inputs.items()}
        return onnxruntime.InferenceSession(path).run(None, given)[0]

    z = gaussian_noise(3, 0, (1, 3, 32, 32))
    eps = run(
        "face_denoiser", z=z, t=[[0]], c_id=[embedding], c_sty=[context], keep_id=[[1]],
        keep_sty=[[1]],
    )  # fmt: skip
    x0 = (z - np.sqrt(1e-4) * eps) / np.sqrt(1 - 1e-4)
    image = run("latent_decoder", z=x0)[0].transpose(1, 2, 0)
    assert np.abs(eps).max() > 0.1
    assert image.std() > 1
    assert np.abs(face["pixels"] - image).max() < 1


def test_a_face_has_the_same_bytes_alone_in_a_crowd_and_by_token(address):
    wanted = {"count": 3, "seed": 30, "steps": 5}
    events = list(EventStream(address, identity_image=PHOTO, **wanted))
    token = events[0]["identity_token"][0]
    alone = {
        int(event["seed"][0]): (event["image"][0], float(event["similarity"][0]))
        for event in events[1:]
    }
    crowd = [
        EventStream(
            address, identity_seed=n, count=2, seed=n, steps=3 + 2 * n, guidance_weight=n / 2,
            solver=["dpm_solver_2m", "ddim", "ddim_uiface"][n],
        )
        for n in range(3)
    ]  # fmt: skip
    bad = EventStream(address, identity_image=COFFEE)

    crowded = faces(address, identity_image=PHOTO, **wanted)
    single = faces(address, identity_token=token, seed=31, steps=5)

    assert crowded == alone
    assert single == {31: alone[31]}
    for other in crowd:
        assert kinds(other).count("face") == 2
    with pytest.raises(InferenceServerException, match=r"mien\.NO_FACE: identity_image: "):
        list(bad)


def test_who_goes_away_frees_his_places(address, random_server):
    stream = EventStream(address, identity_seed=1, count=12, steps=500, progress=True)
    events = iter(stream)
    assert kinds(itertools.islice(events, 2)) == ["started", "progress"]
    with pytest.raises(InferenceServerException, match=r"mien\.OVERLOADED: 12 faces"):
        faces(address, identity_seed=1, steps=1)

    stream.close()

    wait_until(lambda: _are_free(address))


def test_a_short_request_does_not_wait_for_a_long_one(address):
    long = EventStream(address, identity_seed=1, count=8, steps=200, progress=True)
    events = iter(long)
    assert kinds(itertools.islice(events, 2)) == ["started", "progress"]

    assert len(faces(address, identity_image=PHOTO, seed=1, steps=2)) == 1

    assert set(kinds(long.arrived())) == {"progress"}
    long.close()
    wait_until(lambda: _are_free(address))


def test_denoising_steps_of_several_requests_share_calls(address, random_server):
    def calls():
        url = f"http://127.0.0.1:{random_server.metrics_port}/metrics"
        text = urllib.request.urlopen(url).read().decode()
        rows = [line for line in text.splitlines() if 'model="face_denoiser"' in line]
        return {
            name: next(float(r.split()[-1]) for r in rows if r.startswith(f"nv_inference_{name}{{"))
            for name in ("exec_count", "count")
        }

    before = calls()
    streams = [
        EventStream(address, identity_image=PHOTO, seed=n, steps=15, count=2) for n in range(4)
    ]
    for stream in streams:
        list(stream)
    after = calls()

    rows = after["count"] - before["count"]
    assert rows == 4 * 2 * 2 * 15
    assert rows / (after["exec_count"] - before["exec_count"]) > 6  # 4 alone, 16 together


def test_people_who_do_not_exist_come_as_tokens(address):
    given = [
        triton.InferInput("count", [1], "INT32"),
        triton.InferInput("seed", [1], "UINT64"),
        triton.InferInput("max_similarity", [1], "FP32"),
    ]
    for one, value in zip(given, (np.int32(2), np.uint64(8), np.float32(0.99999)), strict=True):
        one.set_data_from_numpy(value.reshape(1))
    with triton.InferenceServerClient(address) as client:
        answer = client.infer("sample_identities", given)
    tokens, seeds = answer.as_numpy("identity_tokens"), answer.as_numpy("seeds")

    assert len(tokens) == len(seeds) == 2
    assert np.abs(np.diff(answer.as_numpy("largest_similarity"))).max() < 1e-6
    for token, seed in zip(tokens, seeds.tolist(), strict=True):
        by_token = faces(address, identity_token=token, seed=3, steps=2)
        assert by_token == faces(address, identity_seed=seed, seed=3, steps=2)


def test_a_sampled_style_is_that_of_the_faces_seed(address):
    codes = stage(address, "sample_styles", "codes", seed=[[6], [7]])
    (face,) = (
        event
        for event in EventStream(address, identity_image=PHOTO, seed=7, steps=1)
        if event["event"][0] == b"face"
    )

    np.testing.assert_array_equal(face["codes"][100:], codes[1, 100:])
    assert np.abs(codes[0] - codes[1]).max() > 0.1


def test_the_client_brings_the_same_faces(address):
    wanted = faces(address, identity_image=PHOTO, seed=11, count=2, steps=3)

    with Client(address) as client:
        events = list(client.generate(PHOTO, seed=11, count=2, steps=3, preview_every=1))

    found = {event.seed: event for event in events if isinstance(event, GeneratedFace)}
    assert isinstance(events[0], GenerationStarted)
    assert {seed: (face.image, face.similarity) for seed, face in found.items()} == wanted
    assert all(face.untrained for face in found.values())


def _are_free(address):
    try:
        return len(faces(address, identity_seed=1, count=12, steps=1)) == 12
    except InferenceServerException as error:
        if "OVERLOADED" not in str(error):
            raise
        return False


def stage(address, model, output, **inputs):
    """Rows of one output of a model that answers once."""
    given = []
    for name, value in inputs.items():
        dtype = {"image": "BYTES", "seed": "UINT64"}.get(name, "FP32")
        array = np.array(value, {"BYTES": object, "UINT64": np.uint64, "FP32": np.float32}[dtype])
        given.append(triton.InferInput(name, array.shape, dtype))
        given[-1].set_data_from_numpy(array)
    with triton.InferenceServerClient(address) as client:
        return client.infer(model, given).as_numpy(output)
