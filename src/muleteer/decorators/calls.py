"""What is done around each call of a function: harakiri, thread.

Runs in: anywhere the application is imported; without a server the call is just made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from muleteer.decorators.running import close_loop, plain
from muleteer.decorators.server import on_function, uwsgi

__all__ = ["harakiri", "thread"]

P = ParamSpec("P")
R = TypeVar("R")


class _Bound(Protocol):
    """What `@harakiri(seconds)` makes of a function: one of the same signature and result."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


def harakiri(seconds: float) -> _Bound:
    """Have the process killed when a call takes longer than `seconds`.

    However the call ends, the deadline ends with it (uWSGI's decorator forgets the exceptions).
    """
    if callable(seconds):
        raise TypeError("@harakiri takes the seconds a call may last: @harakiri(30)")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        run = plain(function)
        if uwsgi is None:
            return run

        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            uwsgi.set_user_harakiri(seconds)
            try:
                return run(*args, **kwargs)
            finally:
                uwsgi.set_user_harakiri(0)

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
