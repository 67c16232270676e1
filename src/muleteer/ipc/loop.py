"""The event loop: descriptors, timers, and things to do at the end of a turn.

It knows nothing of requests, tasks or signals: who watches a descriptor says what to do with it.
Runs in: every child that waits for more than one thing, one loop per thread, made after the fork.

Rules:
1. Watching is level-triggered: what was not read is reported again in the next turn.
2. What is watched exclusively (a listening socket that other processes watch too) is looked at
   last in a turn, so that a process which has work in hand leaves newcomers to an idle one.
3. A descriptor closed in a turn may come back under the same number in that very turn, and be
   called once for nothing; every reader must survive "nothing there".
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["READ", "WRITE", "Loop", "TimerHandle"]

READ = select.POLLIN
WRITE = select.POLLOUT
_EXCLUSIVE = getattr(select, "EPOLLEXCLUSIVE", 0)
_EVENTS_PER_TURN = 256
_TIMERS_WORTH_SWEEPING = 64

OnReady = Callable[[int], None]


class _Poller(Protocol):
    """What `select.epoll` is, and what stands in for it elsewhere."""

    def register(self, fd: int, eventmask: int = ..., /) -> None: ...
    def modify(self, fd: int, eventmask: int, /) -> None: ...
    def unregister(self, fd: int, /) -> None: ...
    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


class _Poll:
    """`select.poll` behind epoll's verbs: for systems without epoll."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """The ready descriptors; a negative timeout waits for ever, as with epoll."""
        return self._poll.poll(None if timeout < 0 else timeout * 1000)[:maxevents]

    def close(self) -> None:
        """Nothing: poll owns no descriptor."""


def _new_poller() -> _Poller:
    return select.epoll() if hasattr(select, "epoll") else _Poll()


class TimerHandle:
    """One appointment; `cancel()` is idempotent."""

    __slots__ = ("_loop", "callback", "when")

    def __init__(self, loop: Loop, when: float, callback: Callable[[], None]) -> None:
        self._loop = loop
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """The callback is never called after this."""
        if self.callback is not None:
            self.callback = None
            self._loop.forget_timer()


class Loop:
    """One thread's loop; nothing of it may be called from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._poller = _new_poller()
        self._handlers: dict[int, OnReady] = {}
        self._shared: dict[int, OnReady] = {}
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._numbers = itertools.count()
        self._cancelled = 0
        self._soon: list[Callable[[], None]] = []

    def watch(
        self, fd: int, on_ready: OnReady, events: int = READ, *, exclusive: bool = False
    ) -> None:
        """Call `on_ready(events)` in every turn in which `fd` is ready.

        `exclusive` wakes one of the processes that watch it, not all of them.
        """
        self._poller.register(fd, events | _EXCLUSIVE if exclusive else events)
        (self._shared if exclusive else self._handlers)[fd] = on_ready

    def change(self, fd: int, events: int) -> None:
        """Wait for other events from now on; not for a descriptor watched exclusively."""
        self._poller.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`, before it is closed.  Unknown descriptors are an error (KeyError)."""
        del (self._shared if fd in self._shared else self._handlers)[fd]
        self._poller.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        """Call once, in the first turn at or after `when` (monotonic)."""
        handle = TimerHandle(self, when, callback)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call once, at the end of this turn (or of the next one, which then does not wait)."""
        self._soon.append(callback)

    def turn(self, timeout: float | None = None) -> None:
        """Wait at most `timeout` seconds and at most until the next timer; do what is due."""
        handlers = self._handlers
        late: list[tuple[int, int]] | None = None
        for ready in self._poller.poll(self._wait(timeout), _EVENTS_PER_TURN):
            on_ready = handlers.get(ready[0])
            if on_ready is not None:
                on_ready(ready[1])
            elif late is None:
                late = [ready]
            else:
                late.append(ready)
        if late is not None:
            self._look_at_shared(late)
        if self._timers:
            self._run_timers(self.now())
        if self._soon:
            self._run_soon()

    def close(self) -> None:
        """Watch nothing any more; the watched descriptors stay open."""
        self._poller.close()
        self._handlers.clear()
        self._shared.clear()
        self._timers.clear()
        self._soon.clear()

    def forget_timer(self) -> None:
        """A handle was cancelled: sweep the heap when most of it is cancelled."""
        self._cancelled += 1
        if self._cancelled > max(_TIMERS_WORTH_SWEEPING, len(self._timers) // 2):
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _wait(self, timeout: float | None) -> float:
        if self._soon:
            return 0.0
        if not self._timers:
            return -1.0 if timeout is None else timeout
        until = max(0.0, self._timers[0][0] - self.now())
        return until if timeout is None or until < timeout else timeout

    def _look_at_shared(self, late: list[tuple[int, int]]) -> None:
        for fd, events in late:
            on_ready = self._shared.get(fd)  # gone when an earlier callback unwatched it
            if on_ready is not None:
                on_ready(events)

    def _run_timers(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            handle = heapq.heappop(self._timers)[2]
            callback, handle.callback = handle.callback, None
            if callback is None:
                self._cancelled = max(0, self._cancelled - 1)
            else:
                callback()

    def _run_soon(self) -> None:
        callbacks, self._soon = self._soon, []
        for callback in callbacks:
            callback()
