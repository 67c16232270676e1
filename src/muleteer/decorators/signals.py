"""Functions that signals run, timer, cron and filemon among them; and what others call by name.

Each returns the function as it is: only the server knows more than before.
Runs in: anywhere the application is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, overload

from muleteer.decorators.running import runnable
from muleteer.decorators.server import check_ours, full_name, uwsgi

__all__ = [
    "cron",
    "erlang",
    "filemon",
    "get_free_signal",
    "mstimer",
    "rbtimer",
    "rpc",
    "signal",
    "timer",
]

F = TypeVar("F", bound=Callable[..., Any])


def signal(num: int, *, target: str = "") -> Callable[[F], F]:
    """Run the function, called with the number, whenever signal `num` is raised.

    `target` says where: '' (any idle worker), 'workerN', 'workers', 'spooler'.
    """

    def register(function: F) -> F:
        handler = runnable(function, "signal")
        if uwsgi is not None:
            uwsgi.register_signal(num, target, handler)
        return function

    return register


def timer(
    secs: float, *, signum: int | None = None, target: str = "", overlap: str = "allow"
) -> Callable[[F], F]:
    """Run the function, called with its signal's number, every `secs` seconds.

    `overlap="skip"` leaves a tick out while the function still runs somewhere (muleteer's own).
    """
    return _raised_by("add_timer", (secs,), signum, target, overlap=overlap)


def mstimer(
    msecs: int, *, signum: int | None = None, target: str = "", overlap: str = "allow"
) -> Callable[[F], F]:
    """Run the function every `msecs` milliseconds."""
    return _raised_by("add_ms_timer", (msecs,), signum, target, overlap=overlap)


def rbtimer(
    secs: float,
    *,
    iterations: int = 0,
    signum: int | None = None,
    target: str = "",
    overlap: str = "allow",
) -> Callable[[F], F]:
    """Run the function every `secs` seconds, `iterations` times (0: for ever)."""
    return _raised_by("add_rb_timer", (secs, iterations), signum, target, overlap=overlap)


@overload
def cron(
    minute: str,
    /,
    *,
    signum: int | None = None,
    target: str = "",
    tz: str | None = None,
    overlap: str = "allow",
    catch_up: str = "none",
) -> Callable[[F], F]: ...


@overload
def cron(
    minute: int,
    hour: int,
    day: int,
    month: int,
    dayweek: int,
    *,
    signum: int | None = None,
    target: str = "",
    tz: str | None = None,
    overlap: str = "allow",
    catch_up: str = "none",
) -> Callable[[F], F]: ...


def cron(
    minute: int | str,
    hour: int | None = None,
    day: int | None = None,
    month: int | None = None,
    dayweek: int | None = None,
    *,
    signum: int | None = None,
    target: str = "",
    tz: str | None = None,
    overlap: str = "allow",
    catch_up: str = "none",
) -> Callable[[F], F]:
    """Run the function, called with its signal's number, in every minute that matches.

    -1 is any, -N every Nth; with day and weekday (0 and 7: Sunday) both given either may match.
    muleteer's own: a crontab's line, `@cron("*/5 * * * *")`; `tz="Europe/Rome"`; `overlap="skip"`,
    no run while the last one goes on; `catch_up="one"`, one run for those missed while the server
    was down.
    """
    arguments: tuple[int | str | None, ...] = (minute, hour, day, month, dayweek)
    if isinstance(minute, str):
        check_ours("cron", "a crontab's line")
        arguments = tuple(number for number in arguments if number is not None)
    return _raised_by(
        "add_cron", arguments, signum, target, tz=tz, overlap=overlap, catch_up=catch_up
    )


def filemon(path: str, *, signum: int | None = None, target: str = "") -> Callable[[F], F]:
    """Run the function, called with its signal's number, when the file or directory changes."""
    return _raised_by("add_file_monitor", (path,), signum, target)


_DECORATORS = {
    "add_timer": "timer",
    "add_ms_timer": "mstimer",
    "add_rb_timer": "rbtimer",
    "add_cron": "cron",
    "add_file_monitor": "filemon",
}
_DEFAULTS = {"tz": None, "overlap": "allow", "catch_up": "none"}


def _raised_by(
    source: str, arguments: tuple[Any, ...], signum: int | None, target: str, **options: str | None
) -> Callable[[F], F]:
    """Register a handler under a free number and let `uwsgi.<source>` raise it."""
    chosen = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
    for name, value in chosen.items():
        check_ours(source, f"{name}={value!r}")

    def register(function: F) -> F:
        handler = runnable(function, _DECORATORS[source])
        if uwsgi is not None:
            add_source = getattr(uwsgi, source)  # before a number is spent, should it be missing
            number = _free_signal_for(function) if signum is None else signum
            uwsgi.register_signal(number, target, handler)
            add_source(number, *arguments, **chosen)
        return function

    return register


def get_free_signal() -> int:
    """Return the lowest of the application's numbers, 0 to 255, that nobody registered."""
    for number in range(256):
        if not uwsgi.signal_registered(number):
            return number
    raise RuntimeError("all of the signals 0 to 255 are registered")


def _free_signal_for(function: Callable[..., Any]) -> int:
    """Take a number away from the application's own where the server has such numbers."""
    if hasattr(uwsgi, "free_signal"):
        return int(uwsgi.free_signal(full_name(function)))
    return get_free_signal()


def rpc(name: str) -> Callable[[F], F]:
    """Let other nodes call the function by `name`."""
    return _registered("rpc", "register_rpc", name)


def erlang(name: str) -> Callable[[F], F]:
    """Let the function answer to the Erlang process name `name`, called with each message.

    One without parameters is called without.
    """
    return _registered("erlang", "erlang_register_process", name, _taking_a_message)


def _taking_a_message(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of one argument, which one that takes none does not get."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return wraps(function)(lambda _message: function())
    except ValueError:  # something written in C, which does not say
        pass
    return function


def _registered(
    decorator: str,
    register: str,
    name: str,
    adapt: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function,
) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        callee = adapt(runnable(function, decorator))
        if uwsgi is not None:
            getattr(uwsgi, register)(name, callee)
        return function

    return decorate
