"""One run of a task: what the application's hook answered, and which policy it then falls under.

Not here: the claiming, and what becomes of the task (spool/verdict.py decides that).
Runs in: a spooler.

A hook is any function assigned to `uwsgi.spooler`. One that knows more of its tasks, as the
decorators' does, has an attribute `policy_of(task)`: a mapping with some of the fields of
`RetryPolicy`; the others are the options'. It may also say `keep_result`, in seconds, and
`concurrency`. Its word for a task that is done may have an attribute `spool_result`, what is kept.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from math import inf
from typing import Any

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.errors import Leave, Retire
from muleteer.spool.looking import function_of
from muleteer.spool.store import Outcome, Result, Task
from muleteer.spool.verdict import Ending, RetryPolicy, Run

__all__ = ["DONE", "Hook", "TaskRun", "death", "policy", "result_of", "wishes_of"]

Hook = Callable[[Mapping[Any, Any]], object]

_DETAILS = 20_000

DONE = Run(Ending.DONE)


class TaskRun:
    """Runs tasks, and lets go of one when it is told to, in the middle of it."""

    def __init__(self) -> None:
        self._is_running = False

    def interrupt(self, _number: int = 0, _frame: object = None) -> None:
        """Raise `Leave` in the task that runs; without one nothing happens. A signal handler."""
        if self._is_running:
            self._is_running = False
            raise Leave

    def run(self, hook: Hook, seen: Mapping[Any, Any], task: Task) -> Run:
        """Run the task and say how that ended. A `SystemExit` of the task's passes through."""
        try:
            return self._run(hook, seen, task)
        except (Leave, Retire):
            return Run(Ending.INTERRUPTED)

    def _run(self, hook: Hook, seen: Mapping[Any, Any], task: Task) -> Run:
        try:
            self._is_running = True
            returned = hook(seen)
            self._is_running = False
            return _meaning(returned)
        except (Leave, Retire, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the application's; a CancelledError, too
            self._is_running = False
            return _failure(error, task.label)
        finally:
            self._is_running = False


def death(limit_s: float | None) -> Run:
    """The run of a task whose process is no more; nobody saw it die."""
    at_limit = f", or was killed at its limit of {limit_s:g} s" if limit_s else ""
    return Run(Ending.DIED, f"the process that ran the task died{at_limit}")


def wishes_of(hook: Hook | None, task: Mapping[Any, Any]) -> Mapping[str, Any]:
    """What the hook says of this task's policy; nothing when it does not say."""
    policy_of = getattr(hook, "policy_of", None)
    return policy_of(task) if policy_of is not None else {}


def policy(settings: Settings, frequency: float, wishes: Mapping[str, Any]) -> RetryPolicy:
    """The policy of a task: its function's wishes, and the options for what it does not say."""
    default = RetryPolicy(
        retries=settings.spooler_retries,
        backoff=settings.spooler_backoff,
        delay=frequency,
        max_delay=settings.spooler_max_delay,
    )
    return replace(default, **{name: wishes[name] for name in wishes if name in _OF_RETRIES})


_OF_RETRIES = {field.name for field in fields(RetryPolicy)}


def result_of(task: Task, run: Run, keep_s: float, began: tuple[float, float]) -> Result:
    """What is kept of a task that ended well; `began` on the wall's clock and on the steady one."""
    now = time.time()
    return Result(
        keep_until=now + keep_s,
        function=function_of(task.vars),
        queued_at=task.queued_at,
        started_at=began[0],
        ended_at=now,
        seconds=time.monotonic() - began[1],
        attempts=task.attempts,
        value=run.value,
        error=run.error,
    )


def _meaning(returned: object) -> Run:
    """Read a handler's word: -2 is done, 0 is not mine, anything else runs again (uWSGI's rule)."""
    if isinstance(returned, int):
        if returned == Outcome.OK:
            return DONE if type(returned) is int else _done(returned)
        if returned == Outcome.IGNORE:
            return Run(Ending.NOT_MINE)
    return Run(Ending.WORD)


def _done(word: int) -> Run:
    return Run(Ending.DONE, value=getattr(word, "spool_result", None))


def _failure(error: BaseException, name: str) -> Run:
    """How a run ended that raised; the log gets the traceback, unless it was asked for."""
    words = _in_words(error)
    answer = getattr(error, "spool_answer", None)
    if answer == "SPOOL_OK":
        return Run(Ending.DROPPED, words)
    if answer is None:
        journal.task_raised(name, words)
    return Run(
        Ending.RAISED,
        words,
        getattr(error, "spool_after", None),
        details="".join(traceback.format_exception(error))[-_DETAILS:],
        most_retries=getattr(error, "spool_retries", inf),
    )


def _in_words(error: BaseException) -> str:
    """One line: the class and what it says, and what it came from."""
    words = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    cause = error.__cause__
    return f"{words} (from {_in_words(cause)})" if cause is not None else words
