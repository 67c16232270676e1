"""What an application may put into a task, and the bytes it becomes.

Not here: the file; that is the store's.
Runs in: anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from muleteer.errors import BadTask

__all__ = ["stored_vars"]

_STORABLE = "str, bytes, numbers, dates and paths are"


def stored_vars(message: Mapping[Any, Any], more: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the task as the store takes it: bytes to bytes; `more` wins over `message`.

    Neither is changed. BadTask names the key of what cannot be stored.
    """
    return {_key(key): _value(key, value) for key, value in {**message, **more}.items()}


def _key(key: Any) -> bytes:
    if isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return _encoded(key, key)
    raise BadTask(f"spool: the key {key!r} is of type {type(key).__name__}; use str or bytes")


def _value(key: Any, value: Any) -> bytes:
    if type(value) is bytes:  # what the decorators give, for any key
        return value
    if key in ("at", b"at"):
        return _due(value)
    if isinstance(value, str):
        return _encoded(key, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value + 0).encode()  # + 0: of an IntEnum the number
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat().encode()
    if isinstance(value, os.PathLike):
        return os.fsencode(value)
    raise BadTask(
        f"spool: the value of {key!r} is of type {type(value).__name__} and cannot be stored;"
        f" {_STORABLE}"
    )


def _encoded(key: Any, text: str) -> bytes:
    """UTF-8; what `os.fsdecode` made of odd file names becomes their bytes again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadTask(f"spool: {key!r} holds text that is no Unicode: {error}") from None


def _due(value: Any) -> bytes:
    """A due time as decimal Unix seconds; a naive `datetime` is local time."""
    if isinstance(value, timedelta):
        value = datetime.now(UTC) + value
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (b"%d" if value == value // 1 else b"%.6f") % value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise BadTask(f"spool: at = {value!r} is no time; give Unix seconds, a datetime or a timedelta")
