# SPDX-License-Identifier: Apache-2.0
"""Graphs of hair whose answers are known, put into a repository that was built without them."""

import os
import shutil
from pathlib import Path

import numpy as np
import onnx

from mien_server.hair.strands import GRID, GRID_POINTS
from mien_server.hair.style_files import style_from_bytes
from tests.repositories import graph_bytes, seal, write_model

CONTRACTS = Path(__file__).parents[2] / "model_repository"
SHIPPED = Path(__file__).parents[2] / "starter" / "weights" / "hairstyles"
GRAPHS = ("hair_segmenter", "hair_vae_encoder", "hair_vae_decoder")
AVATARS = ("create_avatar", "apply_emotion", "try_hairstyle")
STYLE, LATENT = "bob", 512
# Of every portrait: hair is above the brows, all below it is body, and there is nothing beside it.
TOP, BROWS, LEFT, RIGHT = 40, 85, 80, 176
FLOAT = onnx.TensorProto.FLOAT
node = onnx.helper.make_node


def planted_masks() -> np.ndarray:
    """(2, 256, 256) hair and body."""
    masks = np.zeros((2, 256, 256), np.float32)
    masks[0, TOP:BROWS, LEFT:RIGHT] = 1
    masks[1, BROWS:, LEFT:RIGHT] = 1
    return masks


def grid_of(name: str) -> np.ndarray:
    """(32, 32, 100, 4) of a shipped style."""
    style = style_from_bytes((SHIPPED / f"{name}.npz").read_bytes())
    grid = np.zeros((GRID * GRID, GRID_POINTS, 4), np.float32)
    grid[style.cells, :, :3] = style.strands.points
    grid[style.cells, :, 3] = style.strands.curliness
    return grid.reshape(GRID, GRID, GRID_POINTS, 4)


def constant_graph(given: str, dims: list[int], found: str, answer: np.ndarray) -> bytes:
    """The same answer to every sample."""
    nodes = [
        node("ReduceMean", [given, "axes"], ["mean"], keepdims=0),
        node("Mul", ["mean", "zero"], ["nothing"]),
        node("Reshape", ["nothing", "column"], ["nothings"]),
        node("Add", ["nothings", "answer"], [found]),
    ]
    constants = [
        ("axes", np.arange(1, 1 + len(dims))),
        ("zero", np.float32(0)),
        ("column", np.array([-1, *(1 for _ in answer.shape)])),
        ("answer", answer[None].astype(np.float32)),
    ]
    outputs = [(found, FLOAT, ["N", *answer.shape])]
    return graph_bytes(nodes, [(given, FLOAT, ["N", *dims])], outputs, constants)


def with_hair_graphs(repository: Path, target: Path) -> Path:
    """A copy of a repository, by links, with the graphs and pipelines that call them."""
    shutil.copytree(repository, target, copy_function=os.link)
    latent = np.linspace(-2, 2, LATENT)
    for name, graph in (
        (GRAPHS[0], constant_graph("portrait", [3, 256, 256], "masks", planted_masks())),
        (GRAPHS[1], constant_graph("orientation_map", [3, 256, 256], "latent", latent)),
        (GRAPHS[2], constant_graph("latent", [LATENT], "strands", grid_of(STYLE))),
    ):
        shutil.rmtree(target / name, ignore_errors=True)
        config = (CONTRACTS / name / "config.pbtxt").read_text()
        write_model(target, name, config, {"1/model.onnx": graph})
    for name in AVATARS:
        _call_hair_graphs(target / name)
    return target


def _call_hair_graphs(folder: Path) -> None:
    config = folder / "config.pbtxt"
    text = config.read_text()
    for graph in GRAPHS:
        was = f'parameters {{ key: "{graph}" value {{ string_value: "none" }} }}'
        text = text.replace(was, was.replace("none", graph))
    config.unlink()  # the other repository has it too
    config.write_text(text)
    seal(folder, kind="python", public=True, weights=None, graphs={})
