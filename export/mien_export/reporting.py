# SPDX-License-Identifier: Apache-2.0
"""Progress for people: a live line on a terminal, plain lines anywhere else."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console


class Reporter(Protocol):
    """Told what is going on."""

    def step(self, model: str, text: str) -> None:
        """Say what starts now."""

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""


class ConsoleReporter:
    """Writes to stderr, so that stdout holds results only."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._status = self._console.status("") if self._console.is_terminal else None

    def __enter__(self) -> ConsoleReporter:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def step(self, model: str, text: str) -> None:
        """Say what starts now."""
        if self._status:
            self._status.update(f"{model}: {text}")
        else:
            self.note(f"{model}: {text}")

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
