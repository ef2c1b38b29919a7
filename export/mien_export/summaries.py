# SPDX-License-Identifier: Apache-2.0
"""What the commands print at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mien_export.build import BuiltModel
from mien_export.check import CheckReport
from mien_export.contract import ModelContract
from mien_export.manifest import Manifest
from mien_export.selection import Specs


def describe_models(sources: Mapping[str, ModelContract], specs: Specs) -> list[dict[str, Any]]:
    """Describe every model of a source directory, for JSON or a table."""
    return [_description(contract, specs) for contract in sources.values()]


def _description(contract: ModelContract, specs: Specs) -> dict[str, Any]:
    spec = specs.get(contract.name)
    networks = {} if spec is None else spec.networks
    return {
        "model": contract.name,
        "kind": contract.kind,
        "public": contract.is_public,
        "optional": spec is not None and spec.is_optional,
        "precisions": [] if spec is None else list(spec.precisions),
        "default_network": None if spec is None else spec.default_network,
        "networks": {
            name: {"summary": network.summary, "licence": network.licence_note}
            for name, network in networks.items()
        },
    }


def print_models(models: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print the tables of ``mien-export list``: the models, and the networks of each graph."""
    console = console or Console()
    table = Table("model", "kind", "public", "precisions")
    for model in models:
        kind = model["kind"] + (", optional" if model["optional"] else "")
        public = "yes" if model["public"] else ""
        table.add_row(model["model"], kind, public, ", ".join(model["precisions"]))
    console.print(table)
    for model in models:
        if model["networks"]:
            console.print(_networks_table(model))


def _networks_table(model: Mapping[str, Any]) -> Table:
    table = Table("network", "what", "licence of published weights", title=model["model"])
    for name, network in model["networks"].items():
        mark = " (default)" if name == model["default_network"] else ""
        table.add_row(name + mark, network["summary"], network["licence"])
    return table


def print_build(built: Sequence[BuiltModel], target: Path, console: Console | None = None) -> None:
    """Print the table of ``mien-export build``, parity figures included."""
    console = console or Console()
    table = Table("model", "built", "weights", "graph", "parity")
    for item in built:
        _add_built(table, item)
    console.print(table)
    untrained = [item.manifest.model for item in built if item.manifest.untrained]
    if untrained:
        text = f"UNTRAINED: {', '.join(untrained)}. Random weights: their results mean nothing."
        console.print(Panel(Text(text, style="bold white on red"), style="red"))
    console.print(Text(f"{target}: {len(built)} models"), soft_wrap=True)


def _add_built(table: Table, item: BuiltModel) -> None:
    manifest = item.manifest
    first = (manifest.model, "unchanged" if item.is_reused else "new", _weights_text(manifest))
    graphs = (manifest.graphs or {}).values()
    rows = [
        (f"{graph['precision']}, {graph['bytes'] / 1e6:.1f} MB", _parity_text(graph["parity"]))
        for graph in graphs
    ] or [("", "")]
    for number, row in enumerate(rows):
        table.add_row(*(map(Text, first if number == 0 else ("", "", ""))), *map(Text, row))
    table.add_section()


def _weights_text(manifest: Manifest) -> str:
    mark = "UNTRAINED" if manifest.untrained else ""
    if not manifest.weights:
        return mark
    weights = manifest.weights
    if weights["source"] == "random":
        return f"{weights['network']}, random seed {weights['seed']}, {mark}"
    mark = "starter weights, " if weights["source"] == "starter" else ""
    return f"{weights['network']}, {mark}{weights['file']}, licence {weights['licence']}"


def _parity_text(parity: Mapping[str, Any]) -> str:
    lines = [
        f"{name}: cosine {figures['min_cosine']:.6f}, off by {figures['max_abs']:.2g}"
        for name, figures in parity.get("outputs", {}).items()
    ]
    return "\n".join(lines)


def print_check(report: CheckReport, console: Console | None = None) -> None:
    """Print what ``mien-export check`` found."""
    console = console or Console()
    for model in report.models:
        mark = Text("ok", style="green") if model.ok else Text("FAILED", style="bold red")
        untrained = Text(" UNTRAINED", style="bold red" if model.untrained else "")
        console.print(mark, Text(model.model), untrained if model.untrained else "")
        for problem in model.problems:
            console.print(Text(f"   {problem}", style="red"), soft_wrap=True)
        for note in model.notes:
            console.print(Text(f"   {note}", style="dim"), soft_wrap=True)
    for problem in report.problems:
        console.print(Text(problem, style="red"), soft_wrap=True)
