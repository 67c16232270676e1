"""What is kept of a task that ended well: one small file in `done/`, for a stated time.

Not here: which tasks' results are kept, and for how long; their functions say.
Runs in: a spooler writes; anybody reads.

The file is JSON, is called as the task was, and its modification time is when it may go: so what
has had its time is found without reading anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from muleteer.errors import Malformed
from muleteer.spool.files import DRAFTS, make_folder, write_whole
from muleteer.spool.store import Result

__all__ = ["DONE", "keep", "result_in", "sweep_results"]

DONE: Final = b"done"
_LARGEST_BYTES: Final = 1 << 20


def keep(home: bytes, name: bytes, result: Result) -> None:
    """Write a task's result; a later one of the same task replaces it. Atomic."""
    path, drafts = home + b"/" + DONE + b"/" + name, home + b"/" + DRAFTS
    data = _encoded(result)
    try:
        write_whole(path, data, result.keep_until, drafts=drafts)
    except FileNotFoundError:
        make_folder(home + b"/" + DONE)
        write_whole(path, data, result.keep_until, drafts=drafts)


def result_in(data: bytes) -> Result:
    """The result in a file's bytes; Malformed when there is none."""
    try:
        return Result(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise Malformed(f"the result cannot be read: {error}") from error


def sweep_results(home: bytes, now: float) -> Iterator[None]:
    """Remove what has been kept for its time, file by file; reads none of them."""
    try:
        with os.scandir(home + b"/" + DONE) as entries:
            for entry in entries:
                _sweep(entry, now)
                yield
    except FileNotFoundError:
        pass  # no result was ever kept here


def _sweep(entry: os.DirEntry[bytes], now: float) -> None:
    try:
        if entry.stat(follow_symlinks=False).st_mtime <= now:
            os.unlink(entry.path)
    except OSError:
        pass  # another spooler sweeps, too; or it is none of ours


def _encoded(result: Result) -> bytes:
    """Its bytes; without the value where that cannot be written down."""
    try:
        data = json.dumps(_fields(result) | {"value": result.value}, allow_nan=False).encode()
        if len(data) <= _LARGEST_BYTES:
            return data
        why = f"has more than {_LARGEST_BYTES} bytes"
    except (ValueError, TypeError, RecursionError):
        why = "cannot be written as JSON"
    kind = type(result.value).__name__
    error = result.error or f"the result is not kept: the {kind} {why}"
    return json.dumps(_fields(result) | {"error": error}).encode()


def _fields(result: Result) -> dict[str, Any]:
    return {f.name: getattr(result, f.name) for f in fields(result) if f.name != "value"}
