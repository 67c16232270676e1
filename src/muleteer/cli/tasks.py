"""Which tasks of a spool directory are meant, and how one looks: as a row, a page or as JSON.

Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from muleteer.cli.screen import Screen, age, moment, size
from muleteer.errors import SpoolError
from muleteer.spool.arguments import arguments_in
from muleteer.spool.looking import Found, State, Status, find, may_be, status_of, walk
from muleteer.spool.store import Task

__all__ = [
    "COLOURS",
    "HEADS",
    "QUEUED_STATES",
    "STATES",
    "Choice",
    "as_json",
    "home_of",
    "row",
    "show_task",
    "vars_as_json",
]

QUEUED_STATES = ("running", "waiting", "delayed")
STATES = (*QUEUED_STATES, "dead", "done")
"""The states a task can be chosen by, in the order in which they are told."""

HEADS = ("STATE", "FUNCTION", "QUEUED", "DUE", "FAILED", "TASK", "LAST ERROR")
COLOURS = {State.RUNNING: "green", State.DELAYED: "dim", State.DEAD: "red", State.DONE: "blue"}

_PREVIEW_CHARS = 300
_ERROR_CHARS = 80


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tasks: named ones, or all that have a state, a function and an age."""

    home: bytes
    tasks: tuple[str, ...] = ()
    states: frozenset[State] = frozenset(State)
    function: str = ""
    older_than_s: float = 0.0

    @classmethod
    def of(cls, words: argparse.Namespace, states: Iterable[str]) -> Choice:
        """What a command's words choose."""
        return cls(
            words.home,
            tuple(getattr(words, "tasks", ())),
            frozenset(map(State, states)),
            getattr(words, "function", ""),
            getattr(words, "older_than", 0.0),
        )

    @classmethod
    def named(cls, words: argparse.Namespace) -> Choice:
        """The tasks that the words name; SpoolError when one of them is not there."""
        choice = cls.of(words, STATES)
        missing = choice.nameless()
        if missing:
            raise SpoolError(f"no task {', '.join(missing)} in {words.directory}")
        return choice

    def found(self, now: float) -> Iterator[tuple[Found, Status]]:
        """Each task that is meant and still there, in the directory's own order."""
        for found in self._named() if self.tasks else walk(self.home, self.states):
            if may_be(found, self.states, now):
                status = status_of(found, now)
                if self._is_meant(status, now):
                    yield found, status

    def nameless(self) -> list[str]:
        """The given names and patterns that no task has."""
        patterns = [task for task in self.tasks if _is_pattern(task)]
        seen = set[str]()
        if patterns:
            for found in walk(self.home, State):
                seen |= {p for p in patterns if p not in seen and _matches(found, p)}
        missing = [t for t in self.tasks if not _is_pattern(t) and find(self._path(t)) is None]
        return missing + [p for p in patterns if p not in seen]

    def _named(self) -> Iterator[Found]:
        named = {}
        for task in self.tasks:
            if not _is_pattern(task) and (found := find(self._path(task))) is not None:
                named[found.file] = found
        yield from named.values()
        patterns = [task for task in self.tasks if _is_pattern(task)]
        if patterns:
            others = (f for f in walk(self.home, self.states) if f.file not in named)
            yield from (f for f in others if any(_matches(f, p) for p in patterns))

    def _path(self, task: str) -> bytes:
        return os.path.join(self.home, os.fsencode(task))

    def _is_meant(self, status: Status, now: float) -> bool:
        since = status.ended_at or status.queued_at
        return (
            status.state in self.states
            and status.state is not State.GONE
            and (not self.function or _is_called(status.function, self.function))
            and (not self.older_than_s or since < now - self.older_than_s)
        )


def _is_pattern(task: str) -> bool:
    return any(mark in task for mark in "*?[")


def _matches(found: Found, pattern: str) -> bool:
    return fnmatchcase(os.fsdecode(found.name), pattern)


def _is_called(function: str, wanted: str) -> bool:
    """Whether the last parts of a function's full name are the wanted ones."""
    return f".{function}".endswith(f".{wanted}")


def home_of(directory: str) -> bytes:
    """The spool directory of that path; SpoolError when there is none."""
    if not os.path.isdir(directory):
        raise SpoolError(
            f"{directory} is no directory; name the spool directory, as in `spooler =`"
        )
    return os.fsencode(os.path.abspath(directory))


# -- how it looks -----------------------------------------------------------------------------


def row(status: Status, now: float) -> tuple[str, ...]:
    """A line of `ls`, in the order of HEADS."""
    return (
        status.state.value,
        status.function or "-",
        age(now - status.queued_at) if status.queued_at else "-",
        _due(status, now),
        str(status.attempts) if status.attempts else "-",
        os.fsdecode(_short_path(status)),
        status.last_error.partition("\n")[0][:_ERROR_CHARS] or "-",
    )


def _short_path(status: Status) -> bytes:
    """The name, with its priority where it has one."""
    folder = os.path.basename(os.path.dirname(status.path))
    return folder + b"/" + status.name if folder.isdigit() else status.name


def _due(status: Status, now: float) -> str:
    if status.state is State.DELAYED:
        return f"in {age(status.due_at - now)}"
    if status.state is State.RUNNING and status.started_at:
        return f"since {age(now - status.started_at)}"
    if status.ended_at:
        return f"{age(now - status.ended_at)} ago"
    return "now"


def as_json(status: Status) -> dict[str, Any]:
    """A task for machines; times are Unix seconds, null where nobody knows."""
    return {
        "task": os.fsdecode(status.name),
        "path": os.fsdecode(status.path),
        "state": status.state.value,
        "function": status.function or None,
        "queued_at": status.queued_at or None,
        "due_at": status.due_at or None,
        "started_at": status.started_at or None,
        "ended_at": status.ended_at or None,
        "seconds": status.seconds if status.state is State.DONE else None,
        "attempts": status.attempts,
        "last_error": status.last_error or None,
        "result": status.result,
        "size": status.size_bytes,
    }


def vars_as_json(task: Task) -> dict[str, Any]:
    """What a task holds, for machines; bytes that are no text are shown as Python would."""
    return {
        "arguments": arguments_in(task.vars),
        "vars": {_text(key): _text(value) for key, value in task.vars.items()},
        "body_size": len(task.body),
    }


def show_task(screen: Screen, status: Status, task: Task | None, now: float) -> None:
    """A page about one task."""
    lines = [*_story(status, now)]
    if task is not None:
        called = arguments_in(task.vars)
        lines += [("arguments", called)] if called is not None else []
        hidden = (b"args", b"kwargs") if called is not None else ()
        lines += _vars({key: value for key, value in task.vars.items() if key not in hidden})
        lines += [("body", _preview(task.body))] if task.body else []
    width = max(len(word) for word, _ in lines)
    for word, text in lines:
        first, *more = (text or "").splitlines() or [""]
        screen.say(f"{screen.painted(word.ljust(width), 'bold')}  {first}")
        for line in more:
            screen.say(f"{'':{width}}  {line}")


def _story(status: Status, now: float) -> Iterator[tuple[str, str]]:
    yield "task", os.fsdecode(status.name)
    yield "path", os.fsdecode(status.path)
    yield "state", status.state.value
    if status.function:
        yield "function", status.function
    times = (("queued", status.queued_at), ("due", status.due_at), ("started", status.started_at))
    for word, when in (*times, ("ended", status.ended_at)):
        if when:
            yield word, moment(when, now)
    if status.state is State.DONE:
        yield "took", f"{status.seconds:.3f} s"
        yield "result", _preview_text(repr(status.result))
    if status.attempts:
        yield "failed", f"{status.attempts} times"
    if status.last_error:
        yield "reason" if status.state is State.DEAD else "last error", status.last_error
    yield "size", size(status.size_bytes)


def _vars(task_vars: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
    return [(f"var {_text(key)}", _preview(value)) for key, value in task_vars.items()]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return repr(data)


def _preview(data: bytes) -> str:
    text = _text(data[: _PREVIEW_CHARS * 2])
    shown = text if text.isprintable() else repr(data[: _PREVIEW_CHARS * 2])
    return _preview_text(shown, len(data))


def _preview_text(text: str, size_bytes: int = 0) -> str:
    if len(text) <= _PREVIEW_CHARS:
        return text
    return f"{text[:_PREVIEW_CHARS]}… ({size(size_bytes or len(text))})"
