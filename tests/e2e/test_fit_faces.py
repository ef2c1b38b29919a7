# SPDX-License-Identifier: Apache-2.0
"""`fit_faces` on the real server, behind it graphs whose answers are known."""

import io

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image, ImageEnhance
from tritonclient.utils import InferenceServerException

from mien import Client, NoFaceError
from mien_export.head_model import read_head
from mien_server.serve import Server, ServerOptions
from tests.e2e.planted_graphs import CODES, PER_BRIGHTNESS, write_fit_repository
from tests.export import flame_oracle
from tests.photographs import altered_astronaut, astronaut, encoded, faceless

pytestmark = [pytest.mark.triton, pytest.mark.slow]

PHOTO = encoded(astronaut(), "PNG")
DARKER = encoded(ImageEnhance.Brightness(astronaut()).enhance(0.6), "PNG")
TURNED = encoded(altered_astronaut())
COFFEE = encoded(faceless("coffee"))
# The landmarker takes no blue face for one.
BLUE = encoded(Image.merge("RGB", astronaut().split()[::-1]), "PNG")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def address(folder):
    repository = write_fit_repository(folder)
    options = ServerOptions(repository, grpc_port=0, metrics_port=0, tritonserver="embedded")
    with Server(options) as server:
        yield server.grpc_address


@pytest.fixture(scope="module")
def head(folder, address):
    return read_head(folder / "head.npz")


@pytest.fixture
def client(address):
    with Client(address) as client:
        yield client


@pytest.fixture
def plain(address):
    with triton.InferenceServerClient(address) as client:
        yield client


def infer(client, model, photographs, *, on_error="report", outputs=None):
    inputs = []
    for name, values in (
        ("image", photographs),
        ("on_error", [on_error.encode()] * len(photographs)),
    ):
        tensor = triton.InferInput(name, [len(values), 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value] for value in values], dtype=object))
        inputs.append(tensor)
    asked = [triton.InferRequestedOutput(name) for name in outputs] if outputs else None
    answer = client.infer(model, inputs, outputs=asked)
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def expected_head(head, codes):
    """Vertices and contour landmarks, by the independent decoder."""
    pose = np.zeros(15)
    pose[:3], pose[6:9] = codes[200:203], codes[203:206]
    shape, expression = np.zeros(300), np.zeros(100)
    shape[:100], expression[:50] = codes[:100], codes[150:200]
    vertices, _, contour = flame_oracle.decode(head, shape, expression, pose)
    return vertices, contour


def in_photograph(points, codes, image_from_crop):
    scale, tx, ty = codes[206:209].astype(np.float64)
    x, y = scale * (points[:, 0] + tx), -scale * (points[:, 1] + ty)
    crop = (np.column_stack([x, y]) * 0.5 + 0.5) * 224
    return crop @ image_from_crop[:, :2].T + image_from_crop[:, 2]


def test_the_cropper_aligns_by_the_landmarker(plain):
    found = infer(plain, "face_cropper", [PHOTO])

    assert found["alignment"][0, 0] == b"landmarks"
    assert 0.5 < found["face_score"][0, 0] <= 1
    ring = found["landmarks_68"][0]
    np.testing.assert_allclose(
        found["box_xyxy"][0], [*ring.min(axis=0), *ring.max(axis=0)], atol=1e-3
    )
    # The ring lies about the face that the cascade saw: its eyes are near (203, 105), (248, 107).
    assert (ring.min(axis=0) < (200, 100)).all()
    assert (ring.max(axis=0) > (250, 140)).all()


def test_codes_come_from_the_crop_of_the_face(client, plain):
    (crop,) = infer(plain, "face_cropper", [PHOTO])["face_224"]

    fit = client.fit(PHOTO)

    np.testing.assert_allclose(fit.codes, CODES + crop.mean() / 255 * PER_BRIGHTNESS, atol=1e-5)
    assert not np.allclose(fit.codes, client.fit(DARKER).codes, atol=1e-3)


def test_the_head_is_that_of_the_codes_and_lies_where_the_camera_puts_it(client, plain, head):
    to_image = infer(plain, "face_cropper", [TURNED])["image_from_face_224"][0].astype(np.float64)

    fit = client.fit(TURNED)

    vertices, contour = expected_head(head, fit.codes)
    np.testing.assert_allclose(fit.vertices, vertices, atol=1e-5)
    np.testing.assert_allclose(
        fit.vertices_px[:, :2], in_photograph(vertices, fit.codes, to_image), atol=0.02
    )
    np.testing.assert_allclose(
        fit.fitted_landmarks_68, in_photograph(contour, fit.codes, to_image), atol=0.02
    )
    # Depth in the same scale: distances between vertices stay in proportion.
    metres = np.linalg.norm(np.diff(fit.vertices, axis=0), axis=1)
    pixels = np.linalg.norm(np.diff(fit.vertices_px, axis=0), axis=1)
    np.testing.assert_allclose(pixels / metres, (pixels / metres).mean(), rtol=1e-3)
    assert np.isfinite(fit.landmarks_68).all()
    assert fit.landmark_error_px is not None
    assert fit.untrained


def test_the_overlay_shows_the_head_and_else_the_photograph(client):
    fit = client.fit(PHOTO, overlay=True)

    drawn = np.asarray(Image.open(io.BytesIO(fit.overlay))).astype(int)
    under = np.asarray(astronaut().resize((1024, 1024), Image.Resampling.BILINEAR)).astype(int)
    assert drawn.shape == under.shape
    rows, columns = np.indices(drawn.shape[:2]) + 0.5
    points = np.concatenate([fit.vertices_px[:, :2], fit.fitted_landmarks_68]) * 2
    low, high = points.min(axis=0) - 6, points.max(axis=0) + 6
    near = (columns > low[0]) & (columns < high[0]) & (rows > low[1]) & (rows < high[1])
    np.testing.assert_allclose(drawn[~near], under[~near], atol=1)
    centre = fit.vertices_px[:, :2].mean(axis=0) * 2
    inside = np.hypot(columns - centre[0], rows - centre[1]) < 40
    assert np.abs(drawn[inside] - under[inside]).mean() > 10


def test_photographs_of_a_batch_get_what_they_get_alone(plain):
    photographs = [PHOTO, b"no image", DARKER, COFFEE, BLUE, TURNED]

    together = infer(plain, "fit_faces", photographs)

    errors = [bytes(error).decode().split(":")[0] for error in together["error"][:, 0]]
    assert errors == ["", "mien.UNSUPPORTED_FORMAT", "", "mien.NO_FACE", "mien.NO_FACE", ""]
    for index, photograph in enumerate(photographs):
        alone = infer(plain, "fit_faces", [photograph])
        assert alone["error"][0, 0] == together["error"][index, 0]
        if errors[index]:
            assert alone["vertices"].shape == (1, 0, 3)
            assert np.isnan(together["vertices"][index]).all()
            assert np.isnan(together["codes"][index]).all()
            assert together["overlay"][index, 0] == b""
        else:
            for name in ("codes", "vertices", "vertices_px", "landmarks_68", "overlay"):
                np.testing.assert_array_equal(alone[name][0], together[name][index])


def test_refusals_are_raised_with_the_photograph_they_are_about(client, plain):
    with pytest.raises(NoFaceError):
        client.fit(BLUE)
    with pytest.raises(InferenceServerException, match=r"mien\.NO_FACE: image 2 of 2"):
        infer(plain, "fit_faces", [PHOTO, COFFEE], on_error="raise")


def test_a_request_for_codes_alone_gets_codes_alone(plain):
    assert set(infer(plain, "fit_faces", [PHOTO], outputs=["codes"])) == {"codes"}
