"""What lies in a spool directory, seen from outside: by people, shells, other servers.

Not here: changing anything (steering.py), and claiming (directory.py). No look locks or alters a
file, so nothing waits for us, and a running task does not notice.
Runs in: anywhere.

Rules
1. A directory of a million tasks is walked, not loaded: what is kept is what the caller keeps.
2. Two looks are two moments: a task may end, start or die between them. Who acts on what was seen
   looks again under the file's lock.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from muleteer.errors import Malformed
from muleteer.spool import names, notes
from muleteer.spool.files import read_whole, unavailable
from muleteer.spool.graves import DEAD, REASON
from muleteer.spool.marks import RUN_BEGUN, is_running
from muleteer.spool.results import DONE, result_in
from muleteer.spool.store import Task
from muleteer.wire.packet import decode_vars
from muleteer.wire.spoolfile import HEADER_BYTES, MODIFIER, SpoolTask, decode_task

__all__ = [
    "OUTCOMES",
    "QUEUED",
    "Found",
    "State",
    "Status",
    "content_of",
    "find",
    "function_of",
    "may_be",
    "status",
    "status_of",
    "walk",
]

_HEAD_BYTES: Final = 4096
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class State(StrEnum):
    """Where a task stands in its life."""

    WAITING = "waiting"
    """Due; the next idle spooler takes it."""
    DELAYED = "delayed"
    """Due later: by its `at`, or because it is to be tried again."""
    RUNNING = "running"
    """A process has it in hand."""
    DEAD = "dead"
    """Given up on; the file and the reason are kept for a person."""
    DONE = "done"
    """Ended well, and its result is still kept (`@spool(keep_result=…)`)."""
    GONE = "gone"
    """Nothing is left of it: it ended, or it was removed."""


QUEUED: Final = frozenset({State.WAITING, State.DELAYED, State.RUNNING})
"""The states of a task whose file lies in the spool directory itself."""

_OUTCOME_IN: Final = {DONE: State.DONE, DEAD: State.DEAD}
"""The folders of the tasks that are over, and the state of what lies in them."""

OUTCOMES: Final = frozenset(_OUTCOME_IN.values())
"""The states of a task that will not run again by itself."""


@dataclass(frozen=True, slots=True)
class Status:
    """What one look tells of a task; times are Unix seconds, 0.0 where nobody knows."""

    path: bytes
    """The task's own path, as `spool` returned it, wherever its file lies by now."""
    state: State
    function: str = ""
    """The decorated function's module and name; empty for a task of plain `uwsgi.spool`."""
    queued_at: float = 0.0
    due_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    seconds: float = 0.0
    """How long the run took that ended it, of a task that is done."""
    attempts: int = 0
    """Runs that failed, or that their process did not survive."""
    last_error: str = ""
    """What the last failed run said; of a dead task, why it was given up."""
    result: Any = None
    """What the function returned, where that is kept and JSON can say it."""
    size_bytes: int = 0

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a task, as a walk came by: nothing of it has been read yet."""

    home: bytes
    """The spool directory."""
    folder: bytes
    """Where in it: empty, a priority's number, `dead` or `done`."""
    name: bytes
    info: os.stat_result = field(repr=False)

    @property
    def file(self) -> bytes:
        """Where the file is."""
        return _joined(self.home, self.folder, self.name)

    @property
    def path(self) -> bytes:
        """The task's own path; a dead or done one's priority is not in it."""
        return _joined(self.home, b"" if self.folder in _OUTCOME_IN else self.folder, self.name)

    @property
    def rank(self) -> names.Rank:
        """Where it stands among those that are due."""
        return names.rank(_joined(self.folder, self.name) if self.folder.isdigit() else self.name)


def status(path: str | bytes | os.PathLike[str]) -> Status:
    """What has become of the task that `spool` returned this path for.

    Needs no server and waits for nobody. StoreUnavailable when the directory cannot be read.
    """
    place = os.path.abspath(os.fsencode(path))
    found = find(place)
    return Status(place, State.GONE) if found is None else status_of(found)


def find(path: bytes) -> Found | None:
    """The file of the task of that path, in the queue or among the outcomes; None: it is gone."""
    name = path.rpartition(b"/")[2]
    for home, folder in _places(path):
        try:
            info = os.lstat(_joined(home, folder, name))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise unavailable(home, "look for a task", error) from error
        if stat.S_ISREG(info.st_mode):
            return Found(home, folder, name, info)
    return None


def _places(path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Spool directory and folder in which the task of that path may be, one after the other."""
    folder = path.rpartition(b"/")[0]
    home, _, last = folder.rpartition(b"/")
    homes = [folder]
    if last in _OUTCOME_IN:
        homes = [home]
    elif last.isdigit():  # a priority; or a spool directory that is called so
        homes = [home, folder]
        yield home, last
    # again at the end: somebody may bring a dead one back while we look for it
    yield from ((place, inside) for inside in (b"", DONE, DEAD, b"") for place in homes)


# -- many -----------------------------------------------------------------------------------


def walk(home: bytes, states: Iterable[State] = QUEUED) -> Iterator[Found]:
    """Every file that may be in one of these states, in the directory's own order.

    What it is can be told by `status_of`. StoreUnavailable when the directory cannot be read.
    """
    wanted = frozenset(states)
    if wanted & QUEUED:
        yield from _walk_queue(home)
    for folder, state in _OUTCOME_IN.items():
        if state in wanted:
            yield from _walk_folder(home, folder, [])


def count(home: bytes) -> tuple[int, int]:
    """How many tasks lie in the queue, whatever they wait for, and how many among the dead.

    Reads names alone. StoreUnavailable when the directory cannot be read.
    """
    priorities: list[bytes] = []
    queued = _count_folder(home, b"", priorities)
    queued += sum(_count_folder(home, folder, []) for folder in priorities)
    return queued, _count_folder(home, DEAD, [])


def _count_folder(home: bytes, folder: bytes, priorities: list[bytes]) -> int:
    try:
        with os.scandir(_joined(home, folder)) as entries:
            found = [entry.name for entry in entries]
    except FileNotFoundError as error:
        if not folder:
            raise unavailable(home, "count tasks", error) from error
        return 0
    except OSError as error:
        raise unavailable(home, "count tasks", error) from error
    priorities += [name for name in found if not folder and name.isdigit()]
    return sum(map(_is_task, found))


def _walk_queue(home: bytes) -> Iterator[Found]:
    priorities: list[bytes] = []
    yield from _walk_folder(home, b"", priorities)
    for folder in priorities:
        yield from _walk_folder(home, folder, [])


def _walk_folder(home: bytes, folder: bytes, priorities: list[bytes]) -> Iterator[Found]:
    """The tasks of one folder; what else is there that may hold tasks is appended."""
    try:
        with os.scandir(_joined(home, folder)) as entries:
            for entry in entries:
                found = _found(home, folder, entry, priorities)
                if found is not None:
                    yield found
    except FileNotFoundError as error:
        if not folder:
            raise unavailable(home, "list tasks", error) from error
    except OSError as error:
        raise unavailable(home, "list tasks", error) from error


def _found(
    home: bytes, folder: bytes, entry: os.DirEntry[bytes], priorities: list[bytes]
) -> Found | None:
    name = entry.name
    try:
        if _is_task(name):
            if entry.is_file(follow_symlinks=False):
                return Found(home, folder, name, entry.stat(follow_symlinks=False))
        elif not folder and name.isdigit() and entry.is_dir(follow_symlinks=False):
            priorities.append(name)
    except FileNotFoundError:
        pass  # it ended while we listed
    return None


def _is_task(name: bytes) -> bool:
    """Whether a task's file is called so, wherever it lies."""
    return name.startswith(names.PREFIX) and not name.endswith(REASON)


def may_be(found: Found, states: frozenset[State], now: float) -> bool:
    """Whether a closer look may find it in one of these states; reads nothing."""
    outcome = _OUTCOME_IN.get(found.folder)
    if outcome is not None:
        return outcome in states
    if found.info.st_mode & RUN_BEGUN:
        return bool(states & QUEUED)
    if found.info.st_mtime > now:
        return State.DELAYED in states
    return State.WAITING in states or State.RUNNING in states


# -- one ------------------------------------------------------------------------------------


def status_of(found: Found, now: float | None = None) -> Status:
    """What one file tells; State.GONE when it ended since it was found, or had its time."""
    now = time.time() if now is None else now
    if found.folder == DONE and found.info.st_mtime <= now:
        return Status(found.path, State.GONE)
    try:
        fd = os.open(found.file, _OPEN)
    except FileNotFoundError:
        return Status(found.path, State.GONE)
    except OSError as error:
        return _unreadable(found, error.strerror or str(error))
    try:
        if found.folder == DONE:
            return _status_done(found, read_whole(fd, found.info.st_size))
        return _status_of_open(found, fd, now)
    except OSError as error:
        return _unreadable(found, error.strerror or str(error))
    finally:
        os.close(fd)


def _status_of_open(found: Found, fd: int, now: float) -> Status:
    info = os.fstat(fd)
    if found.folder == DEAD:
        state = State.DEAD
    elif is_running(fd, info):
        state = State.RUNNING
    else:
        state = State.DELAYED if info.st_mtime > now else State.WAITING
    head, error = _head(fd, info.st_size)
    task = notes.task_of(found.path, head)
    begun = state is State.RUNNING and info.st_mode & RUN_BEGUN
    reason, ended_at = _reason(found) if state is State.DEAD else ("", 0.0)
    return Status(
        found.path,
        state,
        function_of(task.vars),
        queued_at=task.queued_at,
        due_at=0.0 if state is State.DEAD else info.st_mtime,
        started_at=info.st_ctime if begun else 0.0,
        ended_at=ended_at,
        attempts=task.attempts,
        last_error=reason or error or task.last_error,
        size_bytes=info.st_size,
    )


def function_of(task_vars: Mapping[bytes, bytes]) -> str:
    """The function a task calls, by the vars of our decorators or of uWSGI's."""
    return _text(task_vars, b"ud_spool_name") or _text(task_vars, b"ud_spool_func")


def _text(task_vars: Mapping[bytes, bytes], key: bytes) -> str:
    return task_vars.get(key, b"").decode("utf-8", "replace")


def content_of(found: Found) -> Task:
    """Everything the task holds; Malformed when its file is none, OSError when it is unreadable."""
    fd = os.open(found.file, _OPEN)
    try:
        return notes.task_in(found.path, read_whole(fd, os.fstat(fd).st_size))
    finally:
        os.close(fd)


def _head(fd: int, size: int) -> tuple[SpoolTask, str]:
    """The vars before the body, which may be large and is not read; and what is wrong with them."""
    data = os.pread(fd, _HEAD_BYTES, 0)
    end = HEADER_BYTES + int.from_bytes(data[1:3], "little")
    if len(data) < min(end, size):
        data = os.pread(fd, end, 0)
    try:
        if len(data) < end or data[0] != MODIFIER:
            decode_task(data)  # says what is wrong
        return SpoolTask(dict(decode_vars(data[HEADER_BYTES:end]))), ""
    except Malformed as error:
        return SpoolTask({}), str(error)


def _status_done(found: Found, data: bytes) -> Status:
    """What was written down at the end of its run."""
    try:
        result = result_in(data)
    except Malformed as error:
        return _unreadable(found, str(error))
    return Status(
        found.path,
        State.DONE,
        result.function,
        queued_at=result.queued_at,
        started_at=result.started_at,
        ended_at=result.ended_at,
        seconds=result.seconds,
        attempts=result.attempts,
        last_error=result.error,
        result=result.value,
        size_bytes=len(data),
    )


def _unreadable(found: Found, why: str) -> Status:
    state = _OUTCOME_IN.get(found.folder, State.WAITING)
    queued_at = names.queued_at(found.name)
    return Status(found.path, state, queued_at=queued_at, last_error=why)


def _reason(found: Found) -> tuple[str, float]:
    """Why a dead task is dead, in one line, and since when; the rest of the file is a traceback."""
    try:
        with open(found.file + REASON, "rb") as file:
            said = file.readline(_HEAD_BYTES).decode("utf-8", "replace").strip()
            return said, os.fstat(file.fileno()).st_mtime
    except OSError:
        return "", found.info.st_ctime


def _joined(*parts: bytes) -> bytes:
    return b"/".join(part for part in parts if part)
