# SPDX-License-Identifier: Apache-2.0
"""A detector graph in YuNet's released layout, exported, served, and used by the cropper.

The graph is made so that its answer is known: it "sees" a face wherever an 8 x 8 cell is pure red.
"""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from mien import Client, MultipleFacesError, NoFaceError
from mien_server.serve import Server, ServerOptions
from tests.photographs import encoded
from tests.repositories import graph_bytes

pytestmark = [pytest.mark.triton, pytest.mark.slow]

SIDE, STRIDE = 640, 8
FACE_PX = 160.0
# Landmarks relative to the cell's corner, pixels: eyes, nose, mouth corners.
LANDMARKS = np.array([[-30, -20], [30, -20], [0, 10], [-25, 40], [25, 40]], np.float32)
node = onnx.helper.make_node


def planted_yunet() -> bytes:
    """12 outputs under YuNet's names; only stride 8 ever sees anything."""
    nodes, outputs, initializers = [], [], [("shape", np.array([1, -1, 1], np.int64))]
    redness = np.array([-1, -1, 1], np.float32).reshape(1, 3, 1, 1) / 255  # the file's order is BGR
    initializers.append(("redness", redness))
    nodes.append(node("Conv", ["input", "redness"], ["red"]))
    for stride in (8, 16, 32):
        count = (SIDE // stride) ** 2
        gain = np.array(1.0 if stride == STRIDE else 0.0, np.float32)
        boxes = np.tile([0, 0, np.log(FACE_PX / stride), np.log(FACE_PX / stride)], (1, count, 1))
        points = np.tile(LANDMARKS.ravel() / stride, (1, count, 1))
        initializers += [
            (f"gain_{stride}", gain),
            (f"boxes_{stride}", boxes.astype(np.float32)),
            (f"points_{stride}", points.astype(np.float32)),
        ]
        size = [stride, stride]
        nodes += [
            node("AveragePool", ["red"], [f"pool_{stride}"], kernel_shape=size, strides=size),
            node("Mul", [f"pool_{stride}", f"gain_{stride}"], [f"seen_{stride}"]),
            node("Reshape", [f"seen_{stride}", "shape"], [f"cls_{stride}"]),
            node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            node("Mul", [f"cls_{stride}", "zero"], [f"nothing_{stride}"]),
            node("Add", [f"boxes_{stride}", f"nothing_{stride}"], [f"bbox_{stride}"]),
            node("Add", [f"points_{stride}", f"nothing_{stride}"], [f"kps_{stride}"]),
        ]
    initializers.append(("zero", np.array(0, np.float32)))
    for kind, last in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            dims = [1, (SIDE // stride) ** 2, last]
            outputs.append((f"{kind}_{stride}", onnx.TensorProto.FLOAT, dims))
    inputs = [("input", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    return graph_bytes(nodes, inputs, outputs, initializers)


@pytest.fixture(scope="module")
def detector_client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    (folder / "yunet.onnx").write_bytes(planted_yunet())
    command = [
        *(sys.executable, "-m", "mien_export", "build", "--to", str(folder / "repository")),
        *("--weights", "random", "--network", "face_recognizer=iresnet18"),
        *("--network", "face_detector=yunet"),
        *("--checkpoint", f"face_detector={folder / 'yunet.onnx'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    options = ServerOptions(
        folder / "repository", grpc_port=0, metrics_port=0, tritonserver="embedded"
    )
    with Server(options) as server, Client(server.grpc_address) as client:
        yield client


def photograph(*cells, size=(SIDE, SIDE)):
    """Grey, with a pure red 8 x 8 cell at each (column, row)."""
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    for column, row in cells:
        pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = (255, 0, 0)
    return encoded(Image.fromarray(pixels), "PNG")


def test_the_planted_face_is_found_where_it_is(detector_client):
    face = detector_client.embed(photograph((40, 30))).face

    corner = np.array([40, 30]) * STRIDE
    half = FACE_PX / 2
    np.testing.assert_allclose(face.box_xyxy, [*(corner - half), *(corner + half)], atol=0.5)
    np.testing.assert_allclose(face.landmarks, corner + LANDMARKS, atol=0.5)
    assert face.alignment == "landmarks"
    assert face.detection_score == pytest.approx(1, abs=0.01)


def test_a_letterboxed_photograph_keeps_its_coordinates(detector_client):
    small = photograph((20, 15), size=(320, 240))
    doubled = Image.fromarray(np.full((480, 1280, 3), 60, np.uint8))
    pixels = np.asarray(doubled).copy()
    pixels[160:176, 320:336] = (255, 0, 0)

    face = detector_client.embed(encoded(Image.fromarray(pixels), "PNG")).face

    # The graph sees it at half size: the cell (20, 10) of the 640 x 640 input.
    np.testing.assert_allclose(face.landmarks, np.array([320, 160]) + 2 * LANDMARKS, atol=1)
    np.testing.assert_allclose(face.box_xyxy, [160, 0, 480, 320], atol=1)
    assert detector_client.embed(small).face.alignment == "landmarks"


def test_neighbouring_candidates_are_one_face_and_distant_ones_two(detector_client):
    near, far = photograph((40, 30), (41, 30)), photograph((20, 20), (60, 60))

    assert detector_client.embed(near, face_policy="single").face.face_count == 1
    with pytest.raises(MultipleFacesError, match="2 faces"):
        detector_client.embed(far, face_policy="single")


def test_no_candidate_is_no_face(detector_client):
    with pytest.raises(NoFaceError):
        detector_client.embed(photograph())


def test_a_verification_through_the_detector_graph_matches_itself(detector_client):
    same = photograph((40, 30))

    assert detector_client.verify(same, same).similarity == pytest.approx(1, abs=1e-5)
