"""lock: one at a time among all processes of the server, around a function or a `with` block.

Not here: the locks themselves; they are the server's.
Runs in: anywhere the application is imported; without a server nothing is locked.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from muleteer.decorators.running import plain
from muleteer.decorators.server import check_ours, full_name, on_function, uwsgi

__all__ = ["Lock", "lock"]

P = ParamSpec("P")
R = TypeVar("R")


class Lock:
    """One of the server's locks: decorates a function, or is held in a `with` block.

    It is not re-entrant: the thread that holds it and takes it again gets a ValueError.
    """

    def __init__(self, num: int = 0, timeout: float | None = None) -> None:
        if timeout is not None:
            check_ours("lock", "a time limit")
        self.num = num
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"lock({self.num})"

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Let the function run while the lock is held."""
        return on_function(self._locked, function, "lock")

    def _locked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if uwsgi is None:
            return plain(function)
        run, num = plain(function), self.num
        take: Callable[[], Any] = lambda: uwsgi.lock(num)  # noqa: E731
        if hasattr(uwsgi, "lock_for"):
            name = full_name(function)
            take = lambda: uwsgi.lock_for(locked, num, self.timeout, name)  # noqa: E731

        @wraps(function)
        def locked(*args: Any, **kwargs: Any) -> Any:
            take()
            try:
                return run(*args, **kwargs)
            finally:
                uwsgi.unlock(num)

        return locked

    def __enter__(self) -> None:
        if self.timeout is not None and uwsgi is not None:
            uwsgi.lock_for(None, self.num, self.timeout, "a `with` block")
        elif uwsgi is not None:
            uwsgi.lock(self.num)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if uwsgi is not None:
            uwsgi.unlock(self.num)


@overload
def lock(function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, R]: ...
@overload
def lock(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def lock(num: int = 0, *, timeout: float | None = None, blocking: bool = True) -> Lock: ...
def lock(num: Any = 0, *, timeout: float | None = None, blocking: bool = True) -> Any:
    """Let one call run at a time among all processes of the server.

    Bare it holds lock 0; `@lock(3)` another one (`locks = 3` makes it). `with lock(3):` holds it
    for a block. A call waits as long as it takes; muleteer's own: with `timeout=` seconds, or with
    `blocking=False` not at all, and then the function is not called and TimeoutError is raised.
    The handler of a signal that finds its lock taken holds up no worker: its signal waits instead.
    """
    if callable(num):
        return Lock()(num)
    if isinstance(num, bool) or not isinstance(num, int):
        raise TypeError(f"@lock decorates a function or takes a lock's number, not {num!r}")
    return Lock(num, timeout if blocking else 0.0)
