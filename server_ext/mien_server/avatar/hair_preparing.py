# SPDX-License-Identifier: Apache-2.0
"""Hairstyles worked out before anybody asks, in a thread that lets requests go first."""

from __future__ import annotations

import os
import threading

from mien_server.avatar.choices import Level
from mien_server.avatar.hairdressing import Hairdresser
from mien_server.errors import ServingError
from mien_server.hair.library_index import HairstyleEntry

__all__ = ["HairPreparation"]

# The usual level of all styles comes first, and is held in memory too.
LEVELS = (Level.MEDIUM, Level.HIGH, Level.LOW)
STYLES = 48  # that are prepared; of a library of more, the others when they are asked for
NICE = 19  # of the thread
PAUSE_S = 0.1  # while another process makes plans


class HairPreparation:
    """Prepares the styles of a library, one after the other.

    Args:
        hairdresser: that prepares them.
    """

    def __init__(self, hairdresser: Hairdresser) -> None:
        self._hairdresser = hairdresser
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hairstyles", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Leave what is not done yet; wait for what is under way."""
        self._is_closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Prepare them all here; ends early once `close` is called."""
        entries = self._hairdresser.library.entries()[:STYLES]
        for level, entry in ((level, entry) for level in LEVELS for entry in entries):
            while not self._is_closing.is_set() and not self._is_prepared(entry, level):
                self._is_closing.wait(PAUSE_S)

    def _is_prepared(self, entry: HairstyleEntry, level: Level) -> bool:
        try:
            return self._hairdresser.prepare(entry, level, keep=level is LEVELS[0])
        except (ServingError, ValueError):  # removed meanwhile, or damaged: who asks is told
            return True

    def _work(self) -> None:
        # Linux gives threads nice values of their own.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        self.run()
