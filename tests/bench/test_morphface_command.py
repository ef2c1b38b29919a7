# SPDX-License-Identifier: Apache-2.0
import argparse

import pytest
from rich.console import Console

from bench.morphface.command import add_arguments, run_morphface_bench
from bench.morphface.settings import SETTINGS, SWEEPS


def arguments(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--address", "localhost:1", *words])


def test_everything_is_measured_unless_less_is_asked_for(tmp_path):
    known = arguments("--data", str(tmp_path))

    assert known.settings == list(SETTINGS)
    assert known.people == ["photographed", "new"]
    assert known.identities * known.images * len(SETTINGS) * 2 <= 4032  # 20 min at 0.3 s a face


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--images", "3"], "above k = 3"),
        (["--identities", "1"], "at least 2"),
        (["--in-flight", "0"], "at least 1"),
        ([], "no finished shard of faces"),
    ],
    ids=["pictures", "people", "requests", "data"],
)
def test_what_cannot_be_measured_is_refused_before_a_server_is_asked(words, reason, tmp_path):
    known = arguments("--data", str(tmp_path), "--out", str(tmp_path / "out"), *words)

    with pytest.raises(SystemExit, match=reason):
        run_morphface_bench(known, "", Console())

    assert not (tmp_path / "out").exists()


def test_every_sweep_goes_through_settings_that_are_what_they_say():
    for sweep, steps in SWEEPS.items():
        for value, name in steps:
            setting = SETTINGS[name]
            assert value == (setting.weight if sweep == "w" else setting.switch_at)
            assert setting.replace_shape
