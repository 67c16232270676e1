"""The master: one thread, one loop — hear, ask the policy, do.

It never runs the application's code and never waits but in `select`.
When to act is policy.py's; what is remembered is roster.py's; the words are the journal's.

Runs in: the master.
"""

from __future__ import annotations

import os
import selectors
import signal as unix_signals
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.errors import ExitCode
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.scoreboard import Row, Scoreboard, Seat, State
from muleteer.ipc.sockets import Listener
from muleteer.ipc.sockets import close as close_listener
from muleteer.master import policy
from muleteer.master.children import Children
from muleteer.master.companions import Companions
from muleteer.master.control import Command, UnixSignals
from muleteer.master.cronstate import state_file
from muleteer.master.deadlines import Deadlines, Step
from muleteer.master.gatehouse import Gatehouse, Outside, Verbs
from muleteer.master.generations import ForkZygote, Generations
from muleteer.master.picture import Sights
from muleteer.master.resting import Resting
from muleteer.master.roster import ChildHandle, Mode, Phase, Roster, ZygotePhase
from muleteer.master.router import Router, option_sources
from muleteer.master.touched import Touch, command_of, own_files
from muleteer.master.waking import soonest
from muleteer.master.weights import Weights
from muleteer.master.workforce import Workforce

__all__ = ["Master", "Shared"]

ReadSettings = Callable[[], Settings]

_LONGEST_S = 86400.0
"""No longer sleep than this: a selector takes 24 days at most, and a cron job may be a year off."""

_WATCHER_SEAT = Seat("watcher", 1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What boot made before the first fork, handed over as one object."""

    listeners: Sequence[Listener]
    outside: Outside
    switchboard: Switchboard
    scoreboard: Scoreboard
    locks: LockTable
    plan: tuple[Seat, ...]
    fork_zygote: ForkZygote
    read_settings: ReadSettings


class Master:
    """The supervisor of one server."""

    def __init__(self, settings: Settings, shared: Shared) -> None:
        self.shared = shared
        self.roster = Roster(plan=shared.plan, reload_wanted=True)
        self.children = Children(self.roster, shared.scoreboard, shared.switchboard)
        self.router = Router(shared.switchboard, shared.scoreboard, state_file(settings))
        self.deadlines = Deadlines(shared.scoreboard)
        self.weights = Weights()
        self.companions = Companions(settings)
        self.signals = UnixSignals()
        self.exit_code: int = ExitCode.OK
        self._finished = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.signals.read_fd, selectors.EVENT_READ, self._hear_unix_signals)
        control = shared.switchboard.control_in
        self._selector.register(control, selectors.EVENT_READ, self._hear_children)
        self.workforce = Workforce(
            settings,
            sum(seat.kind == "worker" for seat in shared.plan),
            shared.scoreboard,
            shared.switchboard,
            shared.listeners,
            self._selector,
        )
        self.resting = Resting(settings, shared.scoreboard, shared.switchboard, self._selector)
        self.generations = Generations(
            settings,
            self.roster,
            self.children,
            self._selector,
            shared.fork_zygote,
            shared.read_settings,
            self._let_go,
            self._publish,
        )
        self.gatehouse = Gatehouse(
            shared.outside,
            self._selector,
            self._sights(),
            lambda: self.generations.settings,
            Verbs(self._reload, self._stop, self._stop_now, self._tell_all),
        )

    # -- the loop ------------------------------------------------------------------------

    def run(self) -> int:
        """Supervise until the server has stopped; returns the exit code."""
        while not self._finished:
            self._plan()
            wake_at = self._act()
            if self._finished:
                break
            for key, _ in self._selector.select(self._timeout(wake_at)):
                key.data()
            self.router.send_due()
            self.gatehouse.look()
            self._check_deadlines()
            self._check_weights()
            self._check_workforce()
            self._check_resting()
        self.gatehouse.close()
        journal.stopped()
        return self.exit_code

    def _act(self) -> float | None:
        """Do what the policy says until it says nothing more; returns when to ask it again."""
        while not self._finished:
            self._give_up_if_nothing_loads()
            self._tend_companions()
            decision = policy.decide(
                self.roster, time.monotonic(), self._mercies(), self._lifetimes()
            )
            for action in decision.actions:
                self._do(action)
            if not decision.actions:
                return decision.wake_at
        return None

    def _timeout(self, wake_at: float | None) -> float | None:
        due = soonest(
            wake_at,
            self.router.next_due(),
            self._next_deadline_check(),
            self.weights.next_check(self.generations.settings),
            self.workforce.next_look(),
            self.gatehouse.next_due(),
            self.companions.next_due(),
            self.resting.next_look(),
        )
        return None if due is None else min(max(0.0, due - time.monotonic()), _LONGEST_S)

    def _mercies(self) -> policy.Mercies:
        chosen = self.generations.settings
        return policy.Mercies(
            worker=chosen.worker_reload_mercy,
            mule=chosen.mule_reload_mercy,
            spooler=chosen.spooler_mercy,
        )

    def _lifetimes(self) -> policy.Lifetimes:
        chosen = self.generations.settings
        return policy.Lifetimes(
            worker=chosen.max_worker_lifetime,
            worker_delta=chosen.max_worker_lifetime_delta,
            mule=chosen.mule_max_lifetime,
            spooler=chosen.spooler_max_lifetime,
        )

    # -- doing ---------------------------------------------------------------------------

    def _do(self, action: policy.Action) -> None:
        match action:
            case policy.StartZygote():
                self.generations.start(action)
            case policy.Spawn():
                self.children.spawn(action.seat, self.generations.order)
            case policy.Retire():
                self.children.retire(action)
            case policy.Interrupt():
                self.children.interrupt(action)
            case policy.KillChild():
                self.children.kill(action)
            case policy.KillZygote():
                self.generations.end(action.zygote, ZygotePhase.KILLED)
                os.kill(action.zygote.pid, unix_signals.SIGKILL)
            case policy.Dismiss():
                self.generations.end(action.zygote, ZygotePhase.DISMISSED)
            case policy.Announce():
                self._announce()
            case policy.Finish():
                self._finished = True

    def _let_go(self) -> None:
        """In a new zygote: close what only the master needs."""
        self.signals.let_go()
        self._selector.close()
        self.gatehouse.let_go()
        self.resting.let_go()
        self.shared.switchboard.lifeline.hold()
        self.shared.switchboard.control_in.close()

    def _sights(self) -> Sights:
        shared = self.shared
        return Sights(
            shared.listeners,
            shared.switchboard,
            shared.scoreboard,
            shared.locks,
            shared.plan,
            self.roster,
            self.children.ledger,
            self.router,
            self.companions,
            os.getcwd(),
        )

    def _announce(self) -> None:
        if self.roster.announced:
            journal.reload_done(self.roster.generation)
            self.roster.reloads.done += 1
        kinds = Counter(seat.kind for seat in self.roster.plan)
        seats = [f"{count} {kind}{'s' * (count != 1)}" for kind, count in kinds.items()]
        journal.server_ready(self.roster.generation, seats)
        self.roster.announced = self.roster.generation
        self.gatehouse.ready()

    # -- hearing: Unix signals -----------------------------------------------------------

    def _hear_unix_signals(self) -> None:
        for number, command in self.signals.take():
            name = unix_signals.Signals(number).name
            match command:
                case Command.REAP:
                    self._reap()
                case Command.RELOAD:
                    self._reload(name)
                case Command.STOP:
                    self._stop(name)
                case Command.SHOW:
                    self.gatehouse.turn_log_and_show(name)

    def _reload(self, why: str) -> None:
        if self.roster.mode is Mode.RUNNING and self.roster.generation:
            journal.reload_started(self.roster.newest + 1, why)
            self.gatehouse.reloading()
            self.roster.reload_wanted = True

    def _stop(self, why: str) -> None:
        if self.roster.mode is Mode.RUNNING:
            journal.stopping(why)
            self.gatehouse.stopping()
            self.roster.mode = Mode.STOPPING
            self._close_listeners()
        else:
            self._stop_now(why)

    def _stop_now(self, why: str) -> None:
        """Give up what runs; it need not have been asked to stop before."""
        if self.roster.mode is Mode.RUNNING:
            self._stop(why)
        if self.roster.mode is Mode.STOPPING:
            journal.stopping_now(why)
            self.roster.mode = Mode.STOPPING_NOW

    def _tell_all(self, number: unix_signals.Signals) -> None:
        """Send every process of ours a Unix signal."""
        for zygote in self.roster.zygotes:
            os.kill(zygote.pid, number)  # not reaped before it left the roster
        for child in self.roster.children:
            self.children.send(child, number)

    def _give_up_if_nothing_loads(self) -> None:
        if self.generations.cannot_start and self.roster.mode is Mode.RUNNING:
            self.exit_code = ExitCode.NO_APP
            self.roster.mode = Mode.STOPPING
            self._close_listeners()

    def _close_listeners(self) -> None:
        self.workforce.close()
        self.resting.close()
        for listener in self.shared.listeners:
            close_listener(listener, vacuum=self.generations.settings.vacuum)

    # -- hearing: the children -----------------------------------------------------------

    def _hear_children(self) -> None:
        for message in self.shared.switchboard.control_in.take_all():
            match message["op"]:
                case "ready":
                    seat = self.children.spoke(message["row"], message["pid"])
                    if seat == _WATCHER_SEAT:
                        self.router.brief_watcher()
                case "retiring":
                    self.children.retires(message["row"], message["pid"])
                case "rest":
                    if (row := self._row_of(message)) is not None:
                        self.resting.rest(row, message["due"])
                case "call":
                    if self.roster.mode is Mode.RUNNING:  # who called may be dead by now
                        self.resting.call(message["directory"])
                case "source":
                    self.router.add(message)
                    self._tell_watcher()
                case "raise" if message["signum"] < 0:
                    self._touched(message["signum"])
                case "code":
                    code = ((int(Touch.CODE), path) for path in message["paths"])
                    self.router.monitors.update(dict.fromkeys(code))
                    self._tell_watcher()
                case "raise":
                    self.router.tick(message["signum"])
                case "reload":
                    self._reload("uwsgi.reload()")
                case "stop":
                    self._stop("uwsgi.stop()")
                case "deadline":
                    pass  # heard: the deadlines are looked at in every turn

    def _row_of(self, message: dict[str, Any]) -> Row | None:
        """The sender's row, if it still lives and the server is not about to stop."""
        row = self.shared.scoreboard.rows[message["row"]]
        lives = row.pid == message["pid"] and row.state is not State.EMPTY
        return row if lives and self.roster.mode is Mode.RUNNING else None

    def _touched(self, number: int) -> None:
        """The watcher saw one of the server's own files change."""
        kinds = {Touch.WORKERS: "worker", Touch.MULES: "mule", Touch.SPOOLERS: "spooler"}
        command = command_of(self.generations.settings, number)
        if command is not None:
            self.companions.run(command)
        elif number in (Touch.RELOAD, Touch.CODE):
            self._reload("py-autoreload" if number == Touch.CODE else "touch-reload")
        elif number in kinds:
            kind = kinds[Touch(number)]
            journal.respawning(kind, f"touch-{kind}s-reload")
            self.roster.outdated[kind] = time.monotonic()
        else:
            self.gatehouse.touched(number)

    # -- hearing: the zygotes ------------------------------------------------------------

    def _publish(self, declared: list[dict[str, Any]], zone: str | None) -> None:
        """A new generation serves: its signals and its clock take the place of the old ones."""
        _follow_zone(zone)
        signals = [message for message in declared if message["op"] == "signal"]
        sources = [message for message in declared if message["op"] == "source"]
        sources += option_sources(self.generations.settings)
        for message in signals:
            self.shared.switchboard.targets.set(message["signum"], message["target"])
        self.router.replace(sources)
        self.router.monitors.update(dict.fromkeys(own_files(self.generations.settings)))
        self.workforce.follow(self.generations.settings)
        self.resting.follow(self.generations.settings)
        if self.roster.generation > 1:
            self.companions.follow(self.generations.settings)
        self._tell_watcher()
        journal.registered(len(signals), [_in_words(source) for source in sources])

    def _plan(self) -> None:
        """The workers and spoolers that are needed, all others, a watcher if there is any need."""
        ours = ("worker", "spooler")
        others = (seat for seat in self.shared.plan if seat.kind not in ours)
        is_watched = self.router.monitors or self.generations.settings.counts_spools
        watchers = (_WATCHER_SEAT,) if is_watched else ()
        self.roster.plan = (
            *self.workforce.seats,
            *others,
            *self.resting.seats,
            *watchers,
        )

    def _tell_watcher(self) -> None:
        """Let the watcher know what is watched now."""
        for watcher in self.roster.at(_WATCHER_SEAT):
            if watcher.phase is Phase.READY and watcher.generation == self.roster.generation:
                self.router.brief_watcher()

    # -- deaths --------------------------------------------------------------------------

    def _reap(self) -> None:
        """Our own children: zygotes, and the orphans of a zygote that died before them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            zygote = self.roster.zygote_by_pid(pid)
            if zygote is not None:
                self.generations.died(zygote, status)
            elif not self.companions.died(pid, status):
                self.children.died(pid, status)

    # -- deadlines -----------------------------------------------------------------------

    def _next_deadline_check(self) -> float | None:
        chosen = self.generations.settings
        limits = (chosen.harakiri, chosen.spooler_harakiri, chosen.mule_harakiri)
        return self.deadlines.next_check(limits, time.monotonic())

    def _check_deadlines(self) -> None:
        now, graceful_s = time.monotonic(), self.generations.settings.harakiri_graceful_timeout
        for overdue in list(self.deadlines.overdue(self.roster.children, now, graceful_s)):
            child, seat = overdue.child, str(overdue.child.seat)
            doing = self._doing(child, overdue.what, now)
            match overdue.step:
                case Step.RAISE:
                    journal.deadline_passed(seat, child.pid, doing, overdue.late_s, graceful_s)
                    self.children.send(child, unix_signals.SIGXCPU)
                case Step.STACKS:
                    journal.harakiri(seat, child.pid, doing, overdue.late_s)
                    self.children.send(child, unix_signals.SIGUSR2)
                case Step.KILL:
                    journal.harakiri_done(seat, child.pid)
                    self.children.ledger.note_harakiri(child.seat)
                    self.children.end(child)

    def _doing(self, child: ChildHandle, what: str, now: float) -> str:
        """What runs too long, and for how long it does."""
        row = self.children.row(child)
        since = row.busy_since
        age = f" ({now - since:.1f} s old)" if since else ""
        return f"{row.doing or what}{age}"

    # -- programs beside the server ------------------------------------------------------

    def _tend_companions(self) -> None:
        """Care for the daemons and cron commands; in a stop they end when the children have."""
        at_once = self.roster.mode is Mode.STOPPING_NOW
        if at_once or (self.roster.mode is Mode.STOPPING and not self.roster.children):
            self.companions.end(hurry=at_once)
        self.roster.programs = self.companions.tend()
        if self.companions.wants_stop and self.roster.mode is Mode.RUNNING:
            self._stop(f"{self.companions.wants_stop} ended")

    # -- how many workers ----------------------------------------------------------------

    def _check_resting(self) -> None:
        if self.roster.mode is Mode.RUNNING:
            self.resting.look()

    def _check_workforce(self) -> None:
        if self.roster.mode is Mode.RUNNING and self.workforce.look():
            chosen = self.generations.settings
            if chosen.die_on_idle and not self.workforce.crew.working:
                self._stop(f"idle for {chosen.idle:g} s")

    # -- memory --------------------------------------------------------------------------

    def _check_weights(self) -> None:
        """Let an idle child that is too large leave, and kill one that works."""
        chosen, now = self.generations.settings, time.monotonic()
        for found in self.weights.overweight(chosen, self.roster.children, now):
            child, row = found.child, self.children.row(found.child)
            if row.busy:
                doing = row.doing or "a request"
                journal.too_large(str(child.seat), child.pid, found.what, doing)
                self.children.end(child)
            elif child.counts:
                journal.recycled(str(child.seat), found.what)
                self.children.retire(policy.Retire(child, unhurried=True))


def _follow_zone(zone: str | None) -> None:
    """Keep the clock in the application's time zone.

    Under uWSGI the application lives in the master and sets its zone there: Django does, while it
    is imported, and a cron job at 2:40 is meant in that zone.
    """
    if zone is not None and os.environ.get("TZ") != zone:
        os.environ["TZ"] = zone
        time.tzset()


def _in_words(source: dict[str, Any]) -> str:
    plain = (a if isinstance(a, str) else f"{a:g}" for a in source["arguments"])
    numbers = " ".join(plain)
    target = source["target"] or "any worker"
    handler = f" ({source['handler']})" if source.get("handler") else ""
    return f"{source['kind']}({numbers}) -> signal {source['signum']}{handler} to {target}"
