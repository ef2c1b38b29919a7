# SPDX-License-Identifier: Apache-2.0
"""Graphs under the names of trained ones whose answers are known, and a repository with them."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx

from tests.export.small_heads import save_albedo, save_head
from tests.repositories import graph_bytes, seal, write_model

CONTRACTS = Path(__file__).parents[2] / "model_repository"
FLOAT = onnx.TensorProto.FLOAT
node = onnx.helper.make_node

# What the encoder says of a black crop, and what it adds per unit of mean brightness.
CODES = np.random.default_rng(3).normal(0, 0.3, 236).astype(np.float32)
CODES[200:206] = (0.05, 0.3, -0.1, 0.2, 0.0, 0.02)  # turned, the jaw a little open
CODES[206:209] = (6.5, 0.003, -0.02)  # a head of 10 cm reaches to 0.65 of the crop
CODES[209:236] = 0
CODES[209:212] = 3.0  # white light from everywhere
PER_BRIGHTNESS = np.zeros(236, np.float32)
PER_BRIGHTNESS[:4], PER_BRIGHTNESS[150:153] = (3, -2, 1, 4), (2, 5, -1)

# A ring of landmarks in the middle of every crop.
ANGLES = np.linspace(0, 2 * np.pi, 68, endpoint=False)
RING_68 = np.float32(64 + 40 * np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]))
RING_68[36:42], RING_68[42:48] = (49, 58), (79, 58)
RING_5 = np.float32([(49, 58), (79, 58), (64, 76), (52, 92), (76, 92)])
REDNESS_GAIN = 0.5  # per level that red exceeds blue on average: skin is red, blue faces are none


def planted_encoder() -> bytes:
    """codes = CODES + mean brightness (0..1) * PER_BRIGHTNESS."""
    nodes = [
        node("ReduceMean", ["face_224", "axes"], ["mean"], keepdims=0),
        node("Reshape", ["mean", "column"], ["level"]),
        node("Mul", ["level", "per_level"], ["change"]),
        node("Add", ["change", "codes_of_black"], ["codes"]),
    ]
    constants = [
        ("axes", np.array([1, 2, 3], np.int64)),
        ("column", np.array([-1, 1], np.int64)),
        ("per_level", PER_BRIGHTNESS[None] / 255),
        ("codes_of_black", CODES[None]),
    ]
    inputs = [("face_224", FLOAT, ["N", 3, 224, 224])]
    return graph_bytes(nodes, inputs, [("codes", FLOAT, ["N", 236])], constants)


def planted_landmarker() -> bytes:
    """The ring, and sigmoid(REDNESS_GAIN * (mean red - mean blue)) for a score."""
    nodes = [
        node("ReduceMean", ["face_128", "axes"], ["colour"], keepdims=0),
        node("MatMul", ["colour", "red_over_blue"], ["redness"]),
        node("Sigmoid", ["redness"], ["face_score"]),
        node("Mul", ["redness", "zero"], ["nothing"]),
        node("Reshape", ["nothing", "cube"], ["nothings"]),
        node("Add", ["nothings", "ring_68"], ["landmarks_68"]),
        node("Add", ["nothings", "ring_5"], ["landmarks"]),
    ]
    constants = [
        ("axes", np.array([2, 3], np.int64)),
        ("red_over_blue", np.float32([[REDNESS_GAIN], [0], [-REDNESS_GAIN]])),
        ("zero", np.float32(0)),
        ("cube", np.array([-1, 1, 1], np.int64)),
        ("ring_68", RING_68[None]),
        ("ring_5", RING_5[None]),
    ]
    inputs = [("face_128", FLOAT, ["N", 3, 128, 128])]
    outputs = [("landmarks_68", FLOAT, ["N", 68, 2]), ("landmarks", FLOAT, ["N", 5, 2])]
    outputs.append(("face_score", FLOAT, ["N", 1]))
    return graph_bytes(nodes, inputs, outputs, constants)


def write_fit_repository(folder: Path) -> Path:
    """All that `fit_faces` needs, with a small head; only the two graphs above are planted."""
    save_head(folder / "head.npz")
    save_albedo(folder / "albedo.npz")
    repository = folder / "repository"
    command = [
        *(sys.executable, "-m", "mien_export", "build", "--to", str(repository)),
        *("--model", "flame_decoder", "--checkpoint", f"flame_decoder={folder / 'head.npz'}"),
        *("--model", "texture_decoder", "--checkpoint", f"texture_decoder={folder / 'albedo.npz'}"),
        *("--model", "style_renderer"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, graph in (
        ("deca_encoder", planted_encoder()),
        ("face_landmarker", planted_landmarker()),
    ):
        config = (CONTRACTS / name / "config.pbtxt").read_text()
        write_model(repository, name, config, {"1/model.onnx": graph})
    for name, kind in (("face_cropper", "python"), ("fit_faces", "python")):
        shutil.copytree(CONTRACTS / name, repository / name, ignore=shutil.ignore_patterns("__*"))
        config = repository / name / "config.pbtxt"
        text = config.read_text().replace('"landmarker"           value { string_value: "none"', (
            '"landmarker"           value { string_value: "face_landmarker"'
        ))  # fmt: skip
        config.write_text(text)
        seal(repository / name, kind=kind, weights=None, graphs={})
    return repository
