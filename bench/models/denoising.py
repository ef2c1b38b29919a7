# SPDX-License-Identifier: Apache-2.0
"""What the three ways to share denoising steps have in common, copied beside each `model.py`.

`bench/models/denoise_*` differ only in who decides which samples are in a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from mien_server.diffusion.crowd import Crowd, Member, Step
from mien_server.diffusion.guidance import Guidance
from mien_server.diffusion.noise import gaussian_noise
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.schedule import linear_schedule
from mien_server.diffusion.solvers import ddim_steps
from mien_server.generation.calls import LATENT_SHAPE, MAX_ROWS, denoiser_inputs

__all__ = [
    "call_denoiser",
    "denoiser_request",
    "eps_of",
    "latent_response",
    "member_of",
    "only_step",
    "send_final",
    "step_of",
]

SCHEDULE = linear_schedule()
CONTEXTS = 2**40  # a stream of noise that no sample draws from


def member_of(request: Any) -> Member:
    """A guided sample with contexts of its own."""
    seed, steps = (
        int(pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0])
        for name in ("seed", "steps")
    )
    identity, style = gaussian_noise(seed, CONTEXTS, (2, 512))
    sample = Sample(ddim_steps(SCHEDULE, steps), Guidance(), seed, LATENT_SHAPE)
    return Member(sample, identity / np.linalg.norm(identity), style)


def step_of(members: Sequence[Member]) -> Step[str]:
    """The next step of all of them."""
    crowd: Crowd[str] = Crowd(MAX_ROWS)
    crowd.join("all", members)
    step = crowd.next_step()
    assert step is not None
    return step


def only_step(member: Member) -> Step[str]:
    """The next step of one alone."""
    return step_of([member])


def denoiser_request(step: Step[Any]) -> Any:
    """The call of a step."""
    inputs = denoiser_inputs(step)
    return pb_utils.InferenceRequest(
        model_name="face_denoiser",
        requested_output_names=["eps"],
        inputs=[pb_utils.Tensor(name, array) for name, array in inputs.items()],
    )


def eps_of(response: Any) -> NDArray[np.float32]:
    """The answer to a call."""
    if response.has_error():
        raise RuntimeError(response.error().message())
    eps: NDArray[np.float32] = pb_utils.get_output_tensor_by_name(response, "eps").as_numpy()
    return eps


def call_denoiser(step: Step[Any]) -> NDArray[np.float32]:
    """Make a call and wait."""
    return eps_of(denoiser_request(step).exec())


def latent_response(sample: Sample, *, batch: bool = False) -> Any:
    """The one answer to a request."""
    latent = sample.latent[None] if batch else sample.latent
    return pb_utils.InferenceResponse([pb_utils.Tensor("latent", latent)])


def send_final(sender: Any) -> None:
    """No response follows."""
    sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
