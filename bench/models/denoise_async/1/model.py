# SPDX-License-Identifier: Apache-2.0
"""A loop for each sample; nobody decides who shares a call."""

import asyncio
import threading

from denoising import (
    denoiser_request,
    eps_of,
    latent_response,
    member_of,
    only_step,
    send_final,
)


class TritonPythonModel:
    """Seeds in, latents out."""

    def initialize(self, args):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def execute(self, requests):
        for request in requests:
            work = self.sample(request.get_response_sender(), member_of(request))
            asyncio.run_coroutine_threadsafe(work, self.loop)

    async def sample(self, sender, member):
        """One request, step by step."""
        while member.sample.steps_left and not sender.is_cancelled():
            step = only_step(member)
            response = await denoiser_request(step).async_exec()
            member.sample.take(eps_of(response))
        sender.send(latent_response(member.sample))
        send_final(sender)

    def finalize(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
