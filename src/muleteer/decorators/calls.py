"""What is done around each call of a function: harakiri, thread.

Runs in: anywhere the application is imported; without a server the call is just made.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from muleteer.decorators.running import close_loop, plain
from muleteer.decorators.server import is_ours, on_function, uwsgi

__all__ = ["harakiri", "thread"]

P = ParamSpec("P")
R = TypeVar("R")


class _Deadlines(threading.local):
    """The calls under `@harakiri` that this thread is in."""

    soonest: float | None = None
    """When (monotonic) the first of them is to be over; None: it is in none."""


_deadlines = _Deadlines()


def _left(deadline: float) -> float:
    """Return the seconds until a deadline, never 0, which would call it off; uWSGI's are whole."""
    left = deadline - time.monotonic()
    return max(left, 0.001) if is_ours() else max(math.ceil(left), 1)


class _Bound(Protocol):
    """What `@harakiri(seconds)` makes of a function: one of the same signature and result."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


def harakiri(seconds: float) -> _Bound:
    """Have the process killed when a call takes longer than `seconds`.

    However the call ends, the deadline ends with it (uWSGI's decorator forgets the exceptions).
    Calls may be nested: the soonest counts, and an outer one goes on when an inner one has ended.
    """
    if callable(seconds):
        raise TypeError("@harakiri takes the seconds a call may last: @harakiri(30)")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        run = plain(function)
        if uwsgi is None:
            return run

        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            outer = _deadlines.soonest
            own = time.monotonic() + seconds
            _deadlines.soonest = soonest = own if outer is None else min(own, outer)
            uwsgi.set_user_harakiri(seconds if soonest == own else _left(soonest))
            try:
                return run(*args, **kwargs)
            finally:
                _deadlines.soonest = outer
                uwsgi.set_user_harakiri(0 if outer is None else _left(outer))

        return bounded

    def on_any(function: Any, /) -> Any:
        return on_function(decorate, function, "harakiri")

    return on_any


def thread(function: Callable[P, Any]) -> Callable[P, threading.Thread]:
    """Let each call run in a daemon thread of its own, which the call returns."""
    return on_function(_in_thread, function, "thread")  # type: ignore[no-any-return]


def _in_thread(function: Callable[..., Any]) -> Callable[..., threading.Thread]:
    run = plain(function)

    def run_and_tidy(args: Any, kwargs: Any) -> None:
        try:
            run(*args, **kwargs)
        finally:
            close_loop()

    @wraps(function)
    def start(*args: Any, **kwargs: Any) -> threading.Thread:
        name = getattr(function, "__name__", None)
        started = threading.Thread(target=run_and_tidy, args=(args, kwargs), name=name, daemon=True)
        started.start()
        return started

    return start
