# SPDX-License-Identifier: Apache-2.0
"""What a build is asked for, and the names in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien_export.calibrated_decision import PIPELINE, REPORTED_PARAMETERS
from mien_export.contract import ModelContract
from mien_export.errors import UsageError
from mien_export.selection import Specs


@dataclass(frozen=True)
class BuildRequest:
    """What the user asked for; mappings are by model name.

    Attributes:
        target: directory of the built repository.
        source: directory of the contracts.
        starters: graphs whose checkpoint is one of the release's own, each with the parameters of
            models that belong to those weights; None: starter weights were not asked for.
        starter_calibrations: the calibration report of starter weights, by graph.
        random_seed: seed for graphs without a checkpoint; None: they must have one.
        calibration: what int8 graphs are calibrated with; others are not made in int8.
        calibration_report: error rates of the recogniser, for the decision.
        models: what to build; empty for everything.
        force: build even what has not changed.
    """

    target: Path
    source: Path
    networks: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    starters: Mapping[str, Mapping[str, Mapping[str, str]]] | None = None
    starter_calibrations: Mapping[str, Path] = field(default_factory=dict)
    random_seed: int | None = None
    precisions: tuple[str, ...] = ("fp32",)
    calibration: Mapping[str, Path] = field(default_factory=dict)
    calibration_report: Path | None = None
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    allow_commercial: Mapping[str, bool] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    force: bool = False


def check_names(request: BuildRequest, sources: Mapping[str, ModelContract], specs: Specs) -> None:
    """Refuse options that name an unknown model, graph, network or parameter."""
    for model in request.models:
        _require(model, sources, "model")
    by_graph = (
        request.networks,
        request.checkpoints,
        request.calibration,
        request.licences,
        request.allow_commercial,
    )
    for option in by_graph:
        for model in option:
            _require(model, specs, "graph")
    for model, network in request.networks.items():
        _require(network, specs[model].networks, f"network of {model}")
    for starter in (request.starters or {}).values():
        _check_parameters(starter, sources)
    _check_parameters(request.parameters, sources)
    offered = sorted(model for model, spec in specs.items() if "int8" in spec.precisions)
    for model in request.calibration:
        _require(model, dict.fromkeys(offered), "graph that is offered in int8")
    if "int8" in request.precisions and not request.calibration:
        raise UsageError(
            f"precision int8 needs inputs that the graph is calibrated with, for one or more of "
            f"{', '.join(offered)}: give --calibration face_recognizer=PATH with some hundred "
            "aligned 112x112 face crops (a folder of JPEG or PNG, or an .npy of (N, 112, 112, 3) "
            "uint8), or --calibration MODEL=PATH with an .npz of another graph's inputs."
        )
    if request.calibration and "int8" not in request.precisions:
        raise UsageError("--calibration is for int8; add --precision fp32,int8 or leave it out.")


def _check_parameters(
    parameters: Mapping[str, Mapping[str, str]], sources: Mapping[str, ModelContract]
) -> None:
    for model, values in parameters.items():
        _require(model, sources, "model")
        for key in values:
            _require(key, sources[model].parameters, f"parameter of {model}")
        if "untrained" in values:
            raise UsageError(
                f"{model}.untrained cannot be set: it follows from the weights. "
                f"Give --checkpoint to have trained ones."
            )
        for key in REPORTED_PARAMETERS if model == PIPELINE else ():
            if key in values:
                raise UsageError(
                    f"{model}.{key} cannot be set: it is measured. Give --calibration-report."
                )


def _require(name: str, allowed: Mapping[str, object], what: str) -> None:
    if name not in allowed:
        raise UsageError(f"unknown {what} {name!r}; it has {', '.join(sorted(allowed))}.")
