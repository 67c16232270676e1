"""`muleteer spool ls | show | stats`: what lies in a spool directory.

Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from heapq import nsmallest
from typing import Any

from muleteer.cli.exits import Exit
from muleteer.cli.screen import Screen, age, size
from muleteer.cli.tasks import (
    COLOURS,
    HEADS,
    QUEUED_STATES,
    STATES,
    Choice,
    as_json,
    row,
    show_task,
    vars_as_json,
)
from muleteer.errors import Malformed
from muleteer.spool.looking import Found, State, Status, content_of

__all__ = ["ls", "show", "stats"]


def ls(words: argparse.Namespace, screen: Screen) -> Exit:
    """The tasks in the order in which they would run; the first hundred unless told otherwise."""
    now = time.time()
    choice = Choice.of(words, words.state or QUEUED_STATES)
    seen = Counter[State]()
    shown = _in_order(_counted(_looked_at(choice, now, screen), seen), words.limit)
    if words.json:
        for _, status in shown:
            screen.say(json.dumps(as_json(status)))
        return Exit.OK
    count = screen.table(HEADS, ((row(s, now), COLOURS.get(s.state, "")) for _, s in shown))
    told = ", ".join(f"{seen[State(name)]:,} {name}" for name in STATES if seen[State(name)])
    if count < seen.total():
        told += f"; the first {count} are shown, --limit 0 shows all"
    screen.say(screen.painted(told or "no such tasks", "dim"))
    return Exit.OK


def _looked_at(choice: Choice, now: float, screen: Screen) -> Iterator[tuple[Found, Status]]:
    return screen.watched(choice.found(now), "looked at")


def _counted(
    tasks: Iterator[tuple[Found, Status]], seen: Counter[State]
) -> Iterator[tuple[Found, Status]]:
    for task in tasks:
        seen[task[1].state] += 1
        yield task


def _in_order(
    tasks: Iterator[tuple[Found, Status]], limit: int
) -> Iterator[tuple[Found, Status]] | list[tuple[Found, Status]]:
    """The first ones, sorted; all of them as they come, since sorting would need to hold them."""
    return nsmallest(limit, tasks, key=_turn) if limit else tasks


def _turn(task: tuple[Found, Status]) -> tuple[Any, ...]:
    """Running ones first, then those that are due in their order, then by due time."""
    found, status = task
    place = STATES.index(status.state.value)
    return (place, status.due_at if status.state is State.DELAYED else 0.0, *found.rank)


def show(words: argparse.Namespace, screen: Screen) -> Exit:
    """Everything there is to know of one task; nothing of it is run."""
    now = time.time()
    choice = Choice.named(words)
    for number, (found, status) in enumerate(choice.found(now)):
        task = None
        try:
            task = None if status.state is State.DONE else content_of(found)
        except (Malformed, OSError):
            pass  # the status says that it cannot be read
        if words.json:
            screen.say(json.dumps(as_json(status) | (vars_as_json(task) if task else {})))
            continue
        if number:
            screen.say()
        show_task(screen, status, task, now)
    return Exit.OK


def stats(words: argparse.Namespace, screen: Screen) -> Exit:
    """How many tasks there are of each state, and how long they have waited."""
    now = time.time()
    told = _Stats()
    for _, status in screen.watched(Choice.of(words, STATES).found(now), "counted"):
        told.add(status)
    if words.json:
        screen.say(json.dumps(told.as_json()))
        return Exit.OK
    for state in STATES:
        screen.say(f"{state:<8} {told.states[State(state)]:>11,}")
    screen.say(f"size     {size(told.size_bytes):>11}")
    if told.oldest:
        screen.say(f"the oldest that is due has waited for {age(now - told.oldest)}")
    if told.next_due:
        screen.say(f"the next delayed one is due in {age(told.next_due - now)}")
    if told.functions:
        screen.say()
        rows = (((name or "-", *map(str, _of(states))), "") for name, states in told.sorted())
        screen.table(("FUNCTION", *(state.upper() for state in STATES)), rows)
    return Exit.OK


def _of(states: Counter[State]) -> list[int]:
    return [states[State(name)] for name in STATES]


class _Stats:
    """Sums over tasks."""

    def __init__(self) -> None:
        self.states = Counter[State]()
        self.functions: dict[str, Counter[State]] = {}
        self.size_bytes = 0
        self.oldest = self.next_due = 0.0

    def add(self, status: Status) -> None:
        """Count one task."""
        self.states[status.state] += 1
        self.functions.setdefault(status.function, Counter())[status.state] += 1
        self.size_bytes += status.size_bytes
        if status.state is State.WAITING:
            since = max(status.queued_at, status.due_at)
            self.oldest = min(self.oldest or since, since)
        elif status.state is State.DELAYED:
            self.next_due = min(self.next_due or status.due_at, status.due_at)

    def sorted(self) -> list[tuple[str, Counter[State]]]:
        """The functions, those with the most tasks first."""
        return sorted(self.functions.items(), key=lambda item: (-item[1].total(), item[0]))

    def as_json(self) -> dict[str, Any]:
        """The sums for machines."""
        return {
            **{name: self.states[State(name)] for name in STATES},
            "size": self.size_bytes,
            "oldest_due_at": self.oldest or None,
            "next_due_at": self.next_due or None,
            "functions": {
                name: {state.value: count for state, count in states.items()}
                for name, states in self.sorted()
            },
        }
