"""spool/directory.py, killed at every single call: no task is lost, half, or told to be done twice.

A forked child does one thing and is SIGKILLed before its n-th call to the operating system, for
all n until it comes to its end; the parent looks at what it left.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import signal as unix_signals
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.contract.spooling import later

from muleteer.spool.directory import DirectoryStore
from muleteer.spool.store import Outcome, Task

FILES = (
    *("open", "close", "write", "pread", "fsync", "utime", "rename", "unlink", "mkdir"),
    *("stat", "lstat", "fstat", "fchmod", "chmod", "scandir"),
)
"""What the store calls of `os`; `fcntl.fcntl` is the lock."""

VARS = {b"n": b"1", b"text": b"x" * 3000}
BODY = b"the body" * 1000
MOST_CALLS = 60


@dataclass
class Killed:
    """One child that was killed before its call number `n`, or came to its end."""

    n: int
    finished: bool
    calls: list[str]


def kill_at_every_call(
    work: Callable[[], object], prepare: Callable[[], object]
) -> Iterator[Killed]:
    """Let `work` die before its first call, before its second …; each time on new ground."""
    for n in itertools.count(1):
        assert n < MOST_CALLS, "it never comes to its end"
        prepare()
        killed = _die_before(n, work)
        yield killed
        if killed.finished:
            assert n > 4, f"only {killed.calls} were seen"
            return


def _die_before(n: int, work: Callable[[], object]) -> Killed:
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        _count_calls(n, write_fd)
        work()
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as told:
        calls = told.read().split()
    status = os.waitpid(child, 0)[1]
    finished = os.WIFEXITED(status)
    assert finished or os.WTERMSIG(status) == unix_signals.SIGKILL, status
    assert not finished or os.WEXITSTATUS(status) == 0, calls
    return Killed(n, finished, calls)


def _count_calls(n: int, told_fd: int) -> None:
    """In the child: each call is written down, the n-th is never made."""
    left = itertools.count(n - 1, -1)
    real_write, real_kill = os.write, os.kill

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(left) == 0:
                real_kill(os.getpid(), unix_signals.SIGKILL)
            real_write(told_fd, name.encode() + b"\n")
            return real(*args, **kwargs)

        return call

    for name in FILES:
        setattr(os, name, counted(name, getattr(os, name)))
    fcntl.fcntl = counted("fcntl", fcntl.fcntl)  # type: ignore[assignment]


def found(path: bytes) -> Task | None:
    """The one task in the directory, whole, or none; and no second one."""
    store = DirectoryStore(path)
    task = store.claim(later())
    if task is not None:
        assert (dict(task.vars), task.body) in (
            (VARS, BODY),
            ({**VARS, b"priority": b"7"}, BODY),
            ({**VARS, b"at": b"1000000000"}, BODY),
        )
        assert store.claim(later()) is None
    store.close()
    return task


def visible(path: bytes) -> set[str]:
    """Every file but hidden drafts, which the store sweeps later."""
    root = Path(os.fsdecode(path))
    files = {str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()}
    return {f for f in files if not os.path.basename(f).startswith(".")}


def empty(path: bytes) -> None:
    root = Path(os.fsdecode(path))
    for file in sorted(root.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("special", [{}, {"priority": b"7"}, {"at": 1_000_000_000}])
def test_a_writer_killed_anywhere_leaves_no_task_or_a_whole_one(
    path: bytes, sync: bool, special: dict[str, Any]
) -> None:
    """Once it is there it is whole, and it is there when `put` returned."""
    outcomes = []

    def put() -> None:
        DirectoryStore(path, sync=sync).put(VARS, BODY, **special)

    for killed in kill_at_every_call(put, lambda: empty(path)):
        assert len(visible(path)) <= 1
        task = found(path)
        assert (task is not None) == ("rename" in killed.calls), killed
        outcomes.append(task is not None)
    assert outcomes == sorted(outcomes), "a task that was there went away"
    assert (outcomes[0], outcomes[-1]) == (False, True)


def _one(path: bytes, attempts: int = 0) -> None:
    """A directory with one task that failed so often."""
    empty(path)
    store = DirectoryStore(path)
    store.put(VARS, BODY)
    for _ in range(attempts):
        task = store.claim(later())
        assert task is not None
        store.settle(task, Outcome.RETRY, error="before")
    store.close()


def _run(path: bytes, end: Callable[[DirectoryStore, Task], None]) -> None:
    store = DirectoryStore(path)
    task = store.claim(later())
    assert task is not None
    end(store, task)


def test_a_spooler_killed_anywhere_runs_a_task_that_ended_well_no_more(path: bytes) -> None:
    """Until its file is unlinked the task is whole and free; afterwards it is gone."""
    outcomes = []

    def run() -> None:
        _run(path, lambda store, task: store.settle(task, Outcome.OK))

    for killed in kill_at_every_call(run, lambda: _one(path)):
        task = found(path)
        assert (task is None) == ("unlink" in killed.calls), killed
        assert task is None or task.died == ("fchmod" in killed.calls)
        outcomes.append(task is None)
    assert (outcomes[0], outcomes[-1]) == (False, True)


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.ROUND, Outcome.IGNORE])
@pytest.mark.parametrize("attempts", [0, 2])
def test_a_spooler_killed_anywhere_keeps_a_task_that_is_to_run_again(
    path: bytes, outcome: Outcome, attempts: int
) -> None:
    """It is always there and always whole; its count is the old one or the new one.

    And where the count is still the old one after the run, the next claimer knows of the death.
    """
    after = {Outcome.RETRY: attempts + 1, Outcome.ROUND: 0, Outcome.IGNORE: attempts}[outcome]

    def run() -> None:
        _run(path, lambda store, task: store.settle(task, outcome, error="now"))

    for killed in kill_at_every_call(run, lambda: _one(path, attempts)):
        task = found(path)
        assert task is not None, killed
        assert task.attempts in (attempts, after)
        if killed.finished:
            assert (task.attempts, task.died) == (after, False)
        elif outcome is Outcome.RETRY and "fchmod" in killed.calls:
            assert task.died != (task.attempts == after), "a failure went uncounted, or twice"


@pytest.mark.parametrize("priority", [None, b"7"])
def test_a_spooler_killed_anywhere_while_it_buries_loses_nothing(
    path: bytes, priority: bytes | None
) -> None:
    """The task is in the queue or among the dead, never in both or in neither; a dead one has
    its reason beside it."""

    def prepare() -> None:
        empty(path)
        DirectoryStore(path).put(VARS, BODY, priority=priority)

    def bury() -> None:
        _run(path, lambda store, task: store.bury(task, "because"))

    ends = []
    for _killed in kill_at_every_call(bury, prepare):
        task = found(path)
        dead = {f for f in visible(path) if f.startswith("dead/")}
        graves = {f for f in dead if not f.endswith(".reason")}
        assert len(graves) == (task is None)
        assert all(f"{grave}.reason" in dead for grave in graves)
        ends.append(task is None)
    assert (ends[0], ends[-1]) == (False, True)


def test_a_spooler_killed_anywhere_over_garbage_loses_nothing(path: bytes) -> None:
    """What cannot be read is in its place or among the dead, with the reason beside it."""
    name, data = "uwsgi_spoolfile_on_garbage", b"\x05\x00\x00\x00 no task"

    def prepare() -> None:
        empty(path)
        file = Path(os.fsdecode(path)) / name
        file.write_bytes(data)
        os.utime(file, (1, 1))

    def claim() -> None:
        assert DirectoryStore(path).claim(later()) is None

    for killed in kill_at_every_call(claim, prepare):
        files = visible(path)
        place = {f"dead/{name}", name} & files
        assert len(place) == 1, files
        if killed.finished or place == {f"dead/{name}"}:
            assert files == {f"dead/{name}", f"dead/{name}.reason"}
        assert (Path(os.fsdecode(path)) / place.pop()).read_bytes() == data
