# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

import numpy as np
import pytest

from mien_server.contract import ModelContract
from mien_server.decision import DecisionRule, decision_rule_from_contract
from mien_server.errors import ServingError

PARAMETERS = {
    "threshold": "0.31",
    "fmr": "1e-03",
    "thresholds": "1e-02:0.21,1e-03:0.31,1e-04:0.4",
    "likelihood_ratio": "-0.1:-2.5,0.2:0,0.5:4.25",
}
NOTHING = dict.fromkeys(PARAMETERS, "none") | {"threshold": "0.35"}


def contract(**changes):
    parameters = PARAMETERS | changes
    return ModelContract("verify_faces", 16, (), (), parameters, graph_file="", graph_level=None)


RULE = decision_rule_from_contract(contract())


def test_without_a_wish_the_default_threshold_and_its_rate_are_used():
    assert RULE.operating_point(None) == (0.31, 1e-3)


@pytest.mark.parametrize(("fmr", "threshold"), [(1e-2, 0.21), (1e-3, 0.31), (1e-4, 0.4)])
def test_a_calibrated_rate_gives_exactly_its_threshold_even_after_the_wire(fmr, threshold):
    assert RULE.operating_point(fmr) == (threshold, fmr)
    assert RULE.operating_point(float(np.float32(fmr))) == (threshold, fmr)


def test_between_calibrated_rates_the_threshold_is_linear_in_the_log_of_the_rate():
    halfway, fmr = RULE.operating_point(10**-2.5)

    assert halfway == pytest.approx(0.26)
    assert fmr == 10**-2.5
    rates = np.geomspace(1e-4, 1e-2, 101)
    thresholds = [RULE.operating_point(rate)[0] for rate in rates]
    assert (np.diff(thresholds) < 0).all()


@pytest.mark.parametrize("fmr", [1e-5, 9.9e-5, 0.0101, 0.0, -1e-3, 1.0, math.nan, math.inf])
def test_nothing_is_extrapolated_and_the_refusal_says_what_there_is(fmr):
    with pytest.raises(ServingError, match=r"calibrated for 0\.0001, 0\.001, 0\.01") as caught:
        RULE.operating_point(fmr)

    assert caught.value.code == "INVALID_OPTION"


def test_a_server_without_calibration_says_so_and_keeps_its_threshold():
    rule = decision_rule_from_contract(contract(**NOTHING))

    threshold, fmr = rule.operating_point(None)
    assert threshold == 0.35
    assert math.isnan(fmr)
    assert np.isnan(rule.log10_likelihood_ratio(np.array([0.5], np.float32))).all()
    with pytest.raises(ServingError, match=r"no calibration.*--calibration-report") as caught:
        rule.operating_point(1e-3)
    assert caught.value.code == "INVALID_OPTION"


def test_a_likelihood_ratio_goes_through_its_knots_and_is_constant_outside():
    similarity = np.array([-1, -0.1, 0.2, 0.35, 0.5, 1, np.nan], np.float32)

    found = RULE.log10_likelihood_ratio(similarity)

    np.testing.assert_allclose(found, [-2.5, -2.5, 0, 2.125, 4.25, 4.25, np.nan], atol=1e-6)
    dense = RULE.log10_likelihood_ratio(np.linspace(-1, 1, 999, dtype=np.float32))
    assert (np.diff(dense) >= 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"thresholds": "1e-03:0.3,1e-02:0.2"}, id="rates rise"),
        pytest.param({"thresholds": "1e-02:0.3,1e-03:0.2"}, id="thresholds fall"),
        pytest.param({"thresholds": "1e-02:0.3,1e-02:0.3"}, id="a rate twice"),
        pytest.param({"thresholds": "2:0.1,1e-02:0.3"}, id="no rate"),
        pytest.param({"thresholds": "0.01"}, id="no pair"),
        pytest.param({"thresholds": ""}, id="nothing"),
        pytest.param({"likelihood_ratio": "0:1,0.5:0"}, id="falls"),
        pytest.param({"likelihood_ratio": "0:1,0:2"}, id="a step"),
        pytest.param({"likelihood_ratio": "0:nan"}, id="NaN"),
        pytest.param({"threshold": "none"}, id="no threshold"),
        pytest.param({"fmr": "small"}, id="a word"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_when_the_model_loads(changes):
    with pytest.raises(ValueError, match=f"parameter '{next(iter(changes))}' of verify_faces"):
        decision_rule_from_contract(contract(**changes))


def test_one_calibrated_rate_can_be_asked_for_and_nothing_else():
    rule = dataclasses.replace(RULE, thresholds=((1e-2, 0.21),))

    assert rule.operating_point(1e-2) == (0.21, 1e-2)
    with pytest.raises(ServingError):
        rule.operating_point(2e-2)


def test_a_rule_needs_a_threshold_alone():
    assert DecisionRule(0.5).operating_point(None)[0] == 0.5
