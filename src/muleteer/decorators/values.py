"""What a task may hold, and the bytes it becomes; uWSGI takes bytes only, and cuts long ones off.

Runs in: anywhere the application is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from muleteer.decorators.server import uwsgi

__all__ = ["Storable", "as_text", "refuse_truncation", "stored", "stored_key"]

Storable = str | bytes | bytearray | memoryview | float | date | timedelta | os.PathLike[str]
"""What a task's value may be; a float stands for an int, too, and a date for a datetime."""

_UWSGI_LIMIT = 0xFFFF


def as_text(value: Any) -> Any:
    """Decode UTF-8; bytes that are none stay bytes (uWSGI's decorators fail for ever on those)."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def stored_key(key: Any) -> bytes:
    if isinstance(key, str):
        return _encoded(key, key)
    if isinstance(key, bytes):
        return key
    raise ValueError(f"spool: the key {key!r} is of type {type(key).__name__}; use str or bytes")


def stored(key: Any, value: Any) -> bytes:
    """Return the bytes a value is stored as; ValueError names the key when there are none."""
    if key in ("at", b"at"):
        value = _due(value)
    if isinstance(value, str):
        return _encoded(key, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value + 0).encode()  # + 0: of an IntEnum the number
    if isinstance(value, date):
        return value.isoformat().encode()
    if isinstance(value, os.PathLike):
        return os.fsencode(value)
    raise ValueError(
        f"spool: the value of {key!r} is of type {type(value).__name__} and cannot be stored;"
        " str, bytes, numbers, dates and paths are; @spool(pass_arguments=True) takes any object"
    )


def _encoded(key: Any, text: str) -> bytes:
    """UTF-8; what `os.fsdecode` made of odd file names becomes their bytes again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"spool: {key!r} holds text that is no Unicode: {error}") from None


def _due(value: Any) -> Any:
    """Turn a due time into Unix seconds; a naive `datetime` is local time."""
    if isinstance(value, timedelta):
        value = datetime.now(UTC) + value
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        value = value.timestamp()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def refuse_truncation(task_vars: Mapping[bytes, bytes]) -> None:
    """Refuse what uWSGI would cut off without a word; muleteer takes any size."""
    if hasattr(uwsgi, "muleteer_version"):
        return
    for key, value in task_vars.items():
        if len(value) > _UWSGI_LIMIT and key != b"body":
            raise ValueError(
                f"spool: {key.decode()!r} has {len(value)} bytes, and uWSGI cuts values off at"
                f" {_UWSGI_LIMIT}; put it into `body` or into a file"
            )
