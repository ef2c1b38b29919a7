# SPDX-License-Identifier: Apache-2.0
"""The demo's step with new faces: somebody real and some who are not, each in eight styles.

All of them are asked for at once, so the server samples them together. Their sheet is written again
and again while it fills.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from demo.faces_sheet import FacesSheet
from demo.heads import head_of
from demo.processes import BUILD, console, shown
from mien import AsyncClient, FacePreview, GeneratedFace, GenerationProgress, IdentityToken

__all__ = ["make_faces"]

NUM_STYLES = 8
NUM_NEW_PEOPLE = 3
PEOPLE_SEED, FACES_SEED = 40, 7
PREVIEW_EVERY = 3  # steps
FILM = 6  # pictures of the strip
SAVE_EVERY_S = 0.5

Identity = Path | IdentityToken


def make_faces(photograph: Path, address: str) -> Path:
    """Write `faces.png`; faces of one column have the same style, but for the shape of the head."""
    return asyncio.run(_make_faces(photograph, address))


async def _make_faces(photograph: Path, address: str) -> Path:
    target = BUILD / "faces.png"
    async with AsyncClient(address) as client:
        found = await client.embed(photograph)
        with console.status("looking for people who do not exist"):
            new = await client.sample_identities(NUM_NEW_PEOPLE, seed=PEOPLE_SEED)
        people: dict[str, Identity] = {"the photograph": photograph}
        people |= {f"nobody {n + 1}": who for n, who in enumerate(new.identities)}
        sheet = FacesSheet(list(people), NUM_STYLES, FILM)
        sheet.portrait(0, head_of(photograph, found.face))
        if new.untrained:
            sheet.warn("UNTRAINED: random weights")
        console.print(f"watch it fill: {shown(target)}")
        start = time.monotonic()
        await _Streams(client, sheet, target).all(people)
        taken_s = time.monotonic() - start
    sheet.save(target)
    faces = len(people) * NUM_STYLES
    console.print(f"{faces} faces in {taken_s:.0f} s: {taken_s / faces:.1f} s a face")
    return target


class _Streams:
    """Everybody's faces at once, each shown as soon as it is told of."""

    def __init__(self, client: AsyncClient, sheet: FacesSheet, target: Path) -> None:
        self._client, self._sheet, self._target = client, sheet, target
        self._saved = 0.0

    async def all(self, people: Mapping[str, Identity]) -> None:
        """Make the faces of all people."""
        columns = (
            TextColumn("{task.description:>16}"),
            BarColumn(),
            TextColumn("{task.fields[what]}"),
        )
        with Progress(*columns, console=console) as bars:
            await asyncio.gather(
                *(
                    self._one(row, identity, bars, bars.add_task(caption, what=""))
                    for row, (caption, identity) in enumerate(people.items())
                )
            )

    async def _one(self, row: int, identity: Identity, bars: Progress, bar: TaskID) -> None:
        finished = []
        events = self._client.generate(
            identity, count=NUM_STYLES, seed=FACES_SEED, preview_every=PREVIEW_EVERY
        )
        async for event in events:
            if isinstance(event, GenerationProgress):
                bars.update(bar, completed=event.steps_done, total=event.num_steps)
            elif isinstance(event, FacePreview):
                self._preview(row, event)
            elif isinstance(event, GeneratedFace):
                finished.append(event.similarity)
                self._face(row, event)
                mean = sum(finished) / len(finished)
                what = f"{len(finished)} of {NUM_STYLES} faces, similarity {mean:.2f}"
                bars.update(bar, what=what)

    def _preview(self, row: int, event: FacePreview) -> None:
        png = bytes(event.image)
        self._sheet.face(row, event.index, png, f"step {event.steps_done}")
        if row == event.index == 0:
            self._sheet.film(png, f"step {event.steps_done}")
        self._save_now_and_then()

    def _face(self, row: int, event: GeneratedFace) -> None:
        png = bytes(event.image)
        self._sheet.face(row, event.index, png, f"{event.similarity:.2f}")
        if row == event.index == 0:
            self._sheet.film(png, "finished")
        self._save_now_and_then()

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            self._sheet.save(self._target)
            self._saved = time.monotonic()
