"""What a consumer remembers of a spool directory: which tasks there are, and when to look.

Not here: files. The index only makes it unnecessary to read the directory again and again.
Runs in: a spooler; any process that claims.

Rules
1. `_due` is the truth: a name's wall time, READY or TAKEN. An entry of a heap that disagrees
   with it is stale and is dropped when it comes up; nothing searches a heap.
2. A wrong entry costs one look at a file, never a task.
3. About 260 bytes for a delayed task, 325 for a ready one (name, place in the order, a slot in two
   tables), and no more than MOST of them: beyond that the later half is forgotten, and whoever
   owns the index lists the directory again when that half's time comes.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import Final

from muleteer.spool.names import rank

__all__ = ["MOST", "Index"]

MOST: Final = 1_250_000

_READY: Final = 0.0
_TAKEN: Final = -1.0


class Index:
    """Names of tasks: ready ones by rank, waiting ones by due time, taken ones set aside."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting_whole_until, self._ready_whole = inf, True
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
        if len(self._due) > self._most:
            self._forget_the_later_half()

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

    def renew(self) -> None:
        """Forget all but what is taken: the directory is about to be listed."""
        self._due = {name: due for name, due in self._due.items() if due == _TAKEN}
        self._ready, self._waiting = [], []
        self._waiting_whole_until, self._ready_whole = inf, True

    def is_whole(self, now: float) -> bool:
        """Whether no forgotten task has to come next; if one has, only a listing brings it back."""
        return now < self._waiting_whole_until and (self._ready_whole or bool(self._ready))

    def next_due(self) -> float | None:
        """0.0 when something is ready, else the first due time, else None."""
        while self._ready and self._due.get(self._ready[0][3]) != _READY:
            heapq.heappop(self._ready)
        if self._ready or not self._ready_whole:
            return _READY
        self._drop_stale()
        due = min(self._waiting[0][0] if self._waiting else inf, self._waiting_whole_until)
        return None if due == inf else due

    def _promote(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            due, name = heapq.heappop(self._waiting)
            if self._due.get(name) == due:
                self.add(name)

    def _drop_stale(self) -> None:
        while self._waiting and self._due.get(self._waiting[0][1]) != self._waiting[0][0]:
            heapq.heappop(self._waiting)

    def _forget_the_later_half(self) -> None:
        room = self._most // 2
        known = self._due
        ready = sorted(entry for entry in self._ready if known.get(entry[3]) == _READY)
        waiting = sorted(entry for entry in self._waiting if known.get(entry[1]) == entry[0])
        kept = max(room - len(ready), 0)
        if len(ready) > room:
            self._ready_whole = False
        if len(waiting) > kept:
            self._waiting_whole_until = min(self._waiting_whole_until, waiting[kept][0])
        for entry in ready[room:]:
            known.pop(entry[3], None)
        for due in waiting[kept:]:
            known.pop(due[1], None)
        self._ready, self._waiting = ready[:room], waiting[:kept]
