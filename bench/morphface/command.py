# SPDX-License-Identifier: Apache-2.0
"""The options of `python -m bench morphface`, and the order of its work."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import tritonclient.grpc as triton
from rich.console import Console

from bench.morphface.evidence import gathered
from bench.morphface.making import FaceMaker, make_missing, read_photographs
from bench.morphface.people import find_people
from bench.morphface.plan import GROUPS, Plan, keep_plan, pictures_to_make, write_json
from bench.morphface.plots import draw_frequencies, draw_sheet, draw_sweeps
from bench.morphface.reading import GRAPHS, PictureReader, served_infer
from bench.morphface.recall import NEIGHBOURS
from bench.morphface.report import evidence_json, evidence_section
from bench.morphface.settings import SETTINGS
from bench.morphface.store import Store
from bench.serving import BUILD, run_export, server_options
from mien import Client, MienError
from mien_server.serve import Server
from mien_starter.errors import StarterError
from mien_starter.progress import counting
from mien_starter.shards import Photographs

__all__ = [
    "DESCRIPTION",
    "add_arguments",
    "make_pictures",
    "require_enough",
    "run_morphface_bench",
]

GENERATOR = "generate_faces"
FIGURES_FILE = "figures.json"

DESCRIPTION = """\
The evidence of MorphFace's paper on people of our own. In seven settings of context blending
(none; t0 of 250, 500, 750; w of 0.25, 0.5, 1; the shape replaced or sampled) generate_faces makes
faces, of people in photographs and of new people, and they are measured: cosines of recognition
within and between people (C.1), variances of DECA's attributes (C.2), extended improved recall
within people and over the data set (C.3), variances of frequencies (C.4). The table stands beside
the paper's table 4, and each direction that the paper reports is checked.

Everything goes through a server's gRPC endpoint; without --address one is started. What was made
is kept in --out, and the same command goes on where it was cut off; --settings can be added later.
--out then has figures.json, sweeps-*.png, frequencies-*.png, sheet-*.png, and every picture.

Photographs are best made for it:

  python -m mien_starter dataset --split held_out --identities 40 --shots 25 --to DIR

Of each person, one is shown to the generator, --images stand in for generated pictures (the row
"photographs" says what could be reached), and the rest is to be covered. With fewer than
--images + 5 shots there is no such row, and all but the one are to be covered.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="photographs")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--address", metavar="HOST:PORT", help="of a server that runs already")
    where.add_argument("--repository", type=Path, metavar="DIR",
        help="to serve; otherwise one with the starter weights is built")  # fmt: skip
    add(
        "--identities",
        type=int,
        default=24,
        metavar="N",
        help="of each group (default %(default)s)",
    )
    add("--images", type=int, default=12, metavar="M", help="of each person in each setting "
        "(default %(default)s)")  # fmt: skip
    add("--seed", type=int, default=1, metavar="N", help="(default %(default)s)")
    add("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="NAME",
        help=f"some of {', '.join(SETTINGS)} (default all)")  # fmt: skip
    add("--people", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP",
        help=f"{' and '.join(GROUPS)} (default both)")  # fmt: skip
    add("--steps", type=int, metavar="N", help="of the solver (default the server's)")
    add("--solver", metavar="NAME", help="(default the server's)")
    add("--max-similarity", type=float, metavar="X", help="of new people (default the server's)")
    add("--in-flight", type=int, default=2, metavar="N", help="requests (default %(default)s)")
    add("--out", type=Path, default=BUILD / "morphface", metavar="DIR",
        help="(default %(default)s)")  # fmt: skip


def run_morphface_bench(arguments: argparse.Namespace, command: str, console: Console) -> str:
    """Make, measure, draw; the section of RESULTS.md.

    Raises:
        SystemExit: an option, the data or the server is not as it must be; says why.
    """
    require_enough(arguments)
    try:
        photographs = Photographs(arguments.data)
        with _address(arguments, console) as address:
            plan = make_pictures(arguments, address, photographs, console)
    except (MienError, StarterError, ValueError, triton.InferenceServerException) as error:
        raise SystemExit(f"bench morphface: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit("bench morphface: interrupted; the same command goes on") from None
    evidence = gathered(
        arguments.out,
        plan,
        tuple(photographs.splits),
        groups=arguments.people,
        settings=arguments.settings,
    )
    write_json(arguments.out / FIGURES_FILE, evidence_json(evidence))
    for group, figures in evidence.figures.items():
        draw_sweeps(figures, arguments.out / f"sweeps-{group}.png", f"{group} people")
        draw_frequencies(figures, arguments.out / f"frequencies-{group}.png", f"{group} people")
        store, settings = Store(arguments.out), [name for name in figures if name in SETTINGS]
        rows = [
            (SETTINGS[name].label, store.read(group, name, person))
            for person in range(2)
            for name in settings
        ]
        draw_sheet(rows, arguments.out / f"sheet-{group}.png")
    console.print(f"pictures and figures: {arguments.out}", highlight=False)
    return evidence_section(evidence, command)


def require_enough(arguments: argparse.Namespace) -> None:
    """Refuse sizes that nothing can be said of.

    Raises:
        SystemExit: says what must be given.
    """
    if arguments.images <= NEIGHBOURS or arguments.identities < 2 or arguments.in_flight < 1:
        raise SystemExit(
            f"--images must be above k = {NEIGHBOURS}, --identities at least 2, --in-flight at "
            "least 1"
        )


def make_pictures(
    arguments: argparse.Namespace, address: str, photographs: Photographs, console: Console
) -> Plan:
    """Have made and read what is missing in --out.

    Raises:
        mien.MienError: the server refuses or fails.
        ValueError: the folder has another plan, or the data too few people.
    """
    store = Store(arguments.out)
    with Client(address) as client, triton.InferenceServerClient(address) as graphs:
        plan = _plan(arguments, graphs)
        keep_plan(arguments.out, plan)
        people = find_people(arguments.out, plan, photographs, client, groups=arguments.people)
        reader = PictureReader(served_infer(graphs))
        with counting(console, "photographs", plan.identities, "people") as on_progress:
            read_photographs(photographs, people, reader, store, on_progress)
        pictures = list(pictures_to_make(plan, arguments.people, arguments.settings))
        maker = FaceMaker(client, plan, people, photographs)
        with counting(console, f"{plan.images} pictures each", len(pictures), "people") as update:
            make_missing(
                pictures, maker, reader, store, in_flight=arguments.in_flight, on_progress=update
            )
    return plan


def _plan(arguments: argparse.Namespace, graphs: triton.InferenceServerClient) -> Plan:
    needed = (GENERATOR, "sample_identities", *GRAPHS)
    missing = [name for name in needed if not graphs.is_model_ready(name)]
    if missing:
        raise ValueError(
            f"the server does not serve {', '.join(missing)}; build its repository with the "
            "weights of the generator, see docs/generate.md"
        )
    config = graphs.get_model_config(GENERATOR, as_json=True)["config"]
    stated = {name: value["string_value"] for name, value in config["parameters"].items()}
    return Plan(
        identities=arguments.identities,
        images=arguments.images,
        seed=arguments.seed,
        max_similarity=arguments.max_similarity,
        steps=arguments.steps,
        solver=arguments.solver,
        data=tuple(str(folder.resolve()) for folder in arguments.data),
        generator=stated["generator"],
        untrained=json.loads(stated["untrained"]),
    )


@contextlib.contextmanager
def _address(arguments: argparse.Namespace, console: Console) -> Iterator[str]:
    """Of the server that runs, or of one that is started."""
    if arguments.address:
        yield arguments.address
        return
    repository = arguments.repository
    if repository is None:
        repository = BUILD / "starter"
        console.print("building a repository with the starter weights")
        run_export("build", "--to", str(repository), "--weights", "starter")
    with Server(server_options(repository)) as server:
        yield server.grpc_address
