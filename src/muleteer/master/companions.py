"""Companions: the daemons and cron commands beside the server, as processes.

When to do what is supervision.py's; the words are the journal's.

Runs in: the master.
"""

from __future__ import annotations

import signal as unix_signals
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from muleteer import journal
from muleteer.clock.cron import CronSpec, SystemZone
from muleteer.clock.timers import Clock, Cron
from muleteer.config.options import Settings
from muleteer.config.programs import CronCommand, Daemon
from muleteer.master import policy, shell
from muleteer.master.children import how, lives
from muleteer.master.supervision import Act, Companion, Job, Stage, care_for, watch_jobs
from muleteer.master.waking import soonest

__all__ = ["Companions"]


_NEVER = CronSpec(0, 0, 29, 2, -1)
"""For a command that no clock starts."""


class Companions:
    """All programs that run beside the server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._daemons: list[Companion] = []
        self._jobs: list[Job] = []
        self._clock = Clock(SystemZone())
        self._commands: tuple[CronCommand, ...] = ()
        self._last_runs: dict[CronCommand, float] = {}
        self._wake_at: float | None = None
        self._ends = self._hurry = False
        self.wants_stop = ""
        """The command that ended and is to take the server with it."""
        self._take_over(settings)

    # -- the options -----------------------------------------------------------------------

    def follow(self, settings: Settings) -> None:
        """A new generation serves: daemons are started anew, or get their reload signal."""
        for one in self._daemons:
            self._reload(one)
        self._take_over(settings)

    def _reload(self, one: Companion) -> None:
        if one.daemon.reload_signal and one.stage is Stage.RUNNING:
            shell.signal_group(one.pid, one.daemon.reload_signal)
        elif not one.daemon.pidfile:
            one.restarts = one.stage is Stage.RUNNING

    def _take_over(self, settings: Settings) -> None:
        """Have exactly the programs that the options name; those that stay do not notice."""
        self._settings = settings
        missing = Counter(settings.daemons)
        for one in self._daemons:
            one.is_wanted = missing[one.daemon] > 0
            missing[one.daemon] -= one.is_wanted
        new = [daemon for daemon in settings.daemons if _taken(missing, daemon)]
        self._daemons += [Companion(daemon) for daemon in new]
        self._commands = settings.cron_commands
        crons = [Cron(n, None, command.spec) for n, command in enumerate(self._commands)]
        self._clock.replace(crons, time.monotonic(), time.time())

    # -- the loop ----------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When to tend them at the latest."""
        due = None if self._ends else self._clock.next_due(time.monotonic(), time.time())
        return soonest(self._wake_at, due)

    def tend(self) -> int:
        """Start what is due, end what must; returns how many still run that a stop waits for."""
        if not self._ends:
            for due in self._clock.due(time.monotonic(), time.time()):
                self._run(self._commands[due.signum])
            self._clock.take_missed()
        self._wake_at = None
        while True:
            acts = [*self._acts()]
            for act, one in acts:
                self._do(act, one)
            if not acts:
                break
        self._daemons = [d for d in self._daemons if d.is_wanted or d.stage is not Stage.ABSENT]
        return len(self._jobs) + sum(
            one.stage in (Stage.RUNNING, Stage.LEAVING, Stage.KILLED)
            for one in self._daemons
            if not one.daemon.pidfile
        )

    def end(self, *, hurry: bool) -> None:
        """The server stops and its children are gone, or everything is to end at once."""
        if not self._ends:
            self._ends = True
            for job in self._jobs:
                job.since = time.monotonic()
        self._hurry = hurry

    def _acts(self) -> Iterator[tuple[Act, Companion | Job]]:
        now, mercy_s = time.monotonic(), self._settings.reload_mercy
        ends, hurry = self._ends, self._hurry
        patience_s = self._settings.worker_reload_mercy
        for care in (
            care_for(self._daemons, now, ends=ends, hurry=hurry, mercy_s=mercy_s),
            watch_jobs(
                self._jobs, now, ends=ends, hurry=hurry, patience_s=patience_s, mercy_s=mercy_s
            ),
        ):
            self._wake_at = soonest(care.wake_at, self._wake_at)
            yield from care.acts

    # -- doing -------------------------------------------------------------------------------

    def _do(self, act: Act, one: Companion | Job) -> None:
        now = time.monotonic()
        if isinstance(one, Companion) and act is Act.START:
            self._start(one)
        elif isinstance(one, Companion) and act is Act.LOOK:
            self._look(one)
        elif act is Act.ASK:
            number = one.daemon.stop_signal if isinstance(one, Companion) else unix_signals.SIGTERM
            journal.program_asked(_words(one), one.pid)
            one.stage, one.since = Stage.LEAVING, now
            shell.signal_group(one.pid, number)
        elif act is Act.KILL:
            journal.program_killed(_words(one), one.pid, now - one.born)
            one.stage, one.since = Stage.KILLED, now
            shell.signal_group(one.pid, unix_signals.SIGKILL)

    def _start(self, one: Companion) -> None:
        now = time.monotonic()
        one.restarts = False
        one.born = now
        one.history.spawned += 1
        one.pid = shell.start(
            one.daemon.command,
            directory=one.daemon.directory,
            dies_with_us=not one.daemon.pidfile,
        )
        one.enter(Stage.RUNNING, now)
        say = journal.program_respawned if one.history.spawned > 1 else journal.program_spawned
        say(one.daemon.command, one.pid)

    def _look(self, one: Companion) -> None:
        """Is somebody of the pid in its file alive? Then it needs no start."""
        pid = _pid_in(one.daemon.pidfile)
        if pid and lives(pid):
            if pid != one.pid:
                journal.program_found(one.daemon.command, pid)
            one.pid = pid
            one.enter(Stage.ELSEWHERE, time.monotonic())
        else:
            self._start(one)

    def run(self, command: str) -> None:
        """Run a command once, now (`touch-exec`)."""
        self._run(CronCommand(_NEVER, command))

    def _run(self, command: CronCommand) -> None:
        if command.unique and any(job.command == command for job in self._jobs):
            journal.command_still_runs(command.command)
            return
        now = time.monotonic()
        limit = command.harakiri_s
        limit = self._settings.cron_harakiri if limit is None else limit
        pid = shell.start(command.command)
        journal.command_started(command.command, pid)
        self._last_runs[command] = time.time()
        self._jobs.append(Job(command, pid, now, now + limit if limit else None, since=now))

    # -- hearing -----------------------------------------------------------------------------

    def died(self, pid: int, status: int) -> bool:
        """A child of the master is dead; returns whether it was one of these."""
        for job in self._jobs:
            if job.pid == pid:
                self._jobs.remove(job)
                seconds = time.monotonic() - job.born
                journal.command_ended(job.command.command, pid, how(status), seconds)
                return True
        for one in self._daemons:
            if one.pid == pid:
                self._daemon_died(one, status)
                return True
        return False

    def _daemon_died(self, one: Companion, status: int) -> None:
        now = time.monotonic()
        asked = one.stage in (Stage.LEAVING, Stage.KILLED)
        if one.stage is Stage.RUNNING and one.daemon.daemonizes and status == 0:
            one.enter(Stage.ELSEWHERE, now)  # in the background now; its pidfile tells where
            return
        delay = policy.note_death(one.history, now - one.born, now, expected=asked)
        one.enter(Stage.ABSENT, now)
        one.restarts = False
        if asked:
            journal.program_ended(one.daemon.command, one.pid, how(status))
        else:
            journal.program_died(one.daemon.command, one.pid, how(status), delay)
        if one.daemon.stops_server and not asked:
            self.wants_stop = one.daemon.command

    # -- showing -----------------------------------------------------------------------------

    def picture(self) -> dict[str, list[dict[str, Any]]]:
        """The daemons and the cron commands in the words of uWSGI's stats."""
        daemons = [
            {"cmd": one.daemon.command, "pid": one.pid, "respawns": max(one.history.spawned - 1, 0)}
            for one in self._daemons
        ]
        running = {job.command: job for job in self._jobs}
        schedule = self._clock.schedule(time.monotonic(), time.time())
        following = {entry.signum: when for entry, when in schedule}
        crons = [
            {
                **_shown(command, running.get(command)),
                "next": following.get(n, 0.0),
                "last": round(self._last_runs.get(command, 0.0), 3),
            }
            for n, command in enumerate(self._commands)
        ]
        return {"daemons": daemons, "crons": crons}


def _shown(command: CronCommand, job: Job | None) -> dict[str, Any]:
    names = ("minute", "hour", "day", "month", "week")
    numbers = str(command.spec).split()
    return {
        **dict(zip(names, map(_plain, numbers), strict=True)),
        "command": command.command,
        "unique": int(command.unique),
        "legion": "",
        "pid": job.pid if job else -1,
        "started_at": int(time.time() - (time.monotonic() - job.born)) if job else 0,
    }


def _plain(field: str) -> int | str:
    """A number as a number; a crontab's field as it is."""
    return int(field) if field.lstrip("-").isdigit() else field


def _taken(missing: Counter[Daemon], daemon: Daemon) -> bool:
    missing[daemon] -= 1
    return missing[daemon] >= 0


def _words(one: Companion | Job) -> str:
    return one.daemon.command if isinstance(one, Companion) else one.command.command


def _pid_in(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read(32).split()[0])
    except (OSError, ValueError, IndexError):
        return 0
