# SPDX-License-Identifier: Apache-2.0
"""Small training sets, and what is in their folders."""

import json

from mien import synthesize
from mien._png_texts import png_texts
from tests.fakes.fake_triton import Refusal, Stream, generation_event, grpc

__all__ = ["BROKEN", "FORMATS", "PATIENCE_S", "UNAVAILABLE", "contents", "make", "rows", "told"]

PATIENCE_S = 10
FORMATS = ["folders", "webdataset"]
UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE, "gone")
BROKEN = Stream((generation_event("started"), "mien.MODEL_FAILED: face 0 became NaN"))


def make(folder, *servers, **options):
    options = {"identities": 3, "images": 4, "shard_size": 5} | options
    return synthesize(folder, addresses=[server.address for server in servers], **options)


def contents(folder):
    """Every file, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder):
    """Of all indices, in order."""
    lines = [p.read_text().splitlines() for p in sorted(folder.glob("shard-*.jsonl"))]
    return [json.loads(line) for shard in lines for line in shard]


def told(png):
    """What a fake face was made of."""
    return json.loads(png_texts(png)["told"])
