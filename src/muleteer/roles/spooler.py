"""The spooler: it claims tasks from one store and runs them, one at a time.

The store keeps them and decides nothing; what a task means is the application's `uwsgi.spooler`
hook, and what becomes of it after a run is spool/verdict.py's word.

Runs in: a spooler, after the fork.  Forked by: zygote/forking.py.
"""

from __future__ import annotations

import os
import random
import signal as unix_signals
import time
from collections.abc import Mapping
from math import inf
from typing import Any

from muleteer import journal
from muleteer.errors import SpoolError, StoreUnavailable
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.targets import spooler_pipe
from muleteer.roles.role import Role
from muleteer.roles.taskrun import DONE, Hook, TaskRun, death, policy, result_of, wishes_of
from muleteer.runtime import Runtime
from muleteer.spool.looking import function_of
from muleteer.spool.slots import Slots
from muleteer.spool.store import Outcome, Result, Store, Task
from muleteer.spool.verdict import (
    Again,
    AsItWas,
    Dead,
    Done,
    Ending,
    OnDead,
    RetryPolicy,
    Round,
    Run,
    Verdict,
    verdict,
)

__all__ = ["Spooler"]

NICENESS = 19
"""Spooled work gives way to requests; uWSGI's spoolers run at the same niceness."""

BETWEEN_LOOKS_S = 0.005
"""How long tasks may follow each other without a look at signals and arrivals: one system call
less for each of them. A wish to leave is heard after any task."""


class Spooler(Role):
    """One spooler process; several may share a directory."""

    kind = "spooler"

    def __init__(self, runtime: Runtime, row: Row) -> None:
        super().__init__(runtime, row)
        self.directory = self._own_directory()
        self.store: Store = runtime.new_store(self.directory)
        self.signal_names = ("spooler", spooler_pipe(self.directory))
        self._bell = self.switchboard.spooler_bells[self.directory]
        self._task_run = TaskRun()
        self._slots = Slots(os.fsencode(self.settings.spooler[0]))
        self._is_home = False

    def _own_directory(self) -> str:
        return self.settings.spooler_seats[self.seat.id - 1]

    def start(self) -> None:
        """Go to the directory and listen to its bell, its arrivals, and to signals."""
        self._nice()
        unix_signals.signal(unix_signals.SIGQUIT, self._task_run.interrupt)
        self._go_home()
        self.loop.watch(self._bell.read_fd, self._rung, exclusive=True)
        arrivals = self.store.fileno()
        if arrivals is not None:
            self.loop.watch(arrivals, self._arrived)
        self._asks_for_the_bell()
        self._signal_fds = self.listen_for_signals(self.loop, *self.signal_names)

    def _asks_for_the_bell(self) -> bool:
        """Where nothing tells of new files, who enqueues has to ring; True when that is news."""
        board = self.runtime.scoreboard
        if board.spoolers_need_bell or self.store.fileno() is not None:
            return False
        board.spoolers_need_bell = True
        return True

    def _nice(self) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        except OSError:
            pass  # a container may forbid it; the work is done all the same

    def _go_home(self) -> None:
        """Work in the directory; where it is gone, as soon as it is back."""
        try:
            os.chdir(self.settings.spooler_chdir or self.directory)
            self._is_home = True
        except OSError as error:
            self._is_home = False
            journal.store_unavailable(f"{self.directory}: {error.strerror}", self._frequency)

    def retire(self) -> None:
        """Claim nothing more and leave the signals to others."""
        for fd in self._signal_fds:
            self.loop.unwatch(fd)

    def stop(self) -> None:
        """Let the store go; what it has seen in the last moment is for who comes next."""
        if self.settings.spooler_cheap and self._sees_work():
            self.runtime.tell_master("call", directory=self.directory)
        self._slots.close()
        self.store.close()

    @property
    def work_done(self) -> int:
        """Tasks; with `spooler-signal-as-task` the signals, too."""
        signals = self.row.signals if self.settings.spooler_signal_as_task else 0
        return self.row.tasks + signals

    @property
    def harakiri(self) -> float | None:
        """Signal handlers and tasks alike."""
        return self.settings.spooler_harakiri

    # -- one turn --------------------------------------------------------------------------

    def step(self) -> None:
        """Run the next task if one is due; hear the bell, the signals and the wish to leave."""
        try:
            self._sweep_after_a_while()
            for path in self._slots.admit():
                self.store.unpark(path)
            task = self.store.claim(time.time())
        except StoreUnavailable as error:
            self._note_loss(error)
            self.loop.turn(self._frequency)
            return
        if task is None:
            # inotify may have run out of watches; what came before we asked is looked for at once
            self.loop.turn(0.0 if self._asks_for_the_bell() else self._until_next())
            self._rescan_after_a_while()
            if self.settings.spooler_cheap:
                self._rest_after_a_while()
        else:
            self._idle_since = inf
            self._take(task)
            self._listen_between()

    def _listen_between(self) -> None:
        """Hear what came in during the task; short tasks that follow each other share one look."""
        now = time.monotonic()
        if self._asked_to_leave or now >= self._listens_at:
            self.loop.turn(0)
            self._listens_at = now + BETWEEN_LOOKS_S

    _listens_at = 0.0

    def _until_next(self) -> float:
        due = self.store.next_due()
        longest = min(float(self._frequency), self._slots.patience_s(), self._until_rest())
        return longest if due is None else min(max(due - time.time(), 0.0), longest)

    def _until_rest(self) -> float:
        """With `spooler-cheap`: the seconds until we have been idle for long enough to leave."""
        if not self.settings.spooler_cheap:
            return inf
        return max(min(self._idle_since - time.monotonic(), 0.0) + self.settings.spooler_idle, 0.0)

    def _rest_after_a_while(self) -> None:
        """Tell the master that we are not needed; it then asks us to leave, and hears for us."""
        now = time.monotonic()
        self._idle_since = min(self._idle_since, now)
        if now - self._idle_since < self.settings.spooler_idle or self._slots.has_parked:
            return
        self._idle_since = now
        if not self._sees_work():
            self.runtime.tell_master("rest", row=self.row.index, due=self.store.next_due())

    _idle_since = inf

    def _sees_work(self) -> bool:
        self._rescan()
        due = self.store.next_due()
        return due is not None and due <= time.time()

    def _sweep_after_a_while(self) -> None:
        now = time.monotonic()
        if now >= self._sweeps_at:
            self._sweeps_at = now + self.store.sweep(time.time())

    _sweeps_at = 0.0

    def _rescan_after_a_while(self) -> None:
        """Look again even if nobody rang: a network file system reports no arrivals."""
        now = time.monotonic()
        if now - self._scanned_at >= self._frequency:
            self._rescan()

    def _rescan(self) -> None:
        self._scanned_at = time.monotonic()
        try:
            self.store.rescan()
        except StoreUnavailable as error:
            self._note_loss(error)

    def _note_loss(self, error: StoreUnavailable) -> None:
        """The directory cannot be used; one that is made anew is told of by who puts into it."""
        journal.store_unavailable(str(error), self._frequency)
        self._is_home = False
        self.runtime.scoreboard.spoolers_need_bell = True

    _scanned_at = 0.0

    @property
    def _frequency(self) -> float:
        return self.runtime.scoreboard.spooler_frequency or self.settings.spooler_frequency

    def _rung(self, _events: int) -> None:
        if self._bell.hush(1):
            self._rescan()

    def _arrived(self, _events: int) -> None:
        self._rescan()

    # -- one task --------------------------------------------------------------------------

    def run_now(self, task: Task) -> None:
        """Run one claimed task and settle it, outside the loop; a wish to exit is its failure."""
        try:
            self._take(task)
        except SystemExit:
            pass  # settled already

    def interrupt(self, number: int = 0, frame: object = None) -> None:
        """Raise `Leave` in the task that runs, which then stays as it was. A signal handler."""
        self._task_run.interrupt(number, frame)

    def _take(self, task: Task) -> None:
        """Run a task, in a slot if its function has a number of them; park it if none is free."""
        hook, seen = self.registry.hooks.get("spooler"), task.seen()
        wishes = wishes_of(hook, seen)
        limit: int | None = wishes.get("concurrency")
        if limit is None or task.died:
            self._run(task, hook, seen, wishes)
            return
        function = function_of(task.vars)
        slot = self._slots.take(function, limit)
        if slot is None:
            self._park(task, function, limit)
            return
        try:
            self._run(task, hook, seen, wishes)
        finally:
            self._slots.give_back(slot)

    def _park(self, task: Task, function: str, limit: int) -> None:
        """Put a task back until a slot is free."""
        self._slots.park(function, limit, task.path)
        if self._slots.fd is not None and not self._hears_of_slots:
            self._hears_of_slots = True
            self.loop.watch(self._slots.fd, lambda _events: self._slots.heard())
        try:
            self.store.park(task)
        except SpoolError as error:
            journal.store_unavailable(str(error), self._frequency)

    _hears_of_slots = False

    def _run(
        self, task: Task, hook: Hook | None, seen: Mapping[Any, Any], wishes: Mapping[str, Any]
    ) -> None:
        """Run one task under its deadline and do with it what the verdict says."""
        began = (time.time(), time.monotonic()) if "keep_result" in wishes else None
        leaving: SystemExit | None = None
        if not self._is_home:
            self._go_home()
        limit_s = self._limit(wishes)
        self.runtime.begin(limit_s, doing=seen["spooler_task_name"])
        try:
            run = death(limit_s) if task.died else self._timed(hook, seen, task)
        except SystemExit as exit_of_the_task:
            leaving = exit_of_the_task
            run = Run(Ending.RAISED, f"SystemExit: {leaving.code}")
        finally:
            self.runtime.end()
        self._end(task, run, wishes, began)
        if leaving is not None:
            raise leaving
        self.after_work()

    def _limit(self, wishes: Mapping[str, Any]) -> float | None:
        """Seconds the task may take: its function's own word before the option's."""
        timeout: float | None = wishes.get("timeout")
        return self.settings.spooler_harakiri if timeout is None else timeout

    def _timed(self, hook: Hook | None, seen: Mapping[Any, Any], task: Task) -> Run:
        """Run the hook and log its beginning and a good end."""
        if hook is None:
            return Run(Ending.NOT_MINE)
        tells = not self.settings.spooler_quiet
        if tells:
            journal.task_started(task.label)
        started = time.monotonic()
        with self.runtime.around():
            run = self._task_run.run(hook, seen, task)
        if tells and run.ending is Ending.DONE:
            journal.task_done(task.label, time.monotonic() - started)
        return run

    def _end(
        self,
        task: Task,
        run: Run,
        wishes: Mapping[str, Any],
        began: tuple[float, float] | None,
    ) -> None:
        """Carry the verdict out and say so."""
        try:
            if began is None and run is DONE:  # most end so, and nobody need think about them
                self.store.settle(task, Outcome.OK)
            else:
                chosen = policy(self.settings, self._frequency, wishes)
                becomes = self._verdict(task, run, chosen)
                keep_s = wishes.get("keep_result")
                kept = result_of(task, run, keep_s, began) if keep_s and began else None
                self._carry_out(task, run, becomes, kept)
                self._tell(task, run, becomes, chosen)
        except SpoolError as error:
            journal.store_unavailable(str(error), self._frequency)

    def _verdict(self, task: Task, run: Run, chosen: RetryPolicy) -> Verdict:
        return verdict(
            run,
            chosen,
            attempts=task.attempts,
            first_due=task.first_due,
            now=time.time(),
            frequency=self._frequency,
            chance=random.random(),
        )

    def _carry_out(self, task: Task, run: Run, becomes: Verdict, kept: Result | None) -> None:
        match becomes:
            case Done():
                self.store.settle(task, Outcome.OK, result=kept)
            case Round(at):
                self.store.settle(task, Outcome.ROUND, at=at)
            case Again(at, error):
                self.store.settle(task, Outcome.RETRY, at=at, error=error)
            case AsItWas(at):
                self.store.settle(task, Outcome.IGNORE, at=at)
            case Dead(reason):
                self.store.bury(task, f"{reason}\n\n{run.details}".rstrip())

    def _tell(self, task: Task, run: Run, becomes: Verdict, chosen: RetryPolicy) -> None:
        """Log what became of the task; whoever wants to hear of its death is called."""
        name = task.label
        if run.ending is Ending.RAISED:
            self.row.note_failure()
        match becomes:
            case Done() if run.ending is Ending.DROPPED:
                journal.task_dropped(name, run.error)
            case Round(at):
                self.row.note_retry()
                journal.task_retries(name, self._frequency)
            case Again(at, error):
                self.row.note_retry()
                failures = task.attempts + 1
                journal.task_failed(name, error, failures, chosen.retries, at - time.time())
            case AsItWas() if run.ending is Ending.NOT_MINE:
                journal.task_ignored(name, self._frequency)
            case AsItWas():
                journal.task_interrupted(name)
            case Dead(reason):
                self.row.note_burial()
                journal.task_buried(name, reason)
                if chosen.on_dead is not None:
                    self._call_on_dead(chosen.on_dead, task, reason)

    def _call_on_dead(self, on_dead: OnDead, task: Task, reason: str) -> None:
        """Tell the application of a death; its exception is logged and changes nothing."""
        self.runtime.begin(self.settings.spooler_harakiri, doing=task.name)
        try:
            with self.runtime.around():
                self.run_hook("on_dead", lambda: on_dead(task.seen(), reason))
        finally:
            self.runtime.end()
