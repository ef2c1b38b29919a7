# SPDX-License-Identifier: Apache-2.0
"""The public pipelines on the real Triton server, with real photographs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from mien import Client, MienError, MultipleFacesError, NoFaceError
from mien_server.cropping import FaceCropper
from mien_server.detection import CascadeDetector
from mien_server.images import ImageLimits
from tests.e2e.photo_table import REFUSED
from tests.photographs import altered_astronaut, astronaut, encoded, faceless, two_faces

pytestmark = pytest.mark.triton

PHOTO = encoded(astronaut())
ALTERED = encoded(altered_astronaut(), quality=60)


@pytest.fixture(scope="module")
def reference_embedding(repository):
    """The same work in this process, without Triton."""
    graph = onnxruntime.InferenceSession(
        repository / "face_recognizer" / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    cropper = FaceCropper(CascadeDetector(), ImageLimits(), min_face_px=32)

    def embed(photo: bytes) -> np.ndarray:
        (face,) = cropper.crop([photo], ["largest"], (112,))
        return graph.run(None, {"crop_112": face.crops[112][None]})[0][0]

    return embed


def test_a_photograph_matches_itself_and_is_marked_untrained(client):
    result = client.verify(PHOTO, PHOTO)

    assert result.similarity == pytest.approx(1, abs=1e-5)
    assert result.is_match
    assert result.untrained
    assert result.threshold == pytest.approx(0.35)


def test_the_served_embedding_is_that_of_the_same_work_in_one_process(client, reference_embedding):
    for photo in (PHOTO, ALTERED):
        served = client.embed(photo)

        np.testing.assert_allclose(served.vector, reference_embedding(photo), atol=1e-5)
        assert np.linalg.norm(served.vector) == pytest.approx(1, abs=1e-5)
        assert served.untrained


def test_the_score_is_the_cosine_of_the_served_embeddings(client):
    cosine = client.embed(PHOTO).vector @ client.embed(ALTERED).vector

    assert client.verify(PHOTO, ALTERED).similarity == pytest.approx(float(cosine), abs=1e-5)


def test_boxes_lie_around_the_eyes_of_each_photograph(client):
    result = client.verify(PHOTO, encoded(astronaut().resize((1024, 1024))))

    left, top, right, bottom = result.probe.box_xyxy
    assert left < 203 < 248 < right
    assert top < 104 < bottom
    np.testing.assert_allclose(
        np.asarray(result.reference.box_xyxy) / 2, result.probe.box_xyxy, atol=8
    )


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photograph_on_its_side_is_turned_by_its_exif(client, orientation):
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90,
            8: Image.Transpose.ROTATE_270}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    sideways = encoded(astronaut().transpose(turn), "PNG", exif=exif)

    upright = client.embed(encoded(astronaut(), "PNG"))

    np.testing.assert_array_equal(client.embed(sideways).vector, upright.vector)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("pipeline", ["embed", "probe", "reference"])
def test_an_unusable_photograph_is_refused_with_its_code(client, pipeline, name):
    photo, code = REFUSED[name]
    call = {
        "embed": lambda: client.embed(photo),
        "probe": lambda: client.verify(photo, PHOTO),
        "reference": lambda: client.verify(PHOTO, photo),
    }[pipeline]

    with pytest.raises(MienError) as caught:
        call()

    assert caught.value.code == code
    assert caught.value.status == "INVALID_ARGUMENT"
    if pipeline != "embed":
        assert f"{pipeline}_image" in str(caught.value)


def test_refused_photographs_harm_no_neighbour(server, client):
    """Good and bad requests at once, so that they meet in Triton's batches."""
    expected = client.verify(PHOTO, ALTERED).similarity
    bad = list(REFUSED.values()) * 2

    def outcome(photo: bytes) -> str | float:
        try:
            return connected.verify(photo, ALTERED).similarity
        except MienError as error:
            return error.code

    with Client(server.grpc_address) as connected, ThreadPoolExecutor(16) as pool:
        photos = [p for photo, _ in bad for p in (photo, PHOTO)]
        outcomes = list(pool.map(outcome, photos))

    assert outcomes[::2] == [code for _, code in bad]
    assert outcomes[1::2] == [expected] * len(bad)


def test_the_largest_face_is_taken_unless_a_single_one_is_demanded(client):
    crowd = encoded(two_faces())

    assert client.embed(crowd).face.box_xyxy[0] > 440
    with pytest.raises(MultipleFacesError, match="crop it to one person"):
        client.embed(crowd, face_policy="single")
    with pytest.raises(MultipleFacesError, match="reference_image"):
        client.verify(PHOTO, crowd, face_policy="single")


def test_no_face_says_what_to_send(client):
    with pytest.raises(NoFaceError, match="600x400 image; send an upright photograph"):
        client.embed(encoded(faceless("coffee")))


def test_status_lists_the_pipelines_and_that_they_are_untrained(client):
    status = client.status()

    assert (status.live, status.ready, status.version) == (True, True, "2.51.0")
    assert [(p.name, p.ready, p.untrained) for p in status.pipelines] == [
        # Not ready is what needs weights that a build at random does not have.
        ("apply_emotion", False, None),
        ("create_avatar", False, None),
        ("embed_faces", True, True),
        ("encode_styles", False, None),
        ("fit_faces", False, None),
        ("generate_faces", False, None),
        ("hairstyles", False, None),
        ("sample_identities", False, None),
        ("sample_styles", False, None),
        ("try_hairstyle", False, None),
        ("verify_faces", True, True),
    ]
