# SPDX-License-Identifier: Apache-2.0
"""Small model repositories for tests of the server, with manifests written independently."""

import hashlib
import json
from pathlib import Path

import onnx


def write_model(repository: Path, name: str, config: str, files: dict[str, bytes]) -> Path:
    """One model folder with its manifest."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    for relative, content in {"config.pbtxt": config.encode(), **files}.items():
        (folder / relative).write_bytes(content)
    seal(folder)
    return folder


def seal(folder: Path, **changes: object) -> None:
    """Write the manifest that fits the folder's files as they are."""
    manifest = folder / "manifest.json"
    manifest.unlink(missing_ok=True)
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    content = {
        "schema": 1, "model": folder.name, "kind": "graph", "public": False, "untrained": True,
        "depends_on": [], "inputs_digest": "", "files": files, "tools": {},
        "weights": {"source": "random", "network": "toy", "licence": "none"},
        "graphs": {"1/model.onnx": {"precision": "fp32"}},
    }  # fmt: skip
    manifest.write_text(json.dumps({**content, **changes}))


def graph_bytes(nodes, inputs, outputs, initializers=()) -> bytes:
    """A serialised ONNX model; inputs and outputs are (name, onnx type, dims)."""
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in initializers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
