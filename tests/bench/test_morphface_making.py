# SPDX-License-Identifier: Apache-2.0
"""Pictures are made once each, whatever happens in between."""

import contextlib
import types

import numpy as np
import pytest

from bench.morphface.making import ALL, PHOTOGRAPHS, FaceMaker, make_missing, read_photographs
from bench.morphface.people import find_people
from bench.morphface.plan import GROUPS, Plan, first_seed, keep_plan, pictures_to_make
from bench.morphface.settings import SETTINGS
from bench.morphface.store import Store, image_from_png, png_from_image
from mien import (
    GeneratedFace,
    GenerationStarted,
    IdentityToken,
    NewIdentity,
    NoFaceError,
    ServerError,
)
from mien_starter.dataset import DatasetPlan, render
from mien_starter.shards import Photographs
from tests.starter.fake_world import FakeWorld

PLAN = Plan(3, 4, 7, 0.3, 2, "ddim", ("x",), "digest", True)


class FakeClient:
    """A server whose pictures are a function of what was asked."""

    def __init__(self, photographs, fails_after=10**9):
        self._landmarks = {
            png_from_image(photographs.image_rgb(i)): photographs.labels["landmarks"][i]
            for i in range(len(photographs))
        }
        self._fails_after = fails_after
        self.requests = []
        self.without_face, self.elsewhere = set(), set()

    def generate(self, identity, **options):
        self.requests.append((identity, options))
        if len(self.requests) > self._fails_after:
            raise ServerError("out of order")
        return contextlib.nullcontext(self._events(identity, options))

    def _events(self, identity, options):
        yield GenerationStarted(IdentityToken(f"token of {identity!r}"[:40]), 1, True, "1")
        for index in reversed(range(options["count"])):  # as they come
            seed = options["seed"] + index
            rng = np.random.default_rng([seed, options["switch_at"], int(options["replace_shape"])])
            png = png_from_image(rng.integers(0, 256, (128, 128, 3), np.uint8))
            codes = np.zeros(236, np.float32)
            yield GeneratedFace(index, seed, options["guidance_weight"], codes, png, True)

    def sample_identities(self, count, *, seed, max_similarity):
        assert (seed, max_similarity) == (7, 0.3)
        return types.SimpleNamespace(seeds=tuple(range(100, 100 + count)))

    def embed(self, png):
        if png in self.without_face:
            raise NoFaceError("no face")
        shift = 500 if png in self.elsewhere else 0
        return types.SimpleNamespace(
            face=types.SimpleNamespace(landmarks=self._landmarks[png] + shift)
        )


class FakeReader:
    """Numbers that follow from the pixels."""

    def read(self, images):
        means = images.reshape(len(images), -1).mean(axis=1, dtype=np.float64).astype(np.float32)
        return np.tile(means[:, None], 512), np.tile(means[:, None], 236), means / 255


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("photographs")
    render(DatasetPlan("held_out", identities=5, shots=3, size_px=64), directory, FakeWorld)
    return Photographs([directory])


def made(folder, photographs, client, settings=("default", "t0_750")):
    store = Store(folder)
    keep_plan(folder, PLAN)
    people = find_people(folder, PLAN, photographs, client)
    read_photographs(photographs, people, FakeReader(), store)
    maker = FaceMaker(client, PLAN, people, photographs)
    pictures = pictures_to_make(PLAN, GROUPS, settings)
    make_missing(pictures, maker, FakeReader(), store, in_flight=2)
    return people


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_that_was_cut_off_goes_on_and_nothing_is_made_twice(photographs, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    made(whole, photographs, FakeClient(photographs))
    failing, second = FakeClient(photographs, fails_after=5), FakeClient(photographs)

    with pytest.raises(ServerError):
        made(parts, photographs, failing)
    kept = len(list(parts.glob("*/default/*.npz"))) + len(list(parts.glob("*/t0_750/*.npz")))
    made(parts, photographs, second)

    assert 0 < kept <= 5
    assert len(second.requests) == 2 * 2 * 3 - kept
    assert contents(parts) == contents(whole)


def test_settings_can_be_added_to_a_finished_folder(photographs, tmp_path):
    made(tmp_path, photographs, FakeClient(photographs))
    client = FakeClient(photographs)

    made(tmp_path, photographs, client, settings=["default", "w_1"])

    assert {options["guidance_weight"] for _, options in client.requests} == {1.0}
    assert len(client.requests) == 6


def test_each_setting_is_asked_for_as_it_is_with_the_same_seeds(photographs, tmp_path):
    client = FakeClient(photographs)
    made(tmp_path, photographs, client, settings=list(SETTINGS))

    asked = [
        (o["guidance_weight"], o["switch_at"], o["replace_shape"], o["seed"])
        for _, o in client.requests
    ]
    by_setting = {}
    for *how, seed in asked:
        by_setting.setdefault(tuple(how), set()).add(seed)

    expected = {(s.weight, s.switch_at, s.replace_shape) for s in SETTINGS.values()}
    assert set(by_setting) == expected
    assert len({frozenset(seeds) for seeds in by_setting.values()}) == 1
    assert all((o["steps"], o["solver"], o["count"]) == (2, "ddim", 4) for _, o in client.requests)


def test_a_person_is_looked_for_once_and_known_by_token_from_then_on(photographs, tmp_path):
    client = FakeClient(photographs)
    people = find_people(tmp_path, PLAN, photographs, client)
    maker = FaceMaker(client, PLAN, people, photographs)

    for picture in pictures_to_make(PLAN, ["new"], ["default", "w_1"]):
        maker(picture)

    identities = [identity for identity, _ in client.requests]
    assert identities[:3] == [NewIdentity(seed) for seed in (100, 101, 102)]
    assert all(isinstance(identity, IdentityToken) for identity in identities[3:])


def test_pictures_are_kept_in_order_with_what_was_said_of_them(photographs, tmp_path):
    made(tmp_path, photographs, FakeClient(photographs))

    faces = Store(tmp_path).read("new", "default", 1)

    picture = next(p for p in pictures_to_make(PLAN, ["new"], ["default"]) if p.person == 1)
    assert faces.seeds.tolist() == [first_seed(PLAN, picture) + n for n in range(4)]
    assert faces.similarities == pytest.approx(np.full(4, 0.5))
    means = faces.images_rgb.reshape(4, -1).mean(axis=1)
    assert faces.codes[:, 0] == pytest.approx(means, rel=1e-6)


def test_no_two_pictures_share_a_seed():
    pictures = list(pictures_to_make(PLAN, GROUPS, ["default"]))
    other = Plan(3, 4, 8, 0.3, 2, "ddim", ("x",), "digest", True)

    firsts = sorted(first_seed(plan, p) for plan in (PLAN, other) for p in pictures)

    assert len(firsts) == 12
    assert min(np.diff(firsts)) >= 256


def test_the_reference_is_the_first_photograph_in_which_the_face_is_found(photographs, tmp_path):
    client = FakeClient(photographs)
    identity, shot = photographs.labels["identity"], photographs.labels["shot"]
    rows = {(int(i), int(s)): row for row, (i, s) in enumerate(zip(identity, shot, strict=True))}
    first, second, third = sorted({int(i) for i in identity})[:3]
    png = {key: png_from_image(photographs.image_rgb(row)) for key, row in rows.items()}
    client.without_face = {png[first, 0], *(png[second, s] for s in range(3))}
    client.elsewhere = {png[first, 1]}

    people = find_people(tmp_path, PLAN, photographs, client)

    assert [p.identity for p in people.photographed][:2] == [first, third]
    assert people.photographed[0].reference == rows[first, 2]
    assert people.photographed[0].others == (rows[first, 0], rows[first, 1])


def test_people_who_were_found_stay_the_same(photographs, tmp_path):
    before = find_people(tmp_path, PLAN, photographs, FakeClient(photographs))
    client = FakeClient(photographs)
    client.embed = client.sample_identities = None

    assert find_people(tmp_path, PLAN, photographs, client) == before


def test_too_few_people_are_refused(photographs, tmp_path):
    plan = Plan(9, 4, 7, 0.3, 2, "ddim", ("x",), "digest", True)

    with pytest.raises(ValueError, match="the data has 5 people"):
        find_people(tmp_path, plan, photographs, FakeClient(photographs))


def test_photographs_are_kept_as_the_crops_that_were_read(photographs, tmp_path):
    people = made(tmp_path, photographs, FakeClient(photographs))

    faces = Store(tmp_path).read(PHOTOGRAPHS, ALL, 0)

    assert faces.images_rgb.shape == (2, 128, 128, 3)
    shots = photographs.labels["shot"][list(people.photographed[0].others)]
    assert faces.seeds.tolist() == shots.tolist()
    assert np.isnan(faces.similarities).all()


def test_a_folder_of_another_plan_is_refused_with_what_differs(tmp_path):
    keep_plan(tmp_path, PLAN)
    keep_plan(tmp_path, PLAN)
    other = Plan(3, 4, 8, 0.3, 2, "ddim", ("x",), "another", True)

    with pytest.raises(ValueError, match="seed was 7, now 8; generator was 'digest'"):
        keep_plan(tmp_path, other)


def test_a_png_gives_its_pixels_back():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)

    assert (image_from_png(png_from_image(image)) == image).all()
