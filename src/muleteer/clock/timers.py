"""The clock: which timers, rb-timers and cron jobs are due, and when the next one is.

Not here: pipes and processes. Times are handed in; what is due is handed back, as numbers.
Runs in: the master.

Rules
1. A timer keeps its grid: first shot one period after it was added, then every period from
   there. Ticks that were missed become one.
2. A cron job fires at second 0 of a minute that begins after it was added, never at once.
3. A cron job that is late by up to three hours (the clock was set forward, the machine slept, the
   master was stopped) fires once; one that is later is missed, and `take_missed` tells of it.
   These are the hours of Debian's cron.  A job that catches up is never too late: it fires once
   for all it missed, even while there was no clock at all (`add` is told of its last run).
4. When the clock is set back by a minute or more, jobs with wildcards follow the wall again; a
   job at a fixed time does not fire twice, unless it is set back by three hours or more.
5. `replace` is a reload: an entry that stays keeps its phase; a timer that counts its shots
   (an rb-timer with iterations) begins anew.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from math import inf, isfinite, nextafter
from types import MappingProxyType
from typing import ClassVar, Final, Generic, TypeVar

from muleteer.clock.cron import CronSpec
from muleteer.clock.crontab import CrontabSpec

__all__ = ["Clock", "Cron", "Due", "Entry", "Timer"]

_LATEST_S: Final = 3 * 3600.0
_SET_BACK_S: Final = 60.0
_LOOK_AGAIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Timer:
    """A signal every `period` seconds, for ever or `iterations` times (an rb-timer's)."""

    signum: int
    target: str | None
    period: float
    iterations: int = 0
    skips: bool = False
    """No shot while the handler of the last one runs; the clock only says so."""

    kind: ClassVar[str] = "timer"

    @property
    def words(self) -> str:
        """When it fires, for people."""
        return f"every {self.period:g} s"

    def __post_init__(self) -> None:
        if not (isfinite(self.period) and self.period > 0):
            raise ValueError(f"timer {self.signum}: {self.period} seconds is no period; above 0 is")
        if self.iterations < 0:
            raise ValueError(f"timer {self.signum}: {self.iterations} iterations; 0 is for ever")


@dataclass(frozen=True, slots=True)
class Cron:
    """A signal at every minute that `spec` matches, on the wall of `zone` (None: the server's)."""

    signum: int
    target: str | None
    spec: CronSpec | CrontabSpec
    zone: tzinfo | None = None
    skips: bool = False
    catches_up: bool = False

    kind: ClassVar[str] = "cron"

    @property
    def words(self) -> str:
        """When it fires, for people."""
        return str(self.spec) if self.zone is None else f"{self.spec} ({self.zone})"


Entry = Timer | Cron


@dataclass(frozen=True, slots=True)
class Due:
    """One signal to raise now; a target of None is the one the signal was registered with."""

    signum: int
    target: str | None
    late_s: float = 0.0
    entry: Entry | None = field(default=None, compare=False, repr=False)


_E = TypeVar("_E", Timer, Cron)


@dataclass(slots=True)
class _Armed(Generic[_E]):
    """An entry and its next shot: monotonic for a timer, wall time for a cron job."""

    entry: _E
    when: float
    shots_left: int = 0


_Heap = list[tuple[float, int, _Armed[_E]]]


class Clock:
    """The timers and cron jobs of one server. `now` is monotonic, `now_wall` is wall time."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._order = itertools.count()
        self._timers: _Heap[Timer] = []
        self._crons: _Heap[Cron] = []
        self._missed: list[Due] = []
        self._wall_ahead: float | None = None

    @property
    def entries(self) -> list[Entry]:
        """All that may still fire, in the order of their next shots, timers first."""
        timers: list[Entry] = [armed.entry for *_, armed in sorted(self._timers)]
        return timers + [armed.entry for *_, armed in sorted(self._crons)]

    def add(self, entry: Entry, now: float, now_wall: float, last_run: float | None = None) -> None:
        """An entry, first due after now; a cron job that catches up, after its last run."""
        if isinstance(entry, Timer):
            self._arm_timer(entry, now)
        else:
            since = last_run if entry.catches_up and last_run is not None else now_wall
            self._arm_cron(entry, min(since, now_wall))

    def add_timer(
        self, signum: int, target: str | None, period: float, now: float, *, iterations: int = 0
    ) -> None:
        """A timer, first due one period from now."""
        self._arm_timer(Timer(signum, target, period, iterations), now)

    def add_cron(self, signum: int, target: str | None, spec: CronSpec, now_wall: float) -> None:
        """A cron job, first due in the next minute that matches."""
        self._arm_cron(Cron(signum, target, spec), now_wall)

    def replace(
        self,
        entries: Iterable[Entry],
        now: float,
        now_wall: float,
        last_runs: Mapping[Entry, float] = MappingProxyType({}),
    ) -> None:
        """Have exactly these entries; those that were there already do not notice."""
        timers, crons = _by_entry(self._timers), _by_entry(self._crons)
        self._timers, self._crons = [], []
        for entry in entries:
            if isinstance(entry, Cron):
                if crons[entry]:
                    self._push(self._crons, crons[entry].pop())
                else:
                    self.add(entry, now, now_wall, last_runs.get(entry))
            elif timers[entry] and not entry.iterations:
                self._push(self._timers, timers[entry].pop())
            else:
                self._arm_timer(entry, now)

    def due(self, now: float, now_wall: float) -> list[Due]:
        """What is to be raised now, each entry at most once, and all of it re-armed."""
        self._follow_the_wall(now, now_wall)
        return self._due_timers(now) + self._due_crons(now_wall)

    def next_due(self, now: float, now_wall: float) -> float | None:
        """The monotonic time at which to call `due` again; None: when an entry is added.

        With a cron job there it is never more than a minute away: the wall clock may be set.
        """
        times = [self._timers[0][0]] if self._timers else []
        if self._crons:
            times.append(now + min(self._crons[0][0] - now_wall, _LOOK_AGAIN_S))
        return min(times, default=None)

    def schedule(self, now: float, now_wall: float) -> list[tuple[Entry, float]]:
        """Every entry and the wall time of its next shot, timers first."""
        timers = [(a.entry, now_wall + a.when - now) for *_, a in sorted(self._timers)]
        crons = [(a.entry, a.when) for *_, a in sorted(self._crons)]
        return [*timers, *crons]

    def take_missed(self) -> list[Due]:
        """The cron jobs that were passed over since the last call, for the log."""
        missed, self._missed = self._missed, []
        return missed

    # -- timers --------------------------------------------------------------------------

    def _arm_timer(self, timer: Timer, now: float) -> None:
        self._push(self._timers, _Armed(timer, now + timer.period, timer.iterations))

    def _due_timers(self, now: float) -> list[Due]:
        fired = []
        while self._timers and self._timers[0][0] <= now:
            _, _, armed = heapq.heappop(self._timers)
            timer = armed.entry
            fired.append(Due(timer.signum, timer.target, now - armed.when, timer))
            armed.shots_left -= 1
            if armed.shots_left != 0:
                armed.when = _next_on_grid(armed.when, timer.period, now)
                self._push(self._timers, armed)
        return fired

    # -- cron jobs -----------------------------------------------------------------------

    def _arm_cron(self, cron: Cron, now_wall: float) -> None:
        zone = cron.zone or self._zone
        following = cron.spec.next_after(datetime.fromtimestamp(now_wall, zone))
        if following is not None:
            self._push(self._crons, _Armed(cron, following.timestamp()))

    def _due_crons(self, now_wall: float) -> list[Due]:
        fired: list[Due] = []
        while self._crons and self._crons[0][0] <= now_wall:
            _, _, armed = heapq.heappop(self._crons)
            cron = armed.entry
            due = Due(cron.signum, cron.target, now_wall - armed.when, cron)
            in_time = cron.catches_up or due.late_s <= _LATEST_S
            (fired if in_time else self._missed).append(due)
            self._arm_cron(cron, now_wall)
        return fired

    def _follow_the_wall(self, now: float, now_wall: float) -> None:
        """Notice that the wall clock was set back, and arm again what must follow it."""
        ahead = now_wall - now
        set_back_s = 0.0 if self._wall_ahead is None else self._wall_ahead - ahead
        self._wall_ahead = ahead
        if set_back_s < _SET_BACK_S:
            return
        crons, self._crons = self._crons, []
        for _, _, armed in crons:
            if armed.entry.spec.is_fixed_time and set_back_s < _LATEST_S:
                self._push(self._crons, armed)
            else:
                self._arm_cron(armed.entry, now_wall)

    def _push(self, heap: _Heap[_E], armed: _Armed[_E]) -> None:
        heapq.heappush(heap, (armed.when, next(self._order), armed))


def _by_entry(heap: _Heap[_E]) -> defaultdict[_E, list[_Armed[_E]]]:
    """What is armed for each entry, the next shot last."""
    found: defaultdict[_E, list[_Armed[_E]]] = defaultdict(list)
    for _, _, armed in sorted(heap, reverse=True):
        found[armed.entry].append(armed)
    return found


def _next_on_grid(when: float, period: float, now: float) -> float:
    """The first point of the grid through `when` that lies after `now`."""
    following = when + period * ((now - when) // period + 1)
    # Rounding may leave it at `now`; then the loop that asks would never end.
    return max(following, nextafter(now, inf))
