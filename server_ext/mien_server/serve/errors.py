# SPDX-License-Identifier: Apache-2.0
"""Why a server cannot start or go on."""

from __future__ import annotations

__all__ = ["ServeError"]


class ServeError(Exception):
    """What is wrong and what to do; shown to the user as it is, without a traceback."""
