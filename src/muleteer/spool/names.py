"""The names of spool files: made as uWSGI makes them, read for the order of the tasks.

Not here: the files.
Runs in: anywhere.

`uwsgi_spoolfile_on_<host>_<pid>_<counter>_<random>_<sec>_<usec>`, in a directory that is a
number when the task has a priority. Temporary names begin with a dot, so that neither we nor
uWSGI take them for tasks.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from typing import Final

__all__ = ["PREFIX", "Rank", "is_temporary", "new_name", "queued_at", "rank", "temporary"]

PREFIX: Final = b"uwsgi_spoolfile_on_"

Rank = tuple[int, int, int]
"""Priority, enqueue time in microseconds, the producer's counter: smaller runs first."""

_NO_PRIORITY: Final = 10**10


class _Process:
    """What makes a name this process's own; begun anew in every fork."""

    def __init__(self) -> None:
        self.host = os.fsencode(os.uname().nodename)
        self.begin()

    def begin(self) -> None:
        self.pid = os.getpid()
        self.counter = itertools.count(1)


_process = _Process()
os.register_at_fork(after_in_child=_process.begin)


def new_name() -> bytes:
    """A name that no other process and no other call has; no system call, any thread."""
    sec, nsec = divmod(time.time_ns(), 1_000_000_000)
    return b"%s%s_%d_%d_%d_%d_%d" % (
        PREFIX,
        _process.host,
        _process.pid,
        next(_process.counter),
        random.getrandbits(31),
        sec,
        nsec // 1000,
    )


def temporary(name: bytes) -> bytes:
    """The hidden name under which a file grows before it gets its own."""
    return b"." + name


def is_temporary(name: bytes) -> bool:
    """Whether a writer of ours gave this name to a file that is not yet whole."""
    return name.startswith(b"." + PREFIX)


def rank(name: bytes) -> Rank:
    """Where a task stands in the order; `name` is relative to the spool directory.

    uWSGI's own order is the directory's, or by producer's pid; ours is the enqueue time.
    A name we cannot read stands first, since nobody can say how long it has waited.
    """
    folder, _, base = name.rpartition(b"/")
    priority = int(folder) if folder else _NO_PRIORITY
    if base.isdigit():
        return int(base), 0, 0
    fields = base.rsplit(b"_", 4)
    try:
        return priority, int(fields[3]) * 1_000_000 + int(fields[4]), int(fields[1])
    except (IndexError, ValueError):
        return priority, 0, 0


def queued_at(path: bytes) -> float:
    """The wall time of the enqueue, from a name or path; 0.0 when it does not say."""
    fields = path.rsplit(b"_", 2)
    try:
        return int(fields[1]) + int(fields[2]) / 1e6
    except (IndexError, ValueError):
        return 0.0
