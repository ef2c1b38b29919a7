# SPDX-License-Identifier: Apache-2.0
"""Solvers as tables of numbers: every one of them is the same linear update with other factors.

A step at timestep t knows the latent z, the network's eps, the x0 that the step before predicted
and fresh noise n:

    x0     = predict_z * z + predict_eps * eps
    z_next = keep_z * z + keep_eps * eps + keep_x0 * x0_before + keep_noise * n

So samples of different solvers, lengths and timesteps can be moved on by one piece of code, and the
tables are made once, in float64.

Letters  S steps of a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.schedule import NoiseSchedule

__all__ = ["DdimVariant", "SolverSteps", "ddim_steps", "dpm_solver_steps"]

Array = NDArray[np.float64]


class DdimVariant(Enum):
    """Which timestep a step of DDIM is said to end at.

    `UIFACE` reproduces the loop of UIFace and its relatives, which look the end up one place too
    far: at t - stride - 1, so that the last two steps both end at a clean image.
    """

    STANDARD = "standard"
    UIFACE = "uiface"


@dataclass(frozen=True, eq=False)
class SolverSteps:
    """The steps of a run, noisiest first; factors as in the module's text.

    Attributes:
        t: (S,) int64 timesteps that the network is asked at.
        predict_z: (S,).
        predict_eps: (S,).
        keep_z: (S,).
        keep_eps: (S,).
        keep_x0: (S,), 0 in the first step.
        keep_noise: (S,), 0 for solvers that draw none.
    """

    t: NDArray[np.int64]
    predict_z: Array
    predict_eps: Array
    keep_z: Array
    keep_eps: Array
    keep_x0: Array
    keep_noise: Array

    def __len__(self) -> int:
        return len(self.t)


def ddim_steps(
    schedule: NoiseSchedule,
    steps: int,
    *,
    eta: float = 0.0,
    variant: DdimVariant = DdimVariant.STANDARD,
) -> SolverSteps:
    """Song et al. 2020, *Denoising Diffusion Implicit Models*, equations 12 and 16.

    Timesteps are every (T // S)-th from 0 on, as in the reference code: with T = 1000 and S = 50
    they are 980, 960 ... 0.

    Args:
        schedule: of T timesteps.
        steps: S, 1 to T.
        eta: 0 draws no noise, 1 as much as ancestral sampling.
        variant: see there.

    Raises:
        ValueError: a number out of its range.
    """
    _check_steps(schedule, steps)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}; expected 0 to 1")
    stride = len(schedule) // steps
    t = np.arange(steps - 1, -1, -1, dtype=np.int64) * stride
    ends = t - stride - (1 if variant is DdimVariant.UIFACE else 0)
    now, end = schedule.alpha_bar[t], _clean_below_zero(schedule, ends)
    noise = eta * np.sqrt((1 - end) / (1 - now) * (1 - now / end))
    towards_eps = np.sqrt(np.maximum(1 - end - noise**2, 0))
    predict_z, predict_eps = 1 / np.sqrt(now), -np.sqrt(1 / now - 1)
    return SolverSteps(
        t=t,
        predict_z=predict_z,
        predict_eps=predict_eps,
        keep_z=np.sqrt(end) * predict_z,
        keep_eps=np.sqrt(end) * predict_eps + towards_eps,
        keep_x0=np.zeros(steps),
        keep_noise=noise,
    )


def dpm_solver_steps(schedule: NoiseSchedule, steps: int) -> SolverSteps:
    """DPM-Solver++(2M), multistep of second order (Lu et al. 2022, algorithm 2).

    Timesteps are evenly spaced in the logarithm of the signal-to-noise ratio, from T - 1 down; the
    first step, and the last one, to the clean image, are of first order.

    Args:
        schedule: of T timesteps.
        steps: S, 1 to T.

    Raises:
        ValueError: a number out of its range.
    """
    _check_steps(schedule, steps)
    t = _even_in_log_snr(schedule, steps)
    ends = np.append(t[1:], -1)
    now, end = schedule.alpha_bar[t], _clean_below_zero(schedule, ends)
    predict_z, predict_eps = 1 / np.sqrt(now), -np.sqrt(1 / now - 1)
    # Of x0 in the first-order step: alpha_end (1 - exp(-h)), h the growth of log_snr.
    shrink = np.sqrt((1 - end) / (1 - now))
    weight = np.sqrt(end) - shrink * np.sqrt(now)
    before = np.zeros(steps)
    if steps > 2:
        growth = np.diff(schedule.log_snr[t])  # (S - 1,) of the steps between timesteps
        before[1:-1] = -growth[1:] / (2 * growth[:-1])
    return SolverSteps(
        t=t,
        predict_z=predict_z,
        predict_eps=predict_eps,
        keep_z=shrink + weight * (1 - before) * predict_z,
        keep_eps=weight * (1 - before) * predict_eps,
        keep_x0=weight * before,
        keep_noise=np.zeros(steps),
    )


def _even_in_log_snr(schedule: NoiseSchedule, steps: int) -> NDArray[np.int64]:
    """(S,) timesteps, each below the last; where they would coincide, the next ones are taken."""
    wanted = np.linspace(schedule.log_snr[-1], schedule.log_snr[0], steps + 1)[:-1]
    t = np.searchsorted(-schedule.log_snr, -wanted)
    # With the step's number added, falling strictly is falling or staying.
    places = np.arange(steps)
    strictly = np.maximum(np.minimum.accumulate(t + places), steps - 1) - places
    result: NDArray[np.int64] = strictly.astype(np.int64)
    return result


def _check_steps(schedule: NoiseSchedule, steps: int) -> None:
    if not 1 <= steps <= len(schedule):
        raise ValueError(f"steps is {steps}; expected 1 to {len(schedule)}")


def _clean_below_zero(schedule: NoiseSchedule, t: NDArray[np.int64]) -> Array:
    """alpha_bar at timesteps; 1 below 0, where there is no noise left."""
    return np.where(t < 0, 1.0, schedule.alpha_bar[np.maximum(t, 0)])
