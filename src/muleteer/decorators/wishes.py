"""What a spooled function asks for when its task fails: retries, backoff, timeout, on_dead ...

Not here: the verdict on a failed run; that is the server's, and its options are the defaults.
Runs in: anywhere the application is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict

from muleteer.decorators.server import check_ours
from muleteer.decorators.unique import Unique

__all__ = ["Wishes", "checked"]

Seconds = float | timedelta

_KEPT_S = 86400.0
_MOST_AT_ONCE = 1000
_BACKOFFS = ("exponential", "linear", "fixed")


class Wishes(TypedDict, total=False):
    """The keywords of `@spool`, `@spoolraw` and `@spoolforever`; what is left out is the option's.

    uWSGI has none of them: there a decorator that is given one raises RuntimeError.
    """

    retries: float
    """Runs after the first one, before the task is dead (`spooler-retries`); `math.inf`: no end."""
    backoff: Literal["exponential", "linear", "fixed"]
    """How the wait grows with each failure in a row (`spooler-backoff`)."""
    delay: Seconds
    """The wait after the first failure (`spooler-frequency`)."""
    max_delay: Seconds
    """The longest wait (`spooler-max-delay`)."""
    give_up_after: Seconds
    """No new run begins later than this after the task was first due; no such limit by default."""
    timeout: Seconds
    """A run that takes longer is killed and has failed (`spooler-harakiri`)."""
    on_dead: Callable[[dict[str, Any], str], object]
    """Called in the spooler with the task and the reason, once the task lies in `dead/`."""
    keep_result: bool | Seconds
    """How long `muleteer.spool.status` tells what became of a task that ended well: its duration,
    its failures and what the function returned, if that is plain data. True: a day."""
    unique: Unique
    """While a call waits, another with the same key is the same task. True: the key is all of the
    arguments; a text such as "{user}": those; a function of the arguments: what it returns, and
    None: no key."""
    concurrency: int
    """How many of the function's tasks run at once, in all spoolers together."""


def checked(decorator: str, wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wishes, times in seconds; ValueError or TypeError for what means nothing."""
    for name in wishes:
        if name not in Wishes.__annotations__:
            known = ", ".join(Wishes.__annotations__)
            raise TypeError(f"@{decorator} takes no {name!r}; it takes pass_arguments, {known}")
        check_ours(f"@{decorator}", f"{name} =")
    return {name: _CHECKS.get(name, _as_it_is)(decorator, name, wishes[name]) for name in wishes}


def _as_it_is(_decorator: str, _name: str, value: Any) -> Any:
    return value


def _number(decorator: str, name: str, value: Any) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"@{decorator}: {name} = {value!r} is no number of 0 or above")
    return value


def _seconds(decorator: str, name: str, value: Any) -> float:
    seconds = _number(decorator, name, value)
    if not seconds:
        raise ValueError(f"@{decorator}: {name} = {value!r} leaves no time at all")
    return seconds


def _retries(decorator: str, name: str, value: Any) -> float:
    if isinstance(value, timedelta):
        raise ValueError(f"@{decorator}: {name} = {value!r} is a time, not a number of runs")
    return _number(decorator, name, value)


def _backoff(decorator: str, name: str, value: Any) -> str:
    if value not in _BACKOFFS:
        raise ValueError(f"@{decorator}: {name} = {value!r} is none of {', '.join(_BACKOFFS)}")
    return str(value)


def _callable(decorator: str, name: str, value: Any) -> Any:
    if not callable(value):
        raise TypeError(f"@{decorator}: {name} = {value!r} cannot be called")
    return value


def _kept(decorator: str, name: str, value: Any) -> float:
    return _KEPT_S if value is True else _seconds(decorator, name, value)


def _unique(decorator: str, name: str, value: Any) -> Any:
    if value is True or (isinstance(value, str) and value) or callable(value):
        return value
    raise ValueError(
        f"@{decorator}: {name} = {value!r} is no True, no text like '{{user}}', no function"
    )


def _at_once(decorator: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_AT_ONCE:
        raise ValueError(f"@{decorator}: {name} = {value!r} is no number from 1 to {_MOST_AT_ONCE}")
    return value


_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "retries": _retries,
    "backoff": _backoff,
    "delay": _number,
    "max_delay": _seconds,
    "give_up_after": _seconds,
    "timeout": _seconds,
    "on_dead": _callable,
    "keep_result": _kept,
    "unique": _unique,
    "concurrency": _at_once,
}
