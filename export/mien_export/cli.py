# SPDX-License-Identifier: Apache-2.0
"""``mien-export list | build | check | calibrate``: argument parsing and printing only."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mien_export.build import build_repository
from mien_export.calibrate_cli import add_calibrate, run_calibrate
from mien_export.check import check_repository
from mien_export.errors import ExportError, UsageError
from mien_export.plan import read_sources
from mien_export.registry import PIPELINE_DEPENDENCIES, SPECS
from mien_export.reporting import ConsoleReporter
from mien_export.request import BuildRequest
from mien_export.selection import Dependencies, Specs
from mien_export.spec import PRECISIONS
from mien_export.starter_weights import (
    read_starter_weights,
    starter_folder,
    with_starter_weights,
)
from mien_export.summaries import describe_models, print_build, print_check, print_models

_PACKAGE = Path(__file__).parent


def main(
    argv: Sequence[str] | None = None,
    *,
    specs: Specs = SPECS,
    dependencies: Dependencies = PIPELINE_DEPENDENCIES,
    starter: Path | None = None,
) -> int:
    """Run one command.

    Args:
        argv: arguments without the program name; those of the process by default.
        specs: graphs that can be built.
        dependencies: calls between models that no config states.
        starter: folder of the starter weights; those of this release by default.

    Returns:
        0: done; 1: something is wrong with files, weights or results; 2: the request itself is.
    """
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "list":
            return _list(arguments, specs)
        if arguments.command == "build":
            return _build(arguments, specs, dependencies, starter)
        if arguments.command == "calibrate":
            return run_calibrate(arguments)
        return _check(arguments)
    except ExportError as error:
        Console(stderr=True).print(
            f"mien-export: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True
        )
        return error.exit_status
    except KeyboardInterrupt:
        Console(stderr=True).print("mien-export: interrupted; nothing was published")
        return 130  # 128 + SIGINT, as shells count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien-export", description="Builds the model repository that Triton loads."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="show every model and the networks to choose from")
    listing.add_argument("--source", type=Path, metavar="DIR", help="contracts to read")
    listing.add_argument("--json", action="store_true", help="print JSON")
    _add_build(commands.add_parser("build", help="build a repository"))
    check = commands.add_parser("check", help="verify a built repository")
    check.add_argument("directory", type=Path, metavar="DIR")
    check.add_argument("--json", action="store_true", help="print JSON")
    add_calibrate(
        commands.add_parser("calibrate", help="measure the error rates of a built recogniser")
    )
    return parser


def _add_build(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--to", type=Path, required=True, metavar="DIR", help="repository to build or update")
    add("--source", type=Path, metavar="DIR", help="contracts; those of this release by default")
    add(
        "--model", action="append", default=[], metavar="NAME", help="build only this and its needs"
    )
    add("--network", action="append", default=[], metavar="MODEL=NAME", help="see mien-export list")
    add("--checkpoint", action="append", default=[], metavar="MODEL=PATH", help="trained weights")
    add(
        "--weights",
        choices=["random", "starter"],
        help="where no checkpoint is given: untrained ones, or those of this release",
    )
    add("--seed", type=int, metavar="N", help="of the random weights (default 0)")
    add("--precision", default="fp32", metavar="LIST", help=f"of {','.join(PRECISIONS)}")
    add("--calibration", action="append", default=[], metavar="MODEL=PATH",
        help="for int8: aligned crops, or an .npz of all inputs")  # fmt: skip
    add("--calibration-report", type=Path, metavar="FILE", help="see mien-export calibrate")
    add("--set", action="append", default=[], metavar="MODEL.PARAM=VALUE", help="config parameter")
    add("--licence", action="append", default=[], metavar="MODEL=TEXT", help="of the weights")
    add("--allow-commercial", action="append", default=[], metavar="MODEL=true|false")
    add("--force", action="store_true", help="build even what has not changed")


def _list(arguments: argparse.Namespace, specs: Specs) -> int:
    models = describe_models(read_sources(arguments.source or default_source()), specs)
    if arguments.json:
        print(json.dumps(models, indent=2))
    else:
        print_models(models)
    return 0


def _build(
    arguments: argparse.Namespace, specs: Specs, dependencies: Dependencies, starter: Path | None
) -> int:
    request = build_request(arguments)
    if arguments.weights == "starter":
        folder = starter or starter_folder()
        request = with_starter_weights(request, folder, read_starter_weights(folder))
    with ConsoleReporter() as reporter:
        built = build_repository(request, specs, dependencies, reporter)
    print_build(built, request.target)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    report = check_repository(arguments.directory)
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print_check(report)
    return 0 if report else 1


def build_request(arguments: argparse.Namespace) -> BuildRequest:
    """Turn parsed arguments into a request.

    Raises:
        UsageError: an option is not of the form it must have.
    """
    if arguments.seed is not None and arguments.weights != "random":
        raise UsageError("--seed is for random weights; add --weights random or leave it out.")
    commercial = _pairs("--allow-commercial", arguments.allow_commercial)
    checkpoints = _pairs("--checkpoint", arguments.checkpoint)
    calibration = _pairs("--calibration", arguments.calibration)
    return BuildRequest(
        target=arguments.to,
        source=arguments.source or default_source(),
        networks=_pairs("--network", arguments.network),
        checkpoints={model: Path(path) for model, path in checkpoints.items()},
        random_seed=(arguments.seed or 0) if arguments.weights == "random" else None,
        precisions=_precisions(arguments.precision),
        calibration={model: Path(path) for model, path in calibration.items()},
        calibration_report=arguments.calibration_report,
        parameters=_parameters(arguments.set),
        licences=_pairs("--licence", arguments.licence),
        allow_commercial={model: _boolean(text) for model, text in commercial.items()},
        models=frozenset(arguments.model),
        force=arguments.force,
    )


def default_source() -> Path:
    """Find the contracts: inside an installed wheel, else in the checkout around this file."""
    candidates = [_PACKAGE / "_model_repository", _PACKAGE.parents[1] / "model_repository"]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise UsageError("the model contracts were not found; give their directory with --source.")


def _pairs(option: str, items: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not (key and separator and value):
            raise UsageError(f"{option} {item!r} is not of the form MODEL=VALUE.")
        if key in pairs:
            raise UsageError(f"{option} is given twice for {key!r}; give it once.")
        pairs[key] = value
    return pairs


def _parameters(items: Sequence[str]) -> dict[str, dict[str, str]]:
    parameters: dict[str, dict[str, str]] = {}
    for key, value in _pairs("--set", items).items():
        model, dot, name = key.partition(".")
        if not (model and dot and name):
            raise UsageError(f"--set {key}={value} is not of the form MODEL.PARAM=VALUE.")
        parameters.setdefault(model, {})[name] = value
    return parameters


def _precisions(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PRECISIONS]
    if unknown or not names:
        raise UsageError(
            f"--precision {text!r} is not a list of {', '.join(PRECISIONS)} separated by commas."
        )
    return tuple(name for name in PRECISIONS if name in names or name == "fp32")


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise UsageError(f"--allow-commercial takes true or false, not {text!r}.")
    return text == "true"
