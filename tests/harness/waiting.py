"""Waiting for a fact, and failing with words when it does not come.

A wait is never a sleep: it ends the moment the fact is true, or says what it saw last.

Runs in: the test process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.01
"""How long to wait between two looks at something that cannot ring: a process, a file."""


class TimedOut(AssertionError):
    """What was waited for did not come in time."""


def eventually(
    look: Callable[[], T],
    *,
    within: float = 5.0,
    what: str | None = None,
    bell: threading.Condition | None = None,
) -> T:
    """Return the first true answer of `look`, or raise TimedOut with the last one.

    An AssertionError of `look` counts as *not yet*; any other error passes through at once.
    With a `bell` the next look comes as soon as it rings.
    """
    deadline = time.monotonic() + within
    bell = bell or threading.Condition()
    while True:
        answer, failure = _try(look)
        if answer:
            return answer
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(_words(look, within, what, answer, failure)) from failure
        with bell:
            bell.wait(min(left, TICK_S))


def _try(look: Callable[[], T]) -> tuple[T | None, AssertionError | None]:
    try:
        return look(), None
    except AssertionError as failure:
        return None, failure


def _words(
    look: Callable[[], object],
    within: float,
    what: str | None,
    answer: object,
    failure: AssertionError | None,
) -> str:
    name = what or getattr(look, "__qualname__", repr(look))
    seen = f"it failed with: {failure}" if failure else f"the last answer was {answer!r}"
    return f"not within {within:g} s: {name}; {seen}"
