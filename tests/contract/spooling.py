"""What the tests of spool stores say again and again: what is due, taken, and done.

Runs in: the test process.
"""

from __future__ import annotations

import time

from muleteer.spool.store import Outcome, Store, Task

__all__ = ["claimed", "drained", "later"]


def later() -> float:
    """A wall time at which everything just put without `at` is due."""
    return time.time() + 1


def claimed(store: Store, now: float | None = None) -> Task:
    """The next task that is due."""
    task = store.claim(later() if now is None else now)
    assert task is not None
    return task


def drained(store: Store, now: float | None = None) -> list[bytes]:
    """The `n` of every task that is due, in the order in which they were claimed, and ended."""
    seen = []
    while (task := store.claim(later() if now is None else now)) is not None:
        seen.append(task.vars[b"n"])
        store.settle(task, Outcome.OK)
    return seen
