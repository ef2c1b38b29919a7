# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from bench.morphface.directions import directions_of, interval_of_mean
from bench.morphface.evidence import PHOTOGRAPHS_ROW, gathered
from bench.morphface.figures import Figures, real_faces
from bench.morphface.making import ALL, PHOTOGRAPHS
from bench.morphface.plan import GROUPS, Plan
from bench.morphface.plots import draw_frequencies, draw_sheet, draw_sweeps
from bench.morphface.report import evidence_json, evidence_section
from bench.morphface.settings import SETTINGS
from bench.morphface.store import Store, png_from_image
from tests.bench.planted_faces import planted_faces

PEOPLE, IMAGES, PHOTOGRAPHS_OF_EACH = 6, 8, 16
PLAN = Plan(PEOPLE, IMAGES, 1, None, None, None, ("photographs",), "0123456789abcdef", False)


def keep(store, group, setting, person, **how):
    count = PHOTOGRAPHS_OF_EACH if group == PHOTOGRAPHS else IMAGES
    rng = np.random.default_rng([person, len(setting)])  # nearly paired, as the real ones are
    faces = planted_faces(rng, person, count, **how)
    store.write(group, setting, person, faces, [png_from_image(i) for i in faces.images_rgb])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the paper finds, planted: likeness and spread move with t0 and w."""
    path = tmp_path_factory.mktemp("evidence")
    store = Store(path)
    for person in range(PEOPLE):
        keep(store, PHOTOGRAPHS, ALL, person, likeness=1, spread=1, similarity=np.nan)
        for group in GROUPS:
            for name, setting in SETTINGS.items():
                w, t0 = setting.weight, setting.switch_at / 1000
                likeness, spread = 0.4 + 1.5 * w * t0, 0.25 + 1.2 * w * (1 - t0)
                how = {"likeness": likeness, "spread": spread, "similarity": likeness / 2}
                keep(store, group, name, person, **how)
    return path


@pytest.fixture(scope="module")
def evidence(folder):
    return gathered(folder, PLAN, ("held_out",), groups=GROUPS, settings=list(SETTINGS))


def test_directions_that_were_planted_are_found(evidence):
    verdicts = {(d.measure, d.sweep): d.verdict for d in evidence.directions["photographed"]}

    for sweep in ("t0", "w"):
        for measure in ("intra_similarity", "identity_similarity", "intra_eir_style"):
            assert verdicts[measure, sweep] == "holds", (measure, sweep)
        assert verdicts["data_eir_style", sweep] == "holds"


def test_photographs_in_the_place_of_pictures_cover_photographs_best(evidence):
    rows = evidence.figures["photographed"]
    eir = {name: row.by_person["intra_eir_style"].mean() for name, row in rows.items()}

    assert max(eir, key=eir.get) == PHOTOGRAPHS_ROW
    assert "identity_similarity" not in rows[PHOTOGRAPHS_ROW].by_person


def test_nobody_has_photographs_of_new_people_to_be_covered(evidence):
    measures = evidence.figures["new"]["default"].by_person

    assert "intra_eir_style" not in measures
    assert "data_eir_style" in measures


def test_the_table_has_the_papers_rows_beside_ours(evidence):
    section = evidence_section(evidence, "python -m bench morphface")
    rows = {
        cells[0]: cells
        for line in section.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 8
    }

    assert rows["t0 = 750"][2] == "*0.617*"
    assert rows["t0 = 750"][5] == "*0.48*"
    assert rows["shape not replaced"][2] == ""
    assert "The weights are random" not in section


def test_figures_are_written_as_json_without_anything_lost(evidence):
    content = json.loads(json.dumps(evidence_json(evidence), allow_nan=False))

    row = content["groups"]["photographed"]["w_1"]
    figures = evidence.figures["photographed"]["w_1"]
    assert row["paper"]["eir"] == 0.684
    for measure, values in figures.by_person.items():
        assert row["measures"][measure]["mean"] == pytest.approx(values.mean())
    assert content["covered_photographs_of_each"] == PHOTOGRAPHS_OF_EACH - IMAGES


def test_plots_and_sheets_are_drawn(evidence, folder, tmp_path):
    for group, figures in evidence.figures.items():
        draw_sweeps(figures, tmp_path / f"s-{group}.png", group)
        draw_frequencies(figures, tmp_path / f"f-{group}.png", group)
    faces = Store(folder).read("new", "default", 0)
    draw_sheet([("a setting", faces)], tmp_path / "sheet.png")

    assert len(list(tmp_path.glob("*.png"))) == 5


def test_a_subset_of_settings_says_nothing_of_sweeps_it_does_not_have(folder):
    part = gathered(folder, PLAN, ("held_out",), groups=["new"], settings=["default", "w_1"])

    assert part.directions["new"] == []
    assert "No sweep is complete" in evidence_section(part, "")


def test_too_few_photographs_are_all_to_be_covered_and_none_stands_in():
    rng = np.random.default_rng(0)
    people = [planted_faces(rng, 0, count, likeness=1, spread=1) for count in (5, 6)]

    few, many = real_faces(people, IMAGES), real_faces(people, 1)

    assert few.stand_in is None
    assert [len(faces) for faces in few.covered] == [5, 5]
    assert [len(faces) for faces in many.covered] == [4, 4]


def swept(values):
    """Figures of the settings of the sweep of t0: by person a value."""
    names = ("t0_250", "default", "t0_750")
    return {
        name: Figures({"intra_similarity": np.array(own)}, {}, {}, np.zeros(1), 1.0)
        for name, own in zip(names, values, strict=True)
    }


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (([0.1, 0.8, 0.3], [0.2, 0.9, 0.4], [0.3, 1.0, 0.5]), "holds"),
        (([0.1, 0.8, 0.3], [0.0, 0.7, 0.2], [0.3, 1.0, 0.5]), "holds end to end"),
        (([0.3, 1.0, 0.5], [0.2, 0.9, 0.4], [0.1, 0.8, 0.3]), "DOES NOT HOLD"),
        (([0.1, 0.8, 0.3], [0.1, 0.8, 0.3], [0.9, 0.0, 0.4]), "not settled"),
        (([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5001, 0.5001, 0.5001]), "not settled"),
    ],
    ids=["rises", "rises after all", "falls", "one way and the other", "hardly moves"],
)
def test_a_verdict_goes_by_pairs_of_the_same_person(values, verdict):
    (direction,) = directions_of(swept(values))

    assert direction.verdict.startswith(verdict)


def test_an_interval_holds_the_true_mean_in_about_19_of_20_samples():
    rng = np.random.default_rng(3)
    intervals = [interval_of_mean(rng.normal(2, 1, 30)) for _ in range(200)]

    assert 0.88 < np.mean([i.low <= 2 <= i.high for i in intervals]) < 0.99
