# SPDX-License-Identifier: Apache-2.0
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mien_server.contract import ModelContract
from mien_server.cropping import CROP_SIZES, CroppedFace, FaceCropper
from mien_server.detection import CascadeDetector, Detection
from mien_server.errors import ServingError
from mien_server.face_cropper_pipeline import CropRequest, crop_requests, cropper_from_contract
from mien_server.images import ImageLimits
from mien_server.landmarking import Landmarker
from tests.photographs import altered_astronaut, astronaut, encoded, faceless, two_faces


@pytest.fixture(scope="module")
def cropper():
    return FaceCropper(CascadeDetector(threads=2), ImageLimits(), min_face_px=32, threads=2)


def crop_one(cropper, image, policy="largest", sizes=(112,)):
    return cropper.crop([image], [policy], sizes)[0]


def test_crop_puts_the_eyes_on_the_template(cropper):
    face = crop_one(cropper, encoded(astronaut()), sizes=CROP_SIZES)

    assert isinstance(face, CroppedFace)
    for size in CROP_SIZES:
        assert face.crops[size].shape == (3, size, size)
        assert face.crops[size].min() >= 0
        assert face.crops[size].max() <= 255
    # Pupils are dark: the template's eye positions are darker than the cheeks below them.
    crop = face.crops[112].mean(axis=0)
    assert crop[50:54, 36:41].mean() < crop[66:70, 36:41].mean() - 30
    assert crop[50:54, 71:76].mean() < crop[66:70, 71:76].mean() - 30


def test_crop_of_an_altered_photograph_resembles_the_original_crop(cropper):
    original = crop_one(cropper, encoded(astronaut())).crops[112]
    altered = crop_one(cropper, encoded(altered_astronaut(), quality=60)).crops[112]

    assert np.corrcoef(original.ravel(), altered.ravel())[0, 1] > 0.9


def test_boxes_scale_with_the_photograph(cropper):
    small = crop_one(cropper, encoded(astronaut()))
    large = crop_one(cropper, encoded(astronaut().resize((5120, 5120))))

    np.testing.assert_allclose(large.box_xyxy / 10, small.box_xyxy, atol=8)
    np.testing.assert_allclose(large.landmarks / 10, small.landmarks, atol=8)
    assert large.image_size.tolist() == [5120, 5120]


def test_bad_photographs_harm_no_neighbour_and_keep_their_place(cropper):
    good = encoded(astronaut())
    images = [b"", good, encoded(faceless("coffee")), good, b"GIF89a....", good, good]
    policies = ["largest"] * 6 + ["smallest"]

    results = cropper.crop(images, policies, (112,))

    codes = [r.code if isinstance(r, ServingError) else "ok" for r in results]
    assert codes == [
        "EMPTY_IMAGE", "ok", "NO_FACE", "ok", "UNSUPPORTED_FORMAT", "ok", "INVALID_OPTION",
    ]  # fmt: skip
    np.testing.assert_array_equal(results[1].crops[112], results[5].crops[112])


def test_several_faces_are_an_error_only_under_the_policy_single(cropper):
    photograph = encoded(two_faces())

    largest = crop_one(cropper, photograph, "largest")
    single = crop_one(cropper, photograph, "single")

    assert largest.box_xyxy[0] > 440
    assert isinstance(single, ServingError)
    assert single.code == "MULTIPLE_FACES"
    assert isinstance(crop_one(cropper, encoded(astronaut()), "single"), CroppedFace)


def test_a_face_below_the_minimum_is_refused_with_its_size():
    strict = FaceCropper(CascadeDetector(), ImageLimits(), min_face_px=200)

    refusal = crop_one(strict, encoded(astronaut()))

    assert refusal.code == "FACE_TOO_SMALL"
    assert "99 pixels" in refusal.text


def request(images, *, on_error="raise", outputs=("crop_112", "error")):
    count = len(images)
    return CropRequest(images, ["largest"] * count, [on_error] * count, frozenset(outputs))


def test_requests_get_only_the_crops_they_ask_for(cropper):
    good = encoded(astronaut())

    first, second = crop_requests(
        cropper,
        [request([good], outputs=("crop_112",)), request([good], outputs=("crop_256", "error"))],
    )

    assert "crop_256" not in first
    assert "crop_112" not in second
    assert second["crop_256"].shape == (1, 3, 256, 256)


def test_raise_fails_the_request_and_report_marks_the_item(cropper):
    good, bad = encoded(astronaut()), encoded(faceless("rocket"))

    raised, reported, untouched = crop_requests(
        cropper,
        [request([good, bad]), request([good, bad], on_error="report"), request([good])],
    )

    assert isinstance(raised, ServingError)
    assert raised.code == "NO_FACE"
    assert raised.text.startswith("image 2 of 2: ")
    assert [bool(e) for e in reported["error"].ravel()] == [False, True]
    assert np.isnan(reported["crop_112"][1]).all()
    assert not np.isnan(reported["crop_112"][0]).any()
    assert untouched["crop_112"].shape == (1, 3, 112, 112)


@pytest.mark.parametrize("on_error", [["raise", "report"], ["ignore", "ignore"]])
def test_a_bad_on_error_option_fails_its_request(cropper, on_error):
    good = encoded(astronaut())

    (answer,) = crop_requests(
        cropper, [CropRequest([good, good], ["largest"] * 2, on_error, frozenset({"error"}))]
    )

    assert isinstance(answer, ServingError)
    assert answer.code == "INVALID_OPTION"


def contract_with(**parameters):
    values = {
        "detector": "cascade", "score_threshold": "0.6", "landmarker": "none",
        "face_score_threshold": "0.5", "min_face_px": "32", "max_pixels": "1000000",
        "max_bytes": "1000000", **parameters,
    }  # fmt: skip
    return ModelContract.from_json(
        json.dumps(
            {
                "name": "face_cropper",
                "parameters": {key: {"string_value": value} for key, value in values.items()},
            }
        )
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("detector", "eyes"), ("landmarker", "yes"), ("min_face_px", "many"), ("max_pixels", "")],
)
def test_a_bad_parameter_stops_the_model_from_loading(key, value):
    with pytest.raises(ValueError, match=key):
        made_from(contract_with(**{key: value}))


def made_from(contract, *, infer_detector=None, infer_landmarker=None):
    return cropper_from_contract(
        contract, threads=1, infer_detector=infer_detector, infer_landmarker=infer_landmarker
    )


def test_the_config_chooses_the_detector():
    def infer(images):
        count = len(images)
        box = np.tile(np.float32([100, 100, 300, 300]), (count, 1, 1))
        points = np.float32([[150, 170], [250, 170], [200, 220], [160, 260], [240, 260]])
        return np.full((count, 1), 0.95, np.float32), box, np.tile(points, (count, 1, 1, 1))

    cropper = made_from(contract_with(detector="face_detector"), infer_detector=infer)

    face = crop_one(cropper, encoded(faceless("coffee")))

    assert face.alignment == "landmarks"
    np.testing.assert_allclose(face.box_xyxy, np.array([100, 100, 300, 300]) * 600 / 640)
    assert np.isnan(face.landmarks_68).all()
    assert np.isnan(face.face_score)


def ring(crops, score=1.0):
    """A landmarker that sees a ring of 80 pixels in the middle of every crop."""
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 64 + 40 * np.column_stack([np.cos(angles), np.sin(angles)])
    points[36:42], points[42:48] = (50, 60), (78, 60)
    five = np.array([(50, 60), (78, 60), (64, 70), (52, 85), (76, 85)])
    count = len(crops)
    return (
        np.tile(np.float32(points), (count, 1, 1)),
        np.tile(np.float32(five), (count, 1, 1)),
        np.full((count, 1), score, np.float32),
    )


def test_the_config_chooses_the_landmarker_and_its_points_lead_to_the_crops():
    plain = crop_one(made_from(contract_with()), encoded(astronaut()))
    cropper = made_from(contract_with(landmarker="face_landmarker"), infer_landmarker=ring)

    (face,) = cropper.crop([encoded(astronaut())], ["largest"], (112,), face_224=True)

    assert face.alignment == "landmarks"
    assert face.face_score == 1
    assert face.detection_score == plain.detection_score
    # 80 of 128 pixels of 1.5 boxes, then 1 / 1.6 of 1.6 times that: the ring stays as it is.
    side = (plain.box_xyxy[2] - plain.box_xyxy[0]) * 1.5 * 80 / 128
    assert np.ptp(face.landmarks_68, axis=0).max() == pytest.approx(side, rel=0.02)
    np.testing.assert_allclose(
        face.box_xyxy, [*face.landmarks_68.min(axis=0), *face.landmarks_68.max(axis=0)]
    )
    assert np.abs(face.crops[112] - plain.crops[112]).mean() > 1


def test_false_alarms_are_no_faces_and_the_second_look_is_thorough():
    """A quick look that saw only false alarms is followed by a thorough one."""
    looks = []

    class Detector:
        def detect(self, images_rgb, *, thorough):
            looks.append(list(thorough))
            wide = Detection(np.array([10.0, 10, 90, 90]), np.zeros((5, 2)), 1.0, "box")
            small = Detection(np.array([200.0, 200, 240, 240]), np.zeros((5, 2)), 1.0, "box")
            return [[wide, small] if everywhere else [wide] for everywhere in thorough]

    def infer(crops):
        # The false alarm lies in the dark part of the photograph.
        points, five, scores = ring(crops)
        return points, five, np.where(crops.mean(axis=(1, 2, 3)) > 100, scores[:, 0], 0)[:, None]

    photograph = np.zeros((300, 300, 3), np.uint8)
    photograph[150:] = 255
    image = encoded(Image.fromarray(photograph), "PNG")
    landmarker = Landmarker(infer, score_threshold=0.5)
    cropper = FaceCropper(Detector(), ImageLimits(), min_face_px=20, landmarker=landmarker)

    quick, thorough = cropper.crop([image, image], ["largest", "single"], ())

    assert looks == [[False, True], [True]]
    for face in (quick, thorough):
        assert face.face_count == 1
        assert face.box_xyxy[0] > 190


def test_when_nothing_scores_as_a_face_there_is_none():
    def infer(crops):
        return ring(crops, score=0.3)

    cropper = made_from(contract_with(landmarker="face_landmarker"), infer_landmarker=infer)

    assert crop_one(cropper, encoded(astronaut())).code == "NO_FACE"
    lenient = contract_with(landmarker="face_landmarker", face_score_threshold="0.2")
    assert crop_one(made_from(lenient, infer_landmarker=infer), encoded(astronaut())).face_count


@pytest.mark.parametrize("side", [512, 4000])
def test_face_224_leads_back_to_the_photograph(cropper, side):
    """Every pixel of the crop is what the photograph has where the transform leads."""
    photograph = astronaut().resize((side, side))
    (face,) = cropper.crop([encoded(photograph, "PNG")], ["largest"], (), face_224=True)

    to_image = face.image_from_face_224
    smooth = cv2.GaussianBlur(np.asarray(photograph), (0, 0), max(0.01, to_image[0, 0] / 2))

    def difference(dx, dy):
        rows, columns = np.indices((224, 224)) + 0.5
        places = np.stack([columns + dx, rows + dy], axis=-1) @ to_image[:, :2].T + to_image[:, 2]
        at = [np.float32(places[..., axis] - 0.5) for axis in (0, 1)]
        seen = cv2.remap(smooth, *at, cv2.INTER_LINEAR).transpose(2, 0, 1)
        return np.abs(face.face_224 - seen)[:, 8:-8, 8:-8].mean()

    assert difference(0, 0) < 2
    # Half a pixel of the crop to any side fits worse.
    for dx, dy in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5)):
        assert difference(dx, dy) > 1.5 * difference(0, 0)


def test_face_224_is_made_only_where_it_is_asked_for(cropper):
    good, bad = encoded(astronaut()), encoded(faceless("rocket"))

    without, with_it = crop_requests(
        cropper,
        [
            request([good]),
            request([good, bad], on_error="report", outputs=("face_224", "image_from_face_224")),
        ],
    )

    assert set(without) == {"crop_112", "error"}
    assert with_it["face_224"].shape == (2, 3, 224, 224)
    assert not np.isnan(with_it["face_224"][0]).any()
    assert np.isnan(with_it["face_224"][1]).all()
    assert np.isnan(with_it["image_from_face_224"][1]).all()
