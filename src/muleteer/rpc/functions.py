"""A call in this process: from a function's name to what it returned.

Not here: the way a call came, or its result goes.
Runs in: every child; the zygote, at import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from muleteer.errors import CallFailed, Malformed, RpcError, UnknownFunction
from muleteer.wire.calls import as_value, copied

__all__ = ["Functions", "call_here", "name_of"]

Functions = Mapping[bytes, Callable[..., Any]]


def name_of(name: str | bytes) -> bytes:
    """A function's name as it is registered and travels; RpcError for what cannot be one."""
    if isinstance(name, str):
        name = name.encode()
    if not isinstance(name, bytes) or not name:
        raise RpcError(f"the name of an RPC function is str or bytes, and not empty; not {name!r}")
    return name


def call_here(functions: Functions, name: bytes, args: Sequence[Any]) -> Any:
    """What the function returns, text as its UTF-8 bytes.

    UnknownFunction when there is none of that name. CallFailed, from the exception itself, when it
    raised. Arguments and result are checked and copied as if they had travelled.
    """
    return run(functions, name, [_copied(name, value, "an argument") for value in args], _copied)


def run(
    functions: Functions,
    name: bytes,
    args: Sequence[Any],
    finish: Callable[[bytes, Any, str], Any] = lambda _name, value, _what: as_value(value),
) -> Any:
    """Do the same with arguments that have travelled, and a result that will."""
    function = functions.get(name)
    if function is None:
        raise UnknownFunction(_unknown(name, functions))
    try:
        result = function(*args)
    except Exception as error:
        raise CallFailed(
            f"RPC function {_shown(name)} raised {type(error).__name__}: {error}"
        ) from error
    return finish(name, result, "the result")


def _copied(name: bytes, value: Any, what: str) -> Any:
    try:
        return copied(value)
    except Malformed as error:
        raise CallFailed(f"{what} of RPC function {_shown(name)}: {error}") from None


def _unknown(name: bytes, functions: Functions) -> str:
    known = ", ".join(sorted(each.decode(errors="replace") for each in functions))
    there = f"there is: {known:.200}" if known else "none is registered"
    return f"there is no RPC function {_shown(name)} ({there}); register it with @rpc"


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="replace"))
