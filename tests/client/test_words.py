# SPDX-License-Identifier: Apache-2.0
import math
import re

import pytest

from mien._words import evidence_in_words, threshold_in_words


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1, "supports neither"),
        (1.9, "supports neither"),
        (2, "weak support"),
        (9.9, "weak support"),
        (10, "moderate support"),
        (100, "moderately strong support"),
        (1000, "strong support"),
        (10_000, "very strong support"),
        (999_999, "very strong support"),
        (1_000_000, "extremely strong support"),
    ],
)
def test_words_follow_the_scale_of_the_guideline_on_both_sides(ratio, words):
    power = math.log10(ratio)

    assert evidence_in_words(power).startswith(words)
    assert evidence_in_words(-power).startswith(words)


@pytest.mark.parametrize("power", [0.31, 0.5, 0.99, 1.0, 2.7, 3.2, 6.4])
def test_the_number_in_words_is_the_ratio_to_two_digits(power):
    for sign, hypothesis in ((1, "for one person"), (-1, "for two people")):
        text = evidence_in_words(sign * power)
        number = float(re.search(r"([\d.,]+) times", text).group(1).replace(",", ""))

        assert number == pytest.approx(10**power, rel=0.05)
        assert hypothesis in text
        assert f"{sign * power:+.2f}" in text


def test_a_rate_reads_as_one_in_so_many():
    assert "1 in 1,000 pairs" in threshold_in_words(1e-3)
    assert "1 in 316 pairs" in threshold_in_words(10**-2.5)
