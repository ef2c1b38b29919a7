# SPDX-License-Identifier: Apache-2.0
"""What the fake server was asked about avatars."""

import pytest

from tests.fakes.fake_avatars import sent_inputs

__all__ = ["HAPPY", "models_called", "sent"]

HAPPY = [pytest.approx(0.8), 0, 0, 0, 0, 0]


def sent(triton):
    """Inputs of the latest request, by name."""
    return sent_inputs(triton.calls[-1].request)


def models_called(triton):
    """In order."""
    return [call.model_name for call in triton.calls]
