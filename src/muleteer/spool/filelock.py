"""The lock of a spool file: an `fcntl` write lock over the whole of it, as uWSGI takes.

Not here: the locks of `uwsgi.lock`; those are ipc/locks.py's.
Runs in: any process that claims.

A plain POSIX lock belongs to the process and falls when the process closes *any* descriptor of
the file; a handler that reads its own task would lose its claim. Where the system has locks of
the open file (Linux), we take those: they and POSIX locks exclude each other, so uWSGI's
spoolers see ours and we see theirs. They also hold between threads, which POSIX locks do not.
"""

from __future__ import annotations

import fcntl
import os
import sys
from struct import Struct
from typing import Final

__all__ = ["holder", "is_locked", "lock", "try_lock", "unlock"]

_SET_OWN: Final[int | None] = getattr(fcntl, "F_OFD_SETLK", None)
_SET_OWN_WHEN_FREE: Final[int | None] = getattr(fcntl, "F_OFD_SETLKW", None)

# The kernel's `struct flock`; start and length 0 are the whole file.
if sys.platform == "linux":
    _FLOCK = Struct("hhqqi")
    _TYPE, _PID = 0, 4
    _WRITE_LOCK = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0) + bytes(8)
    _NO_LOCK = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0) + bytes(8)
else:
    _FLOCK = Struct("qqihh")
    _TYPE, _PID = 3, 2
    _WRITE_LOCK = _FLOCK.pack(0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET) + bytes(8)
    _NO_LOCK = _FLOCK.pack(0, 0, 0, fcntl.F_UNLCK, os.SEEK_SET) + bytes(8)


def try_lock(fd: int) -> bool:
    """Whether the file is now locked by us; False when another holds it. Never blocks.

    The lock ends by `unlock`, or when `fd` is closed in every process that inherited it.
    """
    try:
        if _SET_OWN is None:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.fcntl(fd, _SET_OWN, _WRITE_LOCK)
    except (BlockingIOError, PermissionError):
        return False
    return True


def lock(fd: int) -> None:
    """Lock the file; blocks while another holds it."""
    if _SET_OWN_WHEN_FREE is None:
        fcntl.lockf(fd, fcntl.LOCK_EX)
    else:
        fcntl.fcntl(fd, _SET_OWN_WHEN_FREE, _WRITE_LOCK)


def unlock(fd: int) -> None:
    """End our lock, also for the children that inherited `fd` and may live on."""
    fcntl.fcntl(fd, fcntl.F_SETLK if _SET_OWN is None else _SET_OWN, _NO_LOCK)


def is_locked(fd: int) -> bool:
    """Whether another holds the file's lock; takes nothing, so no claimer is put off by it."""
    return holder(fd) is not None


def holder(fd: int) -> int | None:
    """The pid of a process with a POSIX lock, -1 for a lock of an open file; None: nobody's."""
    answer = _FLOCK.unpack_from(fcntl.fcntl(fd, fcntl.F_GETLK, _WRITE_LOCK))
    return None if answer[_TYPE] == fcntl.F_UNLCK else int(answer[_PID])
