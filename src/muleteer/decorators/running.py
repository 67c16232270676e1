"""What makes a decorated function callable as the server calls it: a coroutine runs to its end.

One event loop per process and thread, made when it is first needed and closed at the exit.
Runs in: anywhere the application is imported.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import wraps
from typing import Any

__all__ = ["close_loop", "plain", "runnable", "run_to_completion"]

_local = threading.local()
_runners: set[asyncio.Runner] = set()


def run_to_completion(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on this thread's own loop and return its result, or raise its exception.

    What it sets in context variables ends with it. Tasks it leaves behind go on in the next run.
    """
    runner = getattr(_local, "runner", None)
    if runner is None:
        runner = _local.runner = asyncio.Runner()
        _runners.add(runner)
    try:
        return runner.run(coroutine, context=copy_context())
    finally:
        coroutine.close()  # else one that was refused would complain that it was never awaited


def close_loop() -> None:
    """Close this thread's loop, if it has one."""
    runner = _local.__dict__.pop("runner", None)
    if runner is not None:
        _runners.discard(runner)
        runner.close()


@atexit.register
def _close_all() -> None:
    """Close the loops of all threads; what still runs on one is not waited for."""
    for runner in list(_runners):
        if not runner.get_loop().is_running():
            runner.close()
    _runners.clear()


_parents: list[asyncio.Runner] = []
"""Loops from before the fork: closing them here would disturb the parent, who goes on with them."""


def _leave_to_the_parent() -> None:
    global _local
    _parents.extend(_runners)
    _runners.clear()
    _local = threading.local()


os.register_at_fork(after_in_child=_leave_to_the_parent)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that can simply be called: of an `async def`, one that runs it to its end.

    A function that is no coroutine function is returned as it is.
    """
    if not inspect.iscoroutinefunction(getattr(function, "__func__", function)):
        return function

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return run_to_completion(function(*args, **kwargs))

    return run


def runnable(function: Any, decorator: str) -> Callable[..., Any]:
    """Return what the server is to call; TypeError for what it could not call as it is.

    That is a method written in a class: where it is called nobody has the object.
    """
    if isinstance(function, classmethod) or not callable(function):
        raise TypeError(
            f"@{decorator} decorates a function, not {function!r}"
            + _way_out(function, decorator, isinstance(function, classmethod))
        )
    if _wants_an_object(function):
        raise TypeError(
            f"@{decorator}: {function.__qualname__} takes {_first_parameter(function)}, and"
            f" nobody has an object where it is called;{_way_out(function, decorator, True)}"
        )
    return plain(function)


def _way_out(function: Any, decorator: str, is_method: bool) -> str:
    name = getattr(function, "__name__", "method")
    return (
        f" put @staticmethod above @{decorator}, or decorate the bound method: object.{name}"
        if is_method
        else ""
    )


def _wants_an_object(function: Any) -> bool:
    """Is it written in a class, with `self` or `cls`, and not bound to an object?"""
    if not inspect.isfunction(inspect.unwrap(function)):
        return False
    outer = getattr(function, "__qualname__", "").rpartition(".")[0]
    in_class = bool(outer) and not outer.endswith("<locals>")
    return in_class and _first_parameter(function) in ("self", "cls")


def _first_parameter(function: Any) -> str:
    try:
        return next(iter(inspect.signature(function).parameters), "")
    except (TypeError, ValueError):  # something written in C
        return ""
