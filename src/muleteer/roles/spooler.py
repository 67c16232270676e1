"""The spooler: it claims tasks from one store and runs them, one at a time.

The store keeps them and decides nothing; what a task means is the application's `uwsgi.spooler`
hook.

Runs in: a spooler, after the fork.  Forked by: zygote/forking.py.
"""

from __future__ import annotations

import os
import time
from typing import Any

from muleteer import journal
from muleteer.errors import SpoolError, StoreUnavailable
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.targets import spooler_pipe
from muleteer.roles.role import Role
from muleteer.runtime import Runtime
from muleteer.spool.store import Outcome, Store, Task

__all__ = ["Spooler"]

NICENESS = 19
"""Spooled work gives way to requests; uWSGI's spoolers run at the same niceness."""


class Spooler(Role):
    """One spooler process; several may share a directory."""

    kind = "spooler"

    def __init__(self, runtime: Runtime, row: Row) -> None:
        super().__init__(runtime, row)
        self.directory = self._own_directory()
        self.store: Store = runtime.new_store(self.directory)
        self.signal_names = ("spooler", spooler_pipe(self.directory))
        self._bell = self.switchboard.spooler_bells[self.directory]

    def _own_directory(self) -> str:
        per_directory = self.settings.spooler_processes
        return self.settings.spooler[(self.seat.id - 1) // per_directory]

    def start(self) -> None:
        """Go to the directory and listen to its bell, its arrivals, and to signals."""
        self._nice()
        os.chdir(self.settings.spooler_chdir or self.directory)
        self.loop.watch(self._bell.read_fd, self._rung, exclusive=True)
        arrivals = self.store.fileno()
        if arrivals is not None:
            self.loop.watch(arrivals, self._arrived)
        self._signal_fds = self.listen_for_signals(self.loop, *self.signal_names)

    def _nice(self) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        except OSError:
            pass  # a container may forbid it; the work is done all the same

    def retire(self) -> None:
        """Claim nothing more and leave the signals to others."""
        for fd in self._signal_fds:
            self.loop.unwatch(fd)

    def stop(self) -> None:
        """Let the store go."""
        self.store.close()

    @property
    def harakiri(self) -> float | None:
        """Signal handlers and tasks alike."""
        return self.settings.spooler_harakiri

    # -- one turn --------------------------------------------------------------------------

    def step(self) -> None:
        """Run the next task if one is due; hear the bell, the signals and the wish to leave."""
        try:
            task = self.store.claim(time.time())
        except StoreUnavailable as error:
            journal.store_unavailable(str(error), self._frequency)
            self.loop.turn(self._frequency)
            return
        if task is None:
            self.loop.turn(self._until_next())
            self._rescan_after_a_while()
        else:
            self._run(task)
            self.loop.turn(0)

    def _until_next(self) -> float:
        due = self.store.next_due()
        frequency = float(self._frequency)
        return frequency if due is None else min(max(due - time.time(), 0.0), frequency)

    def _rescan_after_a_while(self) -> None:
        """Look again even if nobody rang: a network file system reports no arrivals."""
        now = time.monotonic()
        if now - self._scanned_at >= self._frequency:
            self._rescan()

    def _rescan(self) -> None:
        self._scanned_at = time.monotonic()
        try:
            self.store.rescan()
        except StoreUnavailable as error:
            journal.store_unavailable(str(error), self._frequency)

    _scanned_at = 0.0

    @property
    def _frequency(self) -> float:
        return self.runtime.scoreboard.spooler_frequency or self.settings.spooler_frequency

    def _rung(self, _events: int) -> None:
        if self._bell.hush(1):
            self._rescan()

    def _arrived(self, _events: int) -> None:
        self._rescan()

    # -- one task --------------------------------------------------------------------------

    def _run(self, task: Task) -> None:
        """Run one task under the deadline and settle it by what its handler said."""
        name = task.name.decode(errors="replace")
        if not self.settings.spooler_quiet:
            journal.task_started(name)
        started = time.monotonic()
        with self.runtime.deadline(self.settings.spooler_harakiri, doing=task.name):
            outcome = self._outcome(task, name)
        if outcome is Outcome.OK and not self.settings.spooler_quiet:
            journal.task_done(name, time.monotonic() - started)
        self._settle(task, outcome, name)
        self.recycle_if_due()

    def _outcome(self, task: Task, name: str) -> Outcome:
        hook = self.registry.hooks.get("spooler")
        if hook is None:
            return Outcome.IGNORE
        try:
            with self.runtime.around():
                return _meaning(hook(_as_seen_by_app(task)))
        except Exception:  # noqa: BLE001 - the application's own code
            journal.task_failed(name, self._frequency)
            return Outcome.RETRY

    def _settle(self, task: Task, outcome: Outcome, name: str) -> None:
        again = time.time() + self._frequency
        try:
            self.store.settle(task, outcome, at=None if outcome is Outcome.OK else again)
        except SpoolError as error:
            journal.store_unavailable(str(error), self._frequency)
        if outcome is Outcome.IGNORE:
            journal.task_ignored(name, self._frequency)
        elif outcome is Outcome.RETRY:
            journal.task_retries(name, self._frequency)


def _as_seen_by_app(task: Task) -> dict[Any, bytes]:
    """Return the dict a handler gets.

    Str keys for the two of the server, bytes for the rest, as uWSGI.
    """
    seen: dict[Any, bytes] = {"spooler_task_name": task.name, **task.vars}
    if task.body:
        seen["body"] = task.body
    return seen


def _meaning(returned: object) -> Outcome:
    """Read a handler's word: -2 is done, 0 is not mine, anything else runs again (uWSGI's rule)."""
    if not isinstance(returned, int):
        return Outcome.RETRY
    return next(
        (known for known in (Outcome.OK, Outcome.IGNORE) if returned == known), Outcome.RETRY
    )
