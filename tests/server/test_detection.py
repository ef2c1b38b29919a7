# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from PIL import Image

from mien_server.detection import CascadeDetector, GraphDetector
from mien_server.detection.graph import letterbox, suppress
from tests.photographs import FACELESS, astronaut, faceless, lfw_crops, two_faces

# Eye centres of the astronaut, read off the photograph by eye, and how far a detector may be.
ASTRONAUT_EYES = ((203.0, 104.0), (248.0, 106.0))
EYE_TOLERANCE_PX = 6.0


@pytest.fixture(scope="module")
def cascade():
    return CascadeDetector(threads=2)


def detect(detector, image, *, thorough=False):
    return detector.detect([np.asarray(image)], thorough=[thorough])[0]


def test_cascade_finds_the_one_face_and_its_eyes(cascade):
    (face,) = detect(cascade, astronaut())

    assert face.alignment == "eyes"
    np.testing.assert_allclose(face.landmarks[:2], ASTRONAUT_EYES, atol=EYE_TOLERANCE_PX)


@pytest.mark.parametrize("angle_deg", [-45, -35, -20, -8, 8, 20, 35, 45])
def test_cascade_finds_a_tilted_face_with_its_landmarks_turned(cascade, angle_deg):
    (face,) = detect(cascade, astronaut().rotate(angle_deg, Image.Resampling.BICUBIC))

    turn = cv2.getRotationMatrix2D((256, 256), angle_deg, 1.0)
    eyes = np.asarray(ASTRONAUT_EYES) @ turn[:, :2].T + turn[:, 2]
    assert face.alignment == "eyes"
    np.testing.assert_allclose(face.landmarks[:2], eyes, atol=EYE_TOLERANCE_PX)


@pytest.mark.parametrize("name", FACELESS)
def test_cascade_finds_nothing_in_photographs_without_a_face(cascade, name):
    assert detect(cascade, faceless(name), thorough=True) == []


@pytest.mark.slow
def test_cascade_finds_faces_in_the_wild_and_no_others(cascade):
    """The figures of the module's docstring."""
    patches = [(patch * 255).astype(np.uint8) for patch in lfw_crops()]
    images = [cv2.resize(patch, (120, 120), interpolation=cv2.INTER_CUBIC) for patch in patches]
    images = [cv2.copyMakeBorder(i, 60, 60, 60, 60, cv2.BORDER_REPLICATE) for i in images]
    images = [cv2.cvtColor(i, cv2.COLOR_GRAY2RGB) for i in images]

    found = [bool(faces) for faces in cascade.detect(images, thorough=[True] * 200)]

    assert sum(found[:100]) >= 98
    assert sum(found[100:]) == 0


def test_cascade_puts_the_larger_face_first(cascade):
    faces = detect(cascade, two_faces(), thorough=True)

    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    assert faces[0].box_xyxy[0] > 440


def test_cascade_finds_the_same_alone_and_in_a_batch(cascade):
    images = [astronaut(), two_faces(), faceless("coffee"), astronaut().resize((300, 300))]
    arrays = [np.asarray(image) for image in images]

    together = cascade.detect(arrays, thorough=[False] * 4)

    for array, faces in zip(arrays, together, strict=True):
        (alone,) = cascade.detect([array], thorough=[False])
        assert [f.box_xyxy.tolist() for f in alone] == [f.box_xyxy.tolist() for f in faces]


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (300, 900), (640, 640), (33, 40)])
def test_letterbox_keeps_positions_up_to_one_factor(width, height):
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 2 :, width // 2 :] = 255

    boxed, factor = letterbox(image)

    assert boxed.shape == (3, 640, 640)
    bright = np.argwhere(boxed[0] > 127)
    np.testing.assert_allclose(
        bright.min(axis=0), (height // 2 * factor, width // 2 * factor), atol=1 + factor
    )
    np.testing.assert_allclose(bright.max(axis=0) + 1, (height * factor, width * factor), atol=1)


def test_suppression_keeps_the_best_of_each_cluster():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60], [0, 0, 9, 10]], np.float32)

    kept = suppress(boxes, np.array([0.7, 0.9, 0.5, 0.8], np.float32))

    assert kept.tolist() == [1, 2]


def test_suppression_of_nothing_is_nothing():
    assert suppress(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)).size == 0


def planted_graph(calls):
    """A detector graph that reports one planted face per image, at a tenth of its brightness."""

    def infer(images):
        calls.append(len(images))
        count = len(images)
        scores = np.tile(np.array([0.9, 0.8, 0.3], np.float32), (count, 1))
        one = np.array([[64, 96, 192, 224], [66, 98, 194, 226], [0, 0, 5, 5]], np.float32)
        points = np.broadcast_to(np.float32([100, 120]), (count, 3, 5, 2)).copy()
        return scores, np.tile(one, (count, 1, 1)), points

    return infer


def test_graph_detector_returns_pixels_of_the_image_and_respects_the_batch_limit():
    calls = []
    detector = GraphDetector(planted_graph(calls), score_threshold=0.6, max_batch=2)
    images = [np.zeros((h, w, 3), np.uint8) for h, w in [(1280, 640), (320, 320), (640, 100)]]

    found = detector.detect(images, thorough=[False] * 3)

    assert calls == [2, 1]
    for image, faces in zip(images, found, strict=True):
        factor = 640 / max(image.shape)
        (face,) = faces
        np.testing.assert_allclose(face.box_xyxy, np.array([64, 96, 192, 224]) / factor)
        np.testing.assert_allclose(face.landmarks, np.tile([100, 120], (5, 1)) / factor)
        assert face.alignment == "landmarks"
