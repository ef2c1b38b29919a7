# SPDX-License-Identifier: Apache-2.0
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from mien_server.generation.generator import FaceGenerator, GeneratorSettings
from mien_server.generation.identity_tokens import IdentityTokens
from mien_server.verification import cosine_similarity
from tests.server.generation.planted_generator import (
    PERSON_SHAPE,
    Listener,
    PlantedGenerator,
    fitted,
    inputs,
    person,
    photograph,
)

KEY = bytes(range(32))
SETTINGS = GeneratorSettings(
    max_count=8, max_faces_in_flight=10, raw_identities=False, generator="abc", untrained=True
)


@pytest.fixture
def models():
    return PlantedGenerator()


@pytest.fixture
def make(models):
    """Starts generators, and stops them."""
    started = []

    def start(**changes):
        settings = GeneratorSettings(
            **{name: changes.get(name, getattr(SETTINGS, name)) for name in SETTINGS.__slots__}
        )
        started.append(FaceGenerator(models, IdentityTokens(KEY, "weights"), settings))
        started[-1].start()
        return started[-1]

    yield start
    models.release()
    for generator in started:
        generator.stop()


@pytest.fixture
def generator(make):
    return make()


def ask(generator, cancel_at=None, **values):
    listener = Listener(cancel_at)
    generator.submit(inputs(**values), listener)
    return listener


def finished(generator, **values):
    listener = ask(generator, **values)
    assert listener.closed.wait(20)
    return listener


def test_a_request_is_told_of_start_steps_previews_and_faces(generator):
    listener = finished(
        generator, identity=1, count=2, steps=4, seed=7, progress=True, preview_every=2
    )

    assert listener.kinds[0] == "started"
    assert listener.of("started")[0]["steps"].tolist() == [8]
    told = [(e["steps_done"][0], e["steps"][0]) for e in listener.of("progress")]
    assert told == [(2, 8), (4, 8), (6, 8), (8, 8)]
    assert {e["steps_done"][0] for e in listener.of("preview")} <= {2}
    assert sorted(e["index"][0] for e in listener.of("face")) == [0, 1]
    assert sorted(e["seed"][0] for e in listener.of("face")) == [7, 8]
    assert all(e["untrained"].tolist() == [True] for e in listener.of("face"))
    assert listener.ends == 1


def test_progress_and_previews_are_sent_only_where_asked_for(generator):
    listener = finished(generator, identity=1, count=2, steps=4)

    assert listener.kinds == ["started", "face", "face"]


def test_a_face_is_what_the_decoder_makes_and_says_how_it_was_made(generator, models):
    (face,) = finished(generator, identity=1, seed=5, steps=3).of("face")
    (raw,) = finished(generator, identity=1, seed=5, steps=3, image_format="raw").of("face")

    picture = Image.open(io.BytesIO(face["image"][0]))
    np.testing.assert_array_equal(np.asarray(picture), raw["pixels"])
    assert raw["pixels"].shape == (128, 128, 3)
    assert "image" not in raw
    assert picture.text == {
        "Software": "mien generate_faces", "synthetic": "true", "mien.generator": "abc",
        "mien.seed": "5",
    }  # fmt: skip


def test_the_similarity_is_that_of_the_recognisers_crop_of_the_image(generator, models):
    (face,) = finished(generator, identity=1, seed=5, steps=3, image_format="raw").of("face")

    crop = face["pixels"][:112, 8:120].transpose(2, 0, 1)[None].astype(np.float32)
    np.testing.assert_array_equal(models.of("face_recognizer")[-1].inputs["crop_112"], crop)
    wanted = cosine_similarity(person(int(crop[0, 0, 0, 0]))[None], person(1)[None])
    assert face["similarity"] == wanted


def test_a_face_does_not_know_its_company(generator):
    alone = finished(generator, identity=1, count=3, seed=20, steps=6).faces()

    others = [
        ask(generator, identity=2, count=1, seed=n, steps=3 + 4 * n, guidance_weight=n / 2,
            solver=["ddim", "dpm_solver_2m", "ddim_uiface"][n])
        for n in range(3)
    ]  # fmt: skip
    crowded = ask(generator, identity=1, count=3, seed=20, steps=6).faces()
    single = finished(generator, identity=1, seed=21, steps=6).faces()

    assert crowded == alone
    assert single == {21: alone[21]}
    assert len({image for image, _ in alone.values()}) == 3
    for other in others:
        other.faces()


def test_a_token_gives_the_same_faces_as_the_photograph_it_came_from(generator):
    from_photograph = finished(generator, identity=3, seed=1, steps=3)
    token = from_photograph.of("started")[0]["identity_token"][0]

    from_token = finished(generator, identity_token=token, seed=1, steps=3)

    assert from_token.faces() == from_photograph.faces()


@pytest.mark.parametrize("who", [{"identity": 3}, {"identity_seed": 4}])
def test_an_identity_can_be_had_without_a_face(generator, who):
    listener = finished(generator, **who, count=0)
    token = listener.of("started")[0]["identity_token"][0]

    assert listener.kinds == ["started"]
    assert listener.of("started")[0]["steps"].tolist() == [0]
    faces = finished(generator, identity_token=token, seed=1, steps=1).faces()
    assert faces == finished(generator, **who, seed=1, steps=1).faces()


def test_a_style_is_sampled_by_the_faces_own_seed_and_has_the_persons_shape(generator):
    one, other = finished(generator, identity=3, count=2, seed=40, steps=1).of("face")
    (alone,) = finished(generator, identity=3, seed=41, steps=1).of("face")

    np.testing.assert_array_equal(one["codes"][:100], np.full(100, PERSON_SHAPE + 3))
    assert np.abs(one["codes"][100:200] - other["codes"][100:200]).min() > 0
    np.testing.assert_array_equal(other["codes"], alone["codes"])


def test_the_noise_of_a_style_is_not_that_of_the_latent(generator, models):
    finished(generator, identity=3, seed=40, steps=1)

    style = models.of("style_sampler")[0].inputs["noise"].ravel()
    latent = models.of("face_denoiser")[0].inputs["z"][0].ravel()[: style.size]
    assert abs(np.corrcoef(style, latent)[0, 1]) < 0.3


def test_the_shape_of_a_style_stays_where_it_is_not_to_be_replaced(generator):
    (face,) = finished(generator, identity=3, steps=1, replace_shape=False).of("face")

    assert np.abs(face["codes"][:100] - (PERSON_SHAPE + 3)).max() > 0.1


def test_a_style_comes_from_a_photograph_or_from_codes(generator):
    photo = finished(generator, identity=3, style_image=photograph(5), count=2, steps=1)
    rows = np.tile(fitted(6), (2, 1))
    rows[1, 150:200] = 9
    codes = finished(generator, identity=3, style_codes=rows, count=2, steps=1, replace_shape=False)

    for face in photo.of("face"):
        np.testing.assert_array_equal(face["codes"][100:], fitted(5)[100:])
        np.testing.assert_array_equal(face["codes"][:100], fitted(3)[:100])
    for face in codes.of("face"):
        np.testing.assert_array_equal(face["codes"], rows[face["index"][0]])


def test_parts_of_a_style_can_be_given_and_the_rest_is_sampled(generator):
    (face,) = finished(
        generator, identity=3, style_image=photograph(5), style_parts=["light", "pose"], steps=1
    ).of("face")

    np.testing.assert_array_equal(face["codes"][200:206], fitted(5)[200:206])
    np.testing.assert_array_equal(face["codes"][209:], fitted(5)[209:])
    assert np.abs(face["codes"][150:200] - fitted(5)[150:200]).min() > 0


def test_somebody_new_is_read_off_a_face_of_nobody_in_particular(generator, models):
    first = finished(generator, identity_seed=9, seed=1, steps=2)
    portrait = [call for call in models.of("face_denoiser") if not call.inputs["keep_id"].any()]
    again = finished(generator, identity_seed=9, seed=1, steps=2)
    other = finished(generator, identity_seed=10, seed=1, steps=2)

    assert len(portrait) == 16
    assert all(call.inputs["keep_sty"].all() for call in portrait)
    assert first.faces() == again.faces() != other.faces()
    resting = models.of("encode_styles")[0].inputs
    assert not resting["expression"].any()
    assert not resting["pose"].any()
    assert resting["shape"].any()


def test_the_network_is_asked_as_equation_10_says(generator, models):
    finished(generator, identity=1, steps=4, solver="ddim", switch_at=500)
    guided = models.of("face_denoiser")
    models.calls.clear()
    finished(generator, identity=1, steps=4, guidance_weight=0.0)

    for call in guided:
        dropped = [0, 1] if call.inputs["t"][0, 0] <= 500 else [1, 0]
        keep = np.hstack([call.inputs["keep_id"], call.inputs["keep_sty"]])
        np.testing.assert_array_equal(keep, [[1, 1], dropped])
    assert [len(call.inputs["z"]) for call in models.of("face_denoiser")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({}, "INVALID_OPTION", "none of identity_image, identity_token"),
        ({"identity": 1, "identity_seed": 2}, "INVALID_OPTION", "exactly one"),
        ({"identity_image": b"junk"}, "NO_FACE", "identity_image: no face"),
        ({"identity": 1, "style_image": b"junk"}, "NO_FACE", "style_image: no face"),
        ({"identity": 1, "count": 9}, "INVALID_OPTION", "count is 9; it must lie between 0 and 8"),
        ({"identity": 1, "steps": 0}, "INVALID_OPTION", "steps is 0"),
        ({"identity": 1, "solver": "euler"}, "INVALID_OPTION", "'dpm_solver_2m', 'ddim'"),
        ({"identity": 1, "guidance_weight": float("nan")}, "INVALID_OPTION", "guidance_weight is"),
        ({"identity": 1, "guidance_weight": -0.5}, "INVALID_OPTION", "between 0 and 20"),
        ({"identity": 1, "switch_at": 1001}, "INVALID_OPTION", "switch_at is 1001"),
        ({"identity": 1, "eta": 0.5}, "INVALID_OPTION", "draws no noise"),
        ({"identity": 1, "eta": 2.0, "solver": "ddim"}, "INVALID_OPTION", "eta is 2"),
        ({"identity": 1, "face_policy": "all"}, "INVALID_OPTION", "'largest', 'single'"),
        ({"identity": 1, "blending_order": "x"}, "INVALID_OPTION", "'identity_first'"),
        ({"identity": 1, "image_format": "bmp"}, "INVALID_OPTION", "'png', 'raw'"),
        ({"identity": 1, "preview_every": -1}, "INVALID_OPTION", "preview_every is -1"),
        ({"identity": 1, "style_parts": ["light"]}, "INVALID_OPTION", "neither style_image nor"),
        (
            {"identity": 1, "style_image": photograph(2), "style_parts": ["hair"]},
            "INVALID_OPTION", "'hair'; parts are shape",
        ),
        (
            {"identity": 1, "style_image": photograph(2), "style_codes": fitted(1)[None]},
            "INVALID_OPTION", "at most one",
        ),
        (
            {"identity": 1, "count": 2, "style_codes": np.tile(fitted(1), (3, 1))},
            "INVALID_TENSOR", "3 rows",
        ),
        ({"identity": 1, "style_codes": fitted(1)[None] * np.nan}, "INVALID_TENSOR", "NaN"),
        ({"identity": 1, "style_codes": -fitted(1)[None]}, "INVALID_TENSOR", "scale -7"),
        ({"identity_token": "mien1.x"}, "INVALID_IDENTITY", "no identity token"),
        ({"identity_embedding": person(1)}, "INVALID_OPTION", "raw_identities=true"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_and_leave_no_trace(generator, models, values, code, words):
    listener = finished(generator, **values)

    assert listener.error.code == code
    assert words in listener.error.text
    assert listener.events == []
    assert listener.ends == 1
    assert models.of("face_denoiser") == []
    # All places are free: the most that are taken at once are taken.
    most = [ask(generator, identity=1, count=5, steps=1) for _ in range(2)]
    assert [len(one.faces()) for one in most] == [5, 5]


def test_bare_embeddings_are_taken_where_the_operator_allows_them(make):
    generator = make(raw_identities=True)

    bare = finished(generator, identity_embedding=3 * person(4), seed=1, steps=2)
    broken = finished(generator, identity_embedding=0 * person(4))

    assert len(bare.faces()) == 1
    assert broken.error.code == "INVALID_TENSOR"


def test_more_faces_than_there_are_places_are_to_be_asked_for_later(generator, models):
    models.hold()
    first = ask(generator, identity=1, count=8, steps=2)
    assert models.denoising.acquire(timeout=20)

    refused = finished(generator, identity=1, count=3)
    models.release()

    assert refused.error.code == "OVERLOADED"
    assert "8 faces are being made and 3 more" in refused.error.text
    assert len(first.faces()) == 8
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # the place is free a moment after the stream has ended
        if finished(generator, identity=1, count=8, steps=1).error is None:
            return
    pytest.fail("the places were not given back")


def test_a_caller_who_leaves_frees_his_places_within_a_step(generator, models):
    gone = ask(generator, cancel_at=2, identity=1, count=8, steps=50, progress=True)
    assert gone.closed.wait(20)
    steps = len(models.of("face_denoiser"))

    again = finished(generator, identity=2, count=8, steps=1)

    assert gone.kinds == ["started", "progress", "progress"]
    assert gone.ends == 1
    assert steps == 2
    assert len(again.faces()) == 8


def test_a_caller_who_left_before_the_work_began_costs_none(generator, models):
    listener = Listener()
    listener.gone = True
    generator.submit(inputs(identity=1), listener)

    assert listener.closed.wait(20)
    assert models.calls == []


@pytest.mark.parametrize("model", ["face_denoiser", "latent_decoder", "encode_styles"])
def test_a_broken_model_fails_the_request_and_not_the_next(generator, models, model):
    models.broken.add(model)
    failed = finished(generator, identity=1, count=8, steps=2)
    models.broken.clear()

    good = finished(generator, identity=1, count=8, steps=2)

    assert failed.error.code == "MODEL_FAILED"
    assert failed.ends == 1
    assert len(good.faces()) == 8


def test_a_latent_that_is_no_number_is_said_to_be_one(generator, models):
    models.noise_is_nan = True
    failed = finished(generator, identity=1, steps=2)

    assert failed.error.code == "MODEL_FAILED"
    assert "NaN or infinity" in failed.error.text
    assert models.of("latent_decoder") == []


def test_stopping_finishes_what_was_asked_for(make):
    generator = make()
    listeners = [ask(generator, identity=1, count=3, steps=5) for _ in range(3)]

    generator.stop()

    assert all(len(listener.faces()) == 3 for listener in listeners)


def test_places_are_free_before_a_caller_hears_of_the_end(make):
    generator = make(max_faces_in_flight=2)
    asked_at_once = []

    class AsksAgain(Listener):
        def close(self):
            asked_at_once.append(ask(generator, identity=1, count=2, steps=1))
            super().close()

    refused = {"identity_image": b"x", "count": 2}
    for values in ({"identity": 1, "count": 2, "steps": 1}, {"identity": 1, "count": 0}, refused):
        listener = AsksAgain()
        generator.submit(inputs(**values), listener)
        assert listener.closed.wait(20)
        assert asked_at_once[-1].closed.wait(20)
        assert asked_at_once[-1].error is None, values


def test_places_of_a_caller_that_cannot_be_told_of_its_refusal_are_free_again(make):
    generator = make(max_faces_in_flight=2)
    told = threading.Event()

    class Broken(Listener):
        def fail(self, error):
            told.set()
            raise ConnectionError("the stream is broken")

    generator.submit(inputs(identity_image=b"x", count=2), Broken())

    assert told.wait(20)
    assert finished(generator, identity=1, count=2, steps=1).error is None
