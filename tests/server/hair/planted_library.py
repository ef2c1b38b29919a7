# SPDX-License-Identifier: Apache-2.0
"""Two hairstyles that are shipped, and what refusals and entries look like."""

import hashlib

import pytest

from mien_server.errors import ServingError
from mien_server.hair.library_index import HairstyleEntry
from tests.server.hair.planted_hair import hair_on, mean_head

SHORT, LONG = (hair_on(mean_head(), count=30, seed=1, points=12, end_m=y) for y in (0.0, -0.25))
THEIRS = {"licence": "CC-BY-4.0", "author": "A. Person"}


def entry_of(name, content, strands=30, thumbnail="", **changes):
    digest = hashlib.sha256(content).hexdigest()
    values = {
        "name": name, "title": name.title(), "file": f"{name}.npz", "sha256": digest,
        "thumbnail": thumbnail, "strands": strands, "length_cm": 12.5, "licence": "Apache-2.0",
        "origin": "planted",
    }  # fmt: skip
    return HairstyleEntry(**{**values, **changes})


def refused(call, *arguments, **options):
    with pytest.raises(ServingError) as caught:
        call(*arguments, **options)
    return caught.value
