# SPDX-License-Identifier: Apache-2.0
"""The options of `python -m bench sampling`, and the order of its work."""

from __future__ import annotations

import argparse
from pathlib import Path

import tritonclient.grpc as triton
from rich.console import Console

from bench.morphface.command import make_pictures, require_enough
from bench.morphface.plan import Plan
from bench.morphface.sampling import GROUP, SETTING, WAYS, sampled
from bench.morphface.sampling_report import sampling_section
from bench.serving import BUILD, run_export, server_options
from mien import MienError
from mien_server.serve import Server
from mien_server.serve.errors import ServeError
from mien_starter.errors import StarterError
from mien_starter.shards import Photographs

__all__ = ["DESCRIPTION", "add_arguments", "run_sampling_bench"]

DESCRIPTION = """\
What solver, number of steps and precision do to finished faces: each way makes the faces of the
same people from the same seeds through a server, and they are compared by eIR, by cosines of
recognition, and face by face. Precisions are those of the generator's graphs alone, so that one
recogniser judges all. int8 needs inputs to be calibrated with:

  python -m mien_starter denoiser_inputs --data FEATURES --to inputs.npz
"""
_GENERATOR = ("face_denoiser", "style_encoder", "latent_decoder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="photographs")
    add("--denoiser-inputs", type=Path, metavar="FILE", help="without them there is no int8")
    add("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="NAME",
        help=f"some of {', '.join(WAYS)} (default all)")  # fmt: skip
    add("--identities", type=int, default=24, metavar="N", help="(default %(default)s)")
    add("--images", type=int, default=12, metavar="M", help="of each (default %(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="(default %(default)s)")
    add("--in-flight", type=int, default=2, metavar="N", help="requests (default %(default)s)")
    add("--out", type=Path, default=BUILD / "sampling", metavar="DIR",
        help="what is there is kept (default %(default)s)")  # fmt: skip


def run_sampling_bench(arguments: argparse.Namespace, command: str, console: Console) -> str:
    """Make and measure; the section of RESULTS.md.

    Raises:
        SystemExit: an option, the data or the server is not as it must be; says why.
    """
    require_enough(arguments)
    wanted = wanted_ways(arguments.ways, has_int8=arguments.denoiser_inputs is not None)
    if not wanted:
        raise SystemExit("int8 needs --denoiser-inputs, and no other way is asked for")
    try:
        plan = _made(arguments, wanted, console)
    except (
        MienError, ServeError, StarterError, ValueError, triton.InferenceServerException,
    ) as error:  # fmt: skip
        raise SystemExit(f"bench sampling: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit("bench sampling: interrupted; the same command goes on") from None
    found = sampled(arguments.out, wanted, arguments.identities, arguments.images)
    return sampling_section(found, plan, command)


def wanted_ways(names: list[str], *, has_int8: bool) -> list[str]:
    """Those that were asked for and their references, in the order of `WAYS`."""
    possible = [name for name in names if has_int8 or WAYS[name].variant != "int8"]
    needed = {*possible, *(WAYS[name].reference for name in possible)}
    return [name for name in WAYS if name in needed]


def _made(arguments: argparse.Namespace, wanted: list[str], console: Console) -> Plan:
    photographs = Photographs(arguments.data)
    repository = _repository(arguments.denoiser_inputs, console)
    plans = []
    for variant in dict.fromkeys(WAYS[name].variant for name in wanted):
        with Server(server_options(repository, variant)) as server:
            for name in (name for name in wanted if WAYS[name].variant == variant):
                console.print(f"{name}:")
                way = argparse.Namespace(
                    **{
                        **vars(arguments),
                        "out": arguments.out / name,
                        "solver": WAYS[name].solver,
                        "steps": WAYS[name].steps,
                        "people": [GROUP],
                        "settings": [SETTING],
                        "max_similarity": None,
                    }
                )
                plans.append(make_pictures(way, server.grpc_address, photographs, console))
    return plans[0]


def _repository(denoiser_inputs: Path | None, console: Console) -> Path:
    """All graphs in fp32, those of the generator in more."""
    target = BUILD / "sampling-repository"
    console.print("building a repository with the starter weights")
    run_export("build", "--to", str(target), "--weights", "starter")
    precisions = "fp32,fp16,int8" if denoiser_inputs else "fp32,fp16"
    options = ["--precision", precisions]
    if denoiser_inputs:
        options += ["--calibration", f"face_denoiser={denoiser_inputs}"]
    models = [word for name in _GENERATOR for word in ("--model", name)]
    run_export("build", "--to", str(target), "--weights", "starter", *models, *options)
    return target
