"""The file that remembers when cron jobs with `catch_up` last ran, across restarts.

One line a job: the Unix time, the signal's number, the job. It is written whole, under another
name, and renamed, so that a reader or a crash never sees half of it.

Runs in: the master.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from muleteer import journal
from muleteer.clock.timers import Cron, Entry
from muleteer.config.options import Settings

__all__ = ["CronState", "state_file"]

DEFAULT_NAME = ".muleteer-cron-state"
"""In a spool directory; neither our spoolers nor uWSGI's take it for a task."""


def state_file(settings: Settings) -> str | None:
    """Where the last runs are kept; None when nobody said and there is no spool directory."""
    if settings.cron_state:
        return settings.cron_state
    return os.path.join(settings.spooler[0], DEFAULT_NAME) if settings.spooler else None


class CronState:
    """The last runs, of the jobs that catch up alone."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._runs: dict[str, float] = {}

    def begin(self, entries: Iterable[Entry], now_wall: float) -> dict[Entry, float]:
        """Return when each of these jobs last ran, and forget all others.

        A job that was never seen counts as run now: what it misses from here on is caught up.
        """
        jobs = [entry for entry in entries if isinstance(entry, Cron) and entry.catches_up]
        known = {**self._read(), **self._runs} if jobs else {}
        found: dict[Entry, float] = {job: known.get(_key(job), now_wall) for job in jobs}
        self._runs = {_key(job): found[job] for job in jobs}
        if jobs:
            self._write()
        return found

    def note(self, job: Cron, now_wall: float) -> None:
        """Write down that a job was raised."""
        self._runs[_key(job)] = now_wall
        self._write()

    def _read(self) -> dict[str, float]:
        if self._path is None:
            return {}
        try:
            with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
                pairs = [line.rstrip("\n").partition(" ") for line in file]
            return {key: float(when) for when, _, key in pairs}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            journal.cron_state_unreadable(self._path, str(error))
            return {}

    def _write(self) -> None:
        if self._path is None:
            return
        draft = f"{self._path}.new"
        lines = [f"{when:.3f} {key}\n" for key, when in self._runs.items()]
        try:
            with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(lines)
            os.replace(draft, self._path)
        except OSError as error:
            journal.cron_state_unwritable(self._path, str(error))


def _key(job: Cron) -> str:
    return f"{job.signum} {job.spec} {job.zone or ''}".rstrip()
