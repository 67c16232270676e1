"""`dead/`: where tasks lie that never run again, each with the reason beside it.

Not here: why a task is given up (verdict.py), and how it is brought back (steering.py).
Runs in: a spooler; any process that claims.

Rules
1. The reason is there before the task is: whoever finds a dead task finds out why.
   Where the disk has no room for it, the task is buried without; the log has the reason.
2. Nothing that is dead already is overwritten.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from muleteer.spool.files import make_folder, write_whole
from muleteer.spool.marks import BURIED

__all__ = ["DEAD", "REASON", "forget_reason", "lay"]

DEAD: Final = b"dead"
REASON: Final = b".reason"

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def lay(home: bytes, name: bytes, fd: int, reason: str) -> bytes:
    """Move the task `name` of the directory `home` to its `dead/`; returns its place there.

    `fd` is the task's file, open and locked. OSError when it could not be moved.
    """
    dead = home + b"/" + DEAD
    make_folder(dead)
    grave = _free(dead + b"/" + name.rpartition(b"/")[2])
    try:
        write_whole(grave + REASON, reason.encode("utf-8", "backslashreplace") + b"\n")
    except OSError as error:
        if error.errno not in _FULL:
            raise
    try:
        os.rename(home + b"/" + name, grave)
        os.fchmod(fd, BURIED)
    except FileNotFoundError:  # somebody removed the task: it needs no grave
        forget_reason(grave)
    return grave


def forget_reason(grave: bytes) -> None:
    """Remove the reason beside a dead task that is dead no more."""
    try:
        os.unlink(grave + REASON)
    except FileNotFoundError:
        pass  # it never had one, or somebody tidied up


def _free(grave: bytes) -> bytes:
    """The place itself, or one beside it: files that are numbers come back under the same name."""
    free, number = grave, 1
    while os.path.lexists(free):
        number += 1
        free = b"%s.%d" % (grave, number)
    return free
