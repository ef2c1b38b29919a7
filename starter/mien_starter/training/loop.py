# SPDX-License-Identifier: Apache-2.0
"""The loop: batch, losses, gradient, step, average; now and then a row and a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from mien_starter.errors import StarterError
from mien_starter.training.averaging import MovingAverage
from mien_starter.training.batches import batches
from mien_starter.training.checkpoint import load_checkpoint, save_checkpoint
from mien_starter.training.curve import Curve
from mien_starter.training.recipe import Recipe, Task
from mien_starter.training.schedule import learning_rate_at

__all__ = ["train"]

OnProgress = Callable[[int, str], object]


def train(
    task: Task,
    directory: Path,
    *,
    workers: int = 1,
    on_progress: OnProgress = lambda *_: None,
    stop_at: int | None = None,
) -> MovingAverage:
    """Train to the end, from the checkpoint in the folder if there is one.

    Args:
        task: network, losses and samples.
        directory: of the run; made where it is missing.
        workers: processes that make batches.
        on_progress: told the number of finished steps and how it is going.
        stop_at: end after this step, with a checkpoint; the schedule stays that of the recipe.

    Returns:
        The averaged weights.

    Raises:
        StarterError: the folder has another run, or the loss is no longer a number.
    """
    recipe = task.recipe
    directory.mkdir(parents=True, exist_ok=True)
    _lay_channels_last(task.trained)
    task.trained.train()
    optimizer = _optimizer(task.trained, recipe)
    average = MovingAverage(task.network, recipe.ema_decay)
    first = load_checkpoint(directory, task, average, optimizer)
    last = min(recipe.steps, stop_at or recipe.steps)
    curve = Curve(directory, first)
    meter = _Meter(recipe)
    on_progress(first, "")
    for step, batch in enumerate(batches(task.batch, first, last, workers), start=first):
        rate = learning_rate_at(step, recipe.steps, recipe.learning_rate, recipe.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses = task.losses(batch, step)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(task.trained.parameters(), recipe.clip_norm)
        optimizer.step()
        average.update(task.network, step)
        meter.add({name: float(value.detach()) for name, value in losses.items()}, step)
        done = step + 1
        if done % recipe.log_every == 0 or done == last:
            curve.add(meter.row(done, rate))
            on_progress(done, meter.text)
        if done % recipe.checkpoint_every == 0 or done == last:
            save_checkpoint(directory, task, average, optimizer, done)
            curve.save()
            curve.draw(directory.name)
    return average


def _lay_channels_last(module: nn.Module) -> None:
    # Trap: in torch 2.13 the gradient of such a convolution to fewer than 16 channels may crash.
    # Module.to would refuse kernels of three dimensions.
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class _Meter:
    """Means since the last row, and how fast it goes."""

    def __init__(self, recipe: Recipe) -> None:
        self._batch = recipe.batch
        self._sums: dict[str, float] = {}
        self._count = 0
        self._start = time.monotonic()
        self.text = ""

    def add(self, losses: dict[str, float], step: int) -> None:
        if not math.isfinite(losses["loss"]):
            raise StarterError(
                f"the loss became {losses['loss']} at step {step}; delete the run and lower the "
                "recipe's learning rate or clip_norm."
            )
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def row(self, done: int, rate: float) -> dict[str, float]:
        means = {name: total / self._count for name, total in self._sums.items()}
        now = time.monotonic()
        speed = self._batch * self._count / max(now - self._start, 1e-9)
        self.text = f"{speed:.0f} samples/s  " + "  ".join(
            f"{name} {value:.4g}" for name, value in means.items()
        )
        self._sums, self._count, self._start = {}, 0, now
        return {"step": done, "learning_rate": rate, "samples_per_s": speed, **means}


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    learnt = [parameter for parameter in module.parameters() if parameter.requires_grad]
    # Decay pulls a weight matrix to zero, which the next normalisation undoes; a bias it bends.
    groups = [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)
