"""The verdict: from how a run ended to what becomes of its task. Pure: no file, no clock, no luck.

Not here: the carrying out (roles/taskrun.py), and the files (the store's).

Rules
1. A failure is a run that raised, or that its process did not survive; it counts one attempt.
   After `retries` failures more than the first the task is dead, and so it is when its next run
   would come later than `give_up_after` seconds after it was first due.
2. The wait after the n-th failure in a row:
       exponential   delay * 2 ** (n - 1)
       linear        delay * n
       fixed         delay
   never more than `max_delay`, and of that a part between 80 % and 100 %, by chance, so that
   tasks which failed together do not come back together. `Retry(after=...)` names its own wait.
3. A function's own word "again" (SPOOL_RETRY) is no failure: it runs at the spooler's frequency,
   for ever, and its failures are forgotten. With a policy that `counts_words` it is a failure.
4. What was interrupted, or is nobody's here (SPOOL_IGNORE), stays as it was; nothing is counted.

Runs in: a spooler; anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, Final

__all__ = [
    "Again",
    "AsItWas",
    "Dead",
    "Done",
    "Ending",
    "OnDead",
    "RetryPolicy",
    "Round",
    "Run",
    "Verdict",
    "verdict",
    "wait_s",
]

_LEAST_PART: Final = 0.8
_LONGEST_S: Final = 10 * 365 * 86400.0
"""No wait is longer: what comes after it has no place in some file systems' times."""
_MOST_DOUBLINGS: Final = 60

OnDead = Callable[[Mapping[Any, Any], str], object]


class Ending(Enum):
    """How a run of a task ended."""

    DONE = "done"
    """It returned, or said SPOOL_OK."""
    WORD = "word"
    """It said SPOOL_RETRY, or anything that is no other word."""
    NOT_MINE = "not mine"
    """It said SPOOL_IGNORE, or nobody listened."""
    RAISED = "raised"
    DROPPED = "dropped"
    """It raised `muleteer.Drop`."""
    DIED = "died"
    """Its process did not survive it."""
    INTERRUPTED = "interrupted"
    """Its spooler had to leave."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has ended."""

    ending: Ending
    error: str = ""
    """One line: what was raised, or how it died."""
    after: float | None = None
    """The wait in seconds that `Retry(after=...)` asked for."""
    details: str = ""
    """The traceback, for whoever finds the task among the dead."""
    most_retries: float = inf
    """What this very failure deserves at most, whatever the policy: no code comes from waiting."""
    value: Any = None
    """What the function returned, if that is to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when a task is tried again; the defaults are the options' (`spooler-...`)."""

    retries: float = 25
    """Runs after the first one; `math.inf` for ever."""
    backoff: str = "exponential"
    """Or "linear", or "fixed"."""
    delay: float = 30.0
    """The wait after the first failure, in seconds."""
    max_delay: float = 3600.0
    give_up_after: float | None = None
    """Seconds from the time a task was first due, after which no new run begins."""
    counts_words: bool = False
    """Is SPOOL_RETRY a failure, too?"""
    timeout: float | None = None
    """Seconds a run may take before its process is killed; None: as the spooler's option says."""
    on_dead: OnDead | None = None
    """What is called with the task and the reason once it is among the dead."""


@dataclass(frozen=True, slots=True)
class Done:
    """The task goes away."""


@dataclass(frozen=True, slots=True)
class Round:
    """The task stays and runs again at `at`; it owes nothing."""

    at: float


@dataclass(frozen=True, slots=True)
class Again:
    """The task stays, with one attempt more and its error, and runs again at `at`."""

    at: float
    error: str


@dataclass(frozen=True, slots=True)
class AsItWas:
    """The task stays as it was and may run again at `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Dead:
    """The task goes to the dead, with the reason beside it."""

    reason: str


Verdict = Done | Round | Again | AsItWas | Dead


def verdict(
    run: Run,
    policy: RetryPolicy,
    *,
    attempts: int,
    first_due: float,
    now: float,
    frequency: float,
    chance: float,
) -> Verdict:
    """Say what becomes of a task whose run has just ended.

    `attempts`: failures in a row before this run; `first_due`: the wall time from which it could
    run, 0.0 when nobody knows; `chance`: a number from 0 to 1.
    """
    match run.ending:
        case Ending.DONE | Ending.DROPPED:
            return Done()
        case Ending.NOT_MINE:
            return AsItWas(now + frequency)
        case Ending.INTERRUPTED:
            return AsItWas(now)
        case Ending.WORD if not policy.counts_words:
            return Round(now + frequency)
    failures = attempts + 1
    at = now + (wait_s(policy, failures, chance) if run.after is None else run.after)
    if failures > min(policy.retries, run.most_retries):
        return Dead(f"{_times(failures)}: {run.error}")
    if policy.give_up_after is not None and first_due and at > first_due + policy.give_up_after:
        return Dead(f"{_times(failures)} within {policy.give_up_after:g} s: {run.error}")
    return Again(at, run.error)


def wait_s(policy: RetryPolicy, failures: int, chance: float) -> float:
    """The wait after that many failures in a row, in seconds; `chance` from 0 to 1."""
    factor = {
        "exponential": 2.0 ** min(failures - 1, _MOST_DOUBLINGS),
        "linear": float(failures),
        "fixed": 1.0,
    }[policy.backoff]
    part = _LEAST_PART + (1 - _LEAST_PART) * chance
    return min(policy.delay * factor, policy.max_delay, _LONGEST_S) * part


def _times(failures: int) -> str:
    return "it failed" if failures == 1 else f"it failed {failures} times, at last"
