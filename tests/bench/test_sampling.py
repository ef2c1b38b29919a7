# SPDX-License-Identifier: Apache-2.0
import argparse
import dataclasses

import numpy as np
import pytest
from rich.console import Console

from bench.morphface.making import ALL, PHOTOGRAPHS
from bench.morphface.plan import Plan
from bench.morphface.sampling import GROUP, SETTING, WAYS, psnr_db, sampled
from bench.morphface.sampling_command import add_arguments, run_sampling_bench, wanted_ways
from bench.morphface.sampling_report import sampling_section
from bench.morphface.store import Store, png_from_image
from tests.bench.planted_faces import planted_faces

PEOPLE, IMAGES = 5, 6
BRIGHTER = {"ddim_50": 0, "dpm_16": 0, "dpm_8": 4, "dpm_16_fp16": 1}


def keep(store, group, setting, person, faces):
    store.write(group, setting, person, faces, [png_from_image(i) for i in faces.images_rgb])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """DPM-Solver with 16 steps makes DDIM's faces; with 8 they are brighter and less varied."""
    path = tmp_path_factory.mktemp("sampling")
    for name, shift in BRIGHTER.items():
        store = Store(path / name)
        for person in range(PEOPLE):
            rng = np.random.default_rng(person)
            photographs = planted_faces(rng, person, IMAGES + 8, likeness=1, spread=1)
            keep(store, PHOTOGRAPHS, ALL, person, photographs)
            likeness, spread = (2, 0.2) if name == "dpm_8" else (1, 1)
            faces = planted_faces(
                rng, person, IMAGES, likeness=likeness, spread=spread, similarity=0.5 + shift / 100
            )
            images = faces.images_rgb // 2 + shift
            keep(store, GROUP, SETTING, person, dataclasses.replace(faces, images_rgb=images))
    return path


@pytest.fixture(scope="module")
def found(folder):
    return sampled(folder, list(BRIGHTER), PEOPLE, IMAGES)


def test_equal_faces_are_equal_in_everything(found):
    same = found["dpm_16"]

    assert np.isposinf(same.psnr_db).all()
    np.testing.assert_allclose(same.cosines, 1, atol=1e-6)
    assert all((c.mean, c.low, c.high) == (0, 0, 0) for c in same.changes.values())


def test_planted_differences_are_found_against_the_right_reference(found):
    np.testing.assert_allclose(found["dpm_8"].psnr_db, 20 * np.log10(255 / 4), rtol=1e-12)
    np.testing.assert_allclose(found["dpm_16_fp16"].psnr_db, 20 * np.log10(255), rtol=1e-12)
    changes = found["dpm_8"].changes
    assert changes["identity_similarity"].mean == pytest.approx(0.04, abs=1e-6)
    assert changes["intra_similarity"].low > 0.2
    assert changes["intra_eir_style"].high < -0.1


def test_psnr_is_that_of_each_picture():
    images = np.full((3, 4, 4, 3), 100, np.uint8)
    others = images + np.array([0, 1, 255 - 100], np.uint8)[:, None, None, None]

    expected = [np.inf, 20 * np.log10(255), 20 * np.log10(255 / 155)]
    np.testing.assert_allclose(psnr_db(images, others), expected)


def test_references_are_made_too_and_int8_only_where_it_can_be():
    assert wanted_ways(["dpm_16_fp16"], has_int8=False) == ["dpm_16", "dpm_16_fp16"]
    assert wanted_ways(["dpm_8"], has_int8=False) == ["ddim_50", "dpm_8"]
    assert wanted_ways(["dpm_16_int8"], has_int8=False) == []
    assert wanted_ways(list(WAYS), has_int8=True) == list(WAYS)


def test_the_section_has_a_row_for_each_way_and_says_what_is_random(found):
    plan = Plan(PEOPLE, IMAGES, 1, None, None, None, ("x",), "0123456789abcdef", False)

    section = sampling_section(found, plan, "python -m bench sampling")
    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert len(rows) == len(BRIGHTER)
    assert rows[0].endswith("|  |  |")
    assert "| `dpm_solver_2m` | 16 | fp32 |" in rows[2]
    assert rows[2].endswith("| equal | 1.0000 (1.000) |")
    assert rows[3].count("48.1 dB") == 1
    assert "random" not in section
    random = sampling_section(found, dataclasses.replace(plan, untrained=True), "")
    assert "The weights are random" in random


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--images", "3"], "above k = 3"),
        (["--identities", "1"], "at least 2"),
        ([], "no finished shard of faces"),
    ],
    ids=["pictures", "people", "data"],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_built(words, reason, tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    known = parser.parse_args(["--data", str(tmp_path), "--out", str(tmp_path / "out"), *words])

    with pytest.raises(SystemExit, match=reason):
        run_sampling_bench(known, "", Console())

    assert not (tmp_path / "out").exists()
