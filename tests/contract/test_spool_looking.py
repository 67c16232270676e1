"""A spool directory seen and changed from outside, without a server: status, cancel and friends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.spooling import claimed

from muleteer.errors import SpoolError, StoreUnavailable
from muleteer.spool import State, cancel, status
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.filelock import try_lock
from muleteer.spool.looking import Found, content_of, count, find, status_of, walk
from muleteer.spool.results import DONE
from muleteer.spool.steering import Change, move, remove, retry
from muleteer.spool.store import Outcome

FUTURE = 4_000_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    """A spooler's side of a directory."""
    (tmp_path / "spool").mkdir()
    made = DirectoryStore(bytes(tmp_path / "spool"))
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[DirectoryStore]:
    """Another directory's."""
    (tmp_path / "other").mkdir()
    made = DirectoryStore(bytes(tmp_path / "other"))
    yield made
    made.close()


def found(path: bytes) -> Found:
    """The file of a task that is there."""
    there = find(path)
    assert there is not None
    return there


# -- status ---------------------------------------------------------------------------------


def test_status_follows_a_task_through_its_life(store: DirectoryStore) -> None:
    """Waiting, running, delayed by its failure, running, dead."""
    before = time.time()
    path = store.put({b"ud_spool_name": b"shop.tasks.pay"})
    seen = status(path)
    assert (seen.state, seen.function, seen.attempts) == (State.WAITING, "shop.tasks.pay", 0)
    assert (seen.path, seen.name) == (path, os.path.basename(path))
    assert before - 0.001 <= seen.queued_at <= time.time()
    task = claimed(store)
    seen = status(path.decode())
    assert seen.state is State.RUNNING
    assert before - 1 <= seen.started_at <= time.time() + 1
    store.settle(task, Outcome.RETRY, at=FUTURE, error="ValueError: no")
    seen = status(path)
    assert (seen.state, seen.due_at) == (State.DELAYED, FUTURE)
    assert (seen.attempts, seen.last_error) == (1, "ValueError: no")
    store.bury(claimed(store, FUTURE + 1), "it failed twice")
    seen = status(path)
    assert (seen.state, seen.last_error, seen.path) == (State.DEAD, "it failed twice", path)
    assert before - 1 <= seen.ended_at <= time.time() + 1
    assert seen.attempts == 1


def test_status_of_what_ended_or_never_was_is_gone(store: DirectoryStore) -> None:
    """Nothing is left of a task that ended well; nobody knows what never was."""
    path = store.put({})
    store.settle(claimed(store), Outcome.OK)
    assert status(path).state is State.GONE
    assert status(store.path + b"/uwsgi_spoolfile_on_x_1_1_1_1").state is State.GONE
    assert status("/nowhere/at/all").state is State.GONE


def test_status_of_a_task_with_a_priority_is_found_among_the_dead(store: DirectoryStore) -> None:
    """The dead lie in one folder, whatever their priority was."""
    path = store.put({}, priority=b"5")
    assert status(path).state is State.WAITING
    store.bury(claimed(store), "why")
    assert status(path).state is State.DEAD


def test_directory_called_by_a_number_is_no_priority(tmp_path: Path) -> None:
    """/var/spool/1 is a spool directory like any other."""
    (tmp_path / "1").mkdir()
    store = DirectoryStore(bytes(tmp_path / "1"))
    path = store.put({})
    assert status(path).state is State.WAITING
    store.bury(claimed(store), "why")
    assert status(path).state is State.DEAD
    assert retry(found(path)) is Change.DONE
    assert status(path).state is State.WAITING
    store.close()


def test_a_spooler_that_only_looks_does_not_run_it(store: DirectoryStore) -> None:
    """Ours lock a file to see when it is due; that is no run."""
    path = store.put({}, at=FUTURE)
    fd = os.open(path, os.O_RDWR)
    assert try_lock(fd)
    assert status(path).state is State.DELAYED
    os.close(fd)


def test_status_of_a_run_whose_process_died_is_waiting(store: DirectoryStore) -> None:
    """Its lock is gone, so nobody runs it."""
    path = store.put({})
    claimed(store)
    store.close()
    assert status(path).state is State.WAITING


def test_status_says_what_is_wrong_with_a_file(store: DirectoryStore) -> None:
    """Too short, or no task at all."""
    path = store.put({b"a": b"b"})
    Path(os.fsdecode(path)).write_bytes(b"\x11\xff\x00\x00abc")
    assert "ends at byte 7" in status(path).last_error
    Path(os.fsdecode(path)).write_bytes(b"hello world")
    assert "are not a task's" in status(path).last_error
    Path(os.fsdecode(path)).write_bytes(b"")
    assert "0 bytes" in status(path).last_error


def test_look_reads_the_head_of_a_large_task_only(store: DirectoryStore) -> None:
    """A sparse body of a gigabyte costs nothing; large vars are read to their end."""
    path = store.put({b"ud_spool_func": b"f", b"big": b"x" * 60_000})
    os.truncate(path, 1 << 30)
    seen = status(path)
    assert (seen.function, seen.size_bytes) == ("f", 1 << 30)


def test_status_needs_a_readable_directory(tmp_path: Path) -> None:
    """Who cannot look hears it, and is not told that the task is gone."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StoreUnavailable, match="cannot look for a task"):
        status(tmp_path / "loop" / "uwsgi_spoolfile_on_x_1_1_1_1")


# -- walk -----------------------------------------------------------------------------------


def test_walk_finds_tasks_and_nothing_else(store: DirectoryStore) -> None:
    """Priorities' folders are walked; garbage, links, folders and drafts are no tasks."""
    paths = {store.put({}), store.put({}, priority=b"3"), store.put({}, at=FUTURE)}
    home = Path(os.fsdecode(store.path))
    (home / "README").write_text("x")
    (home / "7").write_text("no folder")
    (home / "uwsgi_spoolfile_on_a_link").symlink_to("/etc/passwd")
    (home / "uwsgi_spoolfile_on_a_folder").mkdir()
    (home / ".uwsgi_spoolfile_on_a_draft").write_text("x")
    assert {one.path for one in walk(store.path)} == paths
    task = claimed(store)
    store.bury(task, "why")
    assert {one.path for one in walk(store.path)} == paths - {task.path}
    assert [one.name for one in walk(store.path, [State.DEAD])] == [task.name]
    assert list(walk(store.path, [State.DONE])) == []


def test_walk_of_a_directory_that_is_not_there_says_so() -> None:
    """And not that there are no tasks."""
    with pytest.raises(StoreUnavailable, match=r"/nowhere.*cannot list tasks"):
        list(walk(b"/nowhere"))


def test_walk_keeps_nothing(store: DirectoryStore) -> None:
    """The first of many is there before the directory has been read to its end."""
    for _ in range(100):
        store.put({})
    walking = walk(store.path)
    next(walking)
    for job in store.jobs():
        os.unlink(job)
    assert sum(1 for one in walking if status_of(one).state is not State.GONE) == 0


def test_content_is_what_was_put(store: DirectoryStore) -> None:
    """Vars and body of a waiting and of a dead task, without the server's own notes."""
    path = store.put({b"a": b"b"}, b"body")
    store.settle(claimed(store), Outcome.RETRY, error="no")
    for _ in range(2):
        task = content_of(found(path))
        assert (task.path, dict(task.vars), task.body) == (path, {b"a": b"b"}, b"body")
        assert (task.attempts, task.last_error) == (1, "no")
        if found(path).folder == b"":
            store.bury(claimed(store), "why")


# -- cancel and remove ------------------------------------------------------------------------


def test_cancelled_task_never_runs(store: DirectoryStore) -> None:
    """Waiting and delayed ones are taken back, once."""
    for path in (store.put({}), store.put({}, at=FUTURE), store.put({}, priority=b"1")):
        assert cancel(path) is True
        assert cancel(path) is False
        assert status(path).state is State.GONE
    assert store.claim(FUTURE + 1) is None


def test_spooler_that_knew_a_cancelled_task_is_not_disturbed(store: DirectoryStore) -> None:
    """It had it in its index; it goes on with the others."""
    first, second = store.put({}), store.put({})
    held = claimed(store)
    assert held.path == first
    assert cancel(second)
    assert store.claim(time.time() + 1) is None
    store.settle(held, Outcome.OK)


def test_running_task_is_not_cancelled(store: DirectoryStore) -> None:
    """Its run goes on, and ends as it ends."""
    path = store.put({})
    task = claimed(store)
    assert cancel(path) is False
    assert remove(found(path)) is Change.RUNNING
    store.settle(task, Outcome.RETRY)
    assert status(path).state is State.WAITING


def test_dead_task_is_not_cancelled_but_can_be_removed(store: DirectoryStore) -> None:
    """With its reason; nothing is left."""
    path = store.put({})
    store.bury(claimed(store), "why")
    assert cancel(path) is False
    assert remove(found(path)) is Change.DONE
    assert os.listdir(store.path + b"/dead") == []


def test_change_of_what_ended_meanwhile_changes_nothing(store: DirectoryStore) -> None:
    """Found, then gone; and found, then rewritten under the same name."""
    path = store.put({})
    seen = found(path)
    store.settle(claimed(store), Outcome.OK)
    assert [remove(seen), retry(seen)] == [Change.GONE, Change.GONE]


# -- retry ------------------------------------------------------------------------------------


def test_retried_dead_task_begins_anew(store: DirectoryStore) -> None:
    """Its vars and body are whole, its failures and its reason are forgotten, it is due now."""
    path = store.put({b"a": b"b"}, b"body", priority=b"4")
    store.settle(claimed(store), Outcome.RETRY, error="no")
    store.bury(claimed(store), "why")
    before = time.time()
    assert retry(found(path)) is Change.DONE
    assert os.listdir(store.path + b"/dead") == []
    task = claimed(store)
    assert (task.path, dict(task.vars), task.body) == (
        path, {b"a": b"b", b"priority": b"4"}, b"body",
    )  # fmt: skip
    assert (task.attempts, task.last_error) == (0, "")
    assert task.queued_at >= before - 0.001


def test_running_spooler_hears_of_a_retried_task(store: DirectoryStore) -> None:
    """One that knows the task as delayed runs it at once."""
    path = store.put({}, at=FUTURE)
    assert store.claim(time.time()) is None
    assert retry(found(path)) is Change.DONE
    store.rescan()
    assert claimed(store).path == path


def test_retry_leaves_running_and_done_tasks_alone(store: DirectoryStore) -> None:
    """There is nothing to try again."""
    path = store.put({})
    claimed(store)
    assert retry(found(path)) is Change.RUNNING
    done = store.path + b"/" + DONE
    os.mkdir(done)
    Path(os.fsdecode(done), "uwsgi_spoolfile_on_x_1_1_1_1_1").write_bytes(b"{}")
    (one,) = walk(store.path, [State.DONE])
    assert retry(one) is Change.REFUSED


def test_retry_of_what_can_never_run_says_why(store: DirectoryStore) -> None:
    """A truncated file would only die again."""
    path = store.put({b"a": b"b"})
    os.truncate(path, 5)
    os.utime(path, (1, 1))
    assert store.claim(time.time()) is None
    seen = found(path)
    assert seen.folder == b"dead"
    with pytest.raises(SpoolError, match="cannot be read, so it cannot run"):
        retry(seen)
    assert status(path).state is State.DEAD


# -- move -------------------------------------------------------------------------------------


def test_moved_task_runs_in_the_other_directory(
    store: DirectoryStore, other: DirectoryStore
) -> None:
    """Once, whole, at its time, by its priority."""
    path = store.put({b"n": b"1"}, b"body", priority=b"2")
    late = store.put({b"n": b"2"}, at=FUTURE)
    for one in (path, late):
        assert move(found(one), other.path) is Change.DONE
        assert status(one).state is State.GONE
    task = claimed(other)
    assert task.path == path.replace(store.path, other.path)
    assert (task.vars[b"n"], task.body) == (b"1", b"body")
    assert other.claim(time.time()) is None
    assert claimed(other, FUTURE + 1).vars[b"n"] == b"2"
    assert store.claim(FUTURE + 1) is None


def test_moved_dead_task_keeps_its_reason(store: DirectoryStore, other: DirectoryStore) -> None:
    """It is dead there, too."""
    path = store.put({})
    store.bury(claimed(store), "why")
    assert move(found(path), other.path) is Change.DONE
    seen = status(path.replace(store.path, other.path))
    assert (seen.state, seen.last_error) == (State.DEAD, "why")
    assert os.listdir(store.path + b"/dead") == []


def test_move_between_file_systems_copies(store: DirectoryStore, tmp_path: Path) -> None:
    """Time and content are kept."""
    away = Path("/dev/shm") / f"muleteer-test-{os.getpid()}"
    if os.stat(tmp_path).st_dev == os.stat("/dev/shm").st_dev:
        pytest.skip("there is one file system only")
    path = store.put({b"a": b"b"}, b"body", at=FUTURE)
    away.mkdir()
    try:
        assert move(found(path), bytes(away)) is Change.DONE
        (name,) = os.listdir(away)
        seen = find(bytes(away / name))
        assert seen is not None
        assert status_of(seen).due_at == FUTURE
        assert content_of(seen).body == b"body"
        assert status(path).state is State.GONE
    finally:
        for file in away.iterdir():
            file.unlink()
        away.rmdir()


def test_move_refuses_what_it_cannot_do(store: DirectoryStore, other: DirectoryStore) -> None:
    """A running task, the same directory under another name, and one that is not there."""
    path = store.put({})
    same = store.path + b"/../spool"
    assert move(found(path), same) is Change.REFUSED
    with pytest.raises(StoreUnavailable, match="/nowhere: cannot move a task there"):
        move(found(path), b"/nowhere")
    claimed(store)
    assert move(found(path), other.path) is Change.RUNNING
    assert os.listdir(other.path) == []


# -- counting -----------------------------------------------------------------------------


def test_counting_reads_names_alone(store: DirectoryStore) -> None:
    """Waiting, delayed, running and prioritized tasks are there; dead ones, and no others."""
    home = store.path
    assert count(home) == (0, 0)
    store.put({b"n": b"1"})
    store.put({b"n": b"2"}, at=FUTURE)
    store.put({b"n": b"3"}, priority=b"5")
    assert count(home) == (3, 0)
    running = store.claim(FUTURE - 10)
    assert running is not None
    assert count(home) == (3, 0)
    store.bury(running, "on purpose")  # its reason lies beside it, and is no task
    assert count(home) == (2, 1)
    (Path(os.fsdecode(home)) / "notes.txt").touch()
    assert count(home) == (2, 1)


def test_counting_where_nothing_is_says_so(tmp_path: Path) -> None:
    """A directory that is gone is not an empty one."""
    with pytest.raises(StoreUnavailable):
        count(bytes(tmp_path / "nowhere"))
