# SPDX-License-Identifier: Apache-2.0
"""The folder of a training set: whose it is, what it is to hold, and what it holds already.

::

    manifest.json        plan, generator, versions, counts; "complete" is true when all is there
    identities.jsonl     a row for each identity: number, seed, largest similarity
    shard-00000.jsonl    a row for each image of a shard, see `_synthesis_shards`
    shard-00000.tar      its images, in the format "webdataset"
    images/000012/000012_0007.png   image 7 of identity 12, in the format "folders"
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from mien._errors import DataSetError
from mien._synthesis_files import disk_errors_explained, remove_partials, sync_folder, write_whole
from mien._synthesis_plan import SynthesisPlan
from mien._synthesis_shards import MadeImage, complete_shards, write_shard

__all__ = ["Generator", "SetFolder", "SetIdentity"]

MANIFEST = "manifest.json"
IDENTITIES = "identities.jsonl"
LOCK = ".synthesize.lock"  # held by the run that writes; the file stays
FOUND = ".identities-found.jsonl"  # on the way to IDENTITIES
_MADE_BY = "mien synthesize"
_MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Generator:
    """What makes the images.

    Attributes:
        digest: of all weights behind it, as every PNG states it.
        untrained: random ones are among them: the images mean nothing.
        server: name and version of the server.
    """

    digest: str
    untrained: bool
    server: str


@dataclass(frozen=True, slots=True)
class SetIdentity:
    """One person of a set.

    Attributes:
        identity_seed: `NewIdentity(identity_seed)` is the same person.
        largest_similarity: cosine to those before, and to those that were found with it; -1 where
            there is none.
    """

    identity_seed: int
    largest_similarity: float


class SetFolder:
    """The folder, locked against other runs from enter to exit.

    Args:
        path: made where it does not exist.
        plan: of the set; one that was begun must have the same.

    Raises:
        DataSetError: on entering: it cannot be used, another run is writing there, or it holds
            another set or something else.
    """

    def __init__(self, path: Path, plan: SynthesisPlan) -> None:
        self.path = path
        self._plan = plan
        self._manifest: dict[str, Any] | None = None
        self._descriptor = -1

    def __enter__(self) -> SetFolder:
        with disk_errors_explained(self.path), contextlib.ExitStack() as undo:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / MANIFEST).exists():
                self._check_empty()
            self._descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            undo.callback(os.close, self._descriptor)
            self._lock()
            self._manifest = self._read_manifest()
            remove_partials(self.path)
            undo.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return self._manifest is not None and bool(self._manifest["complete"])

    @property
    def generator(self) -> Generator | None:
        """What the set was begun with; None where it is not begun."""
        if self._manifest is None:
            return None
        return Generator(**self._manifest["generator"])

    def begin(self, generator: Generator) -> None:
        """Write down what the set is to be.

        Raises:
            DataSetError: it cannot be written.
        """
        plan = self._plan
        self._manifest = {
            "made_by": _MADE_BY,
            "manifest_version": _MANIFEST_VERSION,
            "complete": False,
            "synthetic": True,
            "plan": plan.to_dict(),
            "generator": asdict(generator),
            "begun_with": {"mien": version("mien")},
            "counts": {
                "identities": plan.identities,
                "images": plan.num_images,
                "shards": plan.num_shards,
            },
        }
        self._write_manifest()

    def finish(self) -> None:
        """Write down that the set is complete.

        Raises:
            DataSetError: it cannot be written.
        """
        assert self._manifest is not None
        self._manifest["complete"] = True
        self._write_manifest()

    def missing_shards(self) -> list[int]:
        """Those that are still to be made, in order.

        Raises:
            DataSetError: the folder cannot be read.
        """
        shards = range(self._plan.num_shards)
        with disk_errors_explained(self.path):
            complete = complete_shards(self.path, shards)
        return [shard for shard in shards if shard not in complete]

    def write_shard(self, shard: int, images: Sequence[MadeImage]) -> None:
        """Write all images of a shard, in their order.

        Raises:
            DataSetError: it cannot be written.
        """
        with disk_errors_explained(self.path):
            write_shard(self.path, self._plan.format, shard, images)

    def identities(self) -> list[SetIdentity] | None:
        """All people of the set; None where they are not all found.

        Raises:
            DataSetError: they cannot be read.
        """
        with disk_errors_explained(self.path):
            rows = _whole_rows(self.path / IDENTITIES)
        people = [SetIdentity(row["identity_seed"], row["largest_similarity"]) for row in rows]
        if people and len(people) != self._plan.identities:
            raise self._refusal(
                f"its {IDENTITIES} has {len(people)} rows; {self._plan.identities} were written. "
                "Restore the file, or begin a new set in another folder"
            )
        return people or None

    def write_identities(self, people: Sequence[SetIdentity]) -> None:
        """Write down all people of the set, and forget how they were found.

        Raises:
            DataSetError: it cannot be written.
        """
        rows = [{"identity": number, **asdict(person)} for number, person in enumerate(people)]
        content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        with disk_errors_explained(self.path):
            write_whole(self.path, self.path / IDENTITIES, lambda stream: stream.write(content))
            sync_folder(self.path)
        self.forget_found()

    def found(self) -> list[dict[str, Any]]:
        """What `add_found` was given by earlier runs; a row that a kill cut off is removed.

        Raises:
            DataSetError: it cannot be read.
        """
        path = self.path / FOUND
        with disk_errors_explained(self.path):
            rows = _whole_rows(path)
            if path.exists():
                os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        return rows

    def add_found(self, row: Mapping[str, Any]) -> None:
        """Remember some people until all are found. They hold tokens: only the owner can read them.

        Raises:
            DataSetError: it cannot be written.
        """
        with disk_errors_explained(self.path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self.path / FOUND, flags, 0o600), "ab") as stream:
                stream.write(f"{json.dumps(row)}\n".encode())

    def forget_found(self) -> None:
        """Forget what `add_found` was given.

        Raises:
            DataSetError: it cannot be removed.
        """
        with disk_errors_explained(self.path):
            (self.path / FOUND).unlink(missing_ok=True)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(
                "another run is writing there; one at a time may. Wait until it has ended"
            ) from None

    def _read_manifest(self) -> dict[str, Any] | None:
        try:
            content = (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        try:
            manifest: dict[str, Any] = json.loads(content)
            stored = (manifest["made_by"], manifest["manifest_version"])
            differences = self._plan.differences(manifest["plan"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._refusal(f"its {MANIFEST} is not one of mien; use another folder") from None
        if stored != (_MADE_BY, _MANIFEST_VERSION):
            raise self._refusal(
                f"its {MANIFEST} is of {stored[0]!r}, version {stored[1]}; this is {_MADE_BY!r}, "
                f"version {_MANIFEST_VERSION}. Use another folder, or that version of mien"
            )
        if differences:
            raise self._refusal(
                f"it was begun with {'; with '.join(sorted(differences))}. Give the same options "
                "to go on with it, or another folder to begin another set"
            )
        return manifest

    def _check_empty(self) -> None:
        names = {path.name for path in self.path.iterdir()} - {LOCK}
        others = [name for name in names if not name.endswith(".partial")]
        if others:
            raise self._refusal(
                f"it holds {min(others)!r} and no {MANIFEST}; a set needs a folder of its own. "
                "Give a new or empty one"
            )

    def _write_manifest(self) -> None:
        content = f"{json.dumps(self._manifest, indent=2)}\n".encode()
        with disk_errors_explained(self.path):
            write_whole(self.path, self.path / MANIFEST, lambda stream: stream.write(content))
            sync_folder(self.path)

    def _refusal(self, words: str) -> DataSetError:
        return DataSetError(f"folder {str(self.path)!r}: {words}")


def _whole_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a file; none where there is no file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[:-1]]
