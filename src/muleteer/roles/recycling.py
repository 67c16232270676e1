"""Recycling: has this child done enough, or grown too large? It looks between two pieces of work.

The decision is `reached`, a pure function; leaving is role.py's. A child's greatest age is the
master's to watch (policy.py), and so is one that grows in the middle of its work (weights.py).

Runs in: a child, after the fork.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from muleteer.config.options import Settings
from muleteer.ipc.memory import Memory, OwnMemory
from muleteer.ipc.scoreboard import Seat

__all__ = ["Limits", "Recycling", "limits_of", "reached"]

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may do and weigh before another takes its seat; 0: no limit."""

    work: int = 0
    """Requests, tasks or messages."""
    unit: str = "requests"
    rss: int = 0
    address_space: int = 0
    youngest_s: float = 0.0
    """Before this age nothing is reached: an application that is larger than its limit from the
    first moment on would be forked anew at every request."""

    @property
    def weighs(self) -> bool:
        """Is there a limit that needs a look at the memory?"""
        return bool(self.rss or self.address_space)

    def __bool__(self) -> bool:
        return bool(self.work or self.weighs)


def limits_of(settings: Settings, seat: Seat) -> Limits:
    """The limits of a seat; each worker's number of requests is its own, with a delta."""
    if seat.kind == "worker":
        own = settings.max_requests + settings.max_requests_delta * (seat.id - 1)
        return Limits(
            work=own if settings.max_requests else 0,
            rss=settings.reload_on_rss * _MB,
            address_space=settings.reload_on_as * _MB,
            youngest_s=settings.min_worker_lifetime,
        )
    if seat.kind == "mule":
        return Limits(settings.mule_max_messages, "messages", settings.mule_reload_on_rss * _MB)
    if seat.kind == "spooler":
        return Limits(settings.spooler_max_tasks, "tasks", settings.spooler_reload_on_rss * _MB)
    return Limits()


def reached(limits: Limits, done: int, age_s: float, weigh: Callable[[], Memory]) -> str | None:
    """Say in words which limit is reached, None when none is; weighs only where one asks."""
    if age_s < limits.youngest_s:
        return None
    if limits.work and done >= limits.work:
        return f"{done} {limits.unit}"
    if limits.weighs:
        memory = weigh()
        if limits.rss and memory.rss >= limits.rss:
            return f"{memory.rss // _MB} MB resident"
        if limits.address_space and memory.vsz >= limits.address_space:
            return f"{memory.vsz // _MB} MB of address space"
    return None


class Recycling:
    """A child's own view of its limits; made after the fork."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._born = time.monotonic()
        self._memory = OwnMemory()

    def due(self, done: int) -> str | None:
        """Say why it is time to leave, None when it is not; `done` counts pieces of work."""
        age_s = time.monotonic() - self._born
        return reached(self._limits, done, age_s, self._memory.now)
