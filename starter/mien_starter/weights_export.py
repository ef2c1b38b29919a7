# SPDX-License-Identifier: Apache-2.0
"""From a run to the repository: a small weights file, its entry, its model card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.torch import save_file

from mien_export.errors import CheckpointError
from mien_export.parity import Arrays, compare
from mien_export.registry import SPECS
from mien_export.starter_weights import STARTER_FILE
from mien_starter.errors import StarterError
from mien_starter.evaluation.held_out import FROM_GROOMS
from mien_starter.evaluation.networks import predictor, wrapped
from mien_starter.recipes import WITHOUT_PHOTOGRAPHS, network_of, recipe_of
from mien_starter.training.recipe import Tensors

__all__ = [
    "half_size",
    "load_figures",
    "update_starter",
    "write_card",
    "write_weights",
]

MAX_FILE_BYTES, MAX_TOTAL_BYTES = 16_000_000, 96_000_000
LICENCE = "Apache-2.0"
_STORED = (".safetensors", ".npz")


def half_size(tensors: Tensors) -> Tensors:
    """Matrices and kernels in fp16, vectors in fp32.

    Vectors are biases, slopes, and the scales and statistics of BatchNorm: a percent of the file,
    but a running variance may be larger than fp16 can hold.
    """
    return {
        name: (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()
        for name, value in tensors.items()
    }


def write_weights(
    graph: str, tensors: Tensors, examples: Sequence[NDArray[Any]], directory: Path
) -> tuple[Path, Mapping[str, Mapping[str, float]]]:
    """Store a network's weights, if what is stored computes what was trained.

    Args:
        graph: its name; the file is called GRAPH.safetensors.
        tensors: fp32, under the names of the network.
        examples: (N, ...) for each of the graph's inputs, pictures as (N, side, side, 3) uint8;
            what both are compared on.
        directory: of the starter weights.

    Returns:
        The file, and by output how far the stored weights are off.

    Raises:
        StarterError: the file or all of them are too large, or the stored weights compute something
            else.
    """
    small = half_size(tensors)
    figures = _parity(graph, tensors, small, examples)
    path = directory / f"{graph}.safetensors"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(small, unfinished)
    unfinished.chmod(0o644)  # safetensors makes files that only their owner can read
    size = unfinished.stat().st_size
    others = sum(p.stat().st_size for p in directory.iterdir() if p.suffix in _STORED and p != path)
    if size > MAX_FILE_BYTES or size + others > MAX_TOTAL_BYTES:
        unfinished.unlink()
        raise StarterError(
            f"{path.name} has {size:,} bytes, beside {others:,} of other starter weights; at most "
            f"{MAX_FILE_BYTES:,} and {MAX_TOTAL_BYTES:,} together are allowed. Take a smaller "
            "network."
        )
    os.replace(unfinished, path)
    return path, figures


def _parity(
    graph: str, trained: Tensors, stored: Tensors, examples: Sequence[NDArray[Any]]
) -> Mapping[str, Mapping[str, float]]:
    tolerances = SPECS[graph].tolerances["fp16"]

    def outputs(tensors: Tensors) -> Arrays:
        return dict(zip(tolerances, predictor(wrapped(graph, tensors))(*examples), strict=True))

    try:
        report = compare([outputs(trained)], [outputs(stored)], tolerances)
        problems = report.failures
    except CheckpointError as error:  # too large for fp16, or never finite
        problems = (str(error),)
    if problems:
        raise StarterError(
            f"{graph} in fp16 does not compute what was trained: {'; '.join(problems)} "
            "Train it again with a smaller learning rate."
        )
    return report.outputs


def update_starter(
    graph: str,
    network: str,
    path: Path,
    parameters: Mapping[str, Mapping[str, str]] | None = None,
) -> bool:
    """Enter the file into ``starter.json`` beside it.

    Args:
        graph: its name.
        network: which of its networks the file belongs to.
        path: of the file.
        parameters: values by model and parameter that belong to these weights.

    Returns:
        True where parameters of the former weights were dropped: a threshold belongs to the
        weights that it was measured with.
    """
    table = path.with_name(STARTER_FILE)
    entries: dict[str, Any] = json.loads(table.read_text()) if table.is_file() else {}
    before = entries.get(graph, {}).get("parameters", {})
    entries[graph] = {
        "network": network,
        "file": path.name,
        "licence": LICENCE,
        "allow_commercial": True,
        **({"parameters": parameters} if parameters else {}),
    }
    unfinished = table.with_name(f".{table.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
    os.replace(unfinished, table)
    return bool(before) and before != parameters


def write_card(
    graph: str,
    path: Path,
    about: Mapping[str, str],
    parity: Mapping[str, Mapping[str, float]],
    figures: Mapping[str, Any] | None,
) -> Path:
    """Write the model card beside the weights.

    Args:
        graph: its name.
        path: of the weights.
        about: step, recipe and data set of the run.
        parity: by output, from `write_weights`.
        figures: what ``evaluate`` wrote, or None.
    """
    parameters = sum(p.numel() for p in wrapped(graph, path).parameters())
    recipe = recipe_of(graph)
    if recipe in WITHOUT_PHOTOGRAPHS:
        made = "Synthetic people only, drawn by the recipe"
    elif recipe in FROM_GROOMS:
        made = "Hairstyles grown by rules, with `python -m mien_starter grooms`"
    else:
        made = "Synthetic people only, rendered by `python -m mien_starter dataset`"
    stored = "; ".join(
        f"{output} {', '.join(f'{kind} {value:.2g}' for kind, value in found.items())}"
        for output, found in parity.items()
    )
    lines = [
        f"# {graph}",
        "",
        f"Network `{network_of(graph)}`: {parameters:,} parameters, "
        f"{path.stat().st_size / 1e6:.1f} MB, matrices in fp16. Stored against trained: {stored}.",
        "",
        f"**Data.** {made}: {about['data']}. No photograph of a real person was used.",
        "",
        f"**Recipe.** `starter/mien_starter/recipes/{recipe}.py`, {about['step']} steps:",
        "",
        "```",
        about["recipe"],
        "```",
        "",
        f"Made with `python -m mien_starter train {recipe}` and `export {recipe}`.",
        "",
        "**Licence.** Apache-2.0, as the rest of the repository: free for any use.",
        "",
        "**Limits.** Real faces differ from synthetic ones in ways that these figures do not show. "
        "Never decide about a person on the output of this network alone.",
        "",
        *_figure_lines(figures),
    ]
    card = path.with_suffix(".md")
    card.write_text("\n".join(lines).rstrip() + "\n")
    return card


def _figure_lines(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return ["**Figures.** Not measured yet: `python -m mien_starter evaluate`."]
    columns = figures["figures"]
    names = next(iter(columns.values()))
    rows = [
        f"| {name} | {' | '.join(f'{column[name]:.4g}' for column in columns.values())} |"
        for name in names
    ]
    measured_on = figures.get("measured_on") or (
        f"{figures['photographs']} photographs of people of the split "
        f"{' and '.join(figures['splits'])}, on crops from true landmarks"
    )
    return [
        f"**Figures** on {measured_on}:",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *rows,
    ]


def load_figures(path: Path, about: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What ``evaluate`` wrote about this very run, or None."""
    if not path.is_file():
        return None
    figures: Mapping[str, Any] = json.loads(path.read_text())
    return figures if figures["weights"] == dict(about) else None
