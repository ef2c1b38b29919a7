# SPDX-License-Identifier: Apache-2.0
"""The demo's steps with faces in photographs: comparing them, fitting a head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from demo.picture import draw_fit, draw_verification
from demo.processes import BUILD, run, shown
from mien import Client

__all__ = ["fit_head", "verify_photographs"]

# Synthetic people that no weights were trained on, and a real one; the exit code of `mien verify`.
PAIRS = {
    ("bea_1", "bea_2"): 0,
    ("bea_1", "carl"): 1,
    ("portrait", "turned_darker_recompressed"): 0,
    ("portrait", "bea_1"): 1,
    ("portrait", "coffee"): 2,
}


def verify_photographs(photographs: Mapping[str, Path], address: str) -> list[Path]:
    """Five answers on the terminal, four of them as pictures."""
    pictures = []
    for number, ((probe, reference), expected) in enumerate(PAIRS.items()):
        names = [shown(photographs[name]) for name in (probe, reference)]
        run(["mien", "--server", address, "verify", *names], allowed=(expected,))
        if expected < 2:
            with Client(address) as client:
                result = client.verify(photographs[probe], photographs[reference])
            picture = BUILD / f"verification_{number + 1}.png"
            draw_verification(photographs[probe], photographs[reference], result, picture)
            pictures.append(picture)
    return pictures


def fit_head(photograph: Path, address: str) -> Path:
    """The fit on the terminal, and as a picture."""
    run(["mien", "--server", address, "fit", shown(photograph)])
    with Client(address) as client:
        fit = client.fit(photograph, overlay=True)
    picture = BUILD / "fit.png"
    draw_fit(photograph, fit, picture)
    return picture
