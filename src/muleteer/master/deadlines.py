"""Deadlines: whose time is over, and when to look again.

A child over its deadline is first asked for the Python stacks of its threads, and killed a moment
later if what ran too long still runs.  The children write their deadlines on the scoreboard.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from muleteer.ipc.scoreboard import Scoreboard
from muleteer.master.roster import ChildHandle, Phase

__all__ = ["Deadlines", "Overdue", "Step"]

LAST_WORDS_S = 0.5
"""Between asking for the stacks and the kill: writing them takes a few milliseconds."""

_FAR = 1e9


class Step(Enum):
    """What is done to a child over its deadline, one after the other."""

    RAISE = "raise"
    """An exception is raised in what runs too long, if that is asked for."""
    STACKS = "stacks"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Overdue:
    """A child whose time is over, and what is to be done to it now."""

    child: ChildHandle
    what: str
    late_s: float
    step: Step


class Deadlines:
    """The deadlines of all children, as the scoreboard has them."""

    def __init__(self, scoreboard: Scoreboard) -> None:
        self._board = scoreboard
        self._doomed: dict[tuple[int, float], tuple[Step, float]] = {}
        """By row and deadline, for a process has several threads: the next step, and when."""

    def next_check(self, limits: Iterable[float | None], now: float) -> float | None:
        """When a deadline may pass: the earliest that runs, or one that could be set right now.

        A child that sets a sooner one than that rings the master (`Runtime.begin`).
        """
        times = [when for row in self._board.taken() for _, when in row.deadlines]
        times += [now + limit for limit in limits if limit]
        times += (when for _, when in self._doomed.values())
        soonest = min((when for when in times if when > now), default=None)
        self._board.next_check = now + _FAR if soonest is None else soonest
        return soonest

    def overdue(
        self, children: Iterable[ChildHandle], now: float, graceful_s: float = 0.0
    ) -> Iterator[Overdue]:
        """Yield what is to be done to children over their deadline, each step once.

        With `graceful_s` an exception is raised that long before the stacks and the kill.
        """
        known, self._doomed = self._doomed, {}
        for child in children:
            if child.phase is Phase.KILLED:
                continue
            for what, deadline in self._board.rows[child.row].deadlines:
                if deadline > now:
                    continue
                first = Step.RAISE if graceful_s else Step.STACKS
                step, when = known.get((child.row, deadline), (first, now))
                self._doomed[child.row, deadline] = (step, when)
                if now >= when:
                    self._doomed[child.row, deadline] = _following(step, now, graceful_s)
                    yield Overdue(child, what, now - deadline, step)
                if step is Step.KILL and now >= when:
                    break  # the whole process goes


def _following(step: Step, now: float, graceful_s: float) -> tuple[Step, float]:
    if step is Step.RAISE:
        return Step.STACKS, now + graceful_s
    return Step.KILL, now + LAST_WORDS_S
