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

__all__ = ["ATTEMPTS", "COUNTED", "LAST_ERROR", "PREFIX", "QUEUED_AT", "bytes_of", "task_in"]

PREFIX: Final = b"muleteer_"
ATTEMPTS: Final = b"muleteer_attempts"
LAST_ERROR: Final = b"muleteer_last_error"
QUEUED_AT: Final = b"muleteer_queued_at"

COUNTED: Final = (ATTEMPTS, LAST_ERROR, QUEUED_AT)
_ERROR_BYTES: Final = 2000


def task_in(path: bytes, data: bytes, seen_at: float = 0.0) -> Task:
    """The task in a file's bytes; `seen_at` stands in for an enqueue time that nobody wrote down.

    Malformed when there is no task in them.
    """
    content = decode_task(data)
    queued_at = names.queued_at(path) or seen_at
    if PREFIX in data:
        return _with_notes(path, content, queued_at)
    return Task(path, content.vars, content.body, queued_at)


def bytes_of(task: Task, attempts: int, error: str) -> bytes:
    """The task's file with that many attempts counted; its other notes stay."""
    notes = dict(task.notes)
    if task.queued_at:
        notes[QUEUED_AT] = b"%.6f" % task.queued_at
    if attempts:
        notes[ATTEMPTS] = b"%d" % attempts
        notes[LAST_ERROR] = error.encode("utf-8", "backslashreplace")[:_ERROR_BYTES]
    return encode_task({**task.vars, **notes}, task.body)


def _with_notes(path: bytes, content: SpoolTask, queued_at: float) -> Task:
    task_vars = {k: v for k, v in content.vars.items() if not k.startswith(PREFIX)}
    notes = {k: v for k, v in content.vars.items() if k.startswith(PREFIX)}
    attempts, error = notes.get(ATTEMPTS, b""), notes.get(LAST_ERROR, b"")
    return Task(
        path,
        task_vars,
        content.body,
        _number(notes, QUEUED_AT) or queued_at,
        int(attempts) if attempts.isdigit() and len(attempts) < 10 else 0,
        error.decode("utf-8", "replace"),
        notes={k: v for k, v in notes.items() if k not in COUNTED},
    )


def _number(notes: Mapping[bytes, bytes], key: bytes) -> float:
    try:
        return float(notes.get(key, 0))
    except ValueError:
        return 0.0
