# SPDX-License-Identifier: Apache-2.0
"""Faces are planted as a known similarity, written into the very pixels of the image.

The image holds its own coordinates: red is x, green is y. A planted landmarker reads off its crop
where the crop lies in the image, and can therefore tell the truth, or the truth with an error that
shrinks when the face fills the crop better.
"""

import math

import numpy as np
import pytest

from mien_server.detection import Detection
from mien_server.landmarking import Landmarker, loose_square, square_from_landmarks
from mien_server.warping import moved

SIDE = 510  # the image's, so that two pixels are one step of a byte
# A face of 68 points about 0, 1 wide; eyes, nose and mouth corners are taken from it.
JAW = [(-math.cos(a) * 0.5, math.sin(a) * 0.62 - 0.05) for a in np.linspace(0, math.pi, 17)]
BROWS = [(x, -0.28) for x in np.linspace(-0.42, 0.42, 10)]
NOSE = [(0, y) for y in np.linspace(-0.15, 0.1, 4)] + [(x, 0.14) for x in np.linspace(-0.1, 0.1, 5)]


def eye(x):
    return [
        (x + 0.08 * math.cos(a), -0.15 + 0.03 * math.sin(a))
        for a in np.linspace(math.pi, 3 * math.pi, 7)[:6]
    ]


MOUTH = [
    (0.2 * r * math.cos(a), 0.32 + 0.07 * r * math.sin(a))
    for r, n in ((1.0, 12), (0.7, 8))
    for a in np.linspace(math.pi, 3 * math.pi, n + 1)[:n]
]
FACE_68 = np.array([*JAW, *BROWS, *NOSE, *eye(-0.22), *eye(0.22), *MOUTH])
FACE_5 = np.array([(-0.22, -0.15), (0.22, -0.15), (0, 0.1), (-0.2, 0.32), (0.2, 0.32)])


def face_at(x, y, width, angle_deg):
    """image_from_face."""
    a = math.radians(angle_deg)
    linear = width * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    return np.column_stack([linear, (x, y)])


def chart():
    """(510, 510, 3): red x / 2, green y / 2, at pixel centres."""
    steps = np.arange(SIDE) / 2
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 0], image[..., 1] = steps[None, :], steps[:, None]
    image[..., 2] = 255
    return image


def crop_from_image(crop):
    """Which part of the chart a crop shows, by least squares over its pixels."""
    rows, columns = np.indices(crop.shape[1:]) + 0.5
    seen = crop[2] > 254
    in_image = np.column_stack([2 * crop[0][seen], 2 * crop[1][seen], np.ones(seen.sum())])
    in_image[:, :2] += 1.0  # a byte stands for two pixels; their common centre
    in_crop = np.column_stack([columns[seen], rows[seen]])
    return np.linalg.lstsq(in_image, in_crop, rcond=None)[0].T


class Planted:
    """Knows the faces of the chart; what it says is off by `error` of what it sees."""

    def __init__(self, *faces, error=0.0, scores=None):
        self.faces, self.error, self.scores = faces, error, scores
        self.batches = []

    def __call__(self, crops):
        self.batches.append(len(crops))
        answers = [self._one(crop) for crop in crops]
        return tuple(np.array(part, np.float32) for part in zip(*answers, strict=True))

    def _one(self, crop):
        window = crop_from_image(crop)
        middle = moved(np.linalg.inv(np.vstack([window, [0, 0, 1]]))[:2], np.array([64, 64]))
        index = int(np.argmin([math.dist(face[:, 2], middle) for face in self.faces]))
        face = self.faces[index]
        points_68, points_5 = (moved(window, moved(face, f)) for f in (FACE_68, FACE_5))
        # A network is best where the face stands in the middle, as it mostly did in training.
        offset = (points_68.min(axis=0) + points_68.max(axis=0)) / 2 - 64
        shift = self.error * offset
        score = 0.99 if self.scores is None else self.scores[index]
        return points_68 + shift, points_5 + shift, [score]


def detection(face, *, widen=0.0, alignment="eyes"):
    corners = moved(face, np.array([(-0.55, -0.8), (0.55, -0.8), (0.55, 0.4), (-0.55, 0.4)]))
    centre = corners.mean(axis=0)
    half = np.linalg.norm(corners[1] - corners[0]) / 2 * (1 + widen)
    box = np.concatenate([centre - half, centre + half])
    return Detection(box, moved(face, FACE_5), 60.0, alignment)


def test_the_loose_square_is_one_and_a_half_boxes_about_the_box():
    crop_from_image_, image_from_crop = loose_square(np.array([100, 50, 180, 150]))

    # The longer side is 100: the square is 150 wide about (140, 100).
    corners = [(65, 25), (215, 25), (215, 175), (65, 175)]
    in_crop = [(0, 0), (128, 0), (128, 128), (0, 128)]
    np.testing.assert_allclose(moved(crop_from_image_, np.array(corners)), in_crop, atol=1e-9)
    np.testing.assert_allclose(moved(image_from_crop, np.array(in_crop)), corners, atol=1e-9)


@pytest.mark.parametrize("angle_deg", [-160, -45, -10, 0, 30, 90, 179])
def test_the_loose_square_turns_the_eyes_level(angle_deg):
    face = face_at(300, 200, 90, angle_deg)
    found = detection(face)

    to_crop, _ = loose_square(found.box_xyxy, found.landmarks[:2])
    left, right = moved(to_crop, found.landmarks[:2])

    assert left[1] == pytest.approx(right[1], abs=1e-9)
    assert left[0] < right[0]


@pytest.mark.parametrize("seed", range(10))
def test_transforms_there_and_back_are_exact(seed):
    generator = np.random.default_rng(seed)
    face = face_at(*generator.uniform(0, 6000, 2), generator.uniform(5, 3000), seed * 36)
    points = moved(face, FACE_68)

    for there, back in (
        loose_square(detection(face).box_xyxy, detection(face).landmarks[:2]),
        square_from_landmarks(points),
    ):
        np.testing.assert_allclose(moved(back, moved(there, points)), points, atol=1e-3)


@pytest.mark.parametrize("angle_deg", [-140, -20, 0, 45])
@pytest.mark.parametrize("width", [10, 140, 2000])
def test_the_second_square_shows_every_face_alike(angle_deg, width):
    """Turning, scaling and moving a face changes nothing of how its landmarks lie in the crop."""
    plain, _ = square_from_landmarks(100 * FACE_68)
    points = moved(face_at(-30, 77, width, angle_deg), FACE_68)

    window, _ = square_from_landmarks(points)
    shown = moved(window, points)

    np.testing.assert_allclose(shown, moved(plain, 100 * FACE_68), atol=1e-6)
    # 1 / 1.6 of 128 pixels, in the middle.
    np.testing.assert_allclose(shown.min(axis=0) + shown.max(axis=0), 128)
    assert np.ptp(shown, axis=0).max() == pytest.approx(80)


@pytest.mark.parametrize("angle_deg", [-60, -8, 0, 17, 44])
@pytest.mark.parametrize("width", [60, 130, 300])
def test_planted_landmarks_are_found_in_pixels_of_the_image(angle_deg, width):
    face = face_at(250, 260, width, angle_deg)
    landmarker = Landmarker(Planted(face), score_threshold=0.5)

    ((found,),) = landmarker.refine([chart()], [[detection(face)]])

    # The chart's bytes say where a crop lies to a fraction of a pixel, not exactly.
    np.testing.assert_allclose(found.landmarks_68, moved(face, FACE_68), atol=0.6)
    np.testing.assert_allclose(found.landmarks, moved(face, FACE_5), atol=0.6)
    assert found.alignment == "landmarks"
    assert found.face_score == pytest.approx(0.99)
    assert found.score == 60.0
    low, high = found.landmarks_68.min(axis=0), found.landmarks_68.max(axis=0)
    np.testing.assert_allclose(found.box_xyxy, [*low, *high])


def test_the_second_pass_improves_what_the_first_pass_saw_badly():
    face = face_at(250, 260, 120, 0)
    off = detection(face, widen=0.6)
    off = Detection(off.box_xyxy + 25, off.landmarks, 1.0, "box")
    truth = moved(face, FACE_68)

    def error_of(landmarks):
        return np.linalg.norm(landmarks - truth, axis=1).mean()

    seen = []
    planted = Planted(face, error=0.3)

    def infer(crops):
        answer = planted(crops)
        seen.append(answer[0][0])
        return answer

    ((found,),) = Landmarker(infer, score_threshold=0.5).refine([chart()], [[off]])

    first_pass = moved(loose_square(off.box_xyxy)[1], seen[0])
    assert error_of(first_pass) > 5
    assert error_of(found.landmarks_68) < error_of(first_pass) / 3


def test_a_low_score_drops_a_false_detection_and_keeps_the_face():
    face, coin = face_at(150, 150, 80, 0), face_at(400, 400, 100, 0)
    landmarker = Landmarker(Planted(face, coin, scores=(0.9, 0.2)), score_threshold=0.5)

    ((found,),) = landmarker.refine([chart()], [[detection(coin), detection(face)]])

    np.testing.assert_allclose(found.landmarks, moved(face, FACE_5), atol=0.6)


@pytest.mark.parametrize("score", [float("nan"), 0.4999, -1.0])
def test_what_is_not_surely_a_face_is_none(score):
    face = face_at(250, 250, 100, 0)
    landmarker = Landmarker(Planted(face, scores=(score,)), score_threshold=0.5)

    assert landmarker.refine([chart()], [[detection(face)]]) == [[]]


def test_two_detections_of_one_face_are_one_face():
    face, other = face_at(150, 150, 80, 0), face_at(380, 380, 100, 0)
    landmarker = Landmarker(Planted(face, other), score_threshold=0.5)
    detections = [detection(face), detection(face, widen=0.3), detection(other)]

    (found,) = landmarker.refine([chart()], [detections])

    assert len(found) == 2
    assert found[0].area > found[1].area


def test_faces_of_several_images_share_two_calls_and_keep_their_image():
    faces = [face_at(200 + 20 * i, 250, 90 + i, 5 * i) for i in range(3)]
    planted = Planted(*faces)
    landmarker = Landmarker(planted, score_threshold=0.5)

    found = landmarker.refine(
        [chart()] * 4,
        [[detection(faces[0])], [], [detection(faces[1])], [detection(faces[2])]],
    )

    assert planted.batches == [3, 3]
    assert [len(of_one) for of_one in found] == [1, 0, 1, 1]
    for face, of_one in zip(faces, (found[0], found[2], found[3]), strict=True):
        np.testing.assert_allclose(of_one[0].landmarks, moved(face, FACE_5), atol=0.6)


def test_calls_stay_within_the_batch_limit_of_the_graph():
    faces = [face_at(200, 250, 90, 0)] * 5
    planted = Planted(*faces)

    Landmarker(planted, score_threshold=0.5, max_batch=2).refine(
        [chart()] * 5, [[detection(face)] for face in faces]
    )

    assert planted.batches == [2, 2, 1] * 2


def test_without_detections_nothing_is_called():
    planted = Planted()

    assert Landmarker(planted, score_threshold=0.5).refine([chart()], [[]]) == [[]]
    assert planted.batches == []


def test_landmarks_that_collapse_or_are_no_numbers_break_nothing():
    def infer(crops):
        count = len(crops)
        points = np.full((count, 68, 2), 64, np.float32)
        points[1::2] = np.nan
        return points, points[:, :5], np.ones((count, 1), np.float32)

    face = detection(face_at(250, 250, 100, 0))

    found = Landmarker(infer, score_threshold=0.5).refine([chart()] * 2, [[face]] * 2)

    assert [len(of_one) for of_one in found] == [1, 0]
