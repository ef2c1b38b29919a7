# SPDX-License-Identifier: Apache-2.0
"""From a calibration report into the contract, and only beside its own weights."""

import dataclasses
import json

import numpy as np
import pytest

from mien_export.calibrated_decision import calibrated_weights, decision_parameters
from mien_export.check import check_repository
from mien_export.cli import main
from mien_export.contract import read_config
from mien_export.errors import CalibrationError, UsageError
from mien_export.manifest import read_manifest, sha256_of_file, weights_digest
from mien_server.contract import ModelContract
from mien_server.decision import decision_rule_from_contract

from .calibration_reports import make_report, write_crops, write_report
from .tiny import build, make_specs, rebuilt

REPORT = make_report()
OTHER_WEIGHTS = make_report(weights="ef" * 32)


@pytest.fixture
def report(tmp_path):
    return write_report(tmp_path / "report.json", REPORT)


def parameters(target):
    return read_config(target / "verify_faces/config.pbtxt").parameters


def rule_of(target):
    """What the server makes of the parameters."""
    contract = ModelContract("verify_faces", 16, (), (), dict(parameters(target)), "", None)
    return decision_rule_from_contract(contract)


def test_the_server_reads_what_the_report_says(target, report):
    build(target, calibration_report=report)
    rule = rule_of(target)

    loose, default, strict = REPORT.operating_points
    assert rule.operating_point(None) == (default.threshold, 1e-3)
    assert rule.operating_point(1e-2) == (loose.threshold, 1e-2)
    assert not strict.supported
    assert len(rule.thresholds) == 2
    similarity = np.linspace(-1, 1, 401, dtype=np.float32)
    np.testing.assert_allclose(
        rule.log10_likelihood_ratio(similarity), REPORT.likelihood_ratio(similarity), atol=1e-4
    )
    assert check_repository(target)


def test_the_contract_says_on_what_it_was_measured(target, report):
    build(target, calibration_report=report)
    text = parameters(target)["calibration"]

    for words in (
        'planted "people"; 1 (abababababab)', "2026-01-31", "150 identities, 450 images",
        "450 mated and 100575 non-mated pairs", "FMR 0.001 (", "FNMR ", "handmade fp32",
    ):  # fmt: skip
        assert words in text
    assert calibrated_weights(parameters(target)) == REPORT.model.weights_digest
    weights = read_manifest(target / "face_recognizer").weights
    assert weights_digest(weights) == REPORT.model.weights_digest


def test_without_a_report_nothing_is_claimed(target):
    build(target)

    found = parameters(target)
    assert found["fmr"] == found["thresholds"] == found["likelihood_ratio"] == "none"
    assert calibrated_weights(found) is None
    assert np.isnan(rule_of(target).operating_point(None)[1])


def test_another_default_rate_can_be_chosen(target, report):
    build(target, calibration_report=report, parameters={"verify_faces": {"fmr": "1e-2"}})

    assert rule_of(target).operating_point(None) == (REPORT.point(1e-2).threshold, 1e-2)


def test_a_threshold_set_by_hand_gets_its_measured_rate(target, report):
    loose, default, _ = REPORT.operating_points
    between = str(round((loose.threshold + default.threshold) / 2, 6))

    build(target, calibration_report=report, parameters={"verify_faces": {"threshold": between}})
    threshold, fmr = rule_of(target).operating_point(None)

    assert threshold == float(between)
    assert 1e-3 < fmr < 1e-2


@pytest.mark.parametrize("threshold", ["0.9", "-0.5"])
def test_a_threshold_beyond_what_is_supported_has_no_rate(threshold, target, report):
    build(target, calibration_report=report, parameters={"verify_faces": {"threshold": threshold}})

    assert np.isnan(rule_of(target).operating_point(None)[1])
    assert len(rule_of(target).thresholds) == 2


def test_a_rate_may_be_claimed_for_a_threshold_without_a_report(target):
    chosen = {"threshold": "0.31", "fmr": "1e-3"}
    build(target, parameters={"verify_faces": chosen})

    assert rule_of(target).operating_point(None) == (0.31, 1e-3)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        pytest.param({"fmr": "1e-3", "threshold": "0.3"}, "both set beside", id="both"),
        pytest.param({"fmr": "often"}, "verify_faces.fmr is 'often'", id="a word"),
        pytest.param({"calibration": "mine"}, "cannot be set: it is measured", id="calibration"),
        pytest.param({"thresholds": "1e-2:0"}, "cannot be set: it is measured", id="thresholds"),
        pytest.param({"likelihood_ratio": "0:1"}, "cannot be set: it is measured", id="ratio"),
    ],
)
def test_what_contradicts_a_report_is_refused(chosen, message, target, report):
    with pytest.raises(UsageError, match=message):
        build(target, calibration_report=report, parameters={"verify_faces": chosen})
    assert not target.exists()


def test_a_rate_without_threshold_and_report_is_refused(target):
    with pytest.raises(UsageError, match="neither the threshold that has it nor a report"):
        build(target, parameters={"verify_faces": {"fmr": "1e-3"}})


def test_a_default_rate_that_is_not_supported_is_refused_with_one_that_is(tmp_path, target):
    few = write_report(tmp_path / "few.json", make_report(identities=40))

    with pytest.raises(CalibrationError, match=r"does not support FMR 0\.001.*fmr=0\.01"):
        build(target, calibration_report=few)
    build(target, calibration_report=few, parameters={"verify_faces": {"fmr": "0.01"}})
    assert len(rule_of(target).thresholds) == 1


def test_a_report_that_supports_nothing_is_refused(tmp_path, target):
    few = write_report(tmp_path / "few.json", make_report(identities=6))

    with pytest.raises(CalibrationError, match="supports no rate at all: measure on more"):
        build(target, calibration_report=few)


def test_a_report_of_other_weights_is_refused_and_says_which(tmp_path, target):
    path = write_report(tmp_path / "other.json", OTHER_WEIGHTS)

    with pytest.raises(CalibrationError) as caught:
        build(target, calibration_report=path)

    assert "other.json is of the weights efefefefefef" in str(caught.value)
    assert REPORT.model.weights_digest[:12] in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    "changes", [{"random_seed": 1}, {"networks": {"face_recognizer": "other"}}]
)
def test_another_seed_or_network_is_other_weights(changes, target, report):
    with pytest.raises(CalibrationError, match="is of the weights"):
        build(target, calibration_report=report, **changes)


def test_a_report_survives_another_build_of_the_same_weights(target, report):
    build(target, calibration_report=report)

    assert rebuilt(build(target, calibration_report=report, force=True)) >= {"face_recognizer"}
    assert rebuilt(build(target, calibration_report=report)) == set()


def test_a_report_can_be_taken_later_for_the_recogniser_that_is_there(target, report):
    build(target)
    again = build(target, models=frozenset({"verify_faces"}), calibration_report=report)

    assert rebuilt(again) == {"verify_faces"}
    assert rule_of(target).operating_point(None)[1] == 1e-3


def test_a_recogniser_built_alone_does_not_keep_a_foreign_calibration(target, report):
    build(target, calibration_report=report)
    before = parameters(target)

    with pytest.raises(CalibrationError, match="has in the target is of the weights"):
        build(target, models=frozenset({"face_recognizer"}), random_seed=1)
    assert parameters(target) == before
    build(target, models=frozenset({"face_recognizer", "verify_faces"}), random_seed=1)
    assert calibrated_weights(parameters(target)) is None


def test_a_recogniser_rebuilt_with_the_same_weights_keeps_its_calibration(target, report):
    build(target, calibration_report=report)
    before = parameters(target)

    build(target, models=frozenset({"face_recognizer"}), precisions=("fp32", "fp16"))

    assert parameters(target) == before
    assert check_repository(target)


def test_a_threshold_set_later_drops_the_rate_of_the_one_before(target, report):
    build(target, calibration_report=report)

    build(
        target,
        models=frozenset({"face_recognizer"}),
        parameters={"verify_faces": {"threshold": "0.9"}},
    )

    assert parameters(target)["threshold"] == "0.9"
    assert parameters(target)["fmr"] == "none"


def test_a_report_without_the_pipeline_it_is_for_is_refused(target, report):
    with pytest.raises(UsageError, match="--calibration-report is for verify_faces"):
        build(target, models=frozenset({"face_recognizer"}), calibration_report=report)


def test_a_calibration_put_beside_other_weights_by_hand_is_found(target, report):
    build(target, calibration_report=report)
    manifest = target / "face_recognizer/manifest.json"
    content = json.loads(manifest.read_text())
    content["weights"]["seed"] = 5
    manifest.write_text(json.dumps(content))

    found = {model.model: model.problems for model in check_repository(target).models}

    assert found["verify_faces"] == ("is calibrated for other weights than face_recognizer has",)


def test_thresholds_that_coincide_are_a_table_the_server_takes(tmp_path):
    point = dataclasses.replace(REPORT.operating_points[1], threshold=0.25)
    loose = dataclasses.replace(REPORT.operating_points[0], threshold=0.25)
    path = write_report(
        tmp_path / "a.json", dataclasses.replace(REPORT, operating_points=(loose, point))
    )

    values = decision_parameters(path, {})

    contract = ModelContract("verify_faces", 16, (), (), values, "", None)
    assert decision_rule_from_contract(contract).operating_point(5e-3)[0] == 0.25


@pytest.fixture
def starter(tmp_path, checkpoint):
    """A folder of starter weights, with the report of the recogniser's."""
    folder = tmp_path / "starter"
    folder.mkdir()
    checkpoint.rename(folder / checkpoint.name)
    entry = {
        "network": "iresnet", "file": checkpoint.name, "licence": "own", "allow_commercial": True,
        "calibration": "face_recognizer.calibration.json",
    }  # fmt: skip
    (folder / "starter.json").write_text(json.dumps({"face_recognizer": entry}))
    return folder


def run(*arguments, starter=None):
    return main([str(item) for item in arguments], specs=make_specs(), starter=starter)


def test_starter_weights_bring_their_own_calibration(target, starter, tmp_path):
    sha256 = sha256_of_file(starter / "trained.pth")
    digest = weights_digest({"network": "iresnet", "sha256": sha256, "seed": None})
    write_report(starter / "face_recognizer.calibration.json", make_report(weights=digest))

    assert run("build", "--to", target, "--weights", "starter", starter=starter) == 0
    assert calibrated_weights(parameters(target)) == digest
    assert weights_digest(read_manifest(target / "face_recognizer").weights) == digest
    # Other weights leave the starter's calibration out.
    other = ["--checkpoint", f"face_recognizer={starter / 'trained.pth'}"]
    other += ["--network", "face_recognizer=handmade", "--weights", "starter"]
    assert run("build", "--to", tmp_path / "other", *other, starter=starter) == 0
    assert calibrated_weights(parameters(tmp_path / "other")) is None


def test_starter_weights_that_name_a_report_which_is_not_there_are_refused(target, starter, capsys):
    assert run("build", "--to", target, "--weights", "starter", starter=starter) == 1

    assert "face_recognizer.calibration is 'face_recognizer.calibration.json'" in (
        capsys.readouterr().err.replace("\n", " ")
    )


def test_the_commands_go_from_crops_to_a_calibrated_repository(target, tmp_path, capsys):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (60, 1, 7, 7, 3)).repeat(16, 2).repeat(16, 3)
    noisy = np.clip(crops + rng.normal(0, 30, (60, 4, 112, 112, 3)), 0, 255).astype(np.uint8)
    arrays = {"crops": noisy.reshape(-1, 112, 112, 3), "identities": np.arange(60).repeat(4)}
    file = write_crops(tmp_path / "crops.npz", **arrays)
    report, plot = tmp_path / "report.json", tmp_path / "det.png"
    assert run("build", "--to", target, "--weights", "random") == 0
    capsys.readouterr()

    command = ["calibrate", target, "--crops", file, "--to", report, "--resamples", 100]
    assert run(*command, "--name", "patterns", "--plot", plot) == 0
    printed = capsys.readouterr()
    assert "UNTRAINED" in printed.out
    assert "60 identities, 240 images, 360 mated and 28320 non-mated pairs" in printed.out
    assert "embedding crops: 240" in printed.err
    assert plot.stat().st_size > 10_000
    assert run(*command[:-2], "--resamples", 200, "--compare", report) == 0
    assert "shift +0.000 percentage points" in capsys.readouterr().out.replace("\n", " ")
    options = ["--calibration-report", report, "--set", "verify_faces.fmr=1e-2"]
    assert run("build", "--to", target, "--weights", "random", *options) == 0
    assert parameters(target)["calibration"].startswith("crops (")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(["--to", "no/where.json"], 2, "lies in no directory", id="folder"),
        pytest.param(["--resamples", "5"], 2, "at least 100", id="resamples"),
        pytest.param(["--max-pairs", "0"], 2, "at least 1", id="pairs"),
        pytest.param(["--plot", "det.gif"], 2, "'.gif'; expected", id="picture"),
        pytest.param(["--compare", "nothing.json"], 1, "cannot be taken", id="other report"),
        pytest.param([], 1, "holds no face_recognizer", id="repository"),
    ],
)
def test_a_calibration_that_cannot_be_made_says_why_and_writes_nothing(
    arguments, status, message, tmp_path, capsys
):
    report = tmp_path / "report.json"
    command = ["calibrate", tmp_path, "--crops", tmp_path / "none.npz", "--to", report]

    assert run(*command, *arguments) == status
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not report.exists()
