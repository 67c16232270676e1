"""`uwsgi`'s view of the server: workers(), total_requests(), request_id(), mem(), ready() ...

Not here: the counting; every process counts in its own row of the scoreboard.
Runs in: every child; the zygote sees no row of its own.
"""

from __future__ import annotations

import os
import time
from typing import Any

from muleteer.ipc.memory import memory_of
from muleteer.ipc.scoreboard import Row, State
from muleteer.ipc.sockets import waiting
from muleteer.runtime import Runtime

__all__ = ["Workers"]


class Workers:
    """The functions of `uwsgi` that look and change nothing."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def worker_id(self) -> int:
        """Return this worker's number, 0 in any other process."""
        return self._runtime.id_as("worker")

    def mule_id(self) -> int:
        """Return this mule's number, 0 in any other process."""
        return self._runtime.id_as("mule")

    def masterpid(self) -> int:
        """Return the master's pid; it stays the same through reloads."""
        return self._runtime.scoreboard.master_pid

    def workers(self) -> tuple[dict[str, Any], ...]:
        """Return a dict for each worker, made anew by each call (uWSGI overwrites the last one's).

        `status` is b'idle', b'busy', b'sigN' or b'cheap' (no process); running_time and avg_rt are
        microseconds, rss and vsz bytes.
        """
        count = self._runtime.switchboard.population.workers
        rows = {row.seat.id: row for row in self._rows()}
        return tuple(_described(number, rows.get(number)) for number in range(1, count + 1))

    def _rows(self) -> list[Row]:
        """The workers' rows; of an old and a new child of one seat the one to keep comes last."""
        rows = self._runtime.scoreboard.taken("worker")
        return sorted(rows, key=lambda row: (row.state is State.READY, row.generation))

    def total_requests(self) -> int:
        """Return how many requests all workers have answered since the server started."""
        return self._runtime.scoreboard.total_requests

    def request_id(self) -> int:
        """Return how many requests this worker has answered; 0 in any other process."""
        row = self._runtime.row
        return row.requests if row else 0

    def ready(self) -> bool | None:
        """Return True once the server has finished its start, None before, as uWSGI."""
        rows = self._runtime.scoreboard.taken()
        return any(row.state is State.READY for row in rows) or None

    def mem(self) -> tuple[int, int]:
        """Return this process's resident and virtual memory in bytes; (0, 0) where unknown."""
        memory = memory_of(os.getpid())
        return memory.rss, memory.vsz

    def listen_queue(self, number: int = 0, /) -> int:
        """Return how many connections wait to be accepted on a listening socket (the first is 0).

        ValueError when there is no such socket; 0 for unix sockets: the kernel does not say.
        """
        listeners = self._runtime.listeners
        if not 0 <= number < len(listeners):
            raise ValueError(f"listen_queue({number}): this server has {len(listeners)} sockets")
        return waiting(listeners[number])

    def logsize(self) -> int:
        """Return the size of the log in bytes when it is a file, else 0."""
        try:
            return os.fstat(2).st_size
        except OSError:
            return 0

    def micros(self) -> int:
        """Return the wall time in microseconds."""
        return time.time_ns() // 1000


def _described(number: int, row: Row | None) -> dict[str, Any]:
    """One worker in uWSGI's words; a seat without a process has zeros and is cheap."""
    requests = row.requests if row else 0
    exceptions = sum(core.exceptions for core in row.cores) if row else 0
    microseconds = sum(core.microseconds for core in row.cores) if row else 0
    pid = row.pid if row else 0
    rss, vsz = memory_of(pid) if pid else (0, 0)
    return {
        "id": number,
        "pid": pid,
        "requests": requests,
        "delta_requests": requests,
        "signals": row.signals if row else 0,
        "exceptions": exceptions,
        "status": _status(row),
        "rss": rss,
        "vsz": vsz,
        "running_time": microseconds,
        "last_spawn": row.last_spawn if row else 0,
        "respawn_count": row.respawns if row else 0,
        "tx": sum(core.tx for core in row.cores) if row else 0,
        "avg_rt": microseconds // requests if requests else 0,
        "apps": (_app(requests, exceptions),),
    }


def _app(requests: int, exceptions: int) -> dict[str, Any]:
    """The one application a worker has; uWSGI shows addresses as `interpreter` and `callable`."""
    return {
        "id": 0,
        "modifier1": 0,
        "mountpoint": b"",
        "startup_time": 0,
        "interpreter": 0,
        "callable": 0,
        "requests": requests,
        "exceptions": exceptions,
        "chdir": b"",
    }


def _status(row: Row | None) -> bytes:
    if row is None:
        return b"cheap"
    if row.current_signal >= 0:
        return b"sig%d" % row.current_signal
    return b"busy" if row.busy else b"idle"
