# SPDX-License-Identifier: Apache-2.0
"""The release's own weights: ``starter.json`` says which file belongs to which graph.

```json
{"face_recognizer": {"network": "…", "file": "….safetensors", "licence": "Apache-2.0",
                     "allow_commercial": true,
                     "calibration": "….calibration.json",
                     "parameters": {"verify_faces": {"threshold": "0.31"}}}}
```

Two fields may be left out: ``calibration`` names the report of these weights, ``parameters`` are
other settings of pipelines that belong to them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mien_export.errors import CheckpointError, UsageError
from mien_export.request import BuildRequest
from mien_export.strict_json import from_json

STARTER_FILE = "starter.json"
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class StarterEntry:
    """The starter weights of one graph.

    Attributes:
        network: a choice of the graph's networks.
        file: name of the weights file, in the folder of ``starter.json``.
        licence: of the weights.
        allow_commercial: whether it permits commercial use.
        parameters: values by model and parameter that belong to these weights.
        calibration: name of the calibration report, in the same folder; empty for none.
    """

    network: str
    file: str
    licence: str
    allow_commercial: bool
    parameters: dict[str, dict[str, str]]
    calibration: str


def starter_folder() -> Path:
    """Find the starter weights: inside an installed wheel, else in the checkout around this file.

    Raises:
        UsageError: this installation has none.
    """
    candidates = [_PACKAGE / "_starter_weights", _PACKAGE.parents[1] / "starter" / "weights"]
    for candidate in candidates:
        if (candidate / STARTER_FILE).is_file():
            return candidate
    raise UsageError(
        "this installation has no starter weights. Give --checkpoint MODEL=PATH, or --weights "
        "random to try the machinery untrained."
    )


def read_starter_weights(folder: Path) -> dict[str, StarterEntry]:
    """Read and validate ``starter.json``; every file it names must be there.

    Raises:
        CheckpointError: it is missing, not of this form, or names a file that is not there.
    """
    path = folder / STARTER_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(document, dict):
        raise CheckpointError(
            f"{path} holds a {type(document).__name__}; expected an object with one entry per "
            "graph, perhaps none."
        )
    return {graph: _entry(folder, graph, value) for graph, value in document.items()}


def _entry(folder: Path, graph: str, value: Any) -> StarterEntry:
    if isinstance(value, dict):
        value = {"parameters": {}, "calibration": "", **value}
    try:
        entry = from_json(StarterEntry, value, graph)
    except ValueError as error:
        fields = ", ".join(field.name for field in dataclasses.fields(StarterEntry))
        raise CheckpointError(
            f"{folder / STARTER_FILE}: {error}. Expected the fields {fields}."
        ) from error
    for field, name in (("file", entry.file), ("calibration", entry.calibration)):
        may_be_empty = field == "calibration" and not name
        if not may_be_empty and not _lies_in(folder, name):
            raise CheckpointError(
                f"{folder / STARTER_FILE}: {graph}.{field} is {name!r}; expected the name of a "
                "file that lies beside it. Train or fetch it, or take the entry out."
            )
    return entry


def _lies_in(folder: Path, name: str) -> bool:
    return PurePosixPath(name).name == name and (folder / name).is_file()


def with_starter_weights(
    request: BuildRequest, folder: Path, entries: Mapping[str, StarterEntry]
) -> BuildRequest:
    """Take the starter weights for every graph that the request says nothing else about.

    A graph with a checkpoint of its own, or with another network, keeps what the request says; so
    do licences and parameters that it states.
    """
    taken = {
        graph: entry
        for graph, entry in entries.items()
        if graph not in request.checkpoints
        and request.networks.get(graph, entry.network) == entry.network
    }
    files = {graph: folder / entry.file for graph, entry in taken.items()}
    networks = {graph: entry.network for graph, entry in taken.items()}
    licences = {graph: entry.licence for graph, entry in taken.items()}
    commercial = {graph: entry.allow_commercial for graph, entry in taken.items()}
    return dataclasses.replace(
        request,
        checkpoints={**files, **request.checkpoints},
        networks={**networks, **request.networks},
        licences={**licences, **request.licences},
        allow_commercial={**commercial, **request.allow_commercial},
        starters={graph: entry.parameters for graph, entry in taken.items()},
        starter_calibrations={
            graph: folder / entry.calibration for graph, entry in taken.items() if entry.calibration
        },
    )
