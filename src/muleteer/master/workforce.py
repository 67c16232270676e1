"""The workforce: the crew's eyes and ears. What workers did, who waits, and who is called back.

How many workers there are to be is crew.py's; here it is measured and listened for.

Rules:
1. Whatever waits for a worker that is not there brings it back: its pipe is the master's to hear.
2. With nobody there at all, the listening sockets and the signals for any worker are, too.

Runs in: the master.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Sequence

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.ipc.channels import SignalPipe, Switchboard
from muleteer.ipc.scoreboard import Row, Scoreboard, Seat, State
from muleteer.ipc.sockets import Listener, waiting
from muleteer.ipc.targets import ANY_WORKER
from muleteer.master.crew import LOOK_S, Bounds, Crew, Load
from muleteer.master.ears import Ears

__all__ = ["Workforce"]


class Workforce:
    """The workers as a crew whose size may change."""

    def __init__(
        self,
        settings: Settings,
        workers: int,
        scoreboard: Scoreboard,
        switchboard: Switchboard,
        listeners: Sequence[Listener],
        selector: selectors.BaseSelector,
    ) -> None:
        self.workers = workers
        self.crew = Crew(_bounds(settings, workers), time.monotonic(), rests=settings.cheap)
        self._scoreboard = scoreboard
        self._switchboard = switchboard
        self._listeners = listeners
        self._ears = Ears(selector)
        self._next_look: float | None = None
        # -- the last look
        self._looked_at = time.monotonic()
        self._done: dict[int, tuple[int, float, float]] = {}
        """Pid, seconds at work and of processor, by a worker's number."""
        self._requests = 0
        self.arrange()

    @property
    def seats(self) -> tuple[Seat, ...]:
        """The seats that are to be filled."""
        return tuple(Seat("worker", number) for number in sorted(self.crew.there))

    # -- the options -------------------------------------------------------------------------

    def follow(self, settings: Settings) -> None:
        """A new generation serves: its options count."""
        self.crew.follow(_bounds(settings, self.workers))
        self.arrange()

    # -- looking -----------------------------------------------------------------------------

    def next_look(self) -> float | None:
        """When to look again at the latest; None when nothing could change."""
        return self._next_look

    def look(self) -> bool:
        """Look if it is time to; returns whether the crew is another one now."""
        now = time.monotonic()
        if self._next_look is None or now < self._next_look:
            return False
        before = self.crew.there
        queue = sum(waiting(listener.sock) for listener in self._listeners)
        self.crew.look(now, self._loads(now), queue, requests=self._has_answered())
        self._looked_at = now
        self.arrange()
        if len(self.crew.there) != len(before):
            journal.crew_changed(len(before), len(self.crew.there))
        return self.crew.there != before

    def _has_answered(self) -> bool:
        before, self._requests = self._requests, self._scoreboard.total_requests
        return self._requests > before

    def _loads(self, now: float) -> dict[int, Load]:
        rows = [row for row in self._scoreboard.taken("worker") if row.state is State.READY]
        loads = {row.seat.id: self._load(row, now) for row in rows}
        self._done = {number: self._done[number] for number in loads}
        return loads

    def _load(self, row: Row, now: float) -> Load:
        """What a worker did since the last look: its time in requests, or that of its processor."""
        number, pid = row.seat.id, row.pid
        at_work, processor = row.seconds_at_work(now), _processor_seconds(pid)
        known, worked, ran = self._done.get(number, (0, 0.0, 0.0))
        if known != pid:
            worked, ran = at_work, processor
        self._done[number] = (pid, at_work, processor)
        passed = max(now - self._looked_at, 0.001)
        share = max((at_work - worked) / len(row.cores), processor - ran) / passed
        return Load(min(share, 1.0), row.busy, self._signals(number))

    def _signals(self, number: int) -> int:
        own = self._pipe(number).waiting()
        shared = self._switchboard.signals[ANY_WORKER].waiting()
        return own + (0 if self.crew.working else shared)

    def _pipe(self, number: int) -> SignalPipe:
        return self._switchboard.signals[f"worker{number}"]

    # -- listening -------------------------------------------------------------------------

    def arrange(self) -> None:
        """Listen for what nobody would hear, and plan the next look."""
        if self.crew.is_watched:
            self._next_look = max(self._next_look or 0.0, self._looked_at + LOOK_S)
        else:
            self._next_look = None
        self._ears.hear(self._unheard())

    def _unheard(self) -> dict[int, Callable[[], None]]:
        absent = [n for n in range(1, self.workers + 1) if n not in self.crew.there]
        heard = {self._pipe(n).read_fd: self._caller(n) for n in absent}
        if self.workers and not self.crew.there:
            heard[self._switchboard.signals[ANY_WORKER].read_fd] = self._caller(1)
        if self.workers and not self.crew.working:
            heard |= {one.sock.fileno(): self._wake for one in self._listeners}
        return heard

    def _caller(self, number: int) -> Callable[[], None]:
        def call() -> None:
            self._has_changed(lambda: self.crew.call(number))

        return call

    def _wake(self) -> None:
        self._has_changed(lambda: self.crew.wake(time.monotonic()))

    def _has_changed(self, change: Callable[[], None]) -> None:
        before = len(self.crew.there)
        change()
        self._looked_at = time.monotonic()
        self._next_look = None
        self.arrange()
        if len(self.crew.there) != before:
            journal.crew_changed(before, len(self.crew.there))

    def close(self) -> None:
        """Listen to nothing any more."""
        self._ears.close()
        self._next_look = None


def _bounds(settings: Settings, workers: int) -> Bounds:
    least = settings.cheaper or workers
    return Bounds(
        most=workers,
        least=least,
        initial=settings.cheaper_initial or least,
        step=settings.cheaper_step,
        overload=settings.cheaper_overload,
        idle_s=settings.idle,
    )


def _processor_seconds(pid: int) -> float:
    """How long a process ran; 0 where the system does not say, or it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) answers on Linux
    except (OSError, OverflowError):
        return 0.0
