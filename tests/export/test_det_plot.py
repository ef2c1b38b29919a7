# SPDX-License-Identifier: Apache-2.0
import sys

import numpy as np
import pytest
from PIL import Image

from mien_export.det_plot import plot_det, require_plotting
from mien_export.errors import MissingToolError, UsageError

from .calibration_reports import make_report

REPORT = make_report()


def test_a_plot_is_a_picture_of_the_curve(tmp_path):
    plot_det(tmp_path / "a.png", REPORT)

    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = (np.abs(pixels - (0, 114, 178)).sum(axis=2) < 30).sum()
    orange = (np.abs(pixels - (213, 94, 0)).sum(axis=2) < 30).sum()
    assert blue > 1000
    assert orange == 0


def test_a_second_report_is_a_second_curve(tmp_path):
    plot_det(tmp_path / "a.svg", REPORT, make_report(seed=1, images=4))

    drawn = (tmp_path / "a.svg").read_text()
    assert "#0072b2" in drawn
    assert "#d55e00" in drawn


@pytest.mark.parametrize("identities", [2, 5, 40])
def test_few_people_are_drawn_too(identities, tmp_path):
    plot_det(tmp_path / "a.png", make_report(identities=identities))

    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_the_same_report_gives_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        plot_det(tmp_path / name, REPORT)

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"'\.gif'; expected one of \.png, \.svg"):
        plot_det(tmp_path / "a.gif", REPORT)


def test_without_matplotlib_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed

    with pytest.raises(MissingToolError, match="pip install matplotlib"):
        require_plotting(tmp_path / "a.png")
