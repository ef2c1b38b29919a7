# SPDX-License-Identifier: Apache-2.0
"""Reports and labelled crops for tests, made without running a graph."""

import dataclasses
from pathlib import Path

import numpy as np

from mien_export.calibrate import measure
from mien_export.calibration_report import CalibrationReport, MeasuredModel, MeasuredOn, Method
from mien_export.comparisons import compare_images
from mien_export.manifest import weights_digest

PX = 112
RANDOM_WEIGHTS = weights_digest({"network": "handmade", "sha256": None, "seed": 0})


def make_report(identities=150, images=3, weights=RANDOM_WEIGHTS, seed=0, **changes):
    """A report of planted people; 150 of them support an FMR of 1e-3, not of 1e-4."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((identities, 1, 64))
    people = centres + 0.8 * rng.standard_normal((identities, images, 64))
    comparisons = compare_images(
        people.reshape(-1, 64).astype(np.float32),
        np.repeat(np.arange(identities, dtype=np.int32), images),
        max_nonmated=10**9,
        seed=0,
    )
    report = CalibrationReport(
        date="2026-01-31",
        measured_on=MeasuredOn(
            name='planted "people"; 1',
            digest="ab" * 32,
            identities=identities,
            images=identities * images,
            mated_pairs=len(comparisons.mated),
            nonmated_pairs=len(comparisons.nonmated),
            nonmated_pairs_available=comparisons.nonmated_available,
            identity_pairs=comparisons.identity_pair_count,
        ),
        model=MeasuredModel(
            name="face_recognizer",
            network="handmade",
            weights_digest=weights,
            precision="fp32",
            untrained=True,
        ),
        method=Method(confidence=0.95, resamples=100, seed=0),
        tools={"numpy": np.__version__},
        **vars(measure(comparisons, resamples=100, seed=0)),
    )
    return dataclasses.replace(report, **changes)


def write_report(path: Path, report: CalibrationReport) -> Path:
    path.write_text(report.to_json(), encoding="utf-8")
    return path


def make_crops(identities=12, images=3, seed=0):
    """(N, 112, 112, 3) uint8 of coarse patterns, one for each identity, with noise; and labels."""
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(40, 215, (identities, 1, 7, 7, 3))
    coarse = np.repeat(np.repeat(patterns, 16, axis=2), 16, axis=3)
    crops = coarse + rng.normal(0, 25, (identities, images, PX, PX, 3))
    labels = np.repeat(np.arange(identities), images)
    return np.clip(crops, 0, 255).astype(np.uint8).reshape(-1, PX, PX, 3), labels


def write_crops(path: Path, **arrays) -> Path:
    crops, identities = make_crops()
    np.savez(path, **{"crops": crops, "identities": identities, **arrays})
    return path
