"""spool/directory.py on a disk that is full, read-only or broken: clear errors, nothing lost.

The full disk is a real one of 64 KiB where a test may mount it; elsewhere the calls fail by hand.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.spooling import claimed, drained, later
from tests.harness.tools import tool

from muleteer.errors import StoreUnavailable
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.files import DRAFTS
from muleteer.spool.store import Outcome, Task

FUTURE = 4_000_000_000.0
FIRST_LOOKS = 6


def _fails(
    monkeypatch: pytest.MonkeyPatch, call: str, trouble: int, when: Callable[..., bool]
) -> None:
    """Let calls of `os` fail that `when` picks."""
    real = getattr(os, call)

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise OSError(trouble, os.strerror(trouble))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, refuse)


@pytest.fixture
def store(path: bytes) -> Iterator[DirectoryStore]:
    """One consumer of the directory."""
    opened = DirectoryStore(path)
    yield opened
    opened.close()


# -- a full disk ---------------------------------------------------------------------------


class Disk:
    """A disk of 64 KiB, or a directory in which only writing fails once it is full."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._patch = monkeypatch
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        self.is_real = sys.platform == "linux" and os.geteuid() == 0 and _succeeds(mount)

    def fill(self) -> None:
        """Leave no byte."""
        if not self.is_real:
            _fails(self._patch, "write", errno.ENOSPC, lambda *_: True)
            return
        with self._ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
            while True:
                file.write(b"x" * 512)

    def make_room(self) -> None:
        """Give the room back."""
        if self.is_real:
            self._ballast.unlink()
        else:
            self._patch.undo()

    def close(self) -> None:
        if self.is_real:
            assert _succeeds(["umount", str(self.folder)])


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(path: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk that `path` is on."""
    made = Disk(Path(os.fsdecode(path)), monkeypatch)
    yield made
    made.close()


def _files(disk: Disk) -> set[str]:
    found = {str(f.relative_to(disk.folder)) for f in disk.folder.rglob("*") if f.is_file()}
    return found - {"ballast"}


def test_a_task_that_finds_no_room_is_refused_and_leaves_nothing(disk: Disk) -> None:
    """The error names directory, disk and way out; what was there before stays and runs."""
    store = DirectoryStore(bytes(disk.folder))
    store.put({b"n": b"before"})
    disk.fill()
    for size in (10, 5_000, 500_000):
        with pytest.raises(StoreUnavailable, match=r"spool: cannot write a task: No space left"):
            store.put({b"n": b"1", b"value": b"x" * size}, b"body" * size)
    assert len(_files(disk)) == 1, "no draft is left either"
    assert drained(store) == [b"before"]
    disk.make_room()
    store.put({b"n": b"after"})
    assert drained(store) == [b"after"]
    store.close()


def test_a_failure_on_a_full_disk_keeps_the_task_for_its_next_time(disk: Disk) -> None:
    """Where its count cannot be written it is due again all the same, as it was."""
    store = DirectoryStore(bytes(disk.folder))
    store.put({b"n": b"1", b"value": b"x" * 9000})
    task = claimed(store)
    disk.fill()
    with pytest.raises(StoreUnavailable, match="No space left"):
        store.settle(task, Outcome.RETRY, at=FUTURE, error="no")
    assert store.claim(FUTURE - 1) is None
    disk.make_room()
    again = store.claim(FUTURE)
    assert again is not None
    assert (again.attempts, again.died) == (0, False)
    store.settle(again, Outcome.RETRY, error="no")
    assert claimed(store).attempts == 1
    store.close()


def test_a_full_disk_has_room_for_the_dead(disk: Disk) -> None:
    """A move needs none: only the reason is missing, and it is in the log."""
    store = DirectoryStore(bytes(disk.folder))
    (disk.folder / "dead").mkdir()
    path = store.put({b"n": b"1"})
    garbage = disk.folder / "uwsgi_spoolfile_on_garbage"
    garbage.write_bytes(b"no task")
    os.utime(garbage, (1, 1))
    task = _claim_past_garbage(store, disk)
    store.bury(task, "it failed")
    name = os.fsdecode(os.path.basename(path))
    assert _files(disk) == {f"dead/{name}", "dead/uwsgi_spoolfile_on_garbage"}
    store.close()


def _claim_past_garbage(store: DirectoryStore, disk: Disk) -> Task:
    disk.fill()
    return claimed(store)


# -- trouble with one file ---------------------------------------------------------------------


@pytest.mark.parametrize("call", ["open", "pread", "fchmod"])
@pytest.mark.parametrize("trouble", [errno.EIO, errno.EACCES, errno.EPERM, errno.ETXTBSY])
def test_trouble_with_one_file_costs_no_other_task(
    store: DirectoryStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    trouble: int,
) -> None:
    """A file on a bad block stands first in the queue: it is passed over, and told once."""
    bad = store.put({b"n": b"bad"})
    inode = os.stat(bad).st_ino
    for n in range(3):
        store.put({b"n": b"%d" % n})

    def is_bad(what: Any, *_: Any) -> bool:
        return what == bad if call == "open" else os.fstat(what).st_ino == inode

    _fails(monkeypatch, call, trouble, is_bad)
    ran_without_mark = call == "fchmod" and trouble in (errno.EACCES, errno.EPERM)
    wanted = [b"bad"] * ran_without_mark + [b"0", b"1", b"2"]
    assert drained(store) == wanted
    now = later()
    assert [store.claim(now + wait) for wait in range(FIRST_LOOKS)] == [None] * FIRST_LOOKS
    told = [r for r in caplog.records if "cannot be taken" in r.message]
    assert len(told) == (not ran_without_mark), "told once, however often it is looked at"
    monkeypatch.undo()
    assert drained(store, now + 60) == [] if ran_without_mark else [b"bad"]


@pytest.mark.parametrize("trouble", [errno.EIO, errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_garbage_that_cannot_be_moved_costs_no_other_task(
    store: DirectoryStore, path: bytes, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    """It is passed over, and moved to dead/ when that is possible again."""
    garbage = Path(os.fsdecode(path)) / "uwsgi_spoolfile_on_garbage"
    garbage.write_bytes(b"no task")
    os.utime(garbage, (1, 1))
    store.put({b"n": b"1"})
    with monkeypatch.context() as patch:
        _fails(patch, "mkdir", trouble, lambda *_: True)
        assert drained(store) == [b"1"]
    assert garbage.exists()
    assert store.claim(time.time() + 60) is None
    assert not garbage.exists()


# -- a directory nobody may change -----------------------------------------------------------


@pytest.mark.parametrize("can_be_marked", [True, False])
def test_a_task_that_ended_but_cannot_be_removed_does_not_run_again(
    store: DirectoryStore, path: bytes, monkeypatch: pytest.MonkeyPatch, can_be_marked: bool
) -> None:
    """The error is told; whoever finds the file later removes it, and runs nothing.

    Where not even its mode can be changed, this holds for the process that ran it.
    """
    task_path = store.put({b"n": b"1"})
    other = DirectoryStore(path)
    trouble = errno.EACCES if can_be_marked else errno.EROFS
    with monkeypatch.context() as patch:
        task = claimed(store)
        _fails(patch, "unlink", trouble, lambda *_: True)
        if not can_be_marked:
            _fails(patch, "fchmod", trouble, lambda *_: True)
        with pytest.raises(StoreUnavailable, match=os.strerror(trouble)):
            store.settle(task, Outcome.OK)
        if can_be_marked:
            assert [store.claim(time.time() + wait) for wait in (1, 7, 20)] == [None] * 3
            assert other.claim(later()) is None
    assert os.path.exists(task_path)
    claimer = other if can_be_marked else store
    assert claimer.claim(time.time() + 90) is None
    assert not os.path.exists(task_path)
    other.close()


def test_a_read_only_file_system_starts_no_task(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be ended is not begun: the claim says why; later all of them run."""
    for n in range(3):
        store.put({b"n": b"%d" % n})
    with monkeypatch.context() as patch:
        _fails(patch, "fchmod", errno.EROFS, lambda *_: True)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="Read-only file system"):
                store.claim(later())
    assert drained(store) == [b"0", b"1", b"2"]


# -- the dead ----------------------------------------------------------------------------------


def test_the_dead_are_not_overwritten(path: bytes) -> None:
    """A file that is a number may die, be dropped in again, and die again: all are kept."""
    folder = Path(os.fsdecode(path))
    store = DirectoryStore(path, ordered=True)
    for n in range(3):
        (folder / "7").write_bytes(b"\x11\x05\x00\x00\x01\x00n\x00\x00")
        task = claimed(store)
        store.bury(task, f"death {n}")
    store.close()
    dead = folder / "dead"
    assert sorted(f.name for f in dead.iterdir()) == [
        *("7", "7.2", "7.2.reason", "7.3", "7.3.reason", "7.reason"),
    ]
    reasons = [(dead / f"{name}.reason").read_text().strip() for name in ("7", "7.2", "7.3")]
    assert reasons == ["death 0", "death 1", "death 2"]


def test_a_dead_task_is_read_only(store: DirectoryStore, path: bytes) -> None:
    """One who has had it open since before sees by its mode that its time is over."""
    task_path = store.put({b"n": b"1"})
    store.bury(claimed(store), "no")
    grave = Path(os.fsdecode(path)) / "dead" / os.fsdecode(os.path.basename(task_path))
    assert stat.S_IMODE(grave.stat().st_mode) == stat.S_IRUSR | stat.S_IXUSR


# -- sync ----------------------------------------------------------------------------------------


def test_what_could_not_be_made_durable_is_not_there(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sync, an fsync that fails is a put that failed, of the file as of the directory."""
    store = DirectoryStore(path, sync=True)
    for is_folder in (False, True):

        def when(fd: int, is_folder: bool = is_folder) -> bool:
            return stat.S_ISDIR(os.fstat(fd).st_mode) == is_folder

        with monkeypatch.context() as patch:
            _fails(patch, "fsync", errno.EIO, when)
            with pytest.raises(StoreUnavailable, match="Input/output error"):
                store.put({b"n": b"1"})
        assert os.listdir(path) == [DRAFTS]
        assert os.listdir(path + b"/" + DRAFTS) == []
    store.close()


SYNCED = """
import os, sys
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.store import Outcome
store = DirectoryStore(os.fsencode(sys.argv[1]), sync=sys.argv[2] == "data")
os.write(1, b"begin\\n")
store.put({b"n": b"1", b"priority": b"3"})
os.write(1, b"acknowledged\\n")
task = store.claim(4e9)
os.write(1, b"claimed\\n")
store.settle(task, Outcome.RETRY, error="no")
os.write(1, b"counted\\n")
"""


def test_the_kernel_sees_the_order_that_a_power_failure_needs(path: bytes, tmp_path: Path) -> None:
    """fsync(file) before its rename, fsync(directory) after it, and only then the answer.

    A priority's directory is new: its parent is synced, too. Without sync there is no fsync.
    """
    words = _traced(path, tmp_path, "data")
    put = words[words.index("begin") : words.index("acknowledged")]
    assert [w for w in put if w.startswith(("fsync", "rename", "mkdir"))] == [
        "mkdir 3",
        "fsync draft",
        "rename",
        "fsync 3",
        "fsync .",
    ]
    counted = words[words.index("claimed") : words.index("counted")]
    assert [w for w in counted if w.startswith(("fsync", "rename"))] == [
        "fsync draft",
        "rename",
        "fsync 3",
    ]
    assert not [w for w in _traced(path, tmp_path, "none") if w.startswith("fsync")]


def _traced(path: bytes, tmp_path: Path, sync: str) -> list[str]:
    """The system calls of one writer, in words."""
    log = tmp_path / f"strace-{sync}"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,write"
    command = [
        *(tool("strace", "strace"), "-y", "-e", calls, "-o", str(log)),
        *(sys.executable, "-c", SYNCED, os.fsdecode(path), sync),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return list(filter(None, (_in_a_word(line) for line in log.read_text().splitlines())))


def _in_a_word(line: str) -> str | None:
    call, _, rest = line.partition("(")
    if call == "write":
        return next((w for w in WORDS if f'"{w}\\n"' in rest), None)
    if call.startswith("rename"):
        return "rename" if "spoolfile" in rest else None
    if call.startswith("mkdir"):
        return "mkdir 3" if "spool/3" in rest else None
    if call in ("fsync", "fdatasync"):
        place = rest.partition("<")[2].partition(">")[0]
        last = place.rpartition("/")[2]
        return "fsync " + ("draft" if last.startswith(".") else last.replace("spool", "."))
    return None


WORDS = ("begin", "acknowledged", "claimed", "counted")
