"""What runs in each process right after it was forked: postfork, and after it what mules do.

Runs in: declared where the application is imported; run in every child.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

from muleteer.decorators.running import runnable
from muleteer.decorators.server import full_name, log, uwsgi

__all__ = ["bodies", "postfork", "postfork_chain"]

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

postfork_chain: list[Callable[[], Any]] = []
"""What runs in every worker, mule and spooler right after the fork, in this order."""

bodies: list[Callable[[], Any]] = []
"""What runs after the chain, since it may never return: what mules do instead of waiting."""


@overload
def postfork(function: Callable[[], R], /) -> Callable[[], R]: ...
@overload
def postfork(worker: int = 0, /) -> Callable[[F], F]: ...
def postfork(function: Any = 0, /) -> Any:
    """Run the function in every new process, or with `@postfork(N)` in worker N only.

    An exception in one function is logged and keeps no other from running.
    """
    if not isinstance(function, int):
        postfork_chain.append(runnable(function, "postfork"))
        return function
    return partial(_append_for_worker, function)


def _append_for_worker(number: int, function: F) -> F:
    run = runnable(function, "postfork")
    postfork_chain.append(partial(_call_in_worker, number, run) if number else run)
    return function


def _call_in_worker(number: int, function: Callable[[], Any]) -> None:
    if uwsgi.worker_id() == number:
        function()


def _run_postfork_chain() -> None:
    for function in list(postfork_chain):
        try:
            function()
        except Exception:  # noqa: BLE001 - the application's own code
            log.exception("post-fork hook %s raised; the next one runs", full_name(function))
    for body in list(bodies):
        body()


def _chained(before: Callable[[], Any] | None) -> Callable[[], None]:
    """Run the hook the application had set before this module was imported, then our chain."""
    if before is not None:
        postfork_chain.insert(0, before)
    return _run_postfork_chain


if uwsgi is not None:
    uwsgi.post_fork_hook = _chained(getattr(uwsgi, "post_fork_hook", None))
