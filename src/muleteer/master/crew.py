"""The crew: which workers there are to be, from how busy they were. Pure: no process, no clock.

The options are uWSGI's: `cheaper`, `cheaper-initial`, `cheaper-step`, `cheaper-overload`, `cheap`,
`idle`.

Rules:
1. Load is what a worker did since the last look, not whether it is busy in the moment of looking.
2. The crew grows when every worker was busy all the time: after `overload` such looks, or at once
   when clients wait, too. It shrinks by one when the others had the time for its work, and some to
   spare, at `overload` looks in a row.
3. Only a worker that does nothing is let go, and never the last `least`, but for a rest.
4. A worker that is called for its signals stays until they are handled, and is no part of the
   crew's size: signals keep nobody from leaving.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LOOK_S", "Bounds", "Crew", "Load"]

LOOK_S = 1.0
"""Between two looks; uWSGI's master looks once a second, too."""
BUSY_SHARE = 0.9
"""A worker that was at work for this part of the time had none left for more."""
SPARE_SHARE = 0.75
"""With one worker less the others are to be busy for at most this part of the time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the options say."""

    most: int
    least: int
    initial: int
    step: int = 1
    overload: int = 3
    idle_s: float = 0.0
    """Without a request for so long all workers leave; 0: they never do."""

    @property
    def varies(self) -> bool:
        """Does the size ever change?"""
        return self.least < self.most or self.idle_s > 0


@dataclass(frozen=True, slots=True)
class Load:
    """What one worker that is ready did since the last look."""

    share: float
    """The part of the time in which it was at work, 0 to 1."""
    is_busy: bool
    """It is at work now."""
    signals: int = 0
    """How many signals wait for it."""

    @property
    def is_idle(self) -> bool:
        """Has it nothing to do, and nothing ahead?"""
        return not (self.is_busy or self.signals)


class Crew:
    """The numbers of the workers that are to be there."""

    def __init__(self, bounds: Bounds, now: float, *, rests: bool = False) -> None:
        self.bounds = bounds
        self.working: frozenset[int] = frozenset()
        """Those that serve."""
        self.called: frozenset[int] = frozenset()
        """Those that only handle a signal."""
        self.last_request = now
        self._overloaded = 0
        self._spared = 0
        if not rests:
            self.wake(now)

    @property
    def there(self) -> frozenset[int]:
        """Everyone who is to be there."""
        return self.working | self.called

    @property
    def is_watched(self) -> bool:
        """Is there anything that a look could change?"""
        return bool(self.called) or (self.bounds.varies and bool(self.working))

    # -- what happens ----------------------------------------------------------------------

    def wake(self, now: float) -> None:
        """Somebody came: the first workers are needed."""
        self.last_request = now
        self._grow_to(max(self.bounds.initial, self.bounds.least))

    def call(self, number: int) -> None:
        """Signals wait for a worker that is not there."""
        if number not in self.working:
            self.called |= {number}

    def follow(self, bounds: Bounds) -> None:
        """A reload may bring other bounds; a crew that rests goes on resting."""
        self.bounds = bounds
        if self.working:
            self._grow_to(bounds.least)
            self.working = frozenset(sorted(self.working)[: bounds.most])

    def more(self, count: int = 1) -> None:
        """Have so many workers more, as far as the bounds allow."""
        self._grow_to(min(len(self.working) + count, self.bounds.most))

    def rest(self) -> None:
        """Let everyone go who only waits for requests."""
        self.working = frozenset()
        self._overloaded = self._spared = 0

    def look(self, now: float, loads: Mapping[int, Load], queue: int, *, requests: bool) -> None:
        """Look at the load of those who are ready, by their numbers.

        `queue` clients wait to be accepted; `requests` says whether any was answered meanwhile.
        """
        self.called -= {n for n in self.called if n in loads and loads[n].is_idle}
        if requests or queue or any(load.is_busy for load in loads.values()):
            self.last_request = now
        mine = {n: loads[n] for n in self.working if n in loads}
        if self._is_idle(now, loads):
            self.rest()
        elif len(mine) == len(self.working):  # else somebody is on the way: wait and see
            self._look_for_more(mine, queue)
            self._look_for_less(mine, queue)

    # -- what it means -----------------------------------------------------------------------

    def _is_idle(self, now: float, loads: Mapping[int, Load]) -> bool:
        idle_s = self.bounds.idle_s
        nothing_waits = not any(load.signals for load in loads.values())
        return bool(idle_s) and nothing_waits and now - self.last_request >= idle_s

    def _look_for_more(self, mine: Mapping[int, Load], queue: int) -> None:
        full = bool(mine) and all(load.share >= BUSY_SHARE for load in mine.values())
        self._overloaded = self._overloaded + 1 if full else 0
        if full and (queue or self._overloaded >= self.bounds.overload):
            self._overloaded = 0
            self.more(self.bounds.step)

    def _look_for_less(self, mine: Mapping[int, Load], queue: int) -> None:
        others = len(mine) - 1
        spare = not queue and sum(load.share for load in mine.values()) <= SPARE_SHARE * others
        self._spared = self._spared + 1 if spare and len(mine) > self.bounds.least else 0
        idle = [n for n, load in mine.items() if load.is_idle]
        if self._spared >= self.bounds.overload and idle:
            self._spared = 0
            self.working -= {max(idle)}

    def _grow_to(self, size: int) -> None:
        absent = [n for n in range(1, self.bounds.most + 1) if n not in self.working]
        self.working |= set(absent[: max(0, size - len(self.working))])
        self.called -= self.working
