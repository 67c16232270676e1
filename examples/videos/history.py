"""What became of the tasks a visitor spooled: read from the spool directory, never guessed.

A task is a file: while it lies there it waits, while a spooler holds its lock it runs, and when
it is gone it is done. The visitor's session remembers the names, so the nightly cron job of
tasks.py, which clears the sessions, empties this list too.

Runs in: a worker.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    import uwsgi
except ImportError:  # manage.py imports the site too, and outside the server there is none
    uwsgi = None

KEPT = 12
"""How many tasks a visitor's list remembers."""


@dataclass(frozen=True)
class Picture:
    """A picture's name, and when it was written: every task writes the same names."""

    name: str
    version: int


@dataclass(frozen=True)
class Encoding:
    """One spooled task, as the page shows it."""

    task: str
    filename: str
    spooled_at: datetime
    state: str
    pictures: list[Picture] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Has a spooler finished it?"""
        return self.state == "done"


def remember(session: MutableMapping[str, Any], task: str, filename: str, at: float) -> None:
    """Put a task just spooled on top of the visitor's list."""
    entry = {"task": task, "filename": filename, "at": at}
    session["tasks"] = [entry, *session.get("tasks", [])][:KEPT]


def encodings(session: MutableMapping[str, Any], spool: Path) -> list[Encoding]:
    """The visitor's tasks, newest first, with the pictures of the one that ended last."""
    states = {task: _state(task) for task in map(_text, uwsgi.spooler_jobs())}
    # While a task runs, it is writing over the pictures of the one before.
    is_quiet = "running" not in states.values()
    shown: list[Encoding] = []
    for entry in session.get("tasks", []):
        state = states.get(entry["task"], "done")
        ended_last = state == "done" and not any(one.is_done for one in shown)
        pictures = _pictures(spool, entry["at"]) if ended_last and is_quiet else []
        at = datetime.fromtimestamp(entry["at"], UTC)
        shown.append(Encoding(entry["task"], entry["filename"], at, state, pictures))
    return shown


def clips(spool: Path) -> list[str]:
    """The names a visitor may post."""
    return sorted(path.name for path in spool.glob("*.avi"))


def _state(task: str) -> str:
    """A task that a spooler has locked cannot be read: then it runs at this moment."""
    return "running" if uwsgi.spooler_get_task(task) is None else "enqueued"


def _pictures(spool: Path, since: float) -> list[Picture]:
    """The pictures written since a task was spooled, in the order of their numbers."""
    written = [(path.name, path.stat().st_mtime_ns) for path in spool.glob("image*.jpg")]
    pictures = [Picture(name, at) for name, at in written if at >= since * 1e9]
    return sorted(pictures, key=lambda picture: (len(picture.name), picture.name))


def _text(path: str | bytes) -> str:
    return path.decode() if isinstance(path, bytes) else path
