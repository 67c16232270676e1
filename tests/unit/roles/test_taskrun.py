"""roles/taskrun.py: what a handler's answer or exception means, and how a run is interrupted."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from math import inf
from typing import Any

import pytest
from tests.unit.facade.conftest import make_runtime

from muleteer.errors import Drop, Leave, Retire, Retry
from muleteer.roles import taskrun
from muleteer.roles.taskrun import Hook, TaskRun, death, wishes_of
from muleteer.spool.store import Task
from muleteer.spool.verdict import Ending, RetryPolicy, Run

TASK = Task(b"/spool/uwsgi_spoolfile_on_h_1_1_1_1_1", {b"a": b"1"})


def run(hook: Hook) -> Run:
    """One run of the task."""
    return TaskRun().run(hook, TASK.seen(), TASK)


def raising(error: BaseException) -> Hook:
    """A handler that raises."""

    def hook(task: object) -> None:
        raise error

    return hook


class Meaning(int):
    """A number that is more than one: what is kept of a task's result travels so."""

    spool_result = "kept"


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        (-2, Ending.DONE),
        (Meaning(-2), Ending.DONE),
        (0, Ending.NOT_MINE),
        (False, Ending.NOT_MINE),
        (-1, Ending.WORD),
        (1, Ending.WORD),
        (True, Ending.WORD),
        (None, Ending.WORD),
        (-2.0, Ending.WORD),
        ("done", Ending.WORD),
    ],
)
def test_a_handlers_word_means_what_it_means_under_uwsgi(word: object, ending: Ending) -> None:
    """-2 is done, 0 is not mine, anything else runs again."""
    assert run(lambda task: word).ending is ending


def test_the_handler_gets_the_task() -> None:
    """As uWSGI hands it over: the name under a str key, the vars as bytes."""
    got: list[Any] = []
    run(got.append)
    assert got == [{"spooler_task_name": TASK.name, b"a": b"1"}]


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_whatever_is_raised_is_a_failure(kind: type[BaseException]) -> None:
    """A BaseException, too: a cancelled coroutine does not end the spooler."""
    ended = run(raising(kind("no\nway")))
    assert (ended.ending, ended.error) == (Ending.RAISED, f"{kind.__name__}: no way")
    assert ended.details.startswith("Traceback")
    assert (ended.after, ended.most_retries) == (None, inf)


def test_an_error_tells_what_it_came_from() -> None:
    """In the same line, as the log and dead/ show it."""
    error = ValueError("no mail")
    error.__cause__ = ConnectionError("refused")
    assert run(raising(error)).error == "ValueError: no mail (from ConnectionError: refused)"


def test_a_failure_is_logged_with_its_traceback_but_not_one_that_was_meant(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry and Drop are words of the task, not accidents."""
    monkeypatch.setattr(logging.getLogger("muleteer"), "propagate", True)
    run(raising(Retry("later")))
    run(raising(Drop("no more")))
    assert caplog.records == []
    run(raising(ValueError("no")))
    (record,) = caplog.records
    assert record.exc_info
    assert "ValueError: no" in record.message


def test_retry_and_drop_say_what_they_want() -> None:
    """The wait of a Retry; a Drop is over."""
    later = run(raising(Retry("later", after=5)))
    assert (later.ending, later.after, later.error) == (Ending.RAISED, 5, "Retry: later")
    assert run(raising(Drop("no more"))) == Run(Ending.DROPPED, "Drop: no more")


def test_an_exception_may_say_how_often_it_is_worth_a_try() -> None:
    """`spool_retries` of the exception, whatever its class."""
    error = LookupError("unknown")
    error.spool_retries = 3  # type: ignore[attr-defined]
    assert run(raising(error)).most_retries == 3


def test_exits_pass_through() -> None:
    """`sys.exit()` ends the process; what becomes of the task is settled on the way."""
    with pytest.raises(SystemExit):
        run(raising(SystemExit(3)))


def test_a_task_that_waits_in_the_server_when_it_is_to_leave_is_interrupted() -> None:
    """`uwsgi.signal_wait()` in a task raises Retire when the spooler was asked to leave."""
    assert run(raising(Retire())) == Run(Ending.INTERRUPTED)


def test_an_interrupt_ends_the_task_and_nothing_else() -> None:
    """Raised in the task alone: before and after it, and a second time, it is nothing."""
    runner = TaskRun()
    runner.interrupt()
    cleaned: list[bool] = []

    def hook(task: object) -> None:
        try:
            runner.interrupt()
        finally:
            cleaned.append(True)

    assert runner.run(hook, TASK.seen(), TASK) == Run(Ending.INTERRUPTED)
    assert cleaned == [True]
    runner.interrupt()
    assert runner.run(lambda task: -2, TASK.seen(), TASK) == Run(Ending.DONE)
    runner.interrupt()


def test_an_interrupt_while_a_task_cleans_up_is_heard_once() -> None:
    """The second of two does not cut its `finally` short."""
    runner = TaskRun()
    cleaned: list[bool] = []

    def hook(task: object) -> None:
        try:
            runner.interrupt()
        finally:
            runner.interrupt()
            cleaned.append(True)

    assert runner.run(hook, TASK.seen(), TASK) == Run(Ending.INTERRUPTED)
    assert cleaned == [True]


def test_a_task_may_refuse_to_be_interrupted() -> None:
    """What swallows BaseException goes on; the master kills it later."""
    runner = TaskRun()

    def hook(task: object) -> int:
        try:
            runner.interrupt()
        except Leave:
            pass
        return -2

    assert runner.run(hook, TASK.seen(), TASK).ending is Ending.DONE


def test_the_policy_is_the_options_and_what_the_function_says() -> None:
    """A wish goes before the option of that name; wishes of another kind are not the policy's."""
    settings = dataclasses.replace(
        make_runtime().settings,
        spooler_retries=7,
        spooler_backoff="linear",
        spooler_max_delay=99.0,
    )
    assert taskrun.policy(settings, 2.0, {}) == RetryPolicy(
        retries=7, backoff="linear", delay=2.0, max_delay=99.0
    )
    wished = taskrun.policy(settings, 2.0, {"retries": 1, "timeout": 3, "keep_result": 60})
    assert wished == RetryPolicy(retries=1, backoff="linear", delay=2.0, max_delay=99.0, timeout=3)


def test_a_plain_hook_has_no_wishes() -> None:
    """Any function may be `uwsgi.spooler`; none at all has none, either."""
    assert wishes_of(lambda task: -2, TASK.seen()) == {}
    assert wishes_of(None, TASK.seen()) == {}


def test_a_death_names_the_limit_that_may_have_caused_it() -> None:
    """Nobody saw it die; whoever finds the task knows how long it could have run."""
    assert death(None).error == "the process that ran the task died"
    assert death(3.0).error.endswith("died, or was killed at its limit of 3 s")
