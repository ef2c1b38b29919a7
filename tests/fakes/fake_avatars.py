# SPDX-License-Identifier: Apache-2.0
"""A fake Triton whose avatars say what they were made of, and whose hairstyles can be changed."""

from __future__ import annotations

import json
import struct

from tests.fakes.fake_triton import (
    FakeTriton,
    Refusal,
    Reply,
    Stream,
    Tensor,
    bytes_elements,
    grpc,
    unbatched,
    unbatched_text,
)

__all__ = [
    "BOB",
    "TURNTABLE",
    "FakeAvatars",
    "avatar_event",
    "sent_inputs",
    "stage_event",
    "told",
]

TURNTABLE, TEXTURE, NORMALS = b"\x89PNG turntable", b"\x89PNG texture", b"\x89PNG normals"
STAGES = ("fit", "texture", "hair", "file")
BOB = {
    "name": "bob", "title": "Bob", "strands": 900, "length_cm": 21.5, "licence": "CC0-1.0",
    "author": "grown", "is_own": False,
}  # fmt: skip
_FALSE = unbatched("BOOL", "?", False)


class FakeAvatars(FakeTriton):
    """Scripts come first, as in `FakeTriton`; then every request is answered truthfully.

    The file of an avatar is the JSON of what was asked for, and so is its code.

    Attributes:
        library: entries of hairstyles by name.
    """

    def __init__(self):
        super().__init__()
        self.library = {"bob": dict(BOB)}
        for name in ("apply_emotion", "try_hairstyle"):
            self.parameters[name] = {"public": "true", "untrained": "false"}
            self.outputs[name] = {
                "file": unbatched_text(b""),
                "avatar_code": unbatched_text(b""),
                "turntable": unbatched_text(b""),
                "untrained": _FALSE,
            }
        self.outputs["apply_emotion"]["expression"] = Tensor("FP32", (1, 3), bytes(12))
        self.outputs["hairstyles"] = {
            "entries": unbatched_text(),
            "preview": unbatched_text(b""),
        }

    def begin(self, method, model_name, request, context):
        call, behaviour = super().begin(method, model_name, request, context)
        if behaviour is None and method.endswith("Infer"):
            answer = {
                "create_avatar": self._avatar,
                "apply_emotion": self._changed,
                "try_hairstyle": self._changed,
                "hairstyles": self._hairstyles,
            }.get(model_name)
            behaviour = answer(sent_inputs(request)) if answer else None
            if isinstance(behaviour, Refusal):
                context.abort(behaviour.status, behaviour.details)
        return call, behaviour

    def _avatar(self, given):
        stages = [
            stage_event(stage, number + 1, len(STAGES)) for number, stage in enumerate(STAGES)
        ]
        avatar = avatar_event(
            file=unbatched_text(_telling(given)),
            avatar_code=unbatched_text(_telling(given)),
            normals=unbatched_text(NORMALS if given.get("detail") else b""),
            turntable=unbatched_text(TURNTABLE if given.get("turntable") else b""),
        )
        return Stream((*(stages if given.get("progress") else ()), avatar))

    def _changed(self, given):
        telling = unbatched_text(_telling(given))
        turntable = unbatched_text(TURNTABLE if given.get("turntable") else b"")
        return Reply({"file": telling, "avatar_code": telling, "turntable": turntable})

    def _hairstyles(self, given):
        operation, name = given["operation"], given.get("name")
        if operation == "add":
            if set(given) != {"operation", "name", "title", "file", "licence", "author"}:
                return _refusal(f"operation is 'add' and {sorted(given)} came")
            facts = {key: given[key] for key in ("name", "title", "licence", "author")}
            self.library[name] = {**BOB, **facts, "is_own": True}
        elif operation != "list" and name not in self.library:
            return _refusal(f"hairstyle {name!r} is unknown; the library has bob")
        entries = list(self.library.values()) if operation == "list" else [self.library[name]]
        if operation == "remove":
            del self.library[name]
        preview = f"\x89PNG of {name}".encode("latin-1") if operation == "preview" else b""
        texts = [json.dumps(entry).encode() for entry in entries]
        return Reply({"entries": unbatched_text(*texts), "preview": unbatched_text(preview)})


def told(content):
    """What the file or the code of an avatar says that it was made of."""
    return json.loads(content)


def sent_inputs(request):
    """Values of a request by name: texts, or a list of them where there are several."""
    codes = {"INT32": "i", "FP32": "f", "BOOL": "?"}
    values = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            found = [element.decode("latin-1") for element in bytes_elements(raw)]
        else:
            (count,) = tensor.shape
            found = [*struct.unpack(f"<{count}{codes[tensor.datatype]}", raw)]
        is_one = tensor.name != "images" and len(found) == 1
        values[tensor.name] = found[0] if is_one else found
    return values


def stage_event(stage, stages_done, stages):
    """A stage of `create_avatar` that is done."""
    return {
        "event": unbatched_text(b"stage"),
        "stage": unbatched_text(stage.encode()),
        "stages_done": unbatched("INT32", "i", stages_done),
        "stages": unbatched("INT32", "i", stages),
    }


def avatar_event(**outputs):
    """The last event of `create_avatar`, well made but for what `outputs` replaces."""
    return {
        "event": unbatched_text(b"avatar"),
        "file": unbatched_text(b"{}"),
        "avatar_code": unbatched_text(b"{}"),
        "texture": unbatched_text(TEXTURE),
        "normals": unbatched_text(b""),
        "turntable": unbatched_text(b""),
        "similarity": unbatched("FP32", "f", 0.75),
        "difd": unbatched("FP32", "f", 0.5),
        "psnr": unbatched("FP32", "f", 24),
        "ssim": unbatched("FP32", "f", 0.875),
        "codes": Tensor("FP32", (236,), struct.pack("<236f", *range(236))),
        "shape": Tensor("FP32", (300,), struct.pack("<300f", *range(300))),
        "untrained": _FALSE,
        **outputs,
    }


def _telling(given):
    return json.dumps(given).encode()


def _refusal(words):
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"mien.INVALID_OPTION: {words}")
