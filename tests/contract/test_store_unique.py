"""What every store promises of unique tasks, parked ones and kept results; and what only files can.

The directory's are tried with processes that are killed between any two system calls.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import signal as unix_signals
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.spooling import claimed

from muleteer.spool import State, status
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.memory import MemoryStore
from muleteer.spool.store import UNIQUE, Outcome, Result, Store

FUTURE = 4_000_000_000.0


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    made: Store = MemoryStore() if request.param == "memory" else DirectoryStore(bytes(tmp_path))
    yield made
    made.close()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DirectoryStore]:
    """An empty directory."""
    made = DirectoryStore(bytes(tmp_path))
    yield made
    made.close()


def put(store: Store, key: bytes = b"k", n: bytes = b"1", **options: float) -> bytes:
    """Enqueue a task with a key."""
    return store.put({b"n": n, UNIQUE: key}, **options)  # type: ignore[arg-type]


def keys(store: DirectoryStore) -> list[str]:
    """The files of the keys."""
    try:
        return os.listdir(os.fsdecode(store.path) + "/unique")
    except FileNotFoundError:
        return []


# -- unique -----------------------------------------------------------------------------------


def test_second_put_of_a_waiting_task_is_the_first(store: Store) -> None:
    """Its path is returned, its vars and its time stay; another key is another task."""
    first = put(store, at=FUTURE)
    assert put(store, n=b"2") == first
    other = put(store, key=b"other")
    assert other != first
    assert len(store.jobs()) == 2
    task = claimed(store)
    assert task.path == other
    task = claimed(store, FUTURE + 1)
    assert (task.path, task.vars[b"n"]) == (first, b"1")


def test_key_is_not_among_the_vars(store: Store) -> None:
    """It is the server's own; no handler sees it."""
    put(store)
    task = claimed(store)
    assert UNIQUE not in task.vars
    assert task.notes == {UNIQUE: b"k"}


def test_put_while_the_task_runs_is_a_new_task(store: Store) -> None:
    """What it has read before may have changed."""
    first = put(store)
    running = claimed(store)
    second = put(store, n=b"2")
    assert second != first
    assert put(store, n=b"3") == second
    store.settle(running, Outcome.OK)
    assert put(store, n=b"4") == second
    assert claimed(store).path == second


def test_put_after_the_end_is_a_new_task(store: Store) -> None:
    """However it ended."""
    first = put(store)
    store.settle(claimed(store), Outcome.OK)
    second = put(store)
    store.bury(claimed(store), "why")
    third = put(store)
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.IGNORE, Outcome.ROUND])
def test_task_that_waits_to_be_tried_again_has_its_key(store: Store, outcome: Outcome) -> None:
    """Until it runs again."""
    first = put(store)
    store.settle(claimed(store), outcome, at=FUTURE)
    assert put(store) == first
    running = claimed(store, FUTURE + 1)
    assert put(store) != first
    store.settle(running, Outcome.OK)


def test_task_whose_process_died_has_its_key(store: Store) -> None:
    """It waits for its next run."""
    first = put(store)
    claimed(store)
    store.close()
    assert put(store) == first


def test_removed_task_gives_its_key_back(directory: DirectoryStore) -> None:
    """Whoever removed it."""
    first = put(directory)
    os.unlink(first)
    assert put(directory) != first


def test_no_key_is_left_behind(directory: DirectoryStore) -> None:
    """One key, one file; with the task it goes."""
    put(directory)
    put(directory)
    assert len(keys(directory)) == 1
    directory.settle(claimed(directory), Outcome.OK)
    put(directory)
    directory.bury(claimed(directory), "why")
    assert keys(directory) == []


def test_ended_task_leaves_the_key_of_its_successor(directory: DirectoryStore) -> None:
    """Put while the first one ran, it has the key now."""
    put(directory)
    running = claimed(directory)
    second = put(directory)
    directory.settle(running, Outcome.OK)
    assert len(keys(directory)) == 1
    assert put(directory) == second


def test_sweep_removes_keys_that_name_nothing(directory: DirectoryStore) -> None:
    """uWSGI's spooler runs such a task and knows nothing of its key; one that waits is kept."""
    gone, waits = put(directory, key=b"a"), put(directory, key=b"b")
    os.unlink(gone)
    assert len(keys(directory)) == 2
    assert directory.sweep(time.time()) > 0
    assert len(keys(directory)) == 1
    assert put(directory, key=b"b") == waits


def test_task_that_uwsgi_runs_is_running(directory: DirectoryStore) -> None:
    """Its spoolers mark nothing, and lock as POSIX has it."""
    first = put(directory)
    code = (
        "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,2); print(flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, first], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert status(first).state is State.RUNNING
        assert put(directory) != first
        other.communicate(b"\n")


def test_threads_that_put_at_once_make_one_task(directory: DirectoryStore) -> None:
    """Eight threads, a hundred keys: a hundred tasks, and all were told the same path."""
    told: dict[bytes, set[bytes]] = {b"%d" % n: set() for n in range(100)}

    def produce() -> None:
        mine = DirectoryStore(directory.path)
        for key, paths in told.items():
            paths.add(put(mine, key=key))
        mine.close()

    threads = [threading.Thread(target=produce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(paths) for paths in told.values()} == {1}
    assert len(directory.jobs()) == 100


CALLS = "open read pread pwrite write ftruncate fstat lstat stat rename utime mkdir close unlink"


def run_until_call(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that is SIGKILLed before its n-th system call; did it come to an end?

    Counted is whatever the store does with the file system, locks included.
    """
    child = os.fork()
    if child == 0:
        kill_before(number)
        work()
        os._exit(0)
    _, code = os.waitpid(child, 0)
    assert code in (0, unix_signals.SIGKILL)
    return code == 0


def kill_before(number: int) -> None:
    """Have this process die before its n-th system call from now on."""
    left = itertools.count(number, -1)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(left) <= 1:
                os.kill(os.getpid(), unix_signals.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in CALLS.split():
        setattr(os, name, counted(getattr(os, name)))
    fcntl.fcntl = counted(fcntl.fcntl)


def calls_of(work: Callable[[], object]) -> Iterator[int]:
    """Each number of a call before which the worker was killed, up to the one it does not make."""
    for number in range(1, 100):
        if run_until_call(number, work):
            assert number > 5
            return
        yield number
    raise AssertionError("it is never let through")


def test_producer_killed_at_any_call_wedges_no_key(directory: DirectoryStore) -> None:
    """There is one task or none; the next put works, and is the only one that waits."""
    for _ in calls_of(lambda: put(DirectoryStore(directory.path))):
        path = put(directory, n=b"2")
        assert put(directory) == path
        assert directory.jobs() == [path]
        directory.settle(claimed(directory), Outcome.OK)
        assert keys(directory) == []


def test_producer_killed_while_another_runs_wedges_no_key(directory: DirectoryStore) -> None:
    """The running task keeps running; of those that wait there is one."""
    first = put(directory)
    running = claimed(directory)
    for _ in calls_of(lambda: put(DirectoryStore(directory.path))):
        path = put(directory)
        assert put(directory) == path != first
        assert sorted(directory.jobs()) == sorted([first, path])
        os.unlink(path)
    directory.settle(running, Outcome.OK)


def test_spooler_killed_at_any_call_wedges_no_key(directory: DirectoryStore) -> None:
    """A task that ended is gone, one that did not has its key; the next put works."""

    def consume() -> None:
        store = DirectoryStore(directory.path)
        store.settle(claimed(store), Outcome.OK)

    path = put(directory)
    for _ in calls_of(consume):
        assert put(directory) in (path, *directory.jobs())
        assert len(directory.jobs()) == 1
        (path,) = directory.jobs()
    assert directory.jobs() == []
    assert keys(directory) == []


# -- parked -----------------------------------------------------------------------------------


def test_parked_task_is_claimed_after_unpark(store: Store) -> None:
    """Not before; it is as it was, and the others are not held up."""
    first, second = store.put({b"n": b"1"}), store.put({b"n": b"2"})
    store.park(claimed(store))
    task = claimed(store)
    assert task.path == second
    store.settle(task, Outcome.OK)
    assert store.claim(time.time() + 1) is None
    assert store.jobs() == [first]
    store.unpark(first)
    task = claimed(store)
    assert (task.path, task.attempts, task.died, task.last_error) == (first, 0, False, "")


def test_parked_task_is_free_for_others(directory: DirectoryStore) -> None:
    """Another spooler takes it at once; to who parked it, it is then nothing."""
    path = directory.put({})
    other = DirectoryStore(directory.path)
    directory.park(claimed(directory))
    assert status(path).state is State.WAITING
    task = claimed(other)
    assert (task.path, task.died) == (path, False)
    other.settle(task, Outcome.OK)
    directory.unpark(path)
    assert directory.claim(time.time() + 1) is None
    other.close()


def test_park_ends_a_claim_once(store: Store) -> None:
    """A second end of it does nothing."""
    store.put({})
    task = claimed(store)
    store.park(task)
    store.settle(task, Outcome.OK)
    store.park(task)
    assert store.jobs() == [task.path]


# -- results ----------------------------------------------------------------------------------


def kept_until(when: float, **fields: object) -> Result:
    """A result."""
    return Result(keep_until=when, function="shop.pay", **fields)  # type: ignore[arg-type]


def test_result_is_kept_for_its_time(directory: DirectoryStore) -> None:
    """`status` reads it until then; afterwards the sweep removes it."""
    path = directory.put({})
    result = kept_until(
        FUTURE, queued_at=1.0, started_at=2.0, ended_at=3.5, seconds=1.5, attempts=2, value=[1]
    )
    directory.settle(claimed(directory), Outcome.OK, result=result)
    seen = status(path)
    assert (seen.state, seen.function, seen.result) == (State.DONE, "shop.pay", [1])
    assert (seen.queued_at, seen.started_at, seen.ended_at, seen.seconds) == (1.0, 2.0, 3.5, 1.5)
    assert (seen.attempts, seen.last_error) == (2, "")
    directory.sweep(FUTURE - 1)
    assert status(path).state is State.DONE
    directory.sweep(FUTURE + 1)
    assert status(path).state is State.GONE
    assert os.listdir(directory.path + b"/done") == []


def test_result_that_had_its_time_is_gone_before_the_sweep(directory: DirectoryStore) -> None:
    """Its time is its time."""
    path = directory.put({})
    directory.settle(claimed(directory), Outcome.OK, result=kept_until(time.time() - 1))
    assert status(path).state is State.GONE


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "the object cannot be written as JSON"),
        (float("nan"), "the float cannot be written as JSON"),
        ({1: object}, "the dict cannot be written as JSON"),
        ("x" * (1 << 20), "the str has more than 1048576 bytes"),
    ],
)
def test_value_that_cannot_be_kept_says_so(
    directory: DirectoryStore, value: object, why: str
) -> None:
    """The rest of the result is kept all the same."""
    path = directory.put({})
    directory.settle(claimed(directory), Outcome.OK, result=kept_until(FUTURE, value=value))
    seen = status(path)
    assert (seen.state, seen.result) == (State.DONE, None)
    assert seen.last_error == f"the result is not kept: {why}"


def test_memory_keeps_results_until_swept() -> None:
    """As the directory does."""
    store = MemoryStore()
    path = store.put({})
    store.settle(claimed(store), Outcome.OK, result=kept_until(FUTURE))
    store.sweep(FUTURE - 1)
    assert path in store.done
    store.sweep(FUTURE + 1)
    assert store.done == {}


def test_only_an_ok_keeps_a_result(store: Store) -> None:
    """A task that comes again has none yet."""
    path = store.put({})
    store.settle(claimed(store), Outcome.RETRY, result=kept_until(FUTURE))
    kept = store.done if isinstance(store, MemoryStore) else status(path).state is State.DONE
    assert not kept


def test_sweep_leaves_a_result_that_is_being_written(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another spooler sweeps at that moment: the task ends, and its result is there."""
    path = directory.put({b"n": b"1"})
    task = claimed(directory)
    utime = os.utime

    def swept_first(*args: Any, **kwargs: Any) -> None:
        DirectoryStore(directory.path).sweep(time.time() + 1)
        utime(*args, **kwargs)

    monkeypatch.setattr(os, "utime", swept_first)
    directory.settle(task, Outcome.OK, result=kept_until(FUTURE))
    assert not os.path.exists(path)
    assert os.listdir(directory.path + b"/done") == [os.path.basename(path)]


def test_sweep_goes_on_in_slices(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, one call takes a moment only; in the end all are gone."""
    monkeypatch.setattr("muleteer.spool.sweeping._SLICE_S", 0.0)
    for _ in range(20):
        directory.put({})
        directory.settle(claimed(directory), Outcome.OK, result=kept_until(1.0))
    waits = [directory.sweep(2.0) for _ in range(21)]
    assert waits[0] < waits[-1]
    assert os.listdir(directory.path + b"/done") == []
