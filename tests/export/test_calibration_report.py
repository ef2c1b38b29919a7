# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from mien_export.calibration_report import read_calibration_report
from mien_export.errors import CalibrationError
from mien_export.report_comparison import compare_reports

from .calibration_reports import make_report, write_report

REPORT = make_report()


def test_a_report_survives_its_file(tmp_path):
    assert read_calibration_report(write_report(tmp_path / "a.json", REPORT)) == REPORT


def test_thresholds_keep_their_promise_and_rise_as_the_rate_falls():
    points = REPORT.operating_points

    assert [point.wanted_fmr for point in points] == [1e-2, 1e-3, 1e-4]
    assert all(point.fmr <= point.wanted_fmr for point in points)
    assert all(point.fmr_bounds.low <= point.fmr <= point.fmr_bounds.high for point in points)
    assert all(point.fnmr_bounds.low <= point.fnmr <= point.fnmr_bounds.high for point in points)
    thresholds = [point.threshold for point in points]
    assert thresholds == sorted(set(thresholds))
    assert [point.fnmr for point in points] == sorted(point.fnmr for point in points)


def test_a_rate_is_supported_only_by_enough_people():
    supported = [point.supported for point in REPORT.operating_points]
    fewer = [point.supported for point in make_report(identities=40).operating_points]
    fewest = [point.supported for point in make_report(identities=8).operating_points]

    assert supported == [True, True, False]
    assert fewer == [True, False, False]
    assert fewest == [False, False, False]


def test_more_images_of_the_same_people_do_not_support_a_lower_rate():
    many = make_report(identities=40, images=12)

    assert many.measured_on.nonmated_pairs > 100_000 > 3 / 1e-3
    assert [point.supported for point in many.operating_points] == [True, False, False]


def test_the_curve_runs_through_the_operating_points_within_its_band():
    det = REPORT.det

    for point in REPORT.operating_points:
        index = det.threshold.index(point.threshold)
        assert det.fmr[index] == pytest.approx(point.fmr, abs=1e-8)
        assert det.fnmr[index] == pytest.approx(point.fnmr, abs=1e-8)
    assert (np.diff(det.threshold) > 0).all()
    assert (np.diff(det.fmr) <= 0).all()
    assert (np.diff(det.fnmr) >= 0).all()
    assert (np.array(det.fnmr_low) <= np.array(det.fnmr) + 1e-9).all()
    assert (np.array(det.fnmr) <= np.array(det.fnmr_high) + 1e-9).all()


def test_the_histogram_counts_every_pair():
    histogram = REPORT.histogram

    assert sum(histogram.mated) == REPORT.measured_on.mated_pairs
    assert sum(histogram.nonmated) == REPORT.measured_on.nonmated_pairs
    assert len(histogram.edges) == len(histogram.mated) + 1 == len(histogram.nonmated) + 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(lambda d: d.update(schema=2), "schema is 2; expected 1", id="schema"),
        pytest.param(lambda d: d.pop("det"), r"lacks \['det'\]", id="a part missing"),
        pytest.param(lambda d: d.update(note=""), r"unknown \['note'\]", id="a part too many"),
        pytest.param(
            lambda d: d["operating_points"][1].update(threshold="0.3"),
            r"operating_points\[1\]\.threshold is '0\.3'; expected float",
            id="text for a number",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(edit, message, tmp_path):
    document = json.loads(REPORT.to_json())
    edit(document)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))

    with pytest.raises(CalibrationError, match=message) as caught:
        read_calibration_report(path)
    assert "mien-export calibrate" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"[1, 2]", b"{", b"\xff"], ids=str)
def test_a_file_that_is_no_report_is_refused(content, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CalibrationError, match="cannot be taken"):
        read_calibration_report(path)


def test_a_rate_that_was_not_measured_is_refused_with_those_that_were():
    with pytest.raises(CalibrationError, match=r"has 0\.01, 0\.001, 0\.0001"):
        REPORT.point(3e-3)


def test_a_report_does_not_shift_against_itself():
    shift = compare_reports(REPORT, REPORT)

    assert shift.shift == 0
    assert shift.same_crops
    assert shift.same_weights


def int8(fnmr, **changes):
    """The report as if the same weights in int8 had another FNMR."""
    points = [
        {**vars(point), "fnmr": fnmr} if point.wanted_fmr == 1e-3 else vars(point)
        for point in REPORT.operating_points
    ]
    make = type(REPORT.operating_points[0])
    model = type(REPORT.model)(**{**vars(REPORT.model), "precision": "int8"})
    return type(REPORT)(
        **{
            **vars(REPORT),
            "operating_points": tuple(make(**point) for point in points),
            "model": model,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("shift", "words"),
    [(0.0019, "+0.190 percentage points, within the 0.2"), (0.0021, "+0.210 percentage"),
     (0.0021, "BEYOND the 0.2"), (-0.01, "-1.000 percentage points, within")],
)  # fmt: skip
def test_int8_is_judged_by_the_shift_of_its_fnmr(shift, words):
    fp32 = REPORT.point(1e-3).fnmr

    found = compare_reports(int8(fp32 + shift), REPORT)

    assert found.shift == pytest.approx(shift)
    assert words in found.in_words("fp32.json")


def test_other_crops_are_no_ground_for_a_verdict():
    other = type(REPORT.measured_on)(**{**vars(REPORT.measured_on), "digest": "cd" * 32})

    found = compare_reports(int8(0.5, measured_on=other), REPORT)

    assert not found.same_crops
    assert "different crops" in found.in_words("fp32.json")
    assert "int8 may cost" not in found.in_words("fp32.json")


def test_a_shift_measured_on_too_few_people_says_so():
    few = make_report(identities=20)

    assert "too few people" in compare_reports(few, few).in_words("few.json")
    assert "too few people" not in compare_reports(REPORT, REPORT).in_words("fp32.json")
