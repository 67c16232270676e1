"""spool/directory.py, where only files can show it: kills, locks, garbage, full disks."""

from __future__ import annotations

import errno
import multiprocessing
import os
import select
import signal as unix_signals
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.spooling import claimed, drained, later

from muleteer.errors import StoreUnavailable
from muleteer.spool import arrivals, directory, filelock, files, survey
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.index import Index
from muleteer.spool.store import Outcome, Task
from muleteer.wire.spoolfile import encode_task

FUTURE = 4_000_000_000.0


@pytest.fixture
def open_store(path: bytes) -> Iterator[Callable[..., DirectoryStore]]:
    """Open the directory once more, as another spooler would; all are closed at the end."""
    opened: list[DirectoryStore] = []

    def open_one(**options: Any) -> DirectoryStore:
        opened.append(DirectoryStore(path, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., DirectoryStore]) -> DirectoryStore:
    """One consumer of the directory."""
    return open_store()


def _write(path: bytes, name: str, data: bytes, age_s: float = 60) -> Path:
    """A file that someone else wrote some time ago."""
    file = Path(os.fsdecode(path)) / name
    file.write_bytes(data)
    os.utime(file, (time.time() - age_s,) * 2)
    return file


def _all_files(path: bytes) -> set[str]:
    root = Path(os.fsdecode(path))
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}


# -- the files ---------------------------------------------------------------------------


def test_the_file_is_uwsgis(store: DirectoryStore, path: bytes) -> None:
    """Name, mode, bytes and time of the file are what uWSGI would have made."""
    task_path = store.put({b"a": b"b"}, b"body", at=1_795_463_551)
    status = os.stat(task_path)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_mtime == 1_795_463_551
    assert os.path.dirname(task_path) == path
    assert os.path.basename(task_path).startswith(b"uwsgi_spoolfile_on_")
    assert Path(os.fsdecode(task_path)).read_bytes() == encode_task(
        {b"a": b"b", b"at": b"1795463551"}, b"body"
    )


def test_a_priority_is_a_subdirectory(store: DirectoryStore, path: bytes) -> None:
    """A task with a priority lies where uWSGI's `spooler-ordered` looks for it."""
    assert os.path.dirname(store.put({}, priority=b"12")) == path + b"/12"


def test_a_forked_child_writes_its_own_name(path: bytes) -> None:
    """The pid in the name is the writer's, on both sides of a fork."""
    store = DirectoryStore(path)

    def put_in_child() -> None:
        fields = os.path.basename(store.put({})).rsplit(b"_", 5)
        os._exit(0 if (int(fields[1]), fields[2]) == (os.getpid(), b"1") else 1)

    store.put({})
    child = os.fork()
    if child == 0:
        put_in_child()
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_but_tasks_is_left(store: DirectoryStore, path: bytes) -> None:
    """Drafts have no life of their own; a settled task leaves nothing."""
    store.put({b"n": b"1"})
    assert len(_all_files(path)) == 1
    drained(store)
    assert _all_files(path) == set()


def test_a_durable_put_is_synced(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sync the file and its directory are on disk before the call returns."""
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    open_store(sync=True).put({b"n": b"1"})
    assert synced == [False, True]


def test_ordered_takes_files_that_are_numbers(
    open_store: Callable[..., DirectoryStore], path: bytes
) -> None:
    """With spooler-ordered a file named by digits is a task, as under uWSGI; else it is not."""
    for name in ("10", "9"):
        _write(path, name, encode_task({b"n": name.encode()}))
    assert drained(open_store()) == []
    assert drained(open_store(ordered=True)) == [b"9", b"10"]


def test_other_files_are_left_alone(store: DirectoryStore, path: bytes) -> None:
    """What is not named like a task is nobody's business, nor are links, folders and sockets."""
    target = _write(path, "README", b"hello")
    folder = Path(os.fsdecode(path))
    (folder / "uwsgi_spoolfile_on_link").symlink_to(target)
    (folder / "uwsgi_spoolfile_on_folder").mkdir()
    os.mkfifo(folder / "uwsgi_spoolfile_on_fifo")
    assert store.claim(later()) is None
    (folder / "link").symlink_to(target)
    os.rename(folder / "link", folder / "uwsgi_spoolfile_on_link2")
    os.rename(folder / "uwsgi_spoolfile_on_folder", folder / "uwsgi_spoolfile_on_folder2")
    assert store.claim(later()) is None
    assert store.jobs() == []
    assert target.read_bytes() == b"hello"
    assert not (folder / "dead").exists()


# -- several claimers --------------------------------------------------------------------


def test_two_spoolers_share_a_directory(open_store: Callable[..., DirectoryStore]) -> None:
    """A task that one has claimed is not given to the other, who takes the next."""
    one, two = open_store(), open_store()
    one.put({b"n": b"1"})
    one.put({b"n": b"2"})
    assert (claimed(one).vars[b"n"], claimed(two).vars[b"n"]) == (b"1", b"2")
    assert (one.claim(later()), two.claim(later())) == (None, None)


def test_of_many_tasks_and_claimers_each_task_runs_once(store: DirectoryStore, path: bytes) -> None:
    """Three processes drain what two fill at the same time; every task runs, none twice."""
    reading, writing = os.pipe()
    fork = multiprocessing.get_context("fork")

    def produce(first: int) -> None:
        for n in range(first, first + 150):
            store.put({b"n": b"%04d" % n})

    def consume(done: Any) -> None:
        mine = DirectoryStore(path)
        while not (done.is_set() and not mine.jobs()):
            task = mine.claim(later())
            if task is None:
                done.wait(0.001)
                continue
            os.write(writing, task.vars[b"n"])
            mine.settle(task, Outcome.OK)

    done = fork.Event()
    consumers = [fork.Process(target=consume, args=(done,)) for _ in range(3)]
    producers = [fork.Process(target=produce, args=(first,)) for first in (0, 150)]
    for process in consumers + producers:
        process.start()
    for process in producers:
        process.join(20)
    done.set()
    for process in consumers:
        process.join(20)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ran = pipe.read()
    assert {process.exitcode for process in consumers + producers} == {0}
    assert sorted(ran[at : at + 4] for at in range(0, len(ran), 4)) == [
        b"%04d" % n for n in range(300)
    ]


def test_a_locked_task_is_looked_at_less_and_less_often(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's task costs a look after 10 ms, then twice as long each time, up to 5 s."""
    one, two = open_store(), open_store()
    one.put({b"n": b"1"})
    claimed(one)
    start = now = later()
    waits = []
    for _ in range(12):
        assert two.claim(now) is None
        due = two.next_due()
        assert due is not None
        waits.append(round(due - now, 3))
        now = due
    assert waits[:4] == [0.01, 0.02, 0.04, 0.08]
    assert waits[-2:] == [5.0, 5.0]
    assert now - start < 30


def test_a_task_given_back_is_found_by_the_other(open_store: Callable[..., DirectoryStore]) -> None:
    """A retry at once is free for any claimer, with its count."""
    one, two = open_store(), open_store()
    one.put({b"n": b"1"})
    task = claimed(one)
    assert two.claim(later()) is None
    one.settle(task, Outcome.RETRY, error="no luck")
    again = two.claim(later() + 10)
    assert again is not None
    assert (again.attempts, again.last_error, again.path) == (1, "no luck", task.path)
    assert one.claim(later() + 10) is None


def test_who_waited_with_the_old_file_open_sees_that_it_is_old(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between another's open and lock a task may end, be rewritten or be buried: no second run."""
    one, two = open_store(), open_store()
    real_try_lock = directory.try_lock

    def end_it_first(end: Callable[[Task], None]) -> Callable[[int], bool]:
        def try_lock(fd: int) -> bool:
            monkeypatch.setattr(directory, "try_lock", real_try_lock)
            end(task)
            return real_try_lock(fd)

        return try_lock

    ends: list[Callable[[Task], None]] = [
        lambda task: one.settle(task, Outcome.OK),
        lambda task: one.settle(task, Outcome.RETRY, at=FUTURE),
        lambda task: one.settle(task, Outcome.IGNORE, at=FUTURE),
        lambda task: one.bury(task, "dead"),
    ]
    for end in ends:
        one.put({b"n": b"1"})
        task = claimed(one)
        monkeypatch.setattr(directory, "try_lock", end_it_first(end))
        assert two.claim(later()) is None


def test_who_waited_with_the_old_file_open_gets_the_new_one(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewritten between another's open and lock, a task runs once, with its new count."""
    one, two = open_store(), open_store()
    one.put({b"n": b"1"})
    task = claimed(one)
    real_try_lock = directory.try_lock

    def settle_first(fd: int) -> bool:
        monkeypatch.setattr(directory, "try_lock", real_try_lock)
        one.settle(task, Outcome.RETRY)
        return real_try_lock(fd)

    monkeypatch.setattr(directory, "try_lock", settle_first)
    again = two.claim(later())
    assert again is not None
    assert again.attempts == 1
    assert one.claim(later()) is None


def test_reading_the_own_task_keeps_the_claim(
    open_store: Callable[..., DirectoryStore],
) -> None:
    """A handler may look at its own task, or open the file itself, and still owns it."""
    one, two = open_store(), open_store()
    path = one.put({b"n": b"1"})
    task = claimed(one)
    assert one.get_task(path) == task
    Path(os.fsdecode(path)).read_bytes()
    assert two.get_task(path) is None
    assert two.claim(later()) is None


def test_a_task_given_back_is_free_though_a_child_lives_on(
    open_store: Callable[..., DirectoryStore],
) -> None:
    """What a task forked has inherited the lock, and does not keep it."""
    one, two = open_store(), open_store()
    one.put({b"n": b"1"})
    task = claimed(one)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    one.settle(task, Outcome.IGNORE)
    again = two.claim(later())
    os.close(writing)
    os.close(reading)
    os.waitpid(child, 0)
    assert again is not None


def test_a_claimed_task_is_locked_for_posix_claimers(store: DirectoryStore) -> None:
    """A plain fcntl lock, which is uWSGI's, is refused while we hold the task."""
    path = store.put({b"n": b"1"})
    task = claimed(store)
    attempt = [sys.executable, "-c", POSIX_LOCK, os.fsdecode(path)]
    assert subprocess.run(attempt, check=False).returncode == 3
    store.settle(task, Outcome.IGNORE)
    assert subprocess.run(attempt, check=False).returncode == 0


POSIX_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(3)
"""


def test_without_locks_of_the_open_file_posix_locks_do(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system lacks them, get_task of the own task still does not drop the claim."""
    monkeypatch.setattr(filelock, "_SET_OWN", None)
    store = open_store()
    path = store.put({b"n": b"1"})
    task = claimed(store)
    assert store.get_task(path) == task
    attempt = [sys.executable, "-c", POSIX_LOCK, os.fsdecode(path)]
    assert subprocess.run(attempt, check=False).returncode == 3


# -- arrivals ----------------------------------------------------------------------------


def test_the_descriptor_tells_of_arrivals(
    store: DirectoryStore, open_store: Callable[..., DirectoryStore], path: bytes
) -> None:
    """Put, moved in, written in place, in a new priority: the descriptor turns readable."""
    producer = open_store()
    aside = _write(os.path.dirname(path), "aside", encode_task({b"n": b"moved"}))
    assert store.claim(later()) is None
    ways: list[Callable[[], object]] = [
        lambda: producer.put({b"n": b"put"}),
        lambda: producer.put({b"n": b"priority"}, priority=b"4"),
        lambda: producer.put({b"n": b"again"}, priority=b"4"),
        lambda: aside.rename(os.fsdecode(path) + "/uwsgi_spoolfile_on_moved"),
        lambda: _write(path, "uwsgi_spoolfile_on_written", encode_task({b"n": b"written"})),
    ]
    for arrive in ways:
        assert not _is_readable(store)
        arrive()
        assert _is_readable(store)
        assert len(drained(store)) == 1
        store.rescan()


def _is_readable(store: DirectoryStore) -> bool:
    fd = store.fileno()
    assert fd is not None
    return bool(select.select([fd], [], [], 0)[0])


def test_own_looks_are_no_arrivals(open_store: Callable[..., DirectoryStore]) -> None:
    """Two spoolers that skip each other's tasks do not look again for that reason."""
    one, two = open_store(), open_store()
    one.put({b"n": b"1"})
    one.put({b"n": b"2"})
    claimed(one)
    claimed(two)
    now = later()
    one.claim(now)
    two.claim(now)
    one.rescan()
    two.rescan()
    for store in (one, two):
        due = store.next_due()
        assert due is not None
        assert due > now


def test_the_end_of_a_task_is_no_arrival(open_store: Callable[..., DirectoryStore]) -> None:
    """A claimer that closes a file it has removed wakes nobody."""
    one, two = open_store(), open_store()
    assert two.claim(later()) is None
    one.put({b"n": b"1"})
    task = claimed(one)
    os.unlink(task.path)
    assert two.claim(later()) is None
    one.settle(task, Outcome.OK)
    assert not _is_readable(two)


def test_a_task_moved_back_is_looked_at_again(store: DirectoryStore) -> None:
    """A delayed task that someone takes out, makes due and puts back runs at once."""
    path = store.put({b"n": b"1"}, at=FUTURE)
    assert store.claim(later()) is None
    os.rename(path, path + b".away")
    os.utime(path + b".away", (1, 1))
    os.rename(path + b".away", path)
    assert drained(store) == [b"1"]


def test_without_inotify_what_is_gone_is_forgotten(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing drops the tasks it does not show; nobody waits for them."""
    monkeypatch.setattr(arrivals, "_libc", None)
    store = open_store()
    path = store.put({b"n": b"1"}, at=FUTURE)
    assert store.claim(later()) is None
    assert store.next_due() == FUTURE
    os.unlink(path)
    store.rescan()
    assert store.next_due() is None


def test_a_file_made_in_the_tick_of_a_listing_is_found(
    open_store: Callable[..., DirectoryStore], path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory's time has a grain; one that is as young as that is listed again."""
    monkeypatch.setattr(arrivals, "_libc", None)
    store = open_store()
    assert store.claim(later()) is None
    listed = os.stat(path)
    store.put({b"n": b"1"})
    monkeypatch.setattr(survey, "_CLOCK_TICK_S", 3600)
    os.utime(path, ns=(listed.st_atime_ns, listed.st_mtime_ns))
    assert drained(store) == [b"1"]


def test_lost_word_means_a_listing(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel's queue has overflowed the directory is read again."""
    assert store.claim(later()) is None
    assert store._survey.arrivals is not None
    fd = store._survey.arrivals.fd
    store.put({b"n": b"1"})
    monkeypatch.setattr(os, "read", lambda *_: arrivals._EVENT.pack(-1, 0x4000, 0, 0))
    store.rescan()
    monkeypatch.undo()
    assert fd is not None
    os.read(fd, 65536)
    assert drained(store) == [b"1"]


def test_a_directory_that_was_away_is_heard_of_again(store: DirectoryStore, path: bytes) -> None:
    """Its absence is not taken for a want of watches: the descriptor stays, and tells of it."""
    assert store.claim(later()) is None
    fd = store.fileno()
    assert fd is not None
    for again in (lambda: os.rename(path + b".away", path), lambda: os.mkdir(path)):
        os.rename(path, path + b".away")
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                store.claim(later())
        again()
        assert store.claim(later()) is None
        assert store.fileno() == fd
        while select.select([fd], [], [], 0)[0]:
            store.rescan()
        store.put({b"n": b"1"})
        assert select.select([fd], [], [], 5)[0]
        assert drained(store) == [b"1"]


def test_without_watches_times_are_compared(
    open_store: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who has no inotify watches left still gets every task."""
    monkeypatch.setattr(arrivals.Arrivals, "watch", lambda *_: False)
    store = open_store()
    assert store.claim(later()) is None
    store.put({b"n": b"1"})
    store.put({b"n": b"2"}, priority=b"1")
    assert drained(store) == [b"2", b"1"]


def test_an_unchanged_directory_is_not_listed(
    open_store: Callable[..., DirectoryStore], path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle claims read no directory, with inotify or without it."""
    for libc in (arrivals._libc, None):
        monkeypatch.setattr(arrivals, "_libc", libc)
        store = open_store()
        store.put({b"n": b"1"}, at=FUTURE)
        os.utime(path, (time.time() - 60,) * 2)
        assert store.claim(later()) is None
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", lambda *_: pytest.fail("the directory was read"))
            for _ in range(5):
                assert store.claim(later()) is None


# -- garbage, and what died --------------------------------------------------------------


GARBAGE = {
    "truncated": encode_task({b"a": b"b" * 50})[:20],
    "malformed": b"GET / HTTP/1.1\r\n\r\n",
    "no_header": b"\x11",
    "empty": b"",
    "empty_key": b"\x11\x05\x00\x00\x00\x00\x01\x00x",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_bad_file_is_buried_with_the_reason(
    store: DirectoryStore, path: bytes, kind: str
) -> None:
    """It is moved to dead/, whole, with a reason beside it, and costs no other task."""
    name = f"uwsgi_spoolfile_on_{kind}"
    _write(path, name, GARBAGE[kind])
    store.put({b"n": b"1"})
    assert drained(store) == [b"1"]
    dead = Path(os.fsdecode(path)) / "dead"
    assert (dead / name).read_bytes() == GARBAGE[kind]
    assert "spool file" in (dead / f"{name}.reason").read_text()
    assert len(_all_files(path)) == 2
    assert store.claim(FUTURE) is None


def test_a_file_that_has_just_begun_is_waited_for(store: DirectoryStore, path: bytes) -> None:
    """uWSGI's writers open first and lock later: a young half file is not garbage."""
    file = _write(path, "uwsgi_spoolfile_on_young", b"", age_s=0)
    assert store.claim(time.time()) is None
    with file.open("r+b") as writer:
        writer.write(encode_task({b"n": b"1"}))
    assert drained(store) == [b"1"]


def test_a_buried_task_keeps_file_and_reason(store: DirectoryStore, path: bytes) -> None:
    """bury moves a readable task, too, from a priority as well."""
    task_path = store.put({b"n": b"1"}, priority=b"3")
    data = Path(os.fsdecode(task_path)).read_bytes()
    store.bury(claimed(store), "it failed three times")
    dead = Path(os.fsdecode(path)) / "dead"
    name = os.fsdecode(os.path.basename(task_path))
    assert (dead / name).read_bytes() == data
    assert (dead / f"{name}.reason").read_text() == "it failed three times\n"


def test_a_run_whose_process_died_counts(
    store: DirectoryStore, open_store: Callable[..., DirectoryStore], path: bytes
) -> None:
    """A spooler that is SIGKILLed in the middle of a task leaves it, and the next one is told.

    Told as often as need be: one that dies before it has settled the matter changes nothing.
    """
    store.put({b"n": b"1"}, b"body")
    for attempts in range(3):
        for _ in range(2):
            child = _forked(lambda: (claimed(DirectoryStore(path)), os.kill(os.getpid(), 9)))
            assert child == unix_signals.SIGKILL
        other = open_store()
        task = claimed(other)
        assert (task.died, task.attempts, task.body) == (True, attempts, b"body")
        other.settle(task, Outcome.RETRY, error="its process died")
        again = claimed(other)
        assert (again.died, again.attempts, again.last_error) == (
            False,
            attempts + 1,
            "its process died",
        )
        other.settle(again, Outcome.IGNORE)


def _forked(work: Callable[[], object]) -> int:
    """Run `work` in a child; what ended it (a Unix signal's number, or 0)."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(20)
    assert child.exitcode is not None
    code = child.exitcode
    child.close()
    return -code


def test_drafts_of_dead_writers_are_swept(
    open_store: Callable[..., DirectoryStore], path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an hour a draft is nobody's any more; a young one is left to its writer."""
    os.mkdir(path + b"/" + files.DRAFTS)
    name = ".uwsgi_spoolfile_on_h_1_1_1_1_1"
    drafts = [_write(path, place + name, b"half") for place in ("", ".drafts/")]
    assert open_store().claim(later()) is None
    assert all(draft.exists() for draft in drafts)
    monkeypatch.setattr(files, "_DRAFT_AGE_S", -1.0)
    assert open_store().claim(later()) is None
    assert not any(draft.exists() for draft in drafts)


# -- several claimers ------------------------------------------------------------------


def test_a_claimer_that_comes_too_late_wakes_nobody(
    open_store: Callable[..., DirectoryStore], path: bytes
) -> None:
    """Its look at another's task is no news to those who watch, nor is the end of the task."""
    first, second = open_store(), open_store()
    for store in (first, second):
        assert store.claim(later()) is None
    first.put({b"n": b"1"})
    task = claimed(first)
    descriptors = len(os.listdir("/proc/self/fd"))
    assert second.claim(later()) is None, "it has heard of the task, and another has it"
    fds = [store.fileno() for store in (first, second)]
    assert select.select(fds, [], [], 0)[0] == []
    first.settle(task, Outcome.OK)
    assert second.claim(time.time() + 60) is None
    assert select.select(fds, [], [], 0)[0] == []
    assert len(os.listdir("/proc/self/fd")) < descriptors, "it lets go of what it had opened"


# -- a directory that takes long to list ---------------------------------------------------


def test_tasks_run_while_a_large_directory_is_being_listed(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first does not wait for the last; new ones are heard of; all run once."""
    monkeypatch.setattr(survey, "FIRST_SLICE", 10)
    monkeypatch.setattr(survey, "LATER_SLICES", 2)
    writer = DirectoryStore(path)
    for number in range(50):
        writer.put({b"n": b"%d" % number}, at=None if number % 5 else FUTURE)
    listed: list[bytes] = []
    walk = survey.Survey._tasks_in

    def walked(self: Any, *args: Any) -> Iterator[tuple[bytes, float]]:
        for name, due in walk(self, *args):
            listed.append(name)
            yield name, due

    monkeypatch.setattr(survey.Survey, "_tasks_in", walked)
    store = DirectoryStore(path)
    seen = [claimed(store).vars[b"n"]]
    assert len(listed) == 10
    assert store.next_due() == 0.0, "there is more to list"
    writer.put({b"n": b"new"}, priority=b"1")
    writer.put({b"n": b"late"})
    seen += drained(store)
    numbers = [b"%d" % number for number in range(50) if number % 5]
    assert sorted(seen) == sorted([*numbers, b"new", b"late"])
    assert store.next_due() == FUTURE
    store.close()


def test_a_task_that_arrives_meanwhile_does_not_wait_for_the_listing(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is due only since the claim began, and nothing else is due at all."""
    monkeypatch.setattr(survey, "FIRST_SLICE", 10)
    monkeypatch.setattr(survey, "LATER_SLICES", 2)
    writer = DirectoryStore(path)
    for _ in range(50):
        writer.put({}, at=FUTURE)
    walk = survey.Survey._tasks_in

    def walked(self: Any, *args: Any) -> Iterator[tuple[bytes, float]]:
        for count, one in enumerate(walk(self, *args)):
            if count == 12:
                writer.put({b"n": b"new"}, at=time.time())
            yield one

    monkeypatch.setattr(survey.Survey, "_tasks_in", walked)
    store = DirectoryStore(path)
    task = store.claim(time.time())
    assert task is not None
    assert task.vars[b"n"] == b"new"
    assert store.next_due() == 0.0, "there is more to list"
    store.close()


# -- more tasks than an index holds ------------------------------------------------------


def test_more_tasks_than_the_index_holds_all_run(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delayed ones in their time; what it remembers stays bounded."""
    monkeypatch.setattr(survey, "Index", lambda: Index(most=10))
    store = DirectoryStore(path)
    for number in range(60):
        store.put({b"n": b"%d" % number}, at=None if number % 2 else 1_000_000_000 + number)
    late = FUTURE - 1000
    for number in range(60, 80):
        store.put({b"n": b"%d" % number}, at=late + number)
    for until, numbers in ((0, range(60)), (65, range(60, 66)), (100, range(66, 80))):
        seen = drained(store, late + until)
        assert sorted(seen, key=int) == [b"%d" % number for number in numbers]
    assert store.next_due() is None
    store.close()


# -- a directory that cannot be used -----------------------------------------------------


def test_a_directory_that_is_gone_is_an_error_with_its_name(
    store: DirectoryStore, path: bytes
) -> None:
    """Deleted under us: put, claim and jobs say so; when it is back, so are we."""
    assert store.claim(later()) is None
    os.rmdir(path)
    for use in (lambda: store.put({b"n": b"1"}), lambda: store.claim(later()), store.jobs):
        with pytest.raises(StoreUnavailable, match=r"spool: cannot .*No such file"):
            use()
    os.mkdir(path)
    store.put({b"n": b"2"})
    assert drained(store) == [b"2"]


def test_a_directory_that_was_replaced_is_the_new_one(store: DirectoryStore, path: bytes) -> None:
    """Moved away and made anew under the same name: tasks of the new one are heard of."""
    assert store.claim(later()) is None
    os.rename(path, path + b".old")
    os.mkdir(path)
    store.put({b"n": b"1"})
    assert drained(store) == [b"1"]
    store.put({b"n": b"2"})
    assert drained(store) == [b"2"]


@pytest.mark.parametrize("call", ["open", "write", "utime", "rename"])
@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_failed_put_keeps_nothing(
    store: DirectoryStore, path: bytes, monkeypatch: pytest.MonkeyPatch, call: str, trouble: int
) -> None:
    """A full disk or a read-only directory at any call: an error with its text, and no file."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(trouble, os.strerror(trouble))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StoreUnavailable, match=os.strerror(trouble)):
            store.put({b"n": b"1"}, at=1_000_000_000)
    assert _all_files(path) == set()


def test_a_short_write_is_continued(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes only a part is followed by the rest."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    store.put({b"n": b"1", b"long": b"x" * 100}, b"body")
    monkeypatch.undo()
    task = claimed(store)
    assert (task.vars[b"long"], task.body) == (b"x" * 100, b"body")


def test_a_retry_on_a_full_disk_keeps_the_task(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the count cannot be written the task still waits for its next run."""
    store.put({b"n": b"1"})
    task = claimed(store)

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(StoreUnavailable, match="No space left"):
            store.settle(task, Outcome.RETRY, at=FUTURE)
    assert store.claim(later()) is None
    assert drained(store, FUTURE) == [b"1"]


def test_a_task_removed_while_it_runs_stays_removed(store: DirectoryStore, path: bytes) -> None:
    """Whoever deletes a running task's file ends it; no outcome brings it back."""
    for outcome in Outcome:
        os.unlink(store.put({b"n": b"1"}))
        task_path = store.put({b"n": b"1"})
        task = claimed(store)
        os.unlink(task_path)
        store.settle(task, outcome)
        assert drained(store) == []
    task_path = store.put({b"n": b"1"})
    task = claimed(store)
    os.unlink(task_path)
    store.bury(task, "gone")
    assert store.jobs() == []


def test_an_unreadable_file_is_left_and_told_once(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another user's task is not ours to move: it stays, the log has one line."""
    path = store.put({b"n": b"1"})
    real = os.open

    def refuse(name: bytes, *args: Any, **kwargs: Any) -> int:
        if name == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    now = later()
    for wait in range(4):
        assert store.claim(now + wait) is None
    monkeypatch.undo()
    assert len([r for r in caplog.records if "Permission denied" in r.message]) == 1
    assert drained(store, now + 60) == [b"1"]
