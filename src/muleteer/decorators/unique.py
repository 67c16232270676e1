"""The key of a call that is to wait once only: `@spool(unique=…)`.

Not here: what a key does; that is the server's.
Runs in: anywhere that enqueues.

A key is made of the arguments' values, never of their pickles: two pickles of equal values may
differ.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

__all__ = ["Unique", "check_fields", "key_of"]

Unique = bool | str | Callable[..., Any]

_LONGEST = 200
_PLAIN = (
    bool, int, float, complex, str, bytes, date, time, timedelta, tzinfo, Decimal, Enum, UUID,
    PurePath,
)  # fmt: skip
"""Values whose `repr` is the same for equal ones."""


def key_of(
    name: str, unique: Unique, arguments: Mapping[str, Any], call: Callable[[Any], Any]
) -> bytes | None:
    """The key of a call of the function `name`; None when it shall have none.

    `call` calls what was given as `unique` with the call's arguments. ValueError when a value has
    no key.
    """
    if callable(unique):
        made = call(unique)
        if made is None:
            return None
        key = made if isinstance(made, str) else _canonical(name, made)
    elif isinstance(unique, str):
        key = _formatted(name, unique, arguments)
    else:
        key = _canonical(name, arguments)
    data = f"{name}:{key}".encode("utf-8", "surrogatepass")
    if len(data) <= _LONGEST:
        return data
    return f"{name}:sha256:{hashlib.sha256(data).hexdigest()}".encode()


def check_fields(decorator: str, unique: Unique, parameters: Mapping[str, Any]) -> None:
    """ValueError when the text of `unique` names an argument that the function does not have."""
    if not isinstance(unique, str) or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for _, field, _, _ in string.Formatter().parse(unique):
        first = (field or "").partition(".")[0].partition("[")[0]
        if field is not None and first not in parameters:
            raise ValueError(
                f"@{decorator}: unique = {unique!r} names {first!r}, and the function takes"
                f" {', '.join(parameters) or 'nothing'}"
            )


def _formatted(name: str, text: str, arguments: Mapping[str, Any]) -> str:
    try:
        return text.format_map(arguments)
    except (LookupError, AttributeError) as error:
        raise ValueError(f"{name}: unique = {text!r}: the call has no {error}") from None


def _canonical(name: str, value: Any) -> str:
    """One text for equal values, whatever the order of their sets and dicts."""
    if value is None or isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{_canonical(name, k)}: {_canonical(name, v)}" for k, v in value.items())
        return f"{{{', '.join(sorted(pairs))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_canonical(name, item) for item in value)}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(_canonical(name, item) for item in value))}}}"
    raise ValueError(
        f"{name}: unique=True makes no key of the {type(value).__name__} {value!r}; pass an id, or"
        ' say what makes the call unique: unique="{order_id}", or unique=function'
    )
