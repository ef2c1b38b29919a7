# SPDX-License-Identifier: Apache-2.0
"""One loop for all samples, as `generate_faces` has it, without what surrounds it there."""

from denoising import call_denoiser, latent_response, member_of, send_final

from mien_server.diffusion.sampling_loop import SamplingLoop
from mien_server.generation.calls import MAX_ROWS


class Job:
    """One request."""

    def __init__(self, request):
        self.sender = request.get_response_sender()
        self.members = (member_of(request),)

    def is_cancelled(self):
        return self.sender.is_cancelled()

    def moved(self, samples):
        (_, sample), *_ = samples
        if not sample.steps_left:
            self.sender.send(latent_response(sample))
            send_final(self.sender)

    def cancelled(self):
        send_final(self.sender)

    def failed(self, error):
        raise error


class TritonPythonModel:
    """Seeds in, latents out."""

    def initialize(self, args):
        self.loop = SamplingLoop(call_denoiser, MAX_ROWS)
        self.loop.start()

    def execute(self, requests):
        for request in requests:
            self.loop.submit(Job(request))

    def finalize(self):
        self.loop.stop()
