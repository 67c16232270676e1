"""The roster: every child and every zygote as the master sees it, and their table of states.

It remembers; what to do about it is decided in policy.py, and done in master.py.

Rules:
1. A phase changes only through `TRANSITIONS`; a pair that is not in the table is an error.
2. A handle leaves the roster when its process is known to be dead, never before.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from muleteer.ipc.scoreboard import Seat

__all__ = [
    "TRANSITIONS",
    "ChildHandle",
    "Event",
    "FailedReload",
    "Mode",
    "Phase",
    "Reloads",
    "Roster",
    "SeatHistory",
    "ZygoteHandle",
    "ZygotePhase",
]


class Phase(Enum):
    """Where a child is in its life."""

    ASKED = "asked"
    """The zygote was told to fork it; there is no pid yet."""
    FORKED = "forked"
    READY = "ready"
    RETIRING = "retiring"
    INTERRUPTED = "interrupted"
    """Its mercy is over; it was told to give up what it does, and has a last moment."""
    KILLED = "killed"
    """It was sent SIGKILL; its death is on its way."""


class Event(Enum):
    """What happens to a child."""

    FORK = "fork"
    SPEAK = "ready"
    RETIRE = "retire"
    INTERRUPT = "interrupt"
    KILL = "kill"


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.ASKED, Event.FORK): Phase.FORKED,
    (Phase.ASKED, Event.SPEAK): Phase.READY,  # its word overtook the zygote's
    (Phase.ASKED, Event.RETIRE): Phase.RETIRING,
    (Phase.ASKED, Event.INTERRUPT): Phase.INTERRUPTED,
    (Phase.ASKED, Event.KILL): Phase.KILLED,
    (Phase.FORKED, Event.FORK): Phase.FORKED,
    (Phase.FORKED, Event.SPEAK): Phase.READY,
    (Phase.FORKED, Event.RETIRE): Phase.RETIRING,
    (Phase.FORKED, Event.INTERRUPT): Phase.INTERRUPTED,
    (Phase.FORKED, Event.KILL): Phase.KILLED,
    (Phase.READY, Event.FORK): Phase.READY,
    (Phase.READY, Event.SPEAK): Phase.READY,
    (Phase.READY, Event.RETIRE): Phase.RETIRING,
    (Phase.READY, Event.INTERRUPT): Phase.INTERRUPTED,
    (Phase.READY, Event.KILL): Phase.KILLED,
    (Phase.RETIRING, Event.FORK): Phase.RETIRING,
    (Phase.RETIRING, Event.SPEAK): Phase.RETIRING,
    (Phase.RETIRING, Event.RETIRE): Phase.RETIRING,
    (Phase.RETIRING, Event.INTERRUPT): Phase.INTERRUPTED,
    (Phase.RETIRING, Event.KILL): Phase.KILLED,
    (Phase.INTERRUPTED, Event.FORK): Phase.INTERRUPTED,
    (Phase.INTERRUPTED, Event.SPEAK): Phase.INTERRUPTED,
    (Phase.INTERRUPTED, Event.RETIRE): Phase.INTERRUPTED,
    (Phase.INTERRUPTED, Event.INTERRUPT): Phase.INTERRUPTED,
    (Phase.INTERRUPTED, Event.KILL): Phase.KILLED,
    (Phase.KILLED, Event.FORK): Phase.KILLED,
    (Phase.KILLED, Event.SPEAK): Phase.KILLED,
    (Phase.KILLED, Event.RETIRE): Phase.KILLED,
    (Phase.KILLED, Event.INTERRUPT): Phase.KILLED,
    (Phase.KILLED, Event.KILL): Phase.KILLED,
}
"""state x event → state.

`docs/architecture.md` draws it. Death is not in it: it removes the handle.
"""


@dataclass(slots=True)
class ChildHandle:
    """A child from outside; the child itself is a `Role` in another process."""

    seat: Seat
    row: int
    generation: int
    zygote: int
    """The pid of the zygote that was asked for it."""
    since: float
    """When it entered its phase (monotonic)."""
    born: float
    pid: int = 0
    phase: Phase = Phase.ASKED
    unhurried: bool = False
    """It leaves because it has done enough, not because anybody waits: it may finish its work."""

    def hear(self, event: Event, now: float) -> None:
        """Go to the next phase by the table."""
        following = TRANSITIONS[self.phase, event]
        if following is not self.phase:
            self.phase = following
            self.since = now

    @property
    def counts(self) -> bool:
        """Does it fill its seat (or is about to)?"""
        return self.phase in (Phase.ASKED, Phase.FORKED, Phase.READY)


class ZygotePhase(Enum):
    """Where a zygote is in its life."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    """It said that its import failed; its end is on its way."""
    DISMISSED = "dismissed"
    KILLED = "killed"


@dataclass(slots=True)
class ZygoteHandle:
    """A zygote from outside."""

    pid: int
    generation: int
    since: float
    phase: ZygotePhase = ZygotePhase.LOADING
    fingerprint: str = ""
    replaces: bool = False
    """It takes the place of a zygote that died, in the same generation."""


@dataclass(slots=True)
class SeatHistory:
    """What became of the children that sat here: the ground for back-off."""

    spawned: int = 0
    quick_deaths: int = 0
    not_before: float = 0.0
    not_before_alone: float = 0.0
    """The same while no other child of its kind is there."""


class Mode(Enum):
    """What the server as a whole is doing."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPING_NOW = "stopping now"


@dataclass(frozen=True, slots=True)
class FailedReload:
    """A reload that was given up; the generation before it went on serving."""

    generation: int
    at: float
    """Wall time."""
    why: str


@dataclass(slots=True)
class Reloads:
    """What became of the reloads so far."""

    done: int = 0
    failed: int = 0
    last_failure: FailedReload | None = None

    def fail(self, generation: int, at: float, why: str) -> None:
        """A reload is given up."""
        self.failed += 1
        self.last_failure = FailedReload(generation, at, why)


@dataclass(slots=True)
class Roster:
    """All handles, and what the server is about."""

    plan: tuple[Seat, ...]
    """The seats that are to be filled, in the order in which they are."""
    mode: Mode = Mode.RUNNING
    generation: int = 0
    """The generation that serves; 0 before the first."""
    newest: int = 0
    """The highest generation number given to a zygote."""
    fingerprint: str = ""
    children: list[ChildHandle] = field(default_factory=list)
    zygotes: list[ZygoteHandle] = field(default_factory=list)
    history: dict[Seat, SeatHistory] = field(default_factory=dict)
    zygote_history: SeatHistory = field(default_factory=SeatHistory)
    reload_wanted: bool = False
    reloads: Reloads = field(default_factory=Reloads)
    outdated: dict[str, float] = field(default_factory=dict)
    """By kind: children born before then are to be replaced, with the code that is loaded."""
    programs: int = 0
    """How many programs beside the server still run that a stop waits for."""
    announced: int = 0
    """The last generation whose completeness was logged."""

    def seat_history(self, seat: Seat) -> SeatHistory:
        """Return a seat's history, which begins empty."""
        return self.history.setdefault(seat, SeatHistory())

    def child_by_pid(self, pid: int) -> ChildHandle | None:
        """Find a living child."""
        return next((c for c in self.children if c.pid == pid), None)

    def child_by_row(self, row: int) -> ChildHandle | None:
        """Find the child a scoreboard row belongs to."""
        return next((c for c in self.children if c.row == row), None)

    def zygote_by_pid(self, pid: int) -> ZygoteHandle | None:
        """Find a living zygote."""
        return next((z for z in self.zygotes if z.pid == pid), None)

    def current_zygote(self) -> ZygoteHandle | None:
        """Return the loaded zygote of the serving generation, if it lives."""
        return next(
            (
                z
                for z in self.zygotes
                if z.generation == self.generation and z.phase is ZygotePhase.READY
            ),
            None,
        )

    def loading_zygote(self) -> ZygoteHandle | None:
        """Return the zygote that is importing, if any."""
        return next((z for z in self.zygotes if z.phase is ZygotePhase.LOADING), None)

    def at(self, seat: Seat) -> Iterator[ChildHandle]:
        """Yield the children of one seat, old and new."""
        return (c for c in self.children if c.seat == seat)
