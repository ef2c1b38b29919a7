# SPDX-License-Identifier: Apache-2.0
"""``manifest.json``, schema 1: what a model directory holds and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mien_export.errors import TargetError

SCHEMA = 1
MANIFEST = "manifest.json"
_TOOLS = ("mien", "numpy", "onnx", "onnxruntime", "onnxscript", "torch")
_GRAPH_ONLY = ("weights", "graphs")


@dataclass(frozen=True)
class Manifest:
    """The contents of one ``manifest.json``; ``docs/contracts.md`` explains the fields."""

    model: str
    kind: str
    public: bool
    untrained: bool
    depends_on: tuple[str, ...]
    inputs_digest: str
    files: Mapping[str, str]
    tools: Mapping[str, str]
    weights: Mapping[str, Any] | None = None
    graphs: Mapping[str, Mapping[str, Any]] | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Give the text of the file; graph-only fields are left out of pipelines."""
        document = {key: value for key, value in asdict(self).items() if value is not None}
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_manifest(model_dir: Path) -> Manifest:
    """Read and validate the manifest of one model directory.

    Raises:
        TargetError: the file is missing, not JSON, of another schema, or a field has another type.
    """
    path = model_dir / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TargetError(
            f"{path} is missing; every model directory has one. Build the repository again."
        ) from error
    except (OSError, ValueError) as error:
        raise TargetError(f"{path} cannot be read: {error}. Build it again.") from error
    problem = _problem(document)
    if problem:
        raise TargetError(f"{path}: {problem}. Build it again with this mien-export.")
    document["depends_on"] = tuple(document["depends_on"])
    return Manifest(**document)


def _problem(document: Any) -> str | None:
    if not isinstance(document, dict):
        return f"holds a {type(document).__name__}; expected an object"
    if document.get("schema") != SCHEMA:
        return f"schema is {document.get('schema')!r}; expected {SCHEMA}"
    names = {field.name for field in fields(Manifest)}
    if not document.keys() <= names:
        return f"has unknown fields {sorted(document.keys() - names)}"
    graph = document.get("kind") == "graph"
    wanted = names if graph else names - set(_GRAPH_ONLY)
    if document.keys() != wanted:
        return f"has fields {sorted(document)}; expected {sorted(wanted)}"
    types = {"model": str, "kind": str, "public": bool, "untrained": bool, "depends_on": list}
    types |= {"inputs_digest": str, "files": dict, "tools": dict}
    types |= dict.fromkeys(_GRAPH_ONLY, dict) if graph else {}
    for name, kind in types.items():
        if not isinstance(document[name], kind):
            return f"{name} is {document[name]!r}; expected {kind.__name__}"
    return None


def sha256_of_file(path: Path) -> str:
    """Digest a file in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_json(value: Any) -> str:
    """Digest a JSON-able value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Digest what decides a graph's results: the network's name and its weights file, or its seed.

    Graph files differ between versions of the tools that write them; this does not.

    Args:
        weights: with ``network``, ``sha256`` and ``seed``, as in a manifest.
    """
    return sha256_of_json({key: weights[key] for key in ("network", "sha256", "seed")})


def model_files(model_dir: Path) -> list[str]:
    """List every file of a model directory but its manifest, by POSIX path inside it."""
    paths = (path for path in model_dir.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(model_dir).as_posix() for path in paths)
    return sorted(name for name in names if name != MANIFEST)


def file_problems(model_dir: Path, manifest: Manifest) -> list[str]:
    """Say which files are missing, changed or not listed."""
    found = set(model_files(model_dir))
    problems = [f"{name} is not in the manifest" for name in sorted(found - set(manifest.files))]
    for name, digest in sorted(manifest.files.items()):
        if name not in found:
            problems.append(f"{name} is missing")
        elif sha256_of_file(model_dir / name) != digest:
            problems.append(f"{name} is not the file that was built (its digest differs)")
    return problems


def digest_files(model_dir: Path, names: Iterable[str]) -> dict[str, str]:
    """Digest the named files of a model directory."""
    return {name: sha256_of_file(model_dir / name) for name in names}


def sources_digest() -> str:
    """Digest the exporter's own code: changed code means rebuilt models."""
    package = Path(__file__).parent
    sources = (path.relative_to(package) for path in package.rglob("*.py"))
    # A wheel carries the contracts, model.py files among them, inside this package.
    names = sorted(path.as_posix() for path in sources if path.parts[0] != "_model_repository")
    return sha256_of_json(digest_files(package, names))


def tool_versions() -> dict[str, str]:
    """Give the versions that decide what is built."""
    versions = {}
    for name in _TOOLS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"  # run from a checkout that is not installed
    return versions
