# SPDX-License-Identifier: Apache-2.0
"""A fake Triton whose faces say what was asked for, and whose people can be counted."""

from __future__ import annotations

import json
import struct
import zlib

from tests.fakes.fake_triton import (
    FakeTriton,
    Hang,
    Refusal,
    Reply,
    Stream,
    Tensor,
    bytes_elements,
    generation_event,
    grpc,
    unbatched,
    unbatched_text,
)

__all__ = ["FakeGenerator", "face_png", "inputs"]

MOST_FOUND = 10**9
NUM_CODES = 236


class FakeGenerator(FakeTriton):
    """Scripts come first, as in `FakeTriton`; then every request is answered truthfully.

    Args:
        digest: of its weights.
        key: that its tokens carry.
        max_faces_in_flight: what its configuration says.

    Attributes:
        looks_alike: candidates that it leaves out: one of so many. 0 for none.
        most_found: people after which it finds no more.
        stated_digest: what its images say of themselves.
        delay_s: before each face.
        never_ends: a stream waits, once begun, until its caller has gone.
    """

    def __init__(self, digest="abc", key="key", max_faces_in_flight=256):
        super().__init__()
        self.parameters["generate_faces"] |= {
            "generator": digest,
            "max_count": "64",
            "max_faces_in_flight": str(max_faces_in_flight),
        }
        self.key = key
        self.looks_alike = 3
        self.most_found = MOST_FOUND
        self.stated_digest = digest
        self.delay_s = 0.0
        self.never_ends = False

    @property
    def portions(self):
        """(identity_seed, seed, count) of every request for faces that came."""
        calls = [inputs(call.request) for call in self.calls_of("ModelStreamInfer")]
        return [(given["identity_seed"], given["seed"], given["count"]) for given in calls]

    def begin(self, method, model_name, request, context):
        call, behaviour = super().begin(method, model_name, request, context)
        if behaviour is None and method == "ModelStreamInfer":
            behaviour = self._faces(inputs(request))
        if behaviour is None and model_name == "sample_identities" and method == "ModelInfer":
            behaviour = self._people(inputs(request))
            if isinstance(behaviour, Refusal):
                context.abort(behaviour.status, behaviour.details)
        return call, behaviour

    def _faces(self, given):
        events = [generation_event("started")]
        if self.never_ends:
            return Stream((*events, Hang()))
        for index in reversed(range(given["count"])):
            seed = given["seed"] + index
            face = generation_event(
                "face",
                index=unbatched("INT32", "i", index),
                seed=unbatched("UINT64", "Q", seed),
                similarity=unbatched("FP32", "f", 1 / (1 + seed % 7)),
                codes=Tensor("FP32", (NUM_CODES,), struct.pack("<236f", *[seed % 11] * NUM_CODES)),
                image=unbatched_text(face_png(given, seed, self.stated_digest)),
            )
            events += [self.delay_s, face]
        return Stream(tuple(events))

    def _people(self, given):
        others = given.get("others", [])
        if any(not token.startswith(self.key.encode()) for token in others):
            return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "mien.INVALID_IDENTITY: another key")
        if len(others) + given["count"] > self.most_found:
            words = "mien.INVALID_OPTION: max_similarity is 0.3, and only 1 is as different"
            return Refusal(grpc.StatusCode.INVALID_ARGUMENT, words)
        kept, seed = [], given["seed"]
        while len(kept) < given["count"]:
            if not self.looks_alike or seed % self.looks_alike:
                kept.append(seed)
            seed += 1
        return Reply(
            {
                "identity_tokens": unbatched_text(*[f"{self.key} {s}".encode() for s in kept]),
                "seeds": unbatched("UINT64", "Q", *kept),
                "largest_similarity": unbatched("FP32", "f", *[0.25] * len(kept)),
                "candidates": unbatched("INT32", "i", seed - given["seed"]),
            }
        )


def inputs(request):
    """Values of a request by name."""
    codes = {"INT32": "i", "UINT64": "Q", "FP32": "f", "BOOL": "?"}
    values = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            values[tensor.name] = bytes_elements(raw)
        else:
            (values[tensor.name],) = struct.unpack(f"<{codes[tensor.datatype]}", raw)
    return values


def face_png(given, seed, digest):
    """One pixel, and texts that say what it was made of."""
    options = {k: v for k, v in sorted(given.items()) if k not in ("seed", "count")}
    told = json.dumps({**options, "seed": seed}, default=str)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
            _chunk(b"tEXt", b"mien.generator\0" + digest.encode()),
            _chunk(b"tEXt", b"told\0" + told.encode()),
            _chunk(b"IDAT", zlib.compress(b"\0\0")),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
