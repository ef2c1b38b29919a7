# SPDX-License-Identifier: Apache-2.0
"""A training that begins from what another one learnt."""

from __future__ import annotations

from pathlib import Path

from mien_starter.errors import StarterError
from mien_starter.training.checkpoint import read_average
from mien_starter.training.recipe import Task

__all__ = ["begin_from"]


def begin_from(task: Task, directory: Path) -> None:
    """Give a task's network the averaged weights of a run; `task.data` then tells of it.

    Args:
        task: of the same network.
        directory: of the run.

    Raises:
        StarterError: there is no run, or it is of another network.
    """
    state, about = read_average(directory)
    try:
        task.network.load_state_dict(state)
    except RuntimeError as error:
        raise StarterError(
            f"{directory} holds the run of another network: {error}. Give one of the same."
        ) from error
    task.data += f", begun from {about['step']} steps on {about['data']}"
