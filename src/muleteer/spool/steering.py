"""Changing what lies in a spool directory, from outside: remove, retry, move.

Not here: looking only (looking.py), and what spoolers do (directory.py).
Runs in: anywhere.

Rules
1. Whatever is changed is locked before, as a spooler would; so a running task is never touched,
   and no spooler starts one that is being changed.
2. Each step is atomic: whoever dies, a task is where it was or where it should go.
3. What is to be seen by spoolers is moved in as a whole file, since that is what they hear.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Final

from muleteer.errors import Malformed, SpoolError
from muleteer.spool import notes
from muleteer.spool.filelock import try_lock, unlock
from muleteer.spool.files import is_at, make_folder, read_whole, unavailable, write_whole
from muleteer.spool.graves import DEAD, REASON, forget_reason
from muleteer.spool.looking import Found, content_of, find
from muleteer.spool.results import DONE
from muleteer.spool.store import Task

__all__ = ["Change", "cancel", "move", "queue_path", "remove", "retry"]

_LOCKING: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Change(StrEnum):
    """What became of the wish to change a task."""

    DONE = "done"
    RUNNING = "running"
    """A process has it in hand: it was left alone."""
    GONE = "gone"
    """It ended, or somebody removed it."""
    REFUSED = "refused"
    """Not possible with a task in this state."""


def cancel(path: str | bytes | os.PathLike[str]) -> bool:
    """Take back the task that `spool` returned this path for; True: it will not run any more.

    False: it runs at this moment, has ended, or was never there. Needs no server; atomic.
    StoreUnavailable when the directory cannot be used.
    """
    found = find(os.path.abspath(os.fsencode(path)))
    if found is None or found.folder in (DEAD, DONE):
        return False
    return remove(found) is Change.DONE


def remove(found: Found) -> Change:
    """Remove a task, a dead one with its reason, or the result of one that is done."""

    def unlink(_fd: int) -> Change:
        os.unlink(found.file)
        return Change.DONE

    change = _change(found, "remove a task", unlink)
    if change is Change.DONE and found.folder == DEAD:
        forget_reason(found.file)
    return change


def retry(found: Found) -> Change:
    """Have a task run now: a dead one begins anew, one that waits for its time does not wait.

    SpoolError when it is dead because nobody can read it.
    """
    if found.folder == DONE:
        return Change.REFUSED
    if found.folder == DEAD:
        change = _change(found, "bring a task back", lambda fd: _revive(found, fd))
        if change is Change.DONE:
            forget_reason(found.file)
        return change
    return _change(found, "make a task due", lambda fd: _make_due(found, fd))


def queue_path(found: Found) -> bytes:
    """Where a task lies, or would lie once it is retried; SpoolError when it cannot be read."""
    if found.folder != DEAD:
        return found.path
    try:
        return _place(found, content_of(found))
    except (Malformed, OSError) as error:
        raise SpoolError(f"task {os.fsdecode(found.name)} cannot be read: {error}") from error


def move(found: Found, home: bytes) -> Change:
    """Have a task in another spool directory, in the same state there.

    One rename; on another file system a copy, then an unlink: who dies between them leaves both.
    """
    if found.folder == DONE or os.path.realpath(home) == os.path.realpath(found.home):
        return Change.REFUSED
    target = replace(found, home=home).file
    if not os.path.isdir(home):
        raise unavailable(home, "move a task there", FileNotFoundError(2, "no such directory"))
    if found.folder:
        make_folder(home + b"/" + found.folder)
    change = _change(
        found, f"move a task to {os.fsdecode(home)}", lambda fd: _carry(found, fd, target)
    )
    if change is Change.DONE and found.folder == DEAD:
        _carry_reason(found, target)
    return change


# -- the steps, each under the file's lock ----------------------------------------------------


def _change(found: Found, doing: str, step: Callable[[int], Change]) -> Change:
    try:
        with _locked(found) as fd:
            return Change.RUNNING if fd is None else step(fd)
    except FileNotFoundError:
        return Change.GONE
    except OSError as error:
        raise unavailable(found.home, doing, error) from error


@contextmanager
def _locked(found: Found) -> Iterator[int | None]:
    """The open file, ours for a moment; None when it is another's."""
    fd = _open(found.file)
    try:
        if not try_lock(fd):
            yield None
            return
        try:
            if not is_at(found.file, os.fstat(fd)):  # ended, or rewritten, between open and lock
                raise FileNotFoundError(errno.ENOENT, "the task ended")
            yield fd
        finally:
            unlock(fd)
    finally:
        os.close(fd)


def _open(file: bytes) -> int:
    """Open for a lock; of the dead, who are read-only, the owner may change that."""
    try:
        return os.open(file, _LOCKING)
    except PermissionError:
        os.chmod(file, stat.S_IRUSR | stat.S_IWUSR)
        return os.open(file, _LOCKING)


def _revive(found: Found, fd: int) -> Change:
    """Rewrite it among the dead, then give it its place in the queue."""
    task = _task(found, fd)
    path = _place(found, task)
    write_whole(found.file, _anew(task))
    if (folder := os.path.dirname(path)) != found.home:
        make_folder(folder)
    os.rename(found.file, path)
    return Change.DONE


def _place(found: Found, task: Task) -> bytes:
    """Where a task lies in the queue: by its priority, if it has one."""
    priority = task.vars.get(b"priority", b"")
    folder = found.home + (b"/" + priority if priority.isdigit() else b"")
    return folder + b"/" + found.name


def _make_due(found: Found, fd: int) -> Change:
    write_whole(found.file, _anew(_task(found, fd)))
    return Change.DONE


def _task(found: Found, fd: int) -> Task:
    try:
        return notes.task_in(found.path, read_whole(fd, os.fstat(fd).st_size))
    except Malformed as error:
        raise SpoolError(
            f"task {os.fsdecode(found.name)} cannot be read, so it cannot run: {error}"
        ) from error


def _anew(task: Task) -> bytes:
    """The task's file as if it were enqueued now: no attempts, no error, all its time before it."""
    return notes.bytes_of(replace(task, queued_at=time.time()), 0, "")


def _carry(found: Found, fd: int, target: bytes) -> Change:
    try:
        os.rename(found.file, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        info = os.fstat(fd)
        write_whole(target, read_whole(fd, info.st_size), info.st_mtime)
        os.unlink(found.file)
    return Change.DONE


def _carry_reason(found: Found, target: bytes) -> None:
    try:
        with open(found.file + REASON, "rb") as file:
            write_whole(target + REASON, file.read())
    except FileNotFoundError:
        return
    forget_reason(found.file)
