# SPDX-License-Identifier: Apache-2.0
"""The recogniser of a built repository, run in this process.

Letters: N images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from mien_export.calibrated_decision import RECOGNIZER
from mien_export.contract import read_config
from mien_export.errors import TargetError, UsageError
from mien_export.manifest import file_problems, read_manifest, weights_digest
from mien_export.plan import CONFIG

_BATCH = 32


@dataclass(frozen=True)
class BuiltRecognizer:
    """One graph of the repository and where it came from.

    Attributes:
        path: the ONNX file.
        precision: of the graph.
        px: side of the crops it takes.
        network: the name it was built under.
        weights_digest: identity of network and weights, the same in every precision and however
            often it is built.
        untrained: the weights are random.
    """

    path: Path
    precision: str
    px: int
    network: str
    weights_digest: str
    untrained: bool

    def embed(
        self, crops: npt.NDArray[np.uint8], advance: Callable[[int], None] = lambda _: None
    ) -> npt.NDArray[np.float32]:
        """Embed (N, px, px, 3) uint8 RGB crops into (N, 512).

        Args:
            crops: aligned faces.
            advance: told how many more are done.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: the caller reports in its own words
        session = onnxruntime.InferenceSession(
            self.path, options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        embeddings = []
        for start in range(0, len(crops), _BATCH):
            batch = crops[start : start + _BATCH]
            pixels = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)
            embeddings.append(session.run(None, {name: pixels})[0])
            advance(len(batch))
        return np.concatenate(embeddings)


def find_recognizer(repository: Path, precision: str) -> BuiltRecognizer:
    """Find the recogniser's graph of one precision, and check that it is what was built.

    Raises:
        TargetError: there is no such repository or recogniser, or its files are not those built.
        UsageError: it was not built in that precision, or onnxruntime cannot run it.
    """
    model_dir = repository / RECOGNIZER
    if not model_dir.is_dir():
        raise TargetError(
            f"{repository} holds no {RECOGNIZER}; give a repository made by mien-export build."
        )
    manifest, contract = read_manifest(model_dir), read_config(model_dir / CONFIG)
    problems = file_problems(model_dir, manifest)
    if problems:
        raise TargetError(f"{model_dir} is damaged: {'; '.join(problems)}. Build it again.")
    graphs = {
        graph["precision"]: name
        for name, graph in (manifest.graphs or {}).items()
        if name.endswith(".onnx")
    }
    if precision not in graphs:
        raise UsageError(
            f"{model_dir} has no graph in {precision} that runs here; it has {', '.join(graphs)}. "
            f"Build it with --precision {precision}, or choose another."
        )
    weights = manifest.weights or {}
    return BuiltRecognizer(
        path=model_dir / graphs[precision],
        precision=precision,
        px=contract.inputs[0].dims[-1],
        network=weights["network"],
        weights_digest=weights_digest(weights),
        untrained=manifest.untrained,
    )
