# SPDX-License-Identifier: Apache-2.0
"""Changes by many threads, written together: who comes first writes for all who wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

from mien_server.gallery.roster import Plan

__all__ = ["Change", "GroupCommit"]

_T = TypeVar("_T")


class Change:
    """One thread's part of a group.

    Args:
        plan: adds to a plan, and returns the answer.
    """

    def __init__(self, plan: Callable[[Plan], Any]) -> None:
        self._plan = plan
        self._answer: Any = None
        self.outcome: Future[Any] = Future()

    def add_to(self, group: Plan) -> None:
        """Add all of it, or nothing where it is refused."""
        own = Plan(group)
        try:
            self._answer = self._plan(own)
        except Exception as refusal:
            self.outcome.set_exception(refusal)
        else:
            group.absorb(own)

    def finish(self, failure: BaseException | None) -> None:
        """Let the thread go on, unless it was refused."""
        if self.outcome.done():
            return
        if failure is None:
            self.outcome.set_result(self._answer)
        else:
            self.outcome.set_exception(failure)


class GroupCommit:
    """Hands groups of changes to one thread at a time.

    Args:
        commit: adds the changes to a plan and makes it lasting; may raise, and then none is made.
    """

    def __init__(self, commit: Callable[[Sequence[Change]], None]) -> None:
        self._commit = commit
        self._writing, self._queueing = Lock(), Lock()
        self._waiting: list[Change] = []

    def make(self, plan: Callable[[Plan], _T]) -> _T:
        """Make a change; it is lasting when this returns.

        Raises:
            ServingError: what `plan` or the writing refuses it with.
        """
        change = Change(plan)
        with self._queueing:
            self._waiting.append(change)
        with self._writing:
            if not change.outcome.done():
                self._commit_those_waiting()
        answer: _T = change.outcome.result()
        return answer

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep changes waiting."""
        with self._writing:
            yield

    def _commit_those_waiting(self) -> None:
        with self._queueing:
            changes, self._waiting = self._waiting, []
        failure: BaseException | None = None
        try:
            self._commit(changes)
        except Exception as error:
            failure = error
        except BaseException:
            failure = RuntimeError("the thread that wrote this change was interrupted")
            raise
        finally:
            for change in changes:
                change.finish(failure)
