"""The ledger: a death loses no count."""

from __future__ import annotations

from muleteer.ipc.scoreboard import Row, Scoreboard, Seat
from muleteer.master.ledger import Account, Ledger, total

SEAT = Seat("worker", 1)


def a_row(board: Scoreboard, *, tx: int) -> Row:
    row = board.free_row()
    assert row is not None
    row.assign(SEAT, 1, 0)
    row.cores[0].count(tx=tx, seconds=0.002, failed=False, status=200)
    row.cores[1].count(tx=tx, seconds=90.0, failed=True, status=500)
    row.start_task(0.0, signum=7)
    row.end_task()
    row.start_task(0.0)
    row.note_failure()
    row.note_retry()
    row.note_burial()
    row.end_task()
    return row


def test_the_dead_and_the_living_are_counted_together() -> None:
    """What a child counted stays its seat's when its row is given back."""
    board, ledger = Scoreboard(rows=2, cores=2), Ledger()
    row = a_row(board, tx=10)
    ledger.close(SEAT, row)
    board.retire_row(row)
    account = ledger.account(SEAT, [a_row(board, tx=1)])
    assert (account.requests, account.tx, account.exceptions) == (4, 22, 2)
    assert account.microseconds == 2 * 90_002_000
    assert (account.statuses[2], account.statuses[5], sum(account.statuses)) == (2, 2, 4)
    assert (account.latencies[2], account.latencies[-1], sum(account.latencies)) == (2, 2, 4)
    assert (account.signals, account.tasks) == (2, 2)
    assert (account.failures, account.retries, account.buried) == (2, 2, 2)


def test_asking_changes_nothing() -> None:
    """The same question has the same answer."""
    board, ledger = Scoreboard(rows=1, cores=2), Ledger()
    row = a_row(board, tx=10)
    assert ledger.account(SEAT, [row]) == ledger.account(SEAT, [row])
    assert ledger.account(SEAT, []) == Account()


def test_harakiris_are_the_masters_to_count() -> None:
    """A child that is killed at its deadline counts nothing itself."""
    ledger = Ledger()
    ledger.note_harakiri(SEAT)
    ledger.note_harakiri(SEAT)
    assert ledger.account(SEAT, []).harakiris == 2


def test_a_total_is_the_sum_of_all() -> None:
    """Numbers and classes alike."""
    one = Account(requests=1, statuses=(1,) + (0,) * 9, harakiris=2)
    two = Account(requests=2, statuses=(1,) * 10, retries=3)
    summed = total([one, two])
    assert (summed.requests, summed.harakiris, summed.retries) == (3, 2, 3)
    assert summed.statuses == (2,) + (1,) * 9
    assert one.requests == 1
