# SPDX-License-Identifier: Apache-2.0
"""A step of every request that the scheduler brings, which then goes back to it."""

import triton_python_backend_utils as pb_utils
from denoising import (
    call_denoiser,
    latent_response,
    member_of,
    send_final,
    step_of,
)


class TritonPythonModel:
    """Seeds in, latents out."""

    def initialize(self, args):
        self.members = {}

    def execute(self, requests):
        members = [self.member(request) for request in requests]
        step = step_of(members)
        eps = call_denoiser(step)
        start = 0
        for request, member, count in zip(requests, members, step.rows_of, strict=True):
            member.sample.take(eps[start : start + count])
            start += count
            sender = request.get_response_sender()
            if member.sample.steps_left and not request.is_cancelled():
                request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)
                continue
            del self.members[request.correlation_id()]
            sender.send(latent_response(member.sample, batch=True))
            send_final(sender)

    def member(self, request):
        """What is known of a request since its first step."""
        key = request.correlation_id()
        if key not in self.members:
            self.members[key] = member_of(request)
        return self.members[key]
