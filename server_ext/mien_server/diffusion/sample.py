# SPDX-License-Identifier: Apache-2.0
"""One image on its way from noise, step by step; it does not know what else is in the batch.

Letters  R rows that one sample asks of the network in a step, 1 or 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien_server.diffusion.guidance import Guiding, Keep
from mien_server.diffusion.noise import gaussian_noise
from mien_server.diffusion.solvers import SolverSteps

__all__ = ["Question", "Sample"]

Latent = NDArray[np.float32]

_FIRST_LATENT = 0  # stream of the noise that a sample begins with; step k draws from stream 1 + k


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What a sample asks of the network in its next step.

    Attributes:
        z: latent, the same for all rows.
        t: timestep, likewise.
        keep: of each of the R rows.
    """

    z: Latent
    t: int
    keep: tuple[Keep, ...]


class Sample:
    """The latent of one image.

    Args:
        steps: of its solver.
        guidance: its own.
        seed: of its noise, 0 to 2^64 - 1.
        shape: of the latent, such as (3, 32, 32).

    Raises:
        ValueError: the seed is out of range.
    """

    def __init__(
        self, steps: SolverSteps, guidance: Guiding, seed: int, shape: tuple[int, ...]
    ) -> None:
        self._steps, self._guidance, self._seed = steps, guidance, seed
        self._z = gaussian_noise(seed, _FIRST_LATENT, shape)
        self._x0 = np.zeros(shape, np.float32)
        self._done = 0

    @property
    def steps_done(self) -> int:
        """Steps that were taken."""
        return self._done

    @property
    def steps_left(self) -> int:
        """Steps that are still to be taken."""
        return len(self._steps) - self._done

    @property
    def x0(self) -> Latent:
        """The clean latent that the last step foresaw; zeros before the first one."""
        return self._x0

    @property
    def latent(self) -> Latent:
        """The latent as it is; the finished one when no step is left."""
        return self._z

    def question(self) -> Question:
        """What the network is asked next.

        Raises:
            IndexError: the sample is finished.
        """
        t = int(self._steps.t[self._done])
        return Question(self._z, t, self._guidance.rows(t))

    def take(self, eps: NDArray[np.float32]) -> None:
        """Go one step on.

        Args:
            eps: (R, *shape) the network's answers to the rows of `question`.
        """
        steps, k = self._steps, self._done
        blended = self._guidance.blend(np.asarray(eps, np.float32))
        factors = (steps.predict_z, steps.predict_eps, steps.keep_z, steps.keep_eps, steps.keep_x0)
        predict_z, predict_eps, keep_z, keep_eps, keep_x0 = (np.float32(f[k]) for f in factors)
        x0 = predict_z * self._z + predict_eps * blended
        z = keep_z * self._z + keep_eps * blended
        if keep_x0:
            z += keep_x0 * self._x0
        if steps.keep_noise[k]:
            noise = gaussian_noise(self._seed, 1 + k, self._z.shape)
            z += np.float32(steps.keep_noise[k]) * noise
        self._z, self._x0 = z, x0
        self._done += 1
