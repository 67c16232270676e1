"""The contract of a store: where spooled tasks lie between their enqueue and their end.

Not here: what a task means or when to give up on it; the spooler decides that, the store obeys.
Runs in: anywhere.

Words used below. *Atomic*: another process sees all of it or nothing, whatever dies when.
*Wall time*: seconds as `time.time()` gives them; the caller hands it in as `now`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import isfinite
from typing import Any, Final, Protocol

from muleteer.errors import BadTask

__all__ = [
    "LATEST",
    "UNIQUE",
    "Outcome",
    "Result",
    "Seen",
    "Store",
    "Task",
    "with_specials",
]

LATEST: Final = 253402300800.0
"""The end of the year 9999: no task may be due later."""

UNIQUE: Final = b"muleteer_unique"
"""The var that holds the key of a unique task."""

_LONGEST_PRIORITY: Final = 9


class Outcome(IntEnum):
    """How a run of a task ended; the numbers are what uWSGI's handlers return."""

    OK = -2
    """Done: the task goes away."""
    RETRY = -1
    """Failed: the task stays, one attempt is counted."""
    IGNORE = 0
    """Not for us, or interrupted: the task stays as it is, nothing is counted."""
    ROUND = 1
    """Ended well, and wants to run again: the task stays, its failed attempts are forgotten."""


class Seen(dict[Any, bytes]):
    """A task as its handler gets it: the server's two keys are str, the others bytes, as in uWSGI.

    Each is found by text and by bytes alike.
    """

    def __missing__(self, key: Any) -> bytes:
        """Find a key in its other form; asked only when there is none in this one."""
        other = _other_form(key)
        if dict.__contains__(self, other):
            return dict.__getitem__(self, other)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or dict.__contains__(self, _other_form(key))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key in either form, else `default`."""
        try:
            return self[key]
        except KeyError:
            return default


def _other_form(key: object) -> object:
    if isinstance(key, str):
        return key.encode("utf-8", "surrogateescape")
    return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key


@dataclass(slots=True)
class Task:
    """One claimed task; it is its claimer's until `settle` or `bury`, or until the process ends.

    Nobody changes one. It is not frozen, since making a frozen one takes four times as long.
    """

    path: bytes
    """What `uwsgi.spool` returned for it; its last part is uWSGI's `spooler_task_name`."""
    vars: Mapping[bytes, bytes]
    body: bytes = b""
    queued_at: float = 0.0
    """Wall time of the enqueue, as far as the store knows it; 0.0 where it does not."""
    attempts: int = 0
    """Runs in a row before this one that failed, or that their process did not survive."""
    last_error: str = ""
    died: bool = False
    """The process of the last run died under it; that attempt is not counted yet.

    Its claimer decides and settles, as if it had run the task itself: nothing is run.
    """
    notes: Mapping[bytes, bytes] = field(default_factory=dict)
    """Vars of the server's own (`muleteer_...`), which stay with the task; no handler sees them."""

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]

    @property
    def label(self) -> str:
        """The name as people read it."""
        return self.name.decode(errors="replace")

    @property
    def first_due(self) -> float:
        """Wall time from which it could run: its enqueue or its `at`; 0.0 when nobody knows."""
        try:
            at = float(self.vars.get(b"at", 0))
        except ValueError:
            at = 0.0
        return max(self.queued_at, at)

    def seen(self, name: bytes | None = None) -> Seen:
        """What a handler gets."""
        seen = Seen(spooler_task_name=name or self.name)
        seen.update(self.vars)
        if self.body:
            seen["body"] = self.body
        return seen


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a task that ended well; times are Unix seconds."""

    keep_until: float
    function: str = ""
    queued_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    seconds: float = 0.0
    attempts: int = 0
    """Failed runs before the one that ended it."""
    value: Any = None
    """What the function returned, if JSON can say it."""
    error: str = ""
    """Why the task was dropped, or why its value is not kept."""


class Store(Protocol):
    """A place for tasks.

    One object serves one thread; every process and every thread that claims has its own.
    Any method but `close` may raise StoreUnavailable, which says what is wrong with the place.
    """

    def put(
        self,
        task_vars: Mapping[bytes, bytes],
        body: bytes = b"",
        *,
        at: float | None = None,
        priority: bytes | None = None,
    ) -> bytes:
        """Keep a new task and return its path.

        Atomic. May block for as long as the disk does. BadTask names what cannot be kept.
        `at` (wall time) and `priority` are also read from the vars of those names;
        the argument wins and replaces the var.

        The var UNIQUE is a key: while a task that has it is kept and does not run,
        another `put` with the same key keeps nothing and returns that task's path, whatever
        the rest of it says.
        """

    def claim(self, now: float) -> Task | None:
        """The next task that is due and nobody's, now this caller's; None when there is none.

        Never blocks on another claimer. No two claimers hold one task at once. The claim ends
        by itself when the process does; then the task can be claimed again, as one that `died`
        (where the store can tell). Lower priority numbers come first, tasks without one last,
        then the older enqueue. A task that cannot be read is buried, not returned.
        """

    def settle(
        self,
        task: Task,
        outcome: Outcome,
        *,
        at: float | None = None,
        error: str = "",
        result: Result | None = None,
    ) -> None:
        """End a claim: OK removes the task, RETRY counts an attempt, ROUND forgets those before.

        IGNORE changes nothing. Atomic. A second call for the same claim does nothing. What is
        kept is due again `at` (wall time), at once when None. `error` is kept with
        a RETRY as the `last_error`. With an OK a `result` is kept, until its own time.
        """

    def bury(self, task: Task, reason: str) -> None:
        """End a claim by laying the task among the dead with the reason beside it.

        It is not claimed again; a person may look at it and bring it back. Once, as `settle`.
        """

    def park(self, task: Task) -> None:
        """End a claim as if it had not been: nothing is counted. Once, as `settle`.

        This object does not claim the task again before `unpark(its path)`; others may, at once.
        """

    def unpark(self, path: bytes) -> None:
        """Let a parked task be claimed again; one that is gone by now is nothing to claim."""

    def sweep(self, now: float) -> float:
        """Go on removing what has had its time, for a moment; the seconds until the next call."""

    def next_due(self) -> float | None:
        """The wall time from which `claim` may have something; None: only after an arrival."""

    def fileno(self) -> int | None:
        """A descriptor that turns readable when a task may have arrived; None: there is none.

        Readable means: call `rescan()`. Without one, call it at every bell and every interval.
        """

    def rescan(self) -> None:
        """Look for tasks that others put here. Idempotent; never blocks."""

    def jobs(self) -> list[bytes]:
        """The paths of all tasks that are not dead, in the order in which they would run."""

    def get_task(self, path: bytes) -> Task | None:
        """What a waiting task holds; None when it is gone, running elsewhere or not yet whole.

        Changes nothing; a task this process has claimed stays claimed.
        """

    def close(self) -> None:
        """Let go of everything; claims end as at the process's end. Twice is safe; never raises."""


def with_specials(
    task_vars: Mapping[bytes, bytes], at: float | None, priority: bytes | None
) -> tuple[Mapping[bytes, bytes], float | None, bytes | None]:
    """A task's vars, due time and priority: an argument also becomes a var, a var is obeyed, too.

    BadTask when one of them is nothing a spooler could ever act on.
    """
    if at is not None:
        task_vars = {**task_vars, b"at": b"%d" % _check_at(at)}
    elif b"at" in task_vars:
        at = _parse_at(task_vars[b"at"])
    if priority is not None:
        task_vars = {**task_vars, b"priority": _check_priority(priority)}
    elif b"priority" in task_vars:
        priority = _check_priority(task_vars[b"priority"])
    return task_vars, at, priority


def _parse_at(text: bytes) -> float:
    """The wall time in an `at` var; BadTask when it is not one."""
    try:
        at = float(text)
    except ValueError:
        at = -1.0
    return _check_at(at, text)


def _check_at(at: float, shown: object = None) -> float:
    """`at` itself; BadTask when no clock will ever show it."""
    if not (isfinite(at) and 0.0 <= at < LATEST):
        raise BadTask(f"spool: at = {at if shown is None else shown!r} is not a unix time")
    return at


def _check_priority(priority: bytes) -> bytes:
    """`priority` itself; BadTask unless it is a number, which is all uWSGI ever runs."""
    if not (priority.isdigit() and len(priority) <= _LONGEST_PRIORITY):
        raise BadTask(
            f"spool: priority = {priority!r} is not a number of 1 to {_LONGEST_PRIORITY} digits;"
            " 1 runs before 2, and tasks without a priority run last"
        )
    return priority
