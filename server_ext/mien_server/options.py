# SPDX-License-Identifier: Apache-2.0
"""Options that several pipelines share."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from mien_server.errors import ServingError

__all__ = ["OnError", "on_error_option"]


class OnError(Enum):
    """What a bad item does to the request it came in."""

    RAISE = "raise"
    REPORT = "report"


def on_error_option(values: Sequence[str]) -> OnError:
    """The one value of `on_error` in a request.

    Raises:
        ServingError: INVALID_OPTION: the items disagree, or the value is not allowed.
    """
    distinct = sorted(set(values))
    if len(distinct) != 1 or distinct[0] not in {option.value for option in OnError}:
        raise ServingError(
            "INVALID_OPTION",
            f"on_error is {', '.join(map(repr, distinct))}; it must be 'raise' or 'report', the "
            "same for every item of a request",
        )
    return OnError(distinct[0])
