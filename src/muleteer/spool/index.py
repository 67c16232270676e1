"""What a consumer remembers of a spool directory: which tasks there are, and when to look.

Not here: files. The index only makes it unnecessary to read the directory again and again.
Runs in: a spooler; any process that claims.

Rules
1. `_due` is the truth: a name's wall time, READY or TAKEN. An entry of a heap that disagrees
   with it is stale and is dropped when it comes up; nothing searches a heap.
2. A wrong entry costs one look at a file, never a task.
3. About 250 bytes a task (name, due time, a slot in two tables); a delayed one costs nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Container
from typing import Final

from muleteer.spool.names import rank

__all__ = ["Index"]

_READY: Final = 0.0
_TAKEN: Final = -1.0


class Index:
    """Names of tasks: ready ones by rank, waiting ones by due time, taken ones set aside."""

    def __init__(self) -> None:
        self._due: dict[bytes, float] = {}
        self._ready: list[tuple[int, int, int, bytes]] = []
        self._waiting: list[tuple[float, bytes]] = []

    def __contains__(self, name: bytes) -> bool:
        return name in self._due

    def __len__(self) -> int:
        return len(self._due)

    def add(self, name: bytes, due: float = _READY) -> None:
        """Have `name` looked at from `due` on, whatever was known of it before."""
        if due > _READY:
            heapq.heappush(self._waiting, (due, name))
        elif self._due.get(name) == _READY:
            return
        else:
            due = _READY
            heapq.heappush(self._ready, (*rank(name), name))
        self._due[name] = due

    def hear(self, name: bytes) -> None:
        """A file of that name has just appeared: look at it, unless it is ours already."""
        if self._due.get(name) != _TAKEN:
            self.add(name)

    def take(self, now: float) -> bytes | None:
        """The first ready name, set aside until `add` or `forget`; None when none is ready."""
        self._promote(now)
        while self._ready:
            name = heapq.heappop(self._ready)[3]
            if self._due.get(name) == _READY:
                self._due[name] = _TAKEN
                return name
        return None

    def forget(self, name: bytes) -> None:
        """There is no such task any more."""
        self._due.pop(name, None)

    def keep_only(self, present: Container[bytes]) -> None:
        """Forget what a listing did not show; what is taken stays."""
        gone = [name for name, due in self._due.items() if due != _TAKEN and name not in present]
        for name in gone:
            del self._due[name]

    def next_due(self) -> float | None:
        """0.0 when something is ready, else the first due time, else None."""
        while self._ready and self._due.get(self._ready[0][3]) != _READY:
            heapq.heappop(self._ready)
        if self._ready:
            return _READY
        self._drop_stale()
        return self._waiting[0][0] if self._waiting else None

    def _promote(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            due, name = heapq.heappop(self._waiting)
            if self._due.get(name) == due:
                self.add(name)

    def _drop_stale(self) -> None:
        while self._waiting and self._due.get(self._waiting[0][1]) != self._waiting[0][0]:
            heapq.heappop(self._waiting)
