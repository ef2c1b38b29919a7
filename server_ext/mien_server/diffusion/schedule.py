# SPDX-License-Identifier: Apache-2.0
"""How much of the image is left at a timestep.

Letters  T timesteps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["NoiseSchedule", "linear_schedule"]

_STEPS_OF_THE_BETAS = 1000  # the usual ones are meant for this many
BETA_FIRST, BETA_LAST = 1e-4, 0.02


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A variance-preserving diffusion in discrete time.

    Attributes:
        alpha_bar: (T,) float64, share of the image's variance at each timestep; z = sqrt(alpha_bar)
            x0 + sqrt(1 - alpha_bar) noise (Ho et al. 2020, equation 4). It falls.

    Raises:
        ValueError: it does not fall from below 1 to above 0.
    """

    alpha_bar: NDArray[np.float64]

    def __post_init__(self) -> None:
        values = self.alpha_bar
        falls = values.ndim == 1 and len(values) > 1 and bool((np.diff(values) < 0).all())
        if not falls or not 0 < values[-1] <= values[0] < 1:
            raise ValueError(
                "alpha_bar must fall strictly between 1 and 0, both excluded; got "
                f"{len(values)} values"
            )

    def __len__(self) -> int:
        return len(self.alpha_bar)

    @cached_property
    def log_snr(self) -> NDArray[np.float64]:
        """(T,) half the logarithm of the signal-to-noise ratio: lambda of Lu et al. 2022."""
        ratio: NDArray[np.float64] = 0.5 * np.log(self.alpha_bar / (1 - self.alpha_bar))
        return ratio


def linear_schedule(
    steps: int = 1000, beta_first: float = BETA_FIRST, beta_last: float = BETA_LAST
) -> NoiseSchedule:
    """Betas evenly spaced (Ho et al. 2020, section 4), scaled where there are not 1000 steps.

    Args:
        steps: T, 20 or more.
        beta_first: of the cleanest step, for T = 1000.
        beta_last: of the noisiest.
    """
    scale = _STEPS_OF_THE_BETAS / steps
    betas = np.linspace(scale * beta_first, scale * beta_last, steps, dtype=np.float64)
    return NoiseSchedule(np.exp(np.cumsum(np.log1p(-betas))))
