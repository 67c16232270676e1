"""What a spool file says beside the application's vars: attempts, first enqueue, last error.

They are vars of the prefix `muleteer_`: uWSGI runs such a file, and hands them on as vars.
Not here: the bytes (wire/spoolfile.py), the files (directory.py).
Runs in: anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from muleteer.spool import names
from muleteer.spool.store import Task
from muleteer.wire.spoolfile import SpoolTask, decode_task, encode_task

__all__ = ["bytes_of", "task_in", "task_of"]

_PREFIX: Final = b"muleteer_"
_ATTEMPTS: Final = b"muleteer_attempts"
_LAST_ERROR: Final = b"muleteer_last_error"
_QUEUED_AT: Final = b"muleteer_queued_at"

_COUNTED: Final = (_ATTEMPTS, _LAST_ERROR, _QUEUED_AT)
_ERROR_BYTES: Final = 2000


def task_in(path: bytes, data: bytes, seen_at: float = 0.0) -> Task:
    """The task in a file's bytes; `seen_at` stands in for an enqueue time that nobody wrote down.

    Malformed when there is no task in them.
    """
    content = decode_task(data)
    if _PREFIX in data:
        return task_of(path, content, seen_at)
    return Task(path, content.vars, content.body, names.queued_at(path) or seen_at)


def task_of(path: bytes, content: SpoolTask, seen_at: float = 0.0) -> Task:
    """The task in what its file says, the server's own vars told from the application's."""
    task_vars = {k: v for k, v in content.vars.items() if not k.startswith(_PREFIX)}
    notes = {k: v for k, v in content.vars.items() if k.startswith(_PREFIX)}
    attempts, error = notes.get(_ATTEMPTS, b""), notes.get(_LAST_ERROR, b"")
    return Task(
        path,
        task_vars,
        content.body,
        _number(notes, _QUEUED_AT) or names.queued_at(path) or seen_at,
        int(attempts) if attempts.isdigit() and len(attempts) < 10 else 0,
        error.decode("utf-8", "replace"),
        notes={k: v for k, v in notes.items() if k not in _COUNTED},
    )


def bytes_of(task: Task, attempts: int, error: str) -> bytes:
    """The task's file with that many attempts counted; its other notes stay."""
    notes = dict(task.notes)
    if task.queued_at:
        notes[_QUEUED_AT] = b"%.6f" % task.queued_at
    if attempts:
        notes[_ATTEMPTS] = b"%d" % attempts
        notes[_LAST_ERROR] = error.encode("utf-8", "backslashreplace")[:_ERROR_BYTES]
    return encode_task({**task.vars, **notes}, task.body)


def _number(notes: Mapping[bytes, bytes], key: bytes) -> float:
    try:
        return float(notes.get(key, 0))
    except ValueError:
        return 0.0
