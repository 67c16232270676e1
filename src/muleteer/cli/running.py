"""`muleteer spool run`: run tasks here and now, in the shell's own process.

The application is loaded as the server loads it, and each task is claimed, run and settled as a
spooler does it, under its file's lock: a running server sees a task that is another's. What it
prints is on the terminal, and a debugger works. There is no master: no deadline is enforced,
signals and mule messages that a task sends reach nobody.
Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal as unix_signals
import time
from dataclasses import dataclass, replace
from typing import Any

from muleteer import journal
from muleteer.cli.exits import Exit, Misused
from muleteer.cli.screen import Screen, age
from muleteer.cli.tasks import Choice
from muleteer.config.options import Settings
from muleteer.config.sources import load
from muleteer.errors import AppNotLoaded, MuleteerError
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.scoreboard import Scoreboard, Seat
from muleteer.ipc.targets import population_of
from muleteer.roles.spooler import Spooler
from muleteer.runtime import Runtime
from muleteer.serve import loader
from muleteer.spool import steering
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.looking import Found, State, Status, find, status_of
from muleteer.spool.store import Store
from muleteer.zygote.loading import (
    begin_to_load,
    end_loading,
    prepare_to_share,
    print_app_traceback,
    reason,
)

__all__ = ["run"]


def run(words: argparse.Namespace, screen: Screen) -> Exit:
    """Run tasks here and now, in this process, with the application of an ini file or a module."""
    choice = Choice.named(words)
    chosen = sorted(choice.found(time.time()), key=lambda one: one[0].rank)
    settings = _settings(words)
    store = DirectoryStore(choice.home, ordered=settings.spooler_ordered)
    journal.configure()
    journal.identify("spool run")
    spooler = _load(settings, os.fsdecode(choice.home), store)
    unix_signals.signal(unix_signals.SIGINT, spooler.interrupt)
    codes = []
    for found, status in chosen:
        outcome = _run_one(spooler, store, found, status)
        outcome.tell(os.fsdecode(found.name), screen, as_json=words.json)
        codes.append(outcome.code)
    return max(codes, default=Exit.OK)


# -- a server that is not there -----------------------------------------------------------------


class _Alone(Runtime):
    """What a process may do that has no server around it: its own work."""

    def tell_master(self, op: str, **fields: Any) -> None:
        """Nobody hears it: no timer ticks, and no deadline is enforced."""

    def signal_master(self, number: unix_signals.Signals) -> None:
        """A reload or a stop is the server's."""
        journal.notice(f"{number.name} for the master: there is no server here")

    def raise_signal(self, signum: int) -> None:
        """A signal has nobody to reach."""
        journal.notice(f"signal {signum} reaches nobody: there is no server here")


def _settings(words: argparse.Namespace) -> Settings:
    """The application's settings: of its ini file, or of the named modules."""
    arguments = [part for path in words.ini for part in ("--ini", path)]
    arguments += [part for name in words.modules for part in ("--import", name)]
    arguments += ["--module", words.module] if words.module else []
    if not arguments:
        raise Misused("run needs the application: name its --ini file, its --module or --import")
    if not words.ini:
        arguments += ["--spooler", os.fsdecode(words.home)]
    return load(arguments, dict(os.environ), os.getcwd())


def _load(settings: Settings, home: str, store: Store) -> Spooler:
    """Import the application in this process, which then sits on a spooler's seat."""
    settings = _with_spooler(settings, home)
    directories = [os.path.realpath(directory) for directory in settings.spooler_seats]
    seat = Seat("spooler", directories.index(os.path.realpath(home)) + 1)
    population = population_of(settings, settings.processes)
    switchboard = Switchboard(population, settings.spooler)
    scoreboard = Scoreboard(rows=1, cores=1)
    locks = LockTable(settings.locks)
    runtime = _Alone(settings, switchboard, scoreboard, locks, lambda _directory: store, 1)
    _import_application(runtime)
    (row,) = scoreboard.rows
    row.assign(seat, 1, 0)
    row.note_pid(os.getpid())
    runtime.sit(row)
    return Spooler(runtime, row)


def _with_spooler(settings: Settings, home: str) -> Settings:
    """The settings with this directory among the spoolers'."""
    if os.path.realpath(home) in map(os.path.realpath, settings.spooler):
        return settings
    return replace(settings, spooler=(*settings.spooler, home), spooler_processes="1")


def _import_application(runtime: Runtime) -> None:
    settings = runtime.settings
    try:
        prepare_to_share(runtime)
        begin_to_load(runtime)
        loader.load_application(settings)
        end_loading(runtime)
    except (MuleteerError, SystemExit) as error:
        raise AppNotLoaded(reason(error)) from error
    except Exception as error:
        print_app_traceback(error)
        raise AppNotLoaded(f"{loader.describe(settings)}: {reason(error)}") from error


# -- one task -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one task."""

    code: Exit
    word: str
    says: str

    def tell(self, name: str, screen: Screen, *, as_json: bool) -> None:
        """A line for people or for machines."""
        if as_json:
            told = {"task": name, "outcome": self.word, "says": self.says}
            screen.say(json.dumps(told))
        elif self.code is Exit.LEFT_ALONE:
            screen.complain(f"task {name} {self.says}")
        else:
            screen.say(f"{name} {self.says}")


def _run_one(spooler: Spooler, store: DirectoryStore, found: Found, before: Status) -> _Outcome:
    if before.state is State.DONE:
        return _Outcome(Exit.LEFT_ALONE, "left alone", "is done already and was left alone")
    path = steering.queue_path(found)
    if before.state is State.DEAD:
        steering.retry(found)
    retries = spooler.row.retries
    task = store.claim_this(path)
    if task is None:
        says = "runs elsewhere, or has ended, and was left alone"
        return _Outcome(Exit.LEFT_ALONE, "left alone", says)
    spooler.run_now(task)
    return _outcome(path, task.attempts, comes_again=spooler.row.retries > retries)


def _outcome(path: bytes, attempts: int, *, comes_again: bool) -> _Outcome:
    """Read it from what the run left."""
    there = find(path)
    after = Status(path, State.GONE) if there is None else status_of(there)
    if after.state in (State.GONE, State.DONE):
        return _Outcome(Exit.OK, "done", "is done")
    if after.state is State.DEAD:
        return _Outcome(Exit.TASK_FAILED, "dead", f"is dead: {after.last_error}")
    due = age(after.due_at - time.time())
    if after.attempts > attempts:
        says = f"failed: {after.last_error}; it runs again in {due}"
        return _Outcome(Exit.TASK_FAILED, "failed", says)
    if comes_again:
        return _Outcome(Exit.OK, "again", f"runs again in {due}, as it wishes")
    return _Outcome(Exit.LEFT_ALONE, "left alone", "did not run to its end, and waits as before")
