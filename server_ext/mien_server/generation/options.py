# SPDX-License-Identifier: Apache-2.0
"""What a request for faces may ask, with its defaults and limits."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.guidance import BlendingOrder, Guidance
from mien_server.diffusion.noise import MAX_SEED
from mien_server.diffusion.schedule import NoiseSchedule
from mien_server.diffusion.solvers import (
    DdimVariant,
    SolverSteps,
    ddim_steps,
    dpm_solver_steps,
)
from mien_server.errors import ServingError

__all__ = ["GenerationOptions", "ImageFormat", "OptionReader", "Solver", "read_options"]

Array = NDArray[Any]
Choice = TypeVar("Choice", bound=Enum)


class Solver(Enum):
    """How a latent is freed of its noise."""

    DPM_SOLVER = "dpm_solver_2m"
    DDIM = "ddim"
    DDIM_UIFACE = "ddim_uiface"


class ImageFormat(Enum):
    """In which form faces and previews are sent."""

    PNG = "png"
    RAW = "raw"


MAX_GUIDANCE_WEIGHT = 20.0  # the paper finds 5 unrealistic already
DEFAULT_STEPS = {Solver.DPM_SOLVER: 16, Solver.DDIM: 50, Solver.DDIM_UIFACE: 50}


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How faces are made; the attributes are the inputs of `generate_faces` of the same names.

    Attributes:
        count: faces; 0 asks for the identity alone.
        seed: of the first; the n-th has seed + n, modulo 2^64.
        solver: see there.
        steps: of the solver.
        eta: of DDIM, 0 to 1.
        guidance: weight, switching step and order.
        progress: tell of every step.
        preview_every: steps between two previews of a face; 0 for none.
        image_format: see there.
    """

    count: int
    seed: int
    solver: Solver
    steps: int
    eta: float
    guidance: Guidance
    progress: bool
    preview_every: int
    image_format: ImageFormat

    def seeds(self) -> list[int]:
        """Of each face."""
        return [(self.seed + number) % (MAX_SEED + 1) for number in range(self.count)]

    def solver_steps(self, schedule: NoiseSchedule) -> SolverSteps:
        """The table of the solver."""
        if self.solver is Solver.DPM_SOLVER:
            return dpm_solver_steps(schedule, self.steps)
        is_uiface = self.solver is Solver.DDIM_UIFACE
        variant = DdimVariant.UIFACE if is_uiface else DdimVariant.STANDARD
        return ddim_steps(schedule, self.steps, eta=self.eta, variant=variant)


def read_options(
    inputs: Mapping[str, Array],
    *,
    max_count: int,
    timesteps: int,
    new_seed: Callable[[], int] = lambda: secrets.randbits(63),
) -> GenerationOptions:
    """Read the options of a request.

    Args:
        inputs: by name; what was left out is missing.
        max_count: largest count.
        timesteps: T of the noise schedule.
        new_seed: where the request has none.

    Raises:
        ServingError: INVALID_OPTION: what came and what is allowed.
    """
    read = OptionReader(inputs)
    solver = read.choice("solver", Solver.DPM_SOLVER)
    steps = read.whole("steps", DEFAULT_STEPS[solver], 1, timesteps)
    eta = read.number("eta", 0.0, 0.0, 1.0)
    if eta and solver is Solver.DPM_SOLVER:
        raise ServingError(
            "INVALID_OPTION",
            f"eta is {eta:g} and solver {solver.value!r}, which draws no noise; leave eta out, or "
            "choose 'ddim'",
        )
    return GenerationOptions(
        count=read.whole("count", 1, 0, max_count),
        seed=read.whole("seed", None, 0, MAX_SEED) if "seed" in inputs else new_seed(),
        solver=solver,
        steps=steps,
        eta=eta,
        guidance=Guidance(
            weight=read.number("guidance_weight", 0.5, 0.0, MAX_GUIDANCE_WEIGHT),
            switch_at=read.whole("switch_at", timesteps // 2, 0, timesteps),
            order=read.choice("blending_order", BlendingOrder.STYLE_FIRST),
        ),
        progress=read.flag("progress", False),
        preview_every=read.whole("preview_every", 0, 0, timesteps),
        image_format=read.choice("image_format", ImageFormat.PNG),
    )


class OptionReader:
    """Single values of a request, each checked as it is read.

    Args:
        inputs: by name; what was left out is missing.
    """

    def __init__(self, inputs: Mapping[str, Array]) -> None:
        self._inputs = inputs

    def whole(self, name: str, default: int | None, low: int, high: int) -> int:
        """A whole number between two others.

        Raises:
            ServingError: INVALID_OPTION.
        """
        value = self._value(name, default)
        if not low <= value <= high:
            raise _refusal(name, value, f"it must lie between {low} and {high}")
        return int(value)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number between two others, and finite.

        Raises:
            ServingError: INVALID_OPTION.
        """
        value = float(self._value(name, default))
        if not low <= value <= high:  # NaN is not
            raise _refusal(name, f"{value:g}", f"it must lie between {low:g} and {high:g}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        return bool(self._value(name, default))

    def choice(self, name: str, default: Choice) -> Choice:
        """A member of an enumeration, by its value.

        Raises:
            ServingError: INVALID_OPTION.
        """
        text = self.text(name)
        if text is None:
            return default
        allowed = {member.value: member for member in type(default)}
        if text not in allowed:
            names = ", ".join(map(repr, allowed))
            raise _refusal(name, repr(text), f"it must be one of {names}")
        return allowed[text]

    def text(self, name: str) -> str | None:
        """A text; None where it was left out."""
        value = self._value(name, None)
        return None if value is None else bytes(value).decode("utf-8", "backslashreplace")

    def _value(self, name: str, default: Any) -> Any:
        array = self._inputs.get(name)
        return default if array is None else np.asarray(array).ravel().tolist()[0]


def _refusal(name: str, value: object, allowed: str) -> ServingError:
    return ServingError("INVALID_OPTION", f"{name} is {value}; {allowed}")
