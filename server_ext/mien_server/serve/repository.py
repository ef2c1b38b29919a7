# SPDX-License-Identifier: Apache-2.0
"""A built model repository, held to its manifests before anything is loaded.

The format is `docs/contracts.md`, "manifest.json, schema 1".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mien_server.serve.errors import ServeError

__all__ = ["ServedModel", "link_repository", "read_repository"]

SCHEMA = 1
MANIFEST = "manifest.json"
BUILD_HINT = "build it: mien-export build --to {path}"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of the repository.

    Attributes:
        name: also the folder.
        kind: "graph", "python" or "ensemble".
        public: applications may call it.
        untrained: random weights are behind it.
        depends_on: models it calls.
        weights: network and licence for graphs, "" for others.
        precisions: of the graph's variants, fp32 first; empty for others.
    """

    name: str
    kind: str
    public: bool
    untrained: bool
    depends_on: tuple[str, ...]
    weights: str
    precisions: tuple[str, ...]


def read_repository(path: Path) -> list[ServedModel]:
    """The models of a repository whose every file is what its manifest says.

    Raises:
        ServeError: there is no repository, or one of its files is missing, different or unlisted.
    """
    hint = BUILD_HINT.format(path=path)
    if not path.is_dir():
        raise ServeError(f"{path} is not a directory; {hint}")
    folders = sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not folders:
        raise ServeError(f"{path} holds no model; {hint}")
    return [_read_model(folder, hint) for folder in folders]


def link_repository(path: Path, target: Path) -> None:
    """Make a tree of links to the repository's files.

    Triton is given that tree: its Python stubs write `__pycache__` beside every `model.py`, deaf to
    PYTHONDONTWRITEBYTECODE, and a repository whose every file is accounted for must stay as it is.

    Args:
        path: the repository.
        target: a directory that does not exist yet.
    """
    source = path.resolve()
    for file in source.rglob("*"):
        link = target / file.relative_to(source)
        if file.is_dir():
            link.mkdir(parents=True, exist_ok=True)
        else:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)


def _read_model(folder: Path, hint: str) -> ServedModel:
    manifest_path = folder / MANIFEST
    if not manifest_path.is_file():
        raise ServeError(
            f"{folder} has no {MANIFEST}, so its files cannot be verified. A repository comes from "
            f"mien-export, not from a checkout's model_repository/; {hint}"
        )
    try:
        manifest = json.loads(manifest_path.read_bytes())
        if manifest["schema"] != SCHEMA:
            raise ServeError(
                f"{manifest_path} has schema {manifest['schema']}; this server reads {SCHEMA}. "
                f"Install the mien that built it, or {hint}"
            )
        if manifest["model"] != folder.name:
            raise ServeError(f"{manifest_path} is about {manifest['model']!r}; {hint}")
        _verify_files(folder, manifest["files"], hint)
        return _served_model(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServeError(
            f"{manifest_path} cannot be read ({type(error).__name__}: {error}); {hint}"
        ) from error


def _verify_files(folder: Path, digests: dict[str, str], hint: str) -> None:
    present = {
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    } - {MANIFEST}
    for name in sorted(set(digests) - present):
        raise ServeError(f"{folder / name} is missing and {MANIFEST} lists it; {hint}")
    for name in sorted(present - set(digests)):
        raise ServeError(f"{folder / name} is not listed in {MANIFEST}; remove it, or {hint}")
    for name, expected in sorted(digests.items()):
        with (folder / name).open("rb") as file:
            found = _sha256(file)
        if found != expected:
            raise ServeError(
                f"{folder / name} has sha256 {found[:16]}…, its manifest says {expected[:16]}…: "
                f"it was changed after the build and is not served; {hint}"
            )


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _served_model(manifest: dict[str, Any]) -> ServedModel:
    weights = manifest.get("weights")
    return ServedModel(
        name=manifest["model"],
        kind=manifest["kind"],
        public=bool(manifest["public"]),
        untrained=bool(manifest["untrained"]),
        depends_on=tuple(manifest["depends_on"]),
        weights=f"{weights['network']}, licence {weights['licence']}" if weights else "",
        precisions=tuple(graph["precision"] for graph in manifest.get("graphs", {}).values()),
    )
