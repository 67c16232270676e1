"""The ledger: what a seat's children counted, the living one and all before it.

A child's own counts stand in its row on the scoreboard and go with it; the sums stay here.
It counts and decides nothing.

Runs in: the master.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from operator import add

from muleteer.ipc.scoreboard import LATENCIES, Row, Seat

__all__ = ["Account", "Ledger", "total"]

_NO_STATUSES = (0,) * 10
_NO_LATENCIES = (0,) * (len(LATENCIES) + 1)


@dataclass(slots=True)
class Account:
    """What was counted at one seat; only ever grows."""

    requests: int = 0
    tx: int = 0
    microseconds: int = 0
    exceptions: int = 0
    statuses: tuple[int, ...] = _NO_STATUSES
    latencies: tuple[int, ...] = _NO_LATENCIES
    signals: int = 0
    tasks: int = 0
    task_microseconds: int = 0
    failures: int = 0
    retries: int = 0
    buried: int = 0
    harakiris: int = 0
    """Children that were killed at their deadline; the master counts them."""

    def take(self, row: Row) -> None:
        """Add what a row says; once a row, when its child is dead."""
        for core in row.cores:
            self.requests += core.requests
            self.tx += core.tx
            self.microseconds += core.microseconds
            self.exceptions += core.exceptions
            self.statuses = tuple(map(add, self.statuses, core.statuses))
            self.latencies = tuple(map(add, self.latencies, core.latencies))
        self.signals += row.signals
        self.tasks += row.tasks
        self.task_microseconds += row.task_microseconds
        self.failures += row.failures
        self.retries += row.retries
        self.buried += row.buried

    def merge(self, other: Account) -> None:
        """Add another account."""
        for name in Account.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            both = tuple(map(add, mine, theirs)) if isinstance(mine, tuple) else mine + theirs
            setattr(self, name, both)


@dataclass(slots=True)
class Ledger:
    """The accounts of all seats."""

    past: defaultdict[Seat, Account] = field(default_factory=lambda: defaultdict(Account))
    """Of the dead."""

    def close(self, seat: Seat, row: Row) -> None:
        """A child is dead: keep what its row says, which is about to be given back."""
        self.past[seat].take(row)

    def note_harakiri(self, seat: Seat) -> None:
        """A child is killed at its deadline."""
        self.past[seat].harakiris += 1

    def account(self, seat: Seat, living: Iterable[Row]) -> Account:
        """Everything counted at a seat, by the dead and by those who live there now."""
        account = replace(self.past[seat])
        for row in living:
            account.take(row)
        return account


def total(accounts: Iterable[Account]) -> Account:
    """The sum of some accounts."""
    summed = Account()
    for account in accounts:
        summed.merge(account)
    return summed
