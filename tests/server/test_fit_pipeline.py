# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from mien_server.deca_codes import CODE_PARTS, head_inputs
from mien_server.errors import ServingError
from mien_server.fit_encoding import FitEncoders
from mien_server.fit_pipeline import FitRequest, fit_requests
from tests.server.planted_fits import (
    HEAD_RGB,
    MIRRORED,
    VERTICES,
    PlantedModels,
    codes_of,
    head_of,
    image_from_crop,
    photograph,
    shape_of,
)

NUMBERS = (
    "codes", "shape", "vertices", "vertices_px", "landmarks", "landmarks_68", "fitted_landmarks_68",
    "box_xyxy", "face_count", "untrained", "error",
)  # fmt: skip
ALL = (*NUMBERS, "overlay")


def request(*images, on_error="raise", policy="largest", source="", outputs=NUMBERS):
    return FitRequest(
        image=np.array([[image] for image in images], dtype=object),
        policies=[policy] * len(images),
        on_error=[on_error] * len(images),
        shape_sources=[source] * len(images),
        outputs=frozenset(outputs),
    )


def fit(*requests, models=None, has_mica=False, mirrored=False):
    encoders = FitEncoders(has_mica, mirrored_shape=mirrored)
    return fit_requests(requests, models or PlantedModels(), encoders=encoders, untrained=True)


def head_in_metres(seed):
    return head_of(*(array[0] for array in head_inputs(codes_of(seed)[None]).values()))


def in_image(points, seed, codes=None):
    """DECA's camera and the way out of the crop, written out once more."""
    codes = codes_of(seed) if codes is None else codes
    scale, tx, ty = codes[CODE_PARTS["camera"]].astype(np.float64)
    x = scale * (points[:, 0] + tx)
    y = -scale * (points[:, 1] + ty)
    crop = np.column_stack([(x * 0.5 + 0.5) * 224, (y * 0.5 + 0.5) * 224])
    to_image = image_from_crop(seed).astype(np.float64)
    flat = crop @ to_image[:, :2].T + to_image[:, 2]
    depth = -scale * points[:, 2] * 112 * 0.7  # the crop is drawn at 0.7 pixels of the image
    return np.column_stack([flat, depth])


def pixels_of(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_a_fit_holds_the_codes_and_the_head_they_mean():
    (answer,) = fit(request(photograph(3)))

    np.testing.assert_array_equal(answer["codes"], codes_of(3)[None])
    np.testing.assert_array_equal(answer["shape"], np.pad(codes_of(3)[:100], (0, 200))[None])
    np.testing.assert_allclose(answer["vertices"][0], head_in_metres(3), atol=1e-6)
    assert answer["untrained"].tolist() == [[True]]
    assert answer["error"].tolist() == [[b""]]
    assert set(answer) == set(NUMBERS)


def test_the_head_is_projected_to_where_it_lies_in_the_photograph():
    (answer,) = fit(request(photograph(5)))

    expected = in_image(head_in_metres(5), 5)
    np.testing.assert_allclose(answer["vertices_px"][0], expected, atol=1e-3)
    np.testing.assert_allclose(
        answer["fitted_landmarks_68"][0], expected[np.arange(68) % VERTICES, :2], atol=1e-3
    )
    assert answer["vertices_px"].dtype == answer["fitted_landmarks_68"].dtype == np.float32


def test_what_the_cropper_found_is_handed_through():
    (answer,) = fit(request(photograph(7)))

    np.testing.assert_array_equal(answer["box_xyxy"], [[7, 8, 9, 10]])
    assert (answer["landmarks"] == 7).all()
    assert (answer["landmarks_68"] == 7).all()
    assert answer["face_count"].tolist() == [[1]]


def test_all_photographs_of_a_batch_go_through_each_model_in_one_call():
    models = PlantedModels()

    fit(
        request(photograph(1), photograph(2)),
        request(photograph(3), outputs=ALL),
        request(photograph(4)),
        models=models,
    )

    assert models.together == [
        ["face_cropper"],
        ["deca_encoder"],
        ["flame_decoder", "texture_decoder"],
        ["style_renderer"],
    ]
    assert len(models.inputs_of("face_cropper")["image"]) == 4
    assert len(models.inputs_of("deca_encoder")["face_224"]) == 4


def test_only_the_heads_whose_overlay_is_wanted_are_painted_and_rendered():
    models = PlantedModels()

    plain, drawn = fit(
        request(photograph(1)),
        request(photograph(2), b"bad", on_error="report", outputs=ALL),
        models=models,
    )

    assert "overlay" not in plain
    assert drawn["overlay"][1, 0] == b""
    rendered = models.inputs_of("style_renderer")
    parts = {name: codes_of(2)[part] for name, part in CODE_PARTS.items()}
    np.testing.assert_array_equal(
        models.inputs_of("texture_decoder")["texture"][0], parts["texture"]
    )
    np.testing.assert_array_equal(rendered["light"], parts["light"][None])
    np.testing.assert_allclose(rendered["vertices"][0], head_in_metres(2), atol=1e-6)
    np.testing.assert_allclose(rendered["albedo"], parts["texture"][0])


def test_without_an_overlay_nothing_is_painted():
    models = PlantedModels()

    fit(request(photograph(1)), models=models)

    assert models.together == [["face_cropper"], ["deca_encoder"], ["flame_decoder"]]


@pytest.mark.parametrize(("source", "share"), [("mica", 1.0), ("mean", 0.5), ("", 0.5)])
def test_the_shape_can_come_from_mica_or_from_both(source, share):
    (answer,) = fit(request(photograph(3), source=source), has_mica=True)

    wanted = (1 - share) * np.pad(codes_of(3)[:100], (0, 200)) + share * shape_of(3)
    np.testing.assert_allclose(answer["shape"][0], wanted, atol=1e-7)
    np.testing.assert_array_equal(answer["codes"][0, :100], answer["shape"][0, :100])
    camera = CODE_PARTS["camera"]
    np.testing.assert_array_equal(answer["codes"][0, 100 : camera.start], codes_of(3)[100:206])
    np.testing.assert_array_equal(answer["codes"][0, camera.stop :], codes_of(3)[camera.stop :])
    pose = head_inputs(codes_of(3)[None])
    expected = head_of(wanted, pose["expression"][0], pose["pose"][0])
    np.testing.assert_allclose(answer["vertices"][0], expected, atol=1e-6)


def test_a_head_of_another_shape_lies_where_deca_saw_one():
    own, other = fit(
        request(photograph(3), source="deca"), request(photograph(3), source="mica"), has_mica=True
    )

    assert np.abs(own["vertices"] - other["vertices"]).max() > 0.005
    # The planted heads differ in size and place alone, which a camera makes up for.
    np.testing.assert_allclose(own["fitted_landmarks_68"], other["fitted_landmarks_68"], atol=1e-3)
    projected = in_image(other["vertices"][0], 3, other["codes"][0])
    np.testing.assert_allclose(other["vertices_px"][0], projected, atol=1e-3)


@pytest.mark.parametrize(("source", "share"), [("deca", 0.0), ("mean", 0.5)])
def test_the_mirror_image_has_a_say_in_the_shape_and_in_nothing_else(source, share):
    models = PlantedModels()
    (answer,) = fit(
        request(photograph(3), source=source), models=models, has_mica=True, mirrored=True
    )

    both = (codes_of(3)[:100] + codes_of(3 + MIRRORED)[:100]) / 2
    wanted = (1 - share) * np.pad(both, (0, 200)) + share * shape_of(3)
    np.testing.assert_allclose(answer["shape"][0], wanted, atol=1e-7)
    camera = CODE_PARTS["camera"]
    np.testing.assert_array_equal(answer["codes"][0, 100 : camera.start], codes_of(3)[100:206])
    np.testing.assert_array_equal(answer["codes"][0, camera.stop :], codes_of(3)[camera.stop :])
    (plain,) = fit(request(photograph(3), source="deca"), has_mica=True)
    np.testing.assert_allclose(
        answer["fitted_landmarks_68"], plain["fitted_landmarks_68"], atol=1e-3
    )
    assert len(models.inputs_of("deca_encoder")["face_224"]) == 2


def test_only_faces_whose_shape_deca_tells_are_mirrored():
    models = PlantedModels()
    sources = ["mica", "deca", "mean", "deca"]
    requests = [request(photograph(n), source=source) for n, source in enumerate(sources)]
    requests.append(request(b"bad", source="deca", on_error="report"))

    together = fit(*requests, models=models, has_mica=True, mirrored=True)

    first = models.inputs_of("deca_encoder")["face_224"][:, 0, 0, 0]
    assert first.tolist() == [0, 1, 2, 3, 1 + MIRRORED, 2 + MIRRORED, 3 + MIRRORED]
    for asked, answer in zip(requests, together, strict=True):
        (alone,) = fit(asked, has_mica=True, mirrored=True)
        for name in NUMBERS if asked is not requests[-1] else ():
            np.testing.assert_array_equal(answer[name], alone[name])


def test_sources_of_one_batch_do_not_mix():
    models = PlantedModels()
    sources = ["mica", "deca", "", "mean"]
    requests = [request(photograph(n), source=source) for n, source in enumerate(sources)]

    together = fit(*requests, models=models, has_mica=True)

    assert models.together == [
        ["face_cropper"],
        ["deca_encoder", "mica_encoder"],
        ["flame_decoder", "flame_decoder"],
    ]
    assert len(models.inputs_of("mica_encoder")["crop_112"]) == 3
    for asked, answer in zip(requests, together, strict=True):
        (alone,) = fit(asked, has_mica=True)
        for name in NUMBERS:
            np.testing.assert_array_equal(answer[name], alone[name])


@pytest.mark.parametrize(
    ("source", "has_mica", "words"),
    [("flame", True, "'deca', 'mica' or 'mean'"), ("mica", False, "no mica_encoder")],
)
def test_a_source_that_is_not_there_refuses_its_own_photograph_alone(source, has_mica, words):
    good, bad, reported = fit(
        request(photograph(1)),
        request(photograph(2), source=source),
        request(photograph(3), source=source, on_error="report"),
        has_mica=has_mica,
    )

    assert good["error"].tolist() == [[b""]]
    assert bad.code == "INVALID_OPTION"
    assert words in bad.text
    assert words in reported["error"][0, 0].decode()
    assert np.isnan(reported["shape"]).all()


def test_refused_photographs_go_no_further_and_harm_no_neighbour():
    models = PlantedModels()

    raised, reported, untouched = fit(
        request(photograph(1), b"bad one"),
        request(b"bad", photograph(2), b"bad", on_error="report"),
        request(photograph(3)),
        models=models,
    )

    assert isinstance(raised, ServingError)
    assert raised.code == "NO_FACE"
    assert raised.text == "image 2 of 2: none in bad one"
    assert [bool(error) for error in reported["error"][:, 0]] == [True, False, True]
    np.testing.assert_array_equal(reported["codes"][1], codes_of(2))
    for name in ("codes", "vertices", "vertices_px", "fitted_landmarks_68", "box_xyxy"):
        nothing = np.isnan(reported[name]).reshape(3, -1)
        assert nothing.all(axis=1).tolist() == [True, False, True]
        assert not nothing[1].any()
    (alone,) = fit(request(photograph(3)))
    for name in NUMBERS:
        np.testing.assert_array_equal(untouched[name], alone[name])
    assert len(models.inputs_of("deca_encoder")["face_224"]) == 3


def test_a_request_without_any_face_gets_heads_without_vertices_whoever_its_neighbours_are():
    bad = request(b"bad", b"bad", on_error="report", outputs=ALL)
    models = PlantedModels()

    alone, (beside, _) = fit(bad, models=models)[0], fit(bad, request(photograph(1)))

    assert models.together == [["face_cropper"]]
    for answer in (alone, beside):
        assert answer["vertices"].shape == answer["vertices_px"].shape == (2, 0, 3)
        assert np.isnan(answer["codes"]).all()
        assert answer["overlay"].tolist() == [[b""], [b""]]


def test_options_reach_the_cropper_and_a_bad_one_fails_its_request():
    models = PlantedModels()

    good, bad = fit(
        request(photograph(1), policy="single"),
        request(photograph(2), on_error="ignore"),
        models=models,
    )

    policies = models.inputs_of("face_cropper")["face_policy"]
    assert policies.tolist() == [[b"single"], [b"largest"]]
    assert not isinstance(good, ServingError)
    assert bad.code == "INVALID_OPTION"


def test_a_failing_model_fails_the_call_that_was_shared():
    class Broken(PlantedModels):
        def deca_encoder(self, face_224):
            raise ServingError("MODEL_FAILED", "deca_encoder failed")

    with pytest.raises(ServingError, match="deca_encoder"):
        fit(request(photograph(1)), models=Broken())


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_codes_that_are_no_numbers_fail_their_own_photograph_alone(nothing):
    class Overflowing(PlantedModels):
        def deca_encoder(self, face_224):
            codes = super().deca_encoder(face_224)["codes"]
            codes[face_224[:, 0, 0, 0] == 2, 70] = nothing
            return {"codes": codes}

    models = Overflowing()

    raised, reported = fit(
        request(photograph(2)),
        request(photograph(1), photograph(2), on_error="report", outputs=ALL),
        models=models,
    )

    assert raised.code == "MODEL_FAILED"
    assert reported["error"][:, 0].tolist()[0] == b""
    assert reported["error"][1, 0].startswith(b"mien.MODEL_FAILED: deca_encoder")
    assert np.isnan(reported["codes"][1]).all()
    assert reported["overlay"][0, 0]
    assert len(models.inputs_of("flame_decoder")["shape"]) == 1


def test_a_shape_that_is_no_numbers_fails_its_own_photograph_alone():
    class Overflowing(PlantedModels):
        def mica_encoder(self, crop_112):
            shape = super().mica_encoder(crop_112)["shape"]
            shape[crop_112[:, 0, 0, 0] == 2, 250] = np.nan
            return {"shape": shape}

    good, bad, without = fit(
        request(photograph(1)),
        request(photograph(2)),
        request(photograph(2), source="deca"),
        models=Overflowing(),
        has_mica=True,
    )

    assert good["error"].tolist() == without["error"].tolist() == [[b""]]
    assert bad.code == "MODEL_FAILED"


@pytest.mark.parametrize("size", [(300, 260), (2048, 1536)])
def test_the_overlay_is_the_photograph_but_for_the_head(size):
    image = photograph(4, size)
    (answer,) = fit(request(image, outputs=ALL))

    drawn = pixels_of(answer["overlay"][0, 0])
    factor = min(2, 1024 / max(size))
    assert drawn.shape == (round(size[1] * factor), round(size[0] * factor), 3)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    under = np.asarray(Image.open(io.BytesIO(image)).resize(drawn.shape[1::-1], how)).astype(int)
    head = answer["vertices_px"][0, :, :2] * factor
    centre = head.mean(axis=0)
    radius = np.linalg.norm(head[0] - centre)
    rows, columns = np.indices(drawn.shape[:2]) + 0.5
    distance = np.hypot(columns - centre[0], rows - centre[1])
    outside, inside = distance > radius + 5, distance < radius - 5
    np.testing.assert_allclose(drawn[outside], under[outside], atol=1)
    assert inside.sum() > 100
    # 0.6 of the head's colour, 0.4 of what was there.
    mixed = 0.4 * under[inside] + 0.6 * 255 * np.array(HEAD_RGB)
    np.testing.assert_array_less(np.abs(drawn[inside] - mixed).mean(), 2.5)


def test_an_overlay_of_a_photograph_on_its_side_stands_upright():
    buffer = io.BytesIO()
    plain = Image.open(io.BytesIO(photograph(4)))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    plain.save(buffer, "PNG", exif=exif)

    (answer,) = fit(request(buffer.getvalue(), outputs=ALL))

    assert pixels_of(answer["overlay"][0, 0]).shape == (600, 520, 3)
