"""ipc/locks.py: one suite over both engines, with real processes that hold, wait and die."""

from __future__ import annotations

import logging
import mmap
import os
import signal as unix_signals
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from muleteer.errors import LockError
from muleteer.ipc.locks import FileLocks, LockEngine, LockTable, RobustMutexes

ENGINES: list[Callable[[int], LockEngine]] = [FileLocks]
if sys.platform.startswith("linux"):
    ENGINES.insert(0, RobustMutexes)


class Child:
    """A forked process that does one thing, says so, and waits for its end."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                answer = do()
                os.write(tell, repr(answer).encode())
                os.close(tell)
                while True:
                    unix_signals.pause()
            finally:
                os._exit(code)
        os.close(tell)

    def answer(self) -> str:
        """What it did; blocks until it did it, or ended."""
        return os.read(self._told, 4096).decode()

    def kill(self) -> None:
        """End it the hard way; the kernel has cleaned up when this returns."""
        if self.pid:
            os.kill(self.pid, unix_signals.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._told)
            self.pid = 0


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def table(request: pytest.FixtureRequest) -> LockTable:
    """The locks 0 to 2."""
    return LockTable(2, request.param(3))


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[], object]], Child]]:
    """Start children; none outlives the test."""
    children: list[Child] = []

    def start(do: Callable[[], object]) -> Child:
        children.append(Child(do))
        return children[-1]

    yield start
    for child in children:
        child.kill()


Fork = Callable[[Callable[[], object]], Child]


def test_a_lock_is_free_held_and_free_again(table: LockTable) -> None:
    """And its owner is this process meanwhile."""
    assert (table.is_locked(0), table.owner(0)) == (False, 0)
    assert table.acquire(0) is True
    assert (table.is_locked(0), table.owner(0)) == (True, os.getpid())
    table.release(0)
    assert (table.is_locked(0), table.owner(0)) == (False, 0)


def test_locks_are_numbered_from_zero_to_count(table: LockTable) -> None:
    """`locks = 2` makes 0, 1 and 2, which do not know each other, as in uWSGI."""
    for n in (0, 1, 2):
        table.acquire(n)
    for n in (-1, 3):
        for call in (table.acquire, table.release, table.is_locked, table.owner):
            with pytest.raises(LockError, match=f"no lock {n}.*0 to 2"):
                call(n)


def test_another_process_waits_and_knows_the_owner(table: LockTable, fork: Fork) -> None:
    """It is told who holds the lock and does not get it in the time it gives."""
    table.acquire(1)
    child = fork(lambda: (table.owner(1), table.acquire(1, 0), table.acquire(1, 0.02)))
    assert child.answer() == repr((os.getpid(), False, False))


def test_a_waiter_gets_the_lock_when_it_is_released(table: LockTable, fork: Fork) -> None:
    """The wait has no end of its own and needs no polling by the holder."""
    table.acquire(1)
    child = fork(lambda: table.acquire(1))
    table.release(1)
    assert child.answer() == "True"
    assert table.owner(1) == child.pid


def test_a_wait_is_over_in_time(table: LockTable, fork: Fork) -> None:
    """Not before its time, and not long after."""
    child = fork(lambda: table.acquire(0))
    child.answer()
    started = time.monotonic()
    assert table.acquire(0, 0.05) is False
    assert 0.04 < time.monotonic() - started < 5


def test_a_killed_holder_leaves_the_lock_to_the_next(
    table: LockTable, fork: Fork, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGKILL: it is seen free, the next taker has it, and the log names the dead."""
    child = fork(lambda: table.acquire(0))
    child.answer()
    assert table.owner(0) == child.pid
    dead = child.pid
    child.kill()
    assert (table.is_locked(0), table.owner(0)) == (False, 0)
    with caplog.at_level(logging.WARNING, "muleteer"):
        assert table.acquire(0, 1) is True
    assert [f"pid {dead}" in message for message in caplog.messages] == [True]
    table.release(0)
    assert table.acquire(0, 0) is True
    assert len(caplog.messages) == 1


def test_a_killed_holder_wakes_who_waits(table: LockTable, fork: Fork) -> None:
    """The one blocked in acquire gets the lock."""
    holder = fork(lambda: table.acquire(0))
    holder.answer()
    waiter = fork(lambda: table.acquire(0))
    holder.kill()
    assert waiter.answer() == "True"
    assert table.owner(0) == waiter.pid


def test_asking_never_takes_a_dead_holder_s_lock(table: LockTable, fork: Fork) -> None:
    """uWSGI's is_locked() then holds the lock itself, and everybody hangs."""
    child = fork(lambda: table.acquire(0))
    child.answer()
    child.kill()
    for _ in range(3):
        assert table.is_locked(0) is False
    other = fork(lambda: table.acquire(0, 1))
    assert other.answer() == "True"


def test_asking_does_not_disturb_the_holder(table: LockTable, fork: Fork) -> None:
    """It is locked before and after, and its holder can release it."""
    child = fork(lambda: (table.acquire(0), table.release(0), table.acquire(0)))
    child.answer()
    assert [table.is_locked(0) for _ in range(100)] == [True] * 100


def test_a_stranger_cannot_release(table: LockTable, fork: Fork) -> None:
    """The error names the holder's pid; the lock stays held. uWSGI lets anybody release it."""
    child = fork(lambda: table.acquire(0))
    child.answer()
    with pytest.raises(LockError, match=f"another process .pid {child.pid}."):
        table.release(0)
    assert table.owner(0) == child.pid


def test_another_thread_cannot_release(table: LockTable) -> None:
    """A lock is a thread's, not a process's."""
    thread = threading.Thread(target=table.acquire, args=(0,))
    table.acquire(1)
    errors: list[BaseException] = []

    def release() -> None:
        try:
            table.release(1)
        except LockError as error:
            errors.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    assert "another thread of this process" in str(errors[0])
    assert table.owner(1) == os.getpid()


def test_releasing_a_free_lock_is_nothing(table: LockTable) -> None:
    """uWSGI accepts it, and code relies on that."""
    table.release(0)
    assert table.acquire(0, 0) is True


def test_a_thread_that_holds_a_lock_is_told(table: LockTable) -> None:
    """uWSGI waits for itself for ever."""
    table.acquire(0)
    for timeout in (None, 0.01):
        with pytest.raises(LockError, match="held by this thread already"):
            table.acquire(0, timeout)
    assert table.acquire(0, 0) is False
    table.release(0)
    assert table.is_locked(0) is False


def test_a_child_does_not_hold_its_parent_s_lock(table: LockTable, fork: Fork) -> None:
    """A fork with a lock held: the parent's it is, and the child cannot give it away."""
    table.acquire(0)

    def attempt() -> tuple[int, str]:
        try:
            table.release(0)
        except LockError as error:
            return table.owner(0), type(error).__name__
        return table.owner(0), "released"

    assert fork(attempt).answer() == repr((os.getpid(), "LockError"))
    table.release(0)


def test_a_waiting_thread_lets_the_others_run(table: LockTable, fork: Fork) -> None:
    """The GIL is not held in the wait: another thread of the waiter's process goes on."""

    def wait_in_a_thread() -> str:
        threading.Thread(target=table.acquire, args=(0,), daemon=True).start()
        sum(range(100_000))
        return "went on"

    table.acquire(0)
    assert fork(wait_in_a_thread).answer() == repr("went on")


def test_a_table_may_go_while_a_lock_of_it_is_held() -> None:
    """The next lock of another table works: libc's list of held mutexes leads to no freed page."""
    for make in ENGINES:
        for _ in range(20):
            assert LockTable(0, make(1)).acquire(0, 1) is True


ORDERLY_EXIT = """
import os, sys
from muleteer.ipc import locks

table = locks.LockTable(0, locks.{engine}(1))
if os.fork() == 0:
    table.acquire(0)
    sys.exit()  # Python takes everything down in its own order
os.wait()
print(table.acquire(0, 1))
"""


@pytest.mark.parametrize("engine", [engine.__name__ for engine in ENGINES])
def test_an_orderly_exit_frees_the_lock_too(engine: str) -> None:
    """A holder that ends by sys.exit and Python's own clean-up is a dead one like any other."""
    script = ORDERLY_EXIT.format(engine=engine)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "True\n", ran.stderr


def test_nothing_is_lost_between_processes(table: LockTable, fork: Fork) -> None:
    """Four processes add to one number; no addition is lost."""
    page = memoryview(mmap.mmap(-1, 8)).cast("q")

    def add() -> int:
        for _ in range(500):
            table.acquire(0)
            page[0] = page[0] + 1
            table.release(0)
        return 500

    for child in [fork(add) for _ in range(4)]:
        assert child.answer() == "500"
    assert page[0] == 2000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fcntl locks are slower")
def test_an_uncontended_lock_costs_microseconds_at_most() -> None:
    """Lock and unlock measure under 1 µs on an idle machine; ten leave room for a busy one."""
    table = LockTable(0)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(2000):
            table.acquire(0)
            table.release(0)
        best = min(best, (time.perf_counter() - started) / 2000)
    assert best < 10e-6
