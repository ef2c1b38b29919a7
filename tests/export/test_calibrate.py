# SPDX-License-Identifier: Apache-2.0
"""Measuring a built recogniser, from crops to the report."""

import dataclasses
import shutil

import numpy as np
import pytest
from scipy.stats import norm

from mien_export.calibrate import CalibrationRequest, calibrate, measure
from mien_export.comparisons import Comparisons
from mien_export.errors import CalibrationError, TargetError, UsageError
from mien_export.manifest import read_manifest, weights_digest
from mien_export.parity import run_onnx

from .calibration_reports import make_crops, write_crops
from .tiny import build


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A recogniser with random weights, fp32 and fp16; tests must not change it."""
    target = tmp_path_factory.mktemp("calibrate") / "repository"
    build(target, precisions=("fp32", "fp16"))
    return target


def ignore(text, total):
    return lambda count: None


def request(repository, tmp_path, **changes):
    arrays = changes.pop("arrays", {})
    crops = write_crops(tmp_path / "crops.npz", **arrays)
    return CalibrationRequest(repository, crops, "patterns", **{"resamples": 100, **changes})


def test_a_report_says_what_was_measured_and_on_which_weights(repository, tmp_path):
    report = calibrate(request(repository, tmp_path), ignore)

    data, model = report.measured_on, report.model
    assert (data.name, data.identities, data.images) == ("patterns", 12, 36)
    assert (data.mated_pairs, data.nonmated_pairs, data.identity_pairs) == (36, 594, 66)
    assert data.nonmated_pairs_available == 594
    manifest = read_manifest(repository / "face_recognizer")
    assert model.weights_digest == weights_digest(manifest.weights)
    assert (model.name, model.network, model.precision) == ("face_recognizer", "handmade", "fp32")
    assert model.untrained is True
    assert report.tools["onnxruntime"] == manifest.tools["onnxruntime"]


def test_the_rates_are_those_of_embedding_the_crops_one_by_one(repository, tmp_path):
    crops, owners = make_crops()
    graph = repository / "face_recognizer/1/model.onnx"
    inputs = [{"crop_112": crop.transpose(2, 0, 1)[None].astype(np.float32)} for crop in crops]
    vectors = np.concatenate([found["embedding"] for found in run_onnx(graph, inputs)])
    cosine = (vectors @ vectors.T)[np.triu_indices(36, 1)]
    is_mated = (owners[:, None] == owners)[np.triu_indices(36, 1)]

    report = calibrate(request(repository, tmp_path), ignore)

    for point in report.operating_points:
        assert point.fmr == pytest.approx((cosine[~is_mated] >= point.threshold).mean())
        assert point.fnmr == pytest.approx((cosine[is_mated] < point.threshold).mean())


def test_the_same_request_gives_the_same_report_and_the_order_of_crops_no_other_rates(
    repository, tmp_path
):
    crops, owners = make_crops()
    order = np.random.default_rng(0).permutation(36)
    shuffled = {"crops": crops[order], "identities": owners[order]}

    once, again = (calibrate(request(repository, tmp_path), ignore) for _ in range(2))
    mixed = calibrate(request(repository, tmp_path, arrays=shuffled), ignore)

    assert once == again
    for point, other in zip(once.operating_points, mixed.operating_points, strict=True):
        assert other.threshold == pytest.approx(point.threshold, abs=2e-6)
        assert (other.fmr, other.fnmr) == pytest.approx((point.fmr, point.fnmr))
    assert mixed.measured_on.digest != once.measured_on.digest


def test_another_precision_of_the_same_weights_has_the_same_weights(repository, tmp_path):
    fp32, fp16 = (
        calibrate(request(repository, tmp_path, precision=precision), ignore)
        for precision in ("fp32", "fp16")
    )

    assert fp16.model == dataclasses.replace(fp32.model, precision="fp16")
    for one, other in zip(fp32.operating_points, fp16.operating_points, strict=True):
        assert other.threshold == pytest.approx(one.threshold, abs=0.01)


def test_a_sample_of_the_pairs_is_counted_as_one(repository, tmp_path):
    report = calibrate(request(repository, tmp_path, max_nonmated=200), ignore)

    assert report.measured_on.nonmated_pairs == 200
    assert report.measured_on.nonmated_pairs_available == 594


def test_progress_is_told_to_its_end(repository, tmp_path):
    totals, done = {}, {}

    def track(text, total):
        totals[text], done[text] = total, 0

        def advance(count):
            done[text] += count

        return advance

    calibrate(request(repository, tmp_path), track)

    assert done == totals == {"embedding crops": 36, "resampling identities": 100}


def test_a_precision_that_was_not_built_is_refused_with_those_that_were(repository, tmp_path):
    with pytest.raises(UsageError, match="no graph in int8 that runs here; it has fp16, fp32"):
        calibrate(request(repository, tmp_path, precision="int8"), ignore)


def test_a_repository_without_recogniser_is_refused(tmp_path):
    with pytest.raises(TargetError, match="holds no face_recognizer"):
        calibrate(request(tmp_path, tmp_path), ignore)


def test_a_damaged_graph_is_refused(repository, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    with (copy / "face_recognizer/1/model.onnx").open("ab") as stream:
        stream.write(b"tail")

    with pytest.raises(TargetError, match=r"1/model\.onnx is not the file that was built"):
        calibrate(request(copy, tmp_path), ignore)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        pytest.param({"identities": np.zeros(36, int)}, "of one identity", id="one identity"),
        pytest.param({"identities": np.arange(36)}, "has one image", id="one image each"),
    ],
)
def test_too_few_people_or_images_are_refused(arrays, message, repository, tmp_path):
    with pytest.raises(CalibrationError, match=message):
        calibrate(request(repository, tmp_path, arrays=arrays), ignore)


def test_the_rates_of_planted_gaussians_are_found_within_their_bounds():
    """Independent pairs: each person is in one mated and one non-mated pair only."""
    rng = np.random.default_rng(0)
    people = 20_000
    comparisons = Comparisons(
        mated=np.clip(rng.normal(0.5, 0.12, people), -1, 1).astype(np.float32),
        mated_identity=np.arange(people, dtype=np.int32),
        nonmated=np.clip(rng.normal(0, 0.08, people // 2), -1, 1).astype(np.float32),
        nonmated_identities=np.arange(people, dtype=np.int32).reshape(-1, 2),
        identity_count=people,
        nonmated_available=people // 2,
    )

    measured = measure(comparisons, (1e-2, 1e-3, 1e-4), resamples=100, seed=0)

    for point in measured.operating_points[:2]:
        assert point.fmr_bounds.low <= norm.sf(point.threshold / 0.08) <= point.fmr_bounds.high
        fnmr = norm.cdf((point.threshold - 0.5) / 0.12)
        assert point.fnmr_bounds.low <= fnmr <= point.fnmr_bounds.high
    # Equal where 0.08 z = 0.5 - 0.12 z.
    assert measured.equal_error_rate.rate == pytest.approx(norm.sf(2.5), rel=0.3)
    assert measured.equal_error_rate.threshold == pytest.approx(0.2, abs=0.01)
    assert [point.supported for point in measured.operating_points] == [True, True, False]
    ratio = measured.likelihood_ratio(np.array([0.1, 0.2]))
    planted = norm.logpdf([0.1, 0.2], 0.5, 0.12) - norm.logpdf([0.1, 0.2], 0, 0.08)
    np.testing.assert_allclose(ratio, planted / np.log(10), atol=0.3)
