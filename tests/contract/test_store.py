"""One suite over every store: what spool/store.py promises.

The directory is tried with inotify and without it; what only files can show is in
test_store_directory.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.spooling import drained, later

from muleteer.errors import BadTask, SpoolError
from muleteer.spool import arrivals
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.memory import MemoryStore
from muleteer.spool.store import Outcome, Store

FUTURE = 4_000_000_000.0


@pytest.fixture(params=["memory", "directory", "directory-without-inotify"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """An empty store of each kind."""
    made: Store
    if request.param == "memory":
        made = MemoryStore()
    else:
        if request.param.endswith("without-inotify"):
            monkeypatch.setattr(arrivals, "_libc", None)
        made = DirectoryStore(bytes(tmp_path))
    yield made
    made.close()


def test_a_task_comes_back_as_it_was_put(store: Store) -> None:
    """Path, vars and body of a claimed task are those of its `put`."""
    path = store.put({b"a": b"b", b"empty": b""}, b"the body \x00\xff")
    task = store.claim(later())
    assert task is not None
    assert (task.path, task.body) == (path, b"the body \x00\xff")
    assert dict(task.vars) == {b"a": b"b", b"empty": b""}
    assert (task.attempts, task.last_error) == (0, "")
    assert path.endswith(b"/" + task.name)


def test_the_enqueue_time_is_kept(store: Store) -> None:
    """A task knows when it was put, also after a retry."""
    before = time.time()
    store.put({b"n": b"1"})
    after = time.time()
    task = store.claim(later())
    assert task is not None
    store.settle(task, Outcome.RETRY)
    again = store.claim(later())
    assert again is not None
    assert again.queued_at == pytest.approx(task.queued_at, abs=1e-5)
    assert before - 0.001 <= task.queued_at <= after


def test_values_of_any_size_are_kept(store: Store) -> None:
    """A var of a megabyte is a var like any other."""
    big = bytes(range(256)) * 4096
    store.put({b"n": b"1", b"big": big}, b"body")
    task = store.claim(later())
    assert task is not None
    assert (task.vars[b"big"], task.body) == (big, b"body")


def test_tasks_run_in_the_order_of_their_enqueue(store: Store) -> None:
    """First in, first out."""
    wanted = [b"%d" % n for n in range(50)]
    for n in wanted:
        store.put({b"n": n})
    assert drained(store, later()) == wanted


def test_priorities_run_first_and_by_number(store: Store) -> None:
    """1 before 2 before 10 before a task without a priority."""
    for priority in (None, b"10", b"2", b"1", None):
        store.put({b"n": priority or b"none"}, priority=priority)
    assert drained(store, later()) == [b"1", b"2", b"10", b"none", b"none"]


def test_a_priority_may_be_a_var(store: Store) -> None:
    """The var `priority` counts as the argument does, and reaches the handler."""
    store.put({b"n": b"last"})
    store.put({b"n": b"first", b"priority": b"5"})
    task = store.claim(later())
    assert task is not None
    assert dict(task.vars) == {b"n": b"first", b"priority": b"5"}


@pytest.mark.parametrize("priority", [b"", b"../../etc", b"high", b"-1", b"1/2", b".", b"9" * 30])
def test_a_priority_that_would_never_run_is_refused(store: Store, priority: bytes) -> None:
    """Anything but a number is an error at the call, which names it; nothing is kept."""
    with pytest.raises(BadTask, match="priority"):
        store.put({b"n": b"1"}, priority=priority)
    with pytest.raises(BadTask, match="priority"):
        store.put({b"n": b"1", b"priority": priority})
    assert store.jobs() == []


def test_a_delayed_task_waits_for_its_time(store: Store) -> None:
    """Before `at` a task cannot be claimed, from then on it can."""
    store.put({b"n": b"1"}, at=FUTURE)
    assert store.claim(FUTURE - 0.5) is None
    assert store.next_due() == FUTURE
    assert drained(store, FUTURE) == [b"1"]


def test_a_delay_may_be_a_var(store: Store) -> None:
    """The var `at` counts as the argument does; the argument becomes that var."""
    store.put({b"n": b"1", b"at": b"%d" % FUTURE})
    store.put({b"n": b"2"}, at=FUTURE)
    assert store.claim(FUTURE - 1) is None
    for _ in range(2):
        task = store.claim(FUTURE)
        assert task is not None
        assert task.vars[b"at"] == b"4000000000"


@pytest.mark.parametrize("at", [b"", b"soon", b"nan", b"inf", b"-5", b"1e30"])
def test_a_time_that_never_comes_is_refused(store: Store, at: bytes) -> None:
    """An `at` that is no unix time is an error at the call."""
    with pytest.raises(BadTask, match="at = "):
        store.put({b"at": at})
    assert store.jobs() == []


def test_a_time_in_the_past_means_now(store: Store) -> None:
    """A task for yesterday runs at once."""
    store.put({b"n": b"1"}, at=1_000_000_000)
    assert drained(store, time.time()) == [b"1"]


def test_delayed_tasks_do_not_hold_up_the_others(store: Store) -> None:
    """What is due runs, whatever waits before it."""
    store.put({b"n": b"later"}, at=FUTURE)
    store.put({b"n": b"now"})
    assert drained(store, later()) == [b"now"]
    assert drained(store, FUTURE) == [b"later"]


def test_an_empty_key_is_refused_by_name(store: Store) -> None:
    """The task that uWSGI would lose is an error at the call."""
    with pytest.raises(SpoolError, match="b''"):
        store.put({b"": b"x"})
    assert store.jobs() == []


def test_a_claimed_task_is_not_given_twice(store: Store) -> None:
    """Until it is settled a task is its claimer's."""
    store.put({b"n": b"1"})
    assert store.claim(later()) is not None
    assert store.claim(later()) is None


def test_ok_ends_a_task(store: Store) -> None:
    """After OK there is no such task."""
    path = store.put({b"n": b"1"})
    assert drained(store, later()) == [b"1"]
    assert store.jobs() == []
    assert store.get_task(path) is None
    assert store.next_due() is None


def test_retry_keeps_a_task_and_counts(store: Store) -> None:
    """After RETRY the same task comes again, with one attempt more and the error."""
    path = store.put({b"n": b"1"}, b"body")
    for attempts in range(3):
        task = store.claim(later())
        assert task is not None
        assert (task.path, task.attempts, task.body) == (path, attempts, b"body")
        store.settle(task, Outcome.RETRY, error=f"error {attempts}")
    task = store.claim(later())
    assert task is not None
    assert task.last_error == "error 2"
    assert dict(task.vars) == {b"n": b"1"}


def test_a_round_keeps_a_task_and_forgets_its_failures(store: Store) -> None:
    """After ROUND the same task comes again at its time, as if it had never failed."""
    store.put({b"n": b"1"}, b"body")
    for outcome in (Outcome.RETRY, Outcome.ROUND, Outcome.ROUND):
        task = store.claim(later())
        assert task is not None
        store.settle(task, outcome, error="no" if outcome is Outcome.RETRY else "")
    task = store.claim(later())
    assert task is not None
    assert (task.attempts, task.last_error, task.body) == (0, "", b"body")
    store.settle(task, Outcome.ROUND, at=FUTURE)
    assert (store.claim(FUTURE - 1), store.next_due()) == (None, FUTURE)


def test_notes_stay_with_a_task_and_are_no_vars(store: Store) -> None:
    """What the server wrote beside the vars outlives retries and is seen by no handler."""
    store.put({b"n": b"1", b"muleteer_note": b"of ours"})
    for outcome in (Outcome.RETRY, Outcome.ROUND, Outcome.IGNORE):
        task = store.claim(later())
        assert task is not None
        assert dict(task.vars) == {b"n": b"1"}
        assert dict(task.notes) == {b"muleteer_note": b"of ours"}
        assert task.seen() == {"spooler_task_name": task.name, b"n": b"1"}
        store.settle(task, outcome)


def test_ignore_keeps_a_task_and_counts_nothing(store: Store) -> None:
    """After IGNORE the same task comes again as it was."""
    store.put({b"n": b"1"})
    task = store.claim(later())
    assert task is not None
    store.settle(task, Outcome.IGNORE)
    assert store.claim(later()) == task


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.IGNORE])
def test_a_kept_task_waits_until_it_is_told(store: Store, outcome: Outcome) -> None:
    """`at` of `settle` is when a kept task is due again."""
    store.put({b"n": b"1"})
    task = store.claim(later())
    assert task is not None
    store.settle(task, outcome, at=FUTURE)
    assert store.claim(FUTURE - 1) is None
    assert store.next_due() == FUTURE
    assert drained(store, FUTURE) == [b"1"]


def test_settling_twice_is_settling_once(store: Store) -> None:
    """A second end of one claim does nothing."""
    path = store.put({b"n": b"1"})
    task = store.claim(later())
    assert task is not None
    store.settle(task, Outcome.RETRY)
    store.settle(task, Outcome.OK)
    store.bury(task, "no")
    assert store.jobs() == [path]


def test_a_buried_task_is_gone_for_claimers(store: Store) -> None:
    """The dead are neither claimed nor listed."""
    path = store.put({b"n": b"1"})
    task = store.claim(later())
    assert task is not None
    store.bury(task, "three attempts failed")
    assert store.claim(FUTURE) is None
    assert (store.jobs(), store.get_task(path)) == ([], None)


def test_jobs_lists_in_the_order_of_running(store: Store) -> None:
    """Waiting, delayed and claimed tasks are all jobs; priorities are among them."""
    last = store.put({b"n": b"1"}, at=FUTURE)
    first = store.put({b"n": b"2"}, priority=b"3")
    assert store.jobs() == [first, last]
    assert store.claim(later()) is not None
    assert store.jobs() == [first, last]


def test_get_task_looks_and_changes_nothing(store: Store) -> None:
    """A waiting task can be read any number of times before it is claimed."""
    path = store.put({b"n": b"1"}, b"body")
    for _ in range(2):
        task = store.get_task(path)
        assert task is not None
        assert (dict(task.vars), task.body, task.path) == ({b"n": b"1"}, b"body", path)
    assert drained(store, later()) == [b"1"]


def test_get_task_of_nothing_is_none(store: Store) -> None:
    """A path that leads nowhere has no task."""
    assert store.get_task(b"uwsgi_spoolfile_on_nowhere") is None


def test_a_task_that_arrives_later_is_found(store: Store) -> None:
    """An idle consumer's next claim sees what was put since the last."""
    assert store.claim(later()) is None
    store.put({b"n": b"1"})
    assert drained(store, later()) == [b"1"]
    store.put({b"n": b"2"}, priority=b"7")
    assert drained(store, later()) == [b"2"]


def test_rescan_brings_an_urgent_task_forward(store: Store) -> None:
    """After a rescan a new task of a lower number runs before older ones."""
    store.put({b"n": b"old 1"}, priority=b"2")
    store.put({b"n": b"old 2"}, priority=b"2")
    task = store.claim(later())
    assert task is not None
    store.put({b"n": b"urgent"}, priority=b"1")
    store.rescan()
    assert drained(store, later()) == [b"urgent", b"old 2"]


def test_next_due_is_past_while_something_is_ready(store: Store) -> None:
    """A ready task makes `next_due` a time that has come; an empty store has none."""
    assert store.claim(later()) is None
    assert store.next_due() is None
    store.put({b"n": b"1"})
    store.rescan()
    due = store.next_due()
    assert due is not None
    assert due <= later()


def test_close_gives_back_what_was_claimed(store: Store) -> None:
    """After close the claims are over, and closing again is safe.

    Whoever claims such a task next knows that its run was cut short, until it is settled.
    """
    store.put({b"n": b"1"})
    assert store.claim(later()) is not None
    for _ in range(2):
        store.close()
        store.close()
        again = store.claim(later())
        assert again is not None
        assert (again.died, again.attempts) == (True, 0)
    store.settle(again, Outcome.RETRY, error="it died")
    counted = store.claim(later())
    assert counted is not None
    assert (counted.died, counted.attempts, counted.last_error) == (False, 1, "it died")
