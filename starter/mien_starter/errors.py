# SPDX-License-Identifier: Apache-2.0
"""What stops a command, and the exit status it stops with."""

from __future__ import annotations


class StarterError(Exception):
    """Files, data or a training run are not as they must be."""

    exit_status = 1


class UsageError(StarterError):
    """The request itself is wrong."""

    exit_status = 2
