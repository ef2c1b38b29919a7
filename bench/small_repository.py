# SPDX-License-Identifier: Apache-2.0
"""verify_faces and its naive form over a graph so small that only the calls cost anything."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["build_small_repository"]

BENCH = Path(__file__).parent
CONTRACTS = BENCH.parent / "model_repository"
SIDE = 16  # of the crops, instead of 112: moving pixels is not what is measured here


def build_small_repository(target: Path) -> Path:
    """Our own contracts and pipelines, with a stand-in cropper and a tiny recogniser."""
    shutil.rmtree(target, ignore_errors=True)
    for name in ("embed_faces", "verify_faces", "face_cropper", "face_recognizer"):
        shutil.copytree(CONTRACTS / name, target / name)
        (target / name / "1").mkdir(exist_ok=True)
    shutil.copytree(BENCH / "models" / "verify_faces_naive", target / "verify_faces_naive")
    shutil.copy(BENCH / "models" / "face_cropper" / "1" / "model.py", target / "face_cropper" / "1")
    onnx.save(_tiny_recognizer(), target / "face_recognizer" / "1" / "model.onnx")
    for folder in target.iterdir():
        config = folder / "config.pbtxt"
        config.write_text(re.sub(r"\b3, 112, 112\b", f"3, {SIDE}, {SIDE}", config.read_text()))
        _write_manifest(folder)
    return target


def _tiny_recognizer() -> onnx.ModelProto:
    weights = (
        np.random.default_rng(0).standard_normal((3 * (SIDE // 2) ** 2, 512)).astype(np.float32)
    )
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["crop_112"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]
            ),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
            helper.make_node("LpNormalization", ["raw"], ["embedding"], axis=1),
        ],
        "tiny_recognizer",
        [helper.make_tensor_value_info("crop_112", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 512])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _write_manifest(folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    depends_on = {
        "verify_faces": ["embed_faces"],
        "verify_faces_naive": ["embed_faces"],
        "embed_faces": ["face_cropper", "face_recognizer"],
    }
    manifest = {
        "schema": 1, "model": folder.name, "kind": "python", "public": False, "untrained": True,
        "depends_on": depends_on.get(folder.name, []), "inputs_digest": "", "files": files,
        "tools": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
