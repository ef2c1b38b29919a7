# SPDX-License-Identifier: Apache-2.0
"""The options of `python -m bench avatar_quality`, and the order of its work."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from rich.console import Console

from bench.avatars.expressions import Distances, measure_expressions
from bench.avatars.fitted_heads import ServedHeads
from bench.avatars.heads import Yardstick
from bench.avatars.in_process import AvatarLoop
from bench.avatars.likeness import Likenesses, measure_likeness
from bench.avatars.lpips import Lpips
from bench.avatars.quality_report import quality_json, quality_section
from bench.avatars.serving import built_repository, served
from bench.avatars.shown import EMOTION_NAMES, VIEWS_DEG, draw_shown
from bench.avatars.sliders import Sliders, measure_sliders
from bench.morphface.plan import write_json
from bench.morphface.store import png_from_image
from bench.photographs import portraits
from bench.serving import BUILD
from mien import Avatar, Client, MienError, NoFaceError
from mien_export.errors import CheckpointError
from mien_server.threads import available_cores
from mien_starter.errors import StarterError
from mien_starter.progress import counting
from mien_starter.shards import Photographs
from mien_starter.world.assets import default_assets
from mien_starter.world.world import World

__all__ = ["DESCRIPTION", "Quality", "add_arguments", "run_avatar_quality"]

DESCRIPTION = """\
How good avatars are, through a server's gRPC endpoint: without --address one is started.

1. Likeness, the columns of the thesis's table 4.1, of every photograph of --people of a data set
   and of the portrait of the astronaut. LPIPS needs --lpips, and a repository in place of
   --address: its weights may not be shipped, and no answer holds the picture.
2. Expressions, the thesis's table 4.2: --people show --emotions each, of known intensity, from the
   front and from the side; their true meshes are what the fitted head is compared with at rest,
   with the detected expression, and with that of the emotion model.
3. Sliders: what apply_emotion moves on the avatars of some of them, and what it leaves alone.

  python -m mien_starter dataset --split held_out --identities 320 --shots 5 --to DIR
  python -m bench avatar_quality --data DIR
"""
FIGURES_FILE = "quality.json"
PARTS = ("likeness", "expressions", "sliders")


@dataclass(frozen=True, slots=True)
class Quality:
    """Everything that was measured.

    Attributes:
        people: how many.
        splits: that they belong to.
        likeness: of their photographs; None, as the following, where it was not asked for.
        portrait: by column, the same of the portrait of the astronaut.
        distances: of the heads of those who show emotions.
        sliders: of some of their avatars.
    """

    people: int
    splits: tuple[str, ...]
    likeness: Likenesses | None
    portrait: Mapping[str, float | None]
    distances: Distances | None
    sliders: Sliders | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="of held-out people")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--address", metavar="HOST:PORT", help="of a server that runs already")
    where.add_argument(
        "--repository",
        type=Path,
        metavar="DIR",
        help="to serve; otherwise one with the starter weights is built",
    )
    add("--people", type=int, metavar="N", help="the first so many only (default all)")
    add(
        "--emotions",
        type=int,
        default=2,
        metavar="N",
        help="that each of them shows, 1 to 6 (default %(default)s)",
    )
    add(
        "--slid",
        type=int,
        default=10,
        metavar="N",
        help="avatars whose sliders are moved (default %(default)s)",
    )
    add(
        "--lpips",
        type=Path,
        nargs=2,
        metavar=("ALEXNET", "LINEAR"),
        help="weights of torchvision's AlexNet, and of LPIPS 0.1 on it",
    )
    add(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"some of {', '.join(PARTS)} (default all)",
    )
    add("--out", type=Path, default=BUILD / "avatars", metavar="DIR", help="(default %(default)s)")


def run_avatar_quality(arguments: argparse.Namespace, command: str, console: Console) -> str:
    """Measure; the section of RESULTS.md.

    Raises:
        SystemExit: an option, the data or the server is not as it must be; says why.
    """
    _check(arguments)
    try:
        photographs = Photographs(arguments.data).of_split("held_out")
        rows = _rows(photographs, arguments.people)
        with _lpips(arguments, console) as lpips, _address(arguments, console) as address:
            quality = _measured(arguments, address, photographs, rows, lpips, console)
    except (
        CheckpointError, MienError, StarterError, ValueError, triton.InferenceServerException
    ) as error:  # fmt: skip
        raise SystemExit(f"bench avatar_quality: {error}") from error
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / FIGURES_FILE, quality_json(quality))
    console.print(f"figures: {arguments.out / FIGURES_FILE}", highlight=False)
    return quality_section(quality, command)


def _check(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.emotions <= len(EMOTION_NAMES):
        raise SystemExit(f"--emotions is {arguments.emotions}; allowed are 1 to 6")
    if arguments.slid < 1 or (arguments.people is not None and arguments.people < 2):
        raise SystemExit("--slid must be at least 1, --people at least 2")
    if arguments.lpips and arguments.address:
        raise SystemExit(
            "--lpips compares pictures that no answer of a server holds; give --repository in "
            "place of --address"
        )


def _rows(photographs: Photographs, people: int | None) -> list[int]:
    """Of the photographs of the first so many people."""
    identities = photographs.labels["identity"]
    known = list(dict.fromkeys(identities.tolist()))[:people]
    return [int(row) for row in np.flatnonzero(np.isin(identities, known))]


@contextlib.contextmanager
def _address(arguments: argparse.Namespace, console: Console) -> Iterator[str]:
    with served(arguments.address, arguments.repository, console) as address:
        yield address


@contextlib.contextmanager
def _lpips(
    arguments: argparse.Namespace, console: Console
) -> Iterator[Callable[[bytes], float] | None]:
    """Measures the avatar of an encoded photograph, made in this process."""
    if not arguments.lpips:
        yield None
        return
    distance = Lpips(*arguments.lpips)
    arguments.repository = built_repository(arguments.repository, console)
    loop = AvatarLoop(arguments.repository, available_cores())

    def measure(photograph: bytes) -> float:
        loop.create(photograph)
        crops = loop.models.latest["face_recognizer"]["crop_112"]
        return distance(*crops.transpose(0, 2, 3, 1))

    try:
        yield measure
    finally:
        loop.close()


def _measured(
    arguments: argparse.Namespace,
    address: str,
    photographs: Photographs,
    rows: Sequence[int],
    lpips: Callable[[bytes], float] | None,
    console: Console,
) -> Quality:
    assets, portrait = default_assets(), portraits()[0]
    people = list(dict.fromkeys(photographs.labels["identity"][list(rows)].tolist()))
    likeness = distances = sliders = None
    with Client(address) as client, triton.InferenceServerClient(address) as graphs:
        heads, own = ServedHeads(graphs, assets.head), client.avatar(portrait)
        if "likeness" in arguments.parts:
            with counting(console, "likeness", len(rows), "photographs") as update:
                likeness = measure_likeness(
                    client, photographs, rows, lpips=lpips, on_progress=update
                )
        if "expressions" in arguments.parts:
            total = len(people) * arguments.emotions * len(VIEWS_DEG)
            shown = draw_shown(people, arguments.emotions, World(assets=assets))
            with counting(console, "expressions", total, "photographs") as update:
                distances = measure_expressions(client, heads, Yardstick.of(assets), shown, update)
        if "sliders" in arguments.parts:
            slid = [own, *_avatars(client, photographs, rows, arguments.slid - 1)]
            with counting(console, "sliders", len(slid), "avatars") as update:
                sliders = measure_sliders(slid, heads, assets.head, update)
    return Quality(
        people=len(people),
        splits=tuple(photographs.splits),
        likeness=likeness,
        portrait={**own.quality.to_dict(), "lpips": lpips(portrait) if lpips else None},
        distances=distances,
        sliders=sliders,
    )


def _avatars(
    client: Client, photographs: Photographs, rows: Sequence[int], count: int
) -> list[Avatar]:
    """Of the first people in whom the server finds a face, one photograph each."""
    identities = photographs.labels["identity"]
    found: dict[int, Avatar] = {}
    for row in rows:
        if len(found) == count:
            break
        person = int(identities[row])
        if person in found:
            continue
        with contextlib.suppress(NoFaceError):
            found[person] = client.avatar(png_from_image(photographs.image_rgb(row)))
    return list(found.values())
