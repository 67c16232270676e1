"""The scoreboard: what is written in one place is read in another."""

from __future__ import annotations

import pytest

from muleteer.ipc.scoreboard import LATENCIES, Scoreboard, Seat, State


def board() -> Scoreboard:
    return Scoreboard(rows=4, cores=2)


def test_row_is_handed_out_and_given_back() -> None:
    """A row belongs to one child at a time; given back it is free again."""
    rows = board()
    row = rows.free_row()
    assert row is not None
    row.assign(Seat("spooler", 2), generation=3, respawns=1)
    assert (row.seat, row.generation, row.respawns, row.state) == (
        Seat("spooler", 2),
        3,
        1,
        State.FORKED,
    )
    assert rows.free_row() is not row
    rows.retire_row(row)
    assert rows.free_row() is row


def test_no_row_is_left_when_all_are_taken() -> None:
    """When every row has an owner there is none to hand out."""
    rows = board()
    for n in range(4):
        row = rows.free_row()
        assert row is not None
        row.assign(Seat("worker", n + 1), 1, 0)
    assert rows.free_row() is None


def test_requests_of_the_dead_stay_in_the_total() -> None:
    """A respawn loses no count."""
    rows = board()
    row = rows.rows[0]
    row.assign(Seat("worker", 1), 1, 0)
    for core in row.cores:
        core.count(tx=10, seconds=0.5, failed=False)
    assert rows.total_requests == 2
    rows.retire_row(row)
    assert rows.total_requests == 2
    row.assign(Seat("worker", 1), 1, 1)
    row.cores[0].count(tx=10, seconds=0.5, failed=True)
    assert rows.total_requests == 3


def test_core_counts_what_a_request_was() -> None:
    """Bytes, time and failures of a request are added up in its thread's cells."""
    core = board().rows[0].cores[1]
    core.count(tx=100, seconds=0.25, failed=True)
    core.count(tx=1, seconds=0.25, failed=False)
    assert (core.requests, core.tx, core.microseconds, core.exceptions) == (2, 101, 500_000, 1)


def test_a_request_s_own_deadline_ends_with_it() -> None:
    """Without a step of its own: it is looked at beside the request that it is of."""
    row = board().rows[1]
    core = row.cores[1]
    core.enter()
    core.set_user_deadline(40.0)
    assert list(row.deadlines) == [("set_user_harakiri", 40.0)]
    core.set_user_deadline(0.0)
    assert list(row.deadlines) == []
    core.set_user_deadline(40.0)
    core.leave()
    assert list(row.deadlines) == []
    core.enter()
    assert list(row.deadlines) == []


def test_deadlines_of_a_row_are_those_that_run() -> None:
    """A deadline is seen from its start to its end, and says what it is of."""
    row = board().rows[1]
    assert list(row.deadlines) == []
    row.cores[1].enter(deadline=50.0)
    row.set_user_deadline(40.0)
    row.start_task(60.0, signum=9)
    assert dict(row.deadlines) == {"set_user_harakiri": 40.0, "task": 60.0, "request": 50.0}
    assert row.busy
    assert row.current_signal == 9
    row.cores[1].leave()
    row.set_user_deadline(0.0)
    row.end_task()
    assert list(row.deadlines) == []
    assert not row.busy


def test_task_and_signal_are_counted_apart() -> None:
    """What ended was a spooled task or a signal handler, and is counted as that."""
    row = board().rows[0]
    row.start_task(0.0)
    row.end_task()
    row.start_task(0.0, signum=0)
    row.end_task()
    row.start_task(0.0, signum=300)
    row.end_task()
    assert (row.tasks, row.signals) == (1, 2)


def test_rows_do_not_touch_each_other() -> None:
    """Writing one row changes no cell of its neighbours."""
    rows = board()
    rows.rows[1].assign(Seat("mule", 7), 9, 9)
    for core in rows.rows[1].cores:
        core.enter(1.0)
        core.count(tx=1, seconds=1, failed=True)
    assert rows.rows[0].state is State.EMPTY
    assert rows.rows[2].state is State.EMPTY
    assert not rows.rows[0].busy
    assert not rows.rows[2].busy


def test_taken_rows_come_by_seat() -> None:
    """The living are listed in the order of their seats, one kind or all."""
    rows = board()
    for row, seat in zip(
        rows.rows, [Seat("worker", 2), Seat("spooler", 1), Seat("worker", 1)], strict=False
    ):
        row.assign(seat, 1, 0)
    assert [r.seat.id for r in rows.taken("worker")] == [1, 2]
    assert len(rows.taken()) == 3


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(0.0, 0), (0.0005, 0), (0.0006, 1), (0.2, 8), (60.0, 15), (61.0, 16), (1e9, 16)],
)
def test_a_request_is_counted_by_its_time(seconds: float, place: int) -> None:
    """A class has all requests up to its bound, as Prometheus's `le`; the last has the rest."""
    core = board().rows[1].cores[1]
    core.count(tx=1, seconds=seconds, failed=False)
    assert core.latencies == [int(n == place) for n in range(len(LATENCIES) + 1)]


@pytest.mark.parametrize("status", [0, 100, 204, 302, 404, 503, 999])
def test_a_request_is_counted_by_its_status(status: int) -> None:
    """The first digit is its class; an answer that never was is a 0."""
    core = board().rows[1].cores[0]
    core.count(tx=1, seconds=0.1, failed=False, status=status)
    assert core.statuses == [int(n == status // 100) for n in range(10)]


def test_counting_stays_in_its_own_cells() -> None:
    """A full row touches neither the next thread's cells nor the next child's."""
    rows = board()
    first, second = rows.rows[0], rows.rows[1]
    second.assign(Seat("mule", 1), 1, 0)
    for core in first.cores:
        core.count(tx=1, seconds=1e9, failed=True, status=999)
    assert [core.requests for core in first.cores] == [1, 1]
    assert first.doing == ""
    assert (second.requests, second.seat, second.state) == (0, Seat("mule", 1), State.FORKED)


def test_a_row_says_what_runs() -> None:
    """A task in its own words, a signal by its number and its handler's name."""
    row = board().rows[0]
    row.assign(Seat("mule", 1), 1, 0)
    for signum, words, shown in [
        (-1, b"task x", "task x"),
        (-1, b"", "something"),
        (300, b"app.tick", "signal 300 (app.tick)"),
        (7, b"", "signal 7"),
        (7, b"x" * 500, f"signal 7 ({'x' * 128})"),
    ]:
        row.start_task(0.0, signum, words)
        assert row.doing == shown
        row.end_task()
        assert row.doing == ""


def test_a_row_says_which_signals_are_held() -> None:
    """Zero is a number, too; those beyond the eighth are left out, and nothing else is touched."""
    rows = board()
    row = rows.rows[0]
    row.assign(Seat("worker", 1), 1, 0)
    row.start_task(0.0, doing=b"x" * 500)
    assert row.held == []
    for held in ([0, 7], [], list(range(9)), [1 << 40]):
        row.note_held(held)
        assert row.held == held[:8]
    assert row.doing == "x" * 128
    assert [core.requests for core in row.cores] == [0, 0]


def test_a_row_counts_what_became_of_its_tasks() -> None:
    """Failures, retries, burials and the time of all runs are its owner's to note."""
    row = board().rows[0]
    row.assign(Seat("spooler", 1), 1, 0)
    assert row.running_since == 0.0
    row.start_task(0.0, doing=b"t")
    assert row.running_since > 0.0
    row.note_failure()
    row.note_retry()
    row.end_task()
    row.note_burial()
    assert (row.tasks, row.failures, row.retries, row.buried) == (1, 1, 1, 1)
    assert row.task_microseconds >= 0
    assert row.running_since == 0.0


def test_a_spool_directory_is_counted_or_not_known() -> None:
    """Zero tasks is a count; before the first one there is none."""
    rows = Scoreboard(rows=1, cores=1, spools=2)
    assert rows.spool(0) is None
    rows.note_spool(0, 0, 0)
    rows.note_spool(1, 5, 2)
    assert (rows.spool(0), rows.spool(1)) == ((0, 0), (5, 2))
