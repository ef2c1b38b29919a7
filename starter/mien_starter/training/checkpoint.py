# SPDX-License-Identifier: Apache-2.0
"""A run on disk: written whole or not at all, read without running anything in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from mien_starter.errors import StarterError
from mien_starter.training.averaging import MovingAverage
from mien_starter.training.recipe import Task, Tensors

__all__ = ["digest_of", "load_checkpoint", "read_average", "save_checkpoint"]

FILE = "checkpoint.pt"


def save_checkpoint(
    directory: Path,
    task: Task,
    average: MovingAverage,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    """Keep everything that the next `step` depends on."""
    content = {
        "step": step,
        "recipe": repr(task.recipe),
        "data": task.data,
        "trained": task.trained.state_dict(),
        "average": average.state,
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    unfinished = directory / f".{FILE}.{os.getpid()}"
    torch.save(content, unfinished)
    os.replace(unfinished, directory / FILE)


def load_checkpoint(
    directory: Path, task: Task, average: MovingAverage, optimizer: torch.optim.Optimizer
) -> int:
    """Take up the run in a folder, if there is one.

    Returns:
        The step to go on with; 0 where there is no run.

    Raises:
        StarterError: the run has another recipe or data set, or cannot be read.
    """
    if not (directory / FILE).is_file():
        return 0
    content = _read(directory)
    for what, own in (("recipe", repr(task.recipe)), ("data", task.data)):
        if content[what] != own:
            raise StarterError(
                f"{directory} holds a run with another {what}: {content[what]}; asked for was "
                f"{own}. Give the same to finish it, or another --work."
            )
    task.trained.load_state_dict(content["trained"])
    for name, value in content["average"].items():
        average.state[name].copy_(value)
    optimizer.load_state_dict(content["optimizer"])
    torch.set_rng_state(content["rng"])
    return int(content["step"])


def read_average(directory: Path) -> tuple[Tensors, dict[str, str]]:
    """The averaged weights of the run in a folder, and its step, recipe and data set as text.

    Raises:
        StarterError: there is no run, or it cannot be read.
    """
    if not (directory / FILE).is_file():
        raise StarterError(
            f"{directory} holds no training run ({FILE} is missing); start one with "
            "`python -m mien_starter train`."
        )
    content = _read(directory)
    about = {key: str(content[key]) for key in ("step", "recipe", "data")}
    return content["average"], about


def digest_of(tensors: Tensors) -> str:
    """Hexadecimal SHA-256 of names and values, which tells weights from others."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(directory: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(directory / FILE, weights_only=True)
    except Exception as error:  # half a file can fail in any way
        raise StarterError(
            f"{directory / FILE} is damaged: {error}; delete it to start again."
        ) from error
    return content
