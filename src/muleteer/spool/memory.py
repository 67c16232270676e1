"""A store in this process's memory: for tests, and the contract read in one screen.

Not here: anything that survives the process, or that another process sees.
Runs in: a test; anywhere.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from muleteer.spool.notes import task_in
from muleteer.spool.store import UNIQUE, Outcome, Result, Task, with_specials
from muleteer.wire.spoolfile import encode_task

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Entry:
    task: Task
    rank: tuple[int, int]
    due: float = 0.0
    claimed: bool = False
    parked: bool = False


class MemoryStore:
    """Tasks in a dict; see spool/store.py for what each method promises."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._entries: dict[bytes, _Entry] = {}
        self.dead: dict[bytes, tuple[Task, str]] = {}
        self.done: dict[bytes, Result] = {}

    def put(
        self,
        task_vars: Mapping[bytes, bytes],
        body: bytes = b"",
        *,
        at: float | None = None,
        priority: bytes | None = None,
    ) -> bytes:
        task_vars, at, priority = with_specials(task_vars, at, priority)
        data = encode_task(task_vars, body)  # refuses what a file would refuse
        if (waiting := self._waiting(task_vars.get(UNIQUE))) is not None:
            return waiting
        number = next(self._numbers)
        path = b"/".join(filter(None, (b"memory:", priority, b"%d" % number)))
        task = task_in(path, data, self._clock())
        rank = (int(priority) if priority else 10**10, number)
        self._entries[path] = _Entry(task, rank, at or 0.0)
        return path

    def claim(self, now: float) -> Task | None:
        due = [e for e in self._entries.values() if not (e.claimed or e.parked) and e.due <= now]
        if not due:
            return None
        first = min(due, key=lambda entry: entry.rank)
        first.claimed = True
        return first.task

    def settle(
        self,
        task: Task,
        outcome: Outcome,
        *,
        at: float | None = None,
        error: str = "",
        result: Result | None = None,
    ) -> None:
        entry = self._end_claim(task)
        if entry is None:
            return
        if outcome is Outcome.OK:
            if result is not None:
                self.done[task.path] = result
            return
        task = replace(task, died=False)
        if outcome is Outcome.RETRY:
            task = replace(task, attempts=task.attempts + 1, last_error=error)
        elif outcome is Outcome.ROUND:
            task = replace(task, attempts=0, last_error="")
        self._entries[task.path] = _Entry(task, entry.rank, at or 0.0)

    def bury(self, task: Task, reason: str) -> None:
        if self._end_claim(task) is not None:
            self.dead[task.path] = (task, reason)

    def park(self, task: Task) -> None:
        entry = self._end_claim(task)
        if entry is not None:
            self._entries[task.path] = replace(entry, claimed=False, parked=True)

    def unpark(self, path: bytes) -> None:
        if path in self._entries:
            self._entries[path].parked = False

    def sweep(self, now: float) -> float:
        self.done = {path: kept for path, kept in self.done.items() if kept.keep_until > now}
        return 60.0

    def next_due(self) -> float | None:
        free = (e.due for e in self._entries.values() if not (e.claimed or e.parked))
        return min(free, default=None)

    def fileno(self) -> int | None:
        return None

    def rescan(self) -> None:
        pass  # whatever arrives, arrives through `put`

    def jobs(self) -> list[bytes]:
        return sorted(self._entries, key=lambda path: self._entries[path].rank)

    def get_task(self, path: bytes) -> Task | None:
        entry = self._entries.get(path)
        return entry.task if entry else None

    def close(self) -> None:
        for entry in self._entries.values():
            if entry.claimed:
                entry.claimed, entry.task = False, replace(entry.task, died=True)

    def _waiting(self, key: bytes | None) -> bytes | None:
        """The path of the task that has the key and does not run."""
        having = (
            path
            for path, entry in self._entries.items()
            if entry.task.notes.get(UNIQUE) == key and not entry.claimed
        )
        return None if key is None else next(having, None)

    def _end_claim(self, task: Task) -> _Entry | None:
        entry = self._entries.get(task.path)
        return self._entries.pop(task.path) if entry and entry.claimed else None
