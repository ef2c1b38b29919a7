# SPDX-License-Identifier: Apache-2.0
"""Adapter of the pipeline `sample_styles`; the work is in `mien_server.generation.calls`."""

from typing import Any

import numpy as np

from mien_server import triton_adapter as triton
from mien_server.generation.calls import GenerationCalls


class TritonPythonModel:
    """Seeds in, codes out."""

    calls = GenerationCalls(triton.call_models)

    def execute(self, requests: list[Any]) -> list[Any]:
        return triton.answer_each(requests, self.sample)

    def sample(self, requests: list[Any]) -> list[Any]:
        """The styles of all requests in as few calls as possible."""
        seeds = [triton.input_array(request, "seed").ravel() for request in requests]
        codes = self.calls.sampled_codes(np.concatenate(seeds).tolist())
        ends = np.cumsum([len(own) for own in seeds])[:-1]
        return [{"codes": own} for own in np.split(codes, ends)]
