# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import numpy as np
import pytest
from rich.console import Console

from bench.avatars.expressions import KINDS, MEAN_HEAD, ON_TRUE_HEAD, Distances
from bench.avatars.likeness import Likenesses
from bench.avatars.quality import Quality, add_arguments, run_avatar_quality
from bench.avatars.quality_report import quality_json, quality_section
from bench.avatars.scans import Alignment
from bench.avatars.sliders import Sliders
from bench.avatars.speed import CHANGES, CREATE, AvatarBench, Stage
from bench.avatars.speed_report import speed_section
from bench.load import Load


def quality(**changed):
    rows = [*KINDS, *ON_TRUE_HEAD, MEAN_HEAD]
    mm = {
        (row, view, how): np.array([number, number, number + 3.0])
        for number, row in enumerate(rows)
        for view in ("front", "side")
        for how in Alignment
        if row not in ON_TRUE_HEAD or how is Alignment.NOW
    }
    parts = {
        "likeness": Likenesses(
            {
                "psnr": np.array([20.0, 22.0]),
                "ssim": np.array([0.8, 0.9]),
                "difd": np.array([0.2, 1.6]),
                "similarity": np.array([0.98, np.nan]),
            },
            np.array([0.5]),
            np.array([1.25, 1.35]),
            {"NO_FACE": 3},
            1,
        ),
        "distances": Distances(mm, {"front": 7, "side": 5}, {"side": 2}),
        "sliders": Sliders(2, {"anger": 1.5}, 0.99, 0.875, {"anger": 0.012}, 0.0, 0.0, 0.25),
    }
    portrait = {"psnr": 18.5, "ssim": 0.65, "difd": 0.45, "similarity": 0.9, "lpips": None}
    return Quality(people=2, splits=("held_out",), portrait=portrait, **{**parts, **changed})


def table_row(section, label):
    return next(line for line in section.splitlines() if line.startswith(f"| {label} |"))


def test_a_row_of_table_4_1_has_means_and_deviations_beside_the_thesis_s():
    section = quality_section(quality(), "python -m bench avatar_quality")

    assert table_row(section, "2 photographs, mean ± deviation") == (
        "| 2 photographs, mean ± deviation | 21.00 ± 1.00 | 0.850 ± 0.050 | 0.900 ± 0.700 | "
        "0.980 ± 0.000 |"
    )
    assert "| *thesis, other faces* | 23.15 | 0.835 | 0.250 |  |" in section
    assert "50% are below its 1.5" in section
    assert "3 with NO_FACE; 1 with something else" in section
    assert "LPIPS was left out" in section


def test_a_row_of_table_4_2_has_mean_median_and_deviation_of_both_views():
    section = quality_section(quality(), "")

    # Distances 1, 1, 4: mean 2, median 1, deviation the root of 2.
    assert section.count("| fitted head, detected expression | 2.00 | 1.00 | 1.41 | 2.00 |") == 3
    assert section.count("| true head, neutral |") == 1
    assert "7 from the front" in section
    assert "5 from the side" in section
    assert "2 more gave no avatar" in section


def test_figures_are_json_as_they_stand_in_the_tables():
    found = json.loads(json.dumps(quality_json(quality()), allow_nan=False))

    assert found["likeness"]["figures"]["psnr"] == {"mean": 21, "deviation": 1, "count": 2}
    assert found["portrait"]["psnr"] == 18.5
    cell = next(c for c in found["distances_mm"] if (c["row"], c["view"]) == ("emotions", "side"))
    assert (cell["mean"], cell["median"]) == (3, 2)
    assert found["sliders"]["rising"] == 0.99


@pytest.mark.parametrize("part", ["likeness", "distances", "sliders"])
def test_what_was_not_measured_has_no_section(part):
    everything = quality_section(quality(), "")
    without = quality_section(quality(**{part: None}), "")

    assert without.count("###") == everything.count("###") - 1
    assert json.dumps(quality_json(quality(**{part: None})))


def arguments(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--address", "localhost:1", *words])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--emotions", "7"], "allowed are 1 to 6"),
        (["--people", "1"], "--people at least 2"),
        (["--slid", "0"], "--slid must be at least 1"),
        (["--lpips", "a.pth", "b.pth"], "give --repository in place of --address"),
        ([], "no finished shard of faces"),
    ],
    ids=["emotions", "people", "sliders", "lpips", "data"],
)
def test_what_cannot_be_measured_is_refused_before_a_server_is_asked(words, reason, tmp_path):
    known = arguments("--data", str(tmp_path), "--out", str(tmp_path / "out"), *words)

    with pytest.raises(SystemExit, match=reason):
        run_avatar_quality(known, "", Console())

    assert not (tmp_path / "out").exists()


def load(per_s):
    return Load(per_s=per_s, p50_ms=1000 / per_s, p95_ms=2000 / per_s, p99_ms=0, count=9)


def test_avatars_are_compared_with_the_loop():
    whats = [CREATE, *CHANGES]
    bench = AvatarBench(
        threads=2,
        loops={what: load(10) for what in whats},
        served={what: load(8) for what in whats},
        crowded={4: load(9.5)},
        stages={"fit_faces": Stage(1, 40.0, 43.5, 1.5)},
        agree=False,
    )

    section = speed_section(bench, "python -m bench avatar")

    assert table_row(section, "create_avatar, gRPC, 1 in flight").endswith("| 80%, +25.0 ms |")
    assert table_row(section, "create_avatar, gRPC, 4 in flight").startswith(
        "| create_avatar, gRPC, 4 in flight | 9.50 | 105.3 | 210.5 | 95%"
    )
    assert table_row(section, "fit_faces") == "| fit_faces | 1 | 40.0 | 43.5 | 1.5 | +3.5 |"
    assert table_row(section, "the whole avatar").endswith("| 100.0 | 125.0 | | +25.0 |")
    assert "DIFFERENT files" in section
