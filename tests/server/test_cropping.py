# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from mien_server.contract import ModelContract
from mien_server.cropping import CROP_SIZES, CroppedFace, FaceCropper
from mien_server.detection import CascadeDetector
from mien_server.errors import ServingError
from mien_server.face_cropper_pipeline import CropRequest, crop_requests, cropper_from_contract
from mien_server.images import ImageLimits
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
        "detector": "cascade", "score_threshold": "0.6", "min_face_px": "32",
        "max_pixels": "1000000", "max_bytes": "1000000", **parameters,
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
    ("key", "value"), [("detector", "eyes"), ("min_face_px", "many"), ("max_pixels", "")]
)
def test_a_bad_parameter_stops_the_model_from_loading(key, value):
    with pytest.raises(ValueError, match=key):
        cropper_from_contract(contract_with(**{key: value}), threads=1, infer_detector=None)


def test_the_config_chooses_the_detector():
    def infer(images):
        count = len(images)
        box = np.tile(np.float32([100, 100, 300, 300]), (count, 1, 1))
        points = np.float32([[150, 170], [250, 170], [200, 220], [160, 260], [240, 260]])
        return np.full((count, 1), 0.95, np.float32), box, np.tile(points, (count, 1, 1, 1))

    cropper = cropper_from_contract(
        contract_with(detector="face_detector"), threads=1, infer_detector=infer
    )

    face = crop_one(cropper, encoded(faceless("coffee")))

    assert face.alignment == "landmarks"
    np.testing.assert_allclose(face.box_xyxy, np.array([100, 100, 300, 300]) * 600 / 640)
