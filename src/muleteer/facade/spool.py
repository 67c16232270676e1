"""`uwsgi`'s spool functions: spool, spooler_jobs, spooler_get_task, spooler_pids, parsefile ...

Not here: files and locks (the stores'), and the running of tasks (the spooler's).
Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from muleteer.errors import BadTask, Malformed, WireError
from muleteer.facade.values import stored_vars
from muleteer.runtime import Runtime
from muleteer.wire.packet import decode_vars
from muleteer.wire.spoolfile import MODIFIER, decode_task

__all__ = ["Spool", "SpoolFiles"]


class Spool:
    """The functions that are there when a spool directory is configured."""

    SPOOL_OK = -2
    SPOOL_RETRY = -1
    SPOOL_IGNORE = 0

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def spoolers(self) -> tuple[bytes, ...]:
        """Every directory tasks can be put into, the external ones last."""
        return tuple(os.fsencode(path) for path in self._runtime.stores)

    def spool(self, message: Mapping[Any, Any] | None = None, /, **more: Any) -> bytes:
        """Enqueue a task: a dict, keywords, or both (a keyword wins); returns its path.

        Keys are str or bytes; values str, bytes, numbers, dates or paths, of any size.
        Special keys: `at` (Unix seconds, a datetime or a timedelta), `priority` (a number, 1
        first), `spooler` (one of `uwsgi.spoolers`), `body` (bytes that do not pass through the
        vars). The dict may also be called `message_dict`. ValueError names what cannot be stored,
        and then nothing is. Blocks as long as the disk does.
        """
        if message is None and isinstance(more.get("message_dict"), Mapping):
            message = more.pop("message_dict")
        if message is None and not more:
            raise BadTask("spool: nothing was given; spool({}) enqueues a task without vars")
        task_vars = stored_vars(message or {}, more)
        return self._runtime.put_task(task_vars, task_vars.pop(b"body", b""))

    def send_to_spooler(self, message: Mapping[Any, Any] | None = None, /, **more: Any) -> bytes:
        """The older name of `spool`."""
        return self.spool(message, **more)

    def spooler_jobs(self) -> list[bytes]:
        """Return the paths of the tasks that wait, of all spoolers (uWSGI: of the first one)."""
        return [path for store in self._runtime.stores.values() for path in store.jobs()]

    def spooler_get_task(self, path: str | bytes, /) -> dict[Any, bytes] | None:
        """Return what a waiting task holds, as its handler would get it, and its path as the name.

        None when it is gone, running or no task. Changes nothing.
        """
        place = os.fsencode(path)
        found = (store.get_task(place) for store in self._runtime.stores.values())
        task = next(filter(None, found), None)
        return task.seen(place) if task else None

    def spooler_pid(self) -> int:
        """Return the pid of the first spooler, 0 while it has none."""
        return next(iter(self.spooler_pids()), 0)

    def spooler_pids(self) -> list[int]:
        """Return the pids of all spoolers, 0 for an external directory or one without a process."""
        pids = {row.seat.id: row.pid for row in self._runtime.scoreboard.taken("spooler")}
        count = self._runtime.switchboard.population.spoolers
        external = len(self._runtime.settings.spooler_external)
        return [pids.get(number, 0) for number in range(1, count + 1)] + [0] * external

    def set_spooler_frequency(self, seconds: int, /) -> bool:
        """Let all spoolers look at their directories every `seconds` (0: as configured).

        They hear of new tasks at once in any case. Returns True.
        """
        if seconds < 0:
            raise ValueError(f"set_spooler_frequency({seconds}): seconds cannot be negative")
        self._runtime.scoreboard.spooler_frequency = int(seconds)
        for directory in self._runtime.stores:
            self._runtime.ring_spooler(directory)
        return True


class SpoolFiles:
    """The functions about spooling that are always there."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def spooler_dir(self) -> bytes:
        """Return this spooler's directory (uWSGI 2.1 has it); ValueError in other processes."""
        number = self._runtime.id_as("spooler")
        if not number:
            raise ValueError("spooler_dir(): this process is no spooler")
        return os.fsencode(self._runtime.settings.spooler_seats[number - 1])

    def i_am_the_spooler(self) -> bool | None:
        """Return True in a spooler, None elsewhere, as uWSGI."""
        return bool(self._runtime.id_as("spooler")) or None

    def parsefile(self, path: str | bytes, /) -> dict[bytes, bytes] | None:
        """Return the vars in a file that holds a spooled task or a uwsgi packet.

        None when the file cannot be read or holds neither. Blocks as long as the disk does.
        """
        try:
            with open(path, "rb") as file:
                return _vars_in(file.read())
        except (OSError, WireError):
            return None


def _vars_in(data: bytes) -> dict[bytes, bytes]:
    if data[:1] == bytes([MODIFIER]):
        return decode_task(data).vars
    end = 4 + int.from_bytes(data[1:3], "little")
    if len(data) < max(end, 4):
        raise Malformed("the packet is shorter than its header says")
    return dict(decode_vars(data[4:end]))
