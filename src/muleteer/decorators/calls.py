"""What is done around each call of a function: lock, harakiri, thread.

Runs in: anywhere the application is imported; without a server the call is just made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from muleteer.decorators.server import uwsgi

__all__ = ["harakiri", "lock", "thread"]

P = ParamSpec("P")
R = TypeVar("R")


def lock(function: Callable[P, R]) -> Callable[P, R]:
    """Let one call run at a time among all processes of the server (it holds lock 0)."""

    @wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        if uwsgi is None:
            return function(*args, **kwargs)
        uwsgi.lock()
        try:
            return function(*args, **kwargs)
        finally:
            uwsgi.unlock()

    return locked


def harakiri(seconds: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have the process killed when a call takes longer than `seconds`.

    However the call ends, the deadline ends with it (uWSGI's decorator forgets the exceptions).
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def bounded(*args: P.args, **kwargs: P.kwargs) -> R:
            if uwsgi is None:
                return function(*args, **kwargs)
            uwsgi.set_user_harakiri(seconds)
            try:
                return function(*args, **kwargs)
            finally:
                uwsgi.set_user_harakiri(0)

        return bounded

    return decorate


def thread(function: Callable[P, Any]) -> Callable[P, threading.Thread]:
    """Let each call run in a daemon thread of its own, which the call returns."""

    @wraps(function)
    def start(*args: P.args, **kwargs: P.kwargs) -> threading.Thread:
        name = getattr(function, "__name__", None)
        started = threading.Thread(
            target=function, args=args, kwargs=kwargs, name=name, daemon=True
        )
        started.start()
        return started

    return start
