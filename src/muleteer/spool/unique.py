"""The keys of unique tasks: of two with one key that wait, the second is the first.

Not here: what makes a key (the decorators), and the tasks' files (directory.py).
Runs in: anywhere that enqueues; a spooler.

Rules
1. A key is a small file in `unique/`, called by the key's hash; it holds the path of the task that
   has the key. Whoever reads it to act on it, or writes it, holds its lock, and nobody holds one
   for longer than it takes to write a task.
2. A key is had by a task whose file is there and which does not run. So it need not be given back
   when a run starts, when one dies, or when the task waits to be tried again: the file tells.
3. The key is written before its task gets its name: who dies between them leaves a key that names
   nothing, and the next one takes it.
4. What names nothing is swept away some time later.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from muleteer.spool.filelock import lock, try_lock, unlock
from muleteer.spool.files import is_at, make_folder
from muleteer.spool.marks import is_running

__all__ = ["put_unique", "release", "sweep_keys"]

_FOLDER: Final = b"unique"
_PATH_BYTES: Final = 4096
_OPEN: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def put_unique(home: bytes, key: bytes, path: bytes, write: Callable[[], None]) -> bytes:
    """Write the task that is to be at `path`, unless one with that key waits; that one's path then.

    Atomic among all processes. Blocks while another writes a task with the same key.
    """
    with _held(home, key) as fd:
        waiting = os.pread(fd, _PATH_BYTES, 0)
        if waiting and _waits(waiting):
            return waiting
        os.ftruncate(fd, 0)
        os.pwrite(fd, path, 0)
        write()
        return path


def release(home: bytes, key: bytes, path: bytes) -> None:
    """Remove the key of a task that has ended; not if another has it by now. Never blocks."""
    file = _file(home, key)
    try:
        fd = os.open(file, _OPEN)
    except FileNotFoundError:
        return
    _remove_if(fd, file, lambda holder: holder == path)


def sweep_keys(home: bytes) -> Iterator[None]:
    """Remove the keys of tasks that are gone, file by file: uWSGI's spoolers know of none."""
    try:
        with os.scandir(home + b"/" + _FOLDER) as entries:
            for entry in entries:
                _sweep(entry.path)
                yield
    except FileNotFoundError:
        pass  # there never was a unique task


def _sweep(file: bytes) -> None:
    try:
        fd = os.open(file, _OPEN)
    except OSError:
        return  # another spooler sweeps, too; or it is none of ours
    _remove_if(fd, file, lambda holder: not os.path.lexists(holder))


def _remove_if(fd: int, file: bytes, is_over: Callable[[bytes], bool]) -> None:
    """Remove a key if that is so of the task that has it, unless it is in use; closes `fd`."""
    try:
        if try_lock(fd) and is_at(file, os.fstat(fd)) and is_over(os.pread(fd, _PATH_BYTES, 0)):
            os.unlink(file)
    finally:
        unlock(fd)
        os.close(fd)


@contextmanager
def _held(home: bytes, key: bytes) -> Iterator[int]:
    """The key's open file, made if need be, and locked."""
    file = _file(home, key)
    while True:
        try:
            fd = os.open(file, _OPEN | os.O_CREAT, 0o600)
        except FileNotFoundError:
            make_folder(home + b"/" + _FOLDER)
            continue
        try:
            lock(fd)
            if is_at(file, os.fstat(fd)):  # not removed between open and lock
                yield fd
                return
        finally:
            unlock(fd)
            os.close(fd)


def _file(home: bytes, key: bytes) -> bytes:
    return home + b"/" + _FOLDER + b"/" + hashlib.sha256(key).hexdigest()[:40].encode()


def _waits(path: bytes) -> bool:
    """Whether a task is there and does not run."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        info = os.fstat(fd)
        return info.st_nlink > 0 and not is_running(fd, info)
    finally:
        os.close(fd)
