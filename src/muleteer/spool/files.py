"""Whole files or none: the few things the directory store does with the file system.

Not here: what is in the files, and when they are written.
Runs in: anywhere that enqueues; a spooler.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final

from muleteer.errors import StoreUnavailable
from muleteer.spool import names

__all__ = [
    "DRAFTS",
    "is_at",
    "make_folder",
    "read_whole",
    "sweep_draft",
    "sweep_drafts",
    "sync_folder",
    "unavailable",
    "write_whole",
]

DRAFTS: Final = b".drafts"
"""The folder in a spool directory where files grow until they are whole."""

_DRAFT_AGE_S: Final = 3600.0
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def write_whole(
    path: bytes,
    data: bytes,
    at: float | None = None,
    *,
    sync: bool = False,
    drafts: bytes | None = None,
) -> None:
    """Give `path` a file with all of `data`, or leave things as they were. Atomic.

    With `sync` its content is on the disk before it has its name; the name is there only after
    `sync_folder`.

    A hidden draft and a rename. O_TMPFILE and a link would be as fast and leave no drafts of dead
    writers, but inotify could not tell such a file from one that a `cp` has only begun.
    `drafts` is a folder for drafts that nobody watches: who watches the file's own hears of the
    rename alone, and is woken once, not three times.
    """
    folder, _, name = path.rpartition(b"/")
    draft = (drafts or folder) + b"/" + names.temporary(name)
    try:
        fd = os.open(draft, _NEW_FILE, 0o600)
    except FileNotFoundError:
        if drafts is None:
            raise
        make_folder(drafts)
        fd = os.open(draft, _NEW_FILE, 0o600)
    try:
        try:
            _write_all(fd, data)
            if at is not None:
                os.utime(fd, (at, at))
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):  # interrupted right after the rename: it is done
            os.unlink(draft)
        raise


def read_whole(fd: int, size: int) -> bytes:
    """The first `size` bytes of an open file; fewer when it is shorter. Moves no offset."""
    data = os.pread(fd, size, 0)
    while len(data) < size:  # more than 2 GiB at once, or a file that is being cut
        more = os.pread(fd, size - len(data), len(data))
        if not more:
            break
        data += more
    return data


def make_folder(path: bytes) -> None:
    """Have a directory at `path`, whose parent is there. Idempotent."""
    try:
        os.mkdir(path)
    except FileExistsError:
        pass  # another writer needed it at the same moment


def is_at(path: bytes, status: os.stat_result) -> bool:
    """Whether `path` still names the file that `status` is of."""
    try:
        return os.path.samestat(os.lstat(path), status)
    except FileNotFoundError:
        return False


def sweep_draft(entry: os.DirEntry[bytes]) -> None:
    """Remove the draft of a writer that died long ago; a younger one is left to its writer."""
    try:
        if time.time() - entry.stat(follow_symlinks=False).st_ctime > _DRAFT_AGE_S:
            os.unlink(entry.path)
    except FileNotFoundError:
        pass  # it has just got its own name


def sweep_drafts(folder: bytes) -> None:
    """Do so with all drafts in a folder, if there is one."""
    try:
        with os.scandir(folder) as drafts:
            for draft in drafts:
                sweep_draft(draft)
    except FileNotFoundError:
        pass  # nobody has written here yet


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # more than 2 GiB at once, or a disk that fills up just now
        written += os.write(fd, memoryview(data)[written:])


def sync_folder(path: bytes) -> None:
    """Have the names in a directory on the disk, as they are now."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unavailable(home: bytes, doing: str, error: OSError) -> StoreUnavailable:
    """The error for a spool directory that cannot be used."""
    return StoreUnavailable(
        f"spool directory {os.fsdecode(home)}: cannot {doing}: {error.strerror};"
        " check that it exists, is writable and has room"
    )
