# SPDX-License-Identifier: Apache-2.0
"""Asks a server for the pictures that are missing, has them read, and keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

import numpy as np

from bench.morphface.people import People
from bench.morphface.plan import Picture, Plan, first_seed
from bench.morphface.reading import PictureReader
from bench.morphface.settings import SETTINGS
from bench.morphface.store import Faces, Store, image_from_png, png_from_image
from mien import Client, GeneratedFace, GenerationStarted, IdentityToken, NewIdentity
from mien_starter.face_reader import crops_of
from mien_starter.shards import Photographs

__all__ = ["ALL", "PHOTOGRAPHS", "FaceMaker", "make_missing", "read_photographs"]

PHOTOGRAPHS, ALL = "photographs", "all"  # group and setting under which photographs are kept
DEADLINE_S = 3600.0

Asked = Callable[[Picture], list[GeneratedFace]]


class FaceMaker:
    """Asks for a person's faces in a setting.

    Args:
        client: of the server; its calls may be made from several threads.
        plan: of the run.
        people: of the run.
        photographs: where the references are.
    """

    def __init__(
        self, client: Client, plan: Plan, people: People, photographs: Photographs
    ) -> None:
        self._client, self._plan = client, plan
        self._people, self._photographs = people, photographs
        # Spares the server to find somebody again; lives as long as the server's key.
        self._tokens: dict[tuple[str, int], IdentityToken] = {}

    def __call__(self, picture: Picture) -> list[GeneratedFace]:
        """The faces, by their index.

        Raises:
            mien.MienError: the server refuses or fails.
        """
        setting, plan = SETTINGS[picture.setting], self._plan
        options: dict[str, Any] = {"steps": plan.steps, "solver": plan.solver}
        faces: list[GeneratedFace] = []
        with self._client.generate(
            self._identity(picture),
            count=plan.images,
            seed=first_seed(plan, picture),
            guidance_weight=setting.weight,
            switch_at=setting.switch_at,
            replace_shape=setting.replace_shape,
            progress=False,
            deadline_s=DEADLINE_S,
            **options,
        ) as events:
            for event in events:
                if isinstance(event, GenerationStarted):
                    self._tokens[picture.group, picture.person] = event.identity
                elif isinstance(event, GeneratedFace):
                    faces.append(event)
        return sorted(faces, key=lambda face: face.index)

    def _identity(self, picture: Picture) -> IdentityToken | NewIdentity | bytes:
        token = self._tokens.get((picture.group, picture.person))
        if token is not None:
            return token
        if picture.group == "new":
            return self._people.new[picture.person]
        reference = self._people.photographed[picture.person].reference
        return png_from_image(self._photographs.image_rgb(reference))


def make_missing(
    pictures: Iterable[Picture],
    ask: Asked,
    reader: PictureReader,
    store: Store,
    *,
    in_flight: int,
    on_progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Make what is not there yet.

    Args:
        pictures: wanted ones, in the order in which they are made.
        ask: called from threads.
        reader: called from this thread alone, while the server works on the next ones.
        store: where they are kept.
        in_flight: how many are asked for at once.
        on_progress: told how many are there, those of earlier runs included.

    Raises:
        mien.MienError: the server refuses or fails; what came before is kept.
    """
    wanted = list(pictures)
    missing = [p for p in wanted if not store.is_there(p.group, p.setting, p.person)]
    done = len(wanted) - len(missing)
    on_progress(done)
    for picture, faces in _answered(missing, ask, in_flight):
        pngs = [bytes(face.image) for face in faces]
        images = np.stack([image_from_png(png) for png in pngs])
        similarities = np.array([face.similarity for face in faces], np.float32)
        seeds = np.array([face.seed for face in faces], np.uint64)
        made = Faces(images, *reader.read(images), similarities, seeds)
        store.write(picture.group, picture.setting, picture.person, made, pngs)
        done += 1
        on_progress(done)


def read_photographs(
    photographs: Photographs,
    people: People,
    reader: PictureReader,
    store: Store,
    on_progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Read the photographs of everybody but the references, in crops as the generator makes."""
    for number, person in enumerate(people.photographed):
        if not store.is_there(PHOTOGRAPHS, ALL, number):
            crops = crops_of(photographs, person.others)
            shots = photographs.labels["shot"][list(person.others)].astype(np.uint64)
            unknown = np.full(len(crops), np.nan, np.float32)
            faces = Faces(crops, *reader.read(crops), unknown, shots)
            store.write(PHOTOGRAPHS, ALL, number, faces, [png_from_image(crop) for crop in crops])
        on_progress(number + 1)


def _answered(
    pictures: Sequence[Picture], ask: Asked, in_flight: int
) -> Iterator[tuple[Picture, list[GeneratedFace]]]:
    """Answers as they come, with a few questions under way at any time."""
    waiting = iter(pictures)
    pool = ThreadPoolExecutor(in_flight)
    try:
        running = {pool.submit(ask, picture): picture for picture in islice(waiting, in_flight)}
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            answers = [(running.pop(future), future.result()) for future in finished]
            running |= {
                pool.submit(ask, picture): picture for picture in islice(waiting, len(answers))
            }
            yield from answers
    finally:
        # Closing the client ends what is under way; nobody waits for it here.
        pool.shutdown(wait=False, cancel_futures=True)
