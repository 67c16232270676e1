"""Deadlines: whose time is over, and when to look again.

A child over its deadline is first asked for the Python stacks of its threads, and killed a moment
later if what ran too long still runs.  The children write their deadlines on the scoreboard.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from muleteer.ipc.scoreboard import Row, Scoreboard
from muleteer.master.roster import ChildHandle, Phase

__all__ = ["Deadlines", "Overdue"]

LAST_WORDS_S = 0.2
"""Between asking for the stacks and the kill: writing them takes a few milliseconds."""

_FAR = 1e9


@dataclass(frozen=True, slots=True)
class Overdue:
    """A child whose time is over: ask it for its stacks, or kill it."""

    child: ChildHandle
    what: str
    late_s: float
    kill: bool


class Deadlines:
    """The deadlines of all children, as the scoreboard has them."""

    def __init__(self, scoreboard: Scoreboard) -> None:
        self._board = scoreboard
        self._doomed: dict[int, float] = {}

    def next_check(self, limits: Iterable[float | None], now: float) -> float | None:
        """When a deadline may pass: the earliest that runs, or one that could be set right now.

        A child that sets a sooner one than that rings the master (`Runtime.begin`).
        """
        times = [when for row in self._board.taken() for _, when in row.deadlines]
        times += [now + limit for limit in limits if limit]
        times += self._doomed.values()
        soonest = min((when for when in times if when > now), default=None)
        self._board.next_check = now + _FAR if soonest is None else soonest
        return soonest

    def overdue(self, children: Iterable[ChildHandle], now: float) -> Iterator[Overdue]:
        """Yield what is to be done to children over their deadline, each step once."""
        for child in children:
            late = self._late(self._board.rows[child.row], now)
            if child.phase is Phase.KILLED or late is None:
                self._doomed.pop(child.row, None)
                continue
            what, late_s = late
            kill_at = self._doomed.get(child.row)
            if kill_at is None:
                self._doomed[child.row] = now + LAST_WORDS_S
                yield Overdue(child, what, late_s, kill=False)
            elif now >= kill_at:
                del self._doomed[child.row]
                yield Overdue(child, what, late_s, kill=True)

    def _late(self, row: Row, now: float) -> tuple[str, float] | None:
        late = [(when, what) for what, when in row.deadlines if when <= now]
        if not late:
            return None
        when, what = min(late)
        return what, now - when
