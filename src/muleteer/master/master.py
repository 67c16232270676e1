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
from muleteer.errors import ChannelFull, ExitCode
from muleteer.ipc.channels import Endpoint, Switchboard, message_pair
from muleteer.ipc.scoreboard import Row, Scoreboard, Seat, State
from muleteer.ipc.sockets import Listener
from muleteer.ipc.sockets import close as close_listener
from muleteer.master import policy
from muleteer.master.control import Command, UnixSignals
from muleteer.master.deadlines import Deadlines
from muleteer.master.roster import (
    ChildHandle,
    Event,
    Mode,
    Phase,
    Roster,
    ZygoteHandle,
    ZygotePhase,
)
from muleteer.master.router import Router

__all__ = ["Master", "Shared"]

ForkZygote = Callable[[Settings, int, Endpoint, Callable[[], None]], int]
ReadSettings = Callable[[], Settings]


@dataclass(frozen=True, slots=True)
class Shared:
    """What boot made before the first fork, handed over as one object."""

    listeners: Sequence[Listener]
    switchboard: Switchboard
    scoreboard: Scoreboard
    plan: tuple[Seat, ...]
    fork_zygote: ForkZygote
    read_settings: ReadSettings


class Master:
    """The supervisor of one server."""

    def __init__(self, settings: Settings, shared: Shared) -> None:
        self.settings = settings
        self.shared = shared
        self.roster = Roster(plan=shared.plan, reload_wanted=True)
        self.router = Router(shared.switchboard)
        self.deadlines = Deadlines(shared.scoreboard)
        self.signals = UnixSignals()
        self.exit_code: int = ExitCode.OK
        self._finished = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.signals.read_fd, selectors.EVENT_READ, self._hear_unix_signals)
        control = shared.switchboard.control_in
        self._selector.register(control, selectors.EVENT_READ, self._hear_children)
        self._links: dict[int, Endpoint] = {}
        self._declared: dict[int, list[dict[str, Any]]] = {}
        self._next_settings: dict[int, Settings] = {}

    # -- the loop ------------------------------------------------------------------------

    def run(self) -> int:
        """Supervise until the server has stopped; returns the exit code."""
        while not self._finished:
            wake_at = self._act()
            if self._finished:
                break
            for key, _ in self._selector.select(self._timeout(wake_at)):
                key.data()
            self.router.send_due()
            self._check_deadlines()
        journal.stopped()
        return self.exit_code

    def _act(self) -> float | None:
        """Do what the policy says until it says nothing more; returns when to ask it again."""
        while not self._finished:
            decision = policy.decide(self.roster, time.monotonic(), self._mercies())
            for action in decision.actions:
                self._do(action)
            if not decision.actions:
                return decision.wake_at
        return None

    def _timeout(self, wake_at: float | None) -> float | None:
        times = [wake_at, self.router.next_due(), self._next_deadline_check()]
        known = [when for when in times if when is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def _mercies(self) -> policy.Mercies:
        chosen = self.settings
        return policy.Mercies(
            worker=chosen.worker_reload_mercy,
            mule=chosen.mule_reload_mercy,
            spooler=chosen.spooler_reload_mercy,
        )

    # -- doing ---------------------------------------------------------------------------

    def _do(self, action: policy.Action) -> None:
        match action:
            case policy.StartZygote():
                self._start_zygote(action)
            case policy.Spawn():
                self._spawn(action.seat)
            case policy.Retire():
                self._hear_of(action.child, Event.RETIRE)
                self._send_signal(action.child, unix_signals.SIGTERM)
            case policy.KillChild():
                self._kill(action)
            case policy.KillZygote():
                self._end_zygote(action.zygote, ZygotePhase.KILLED)
                os.kill(action.zygote.pid, unix_signals.SIGKILL)
            case policy.Dismiss():
                self._end_zygote(action.zygote, ZygotePhase.DISMISSED)
            case policy.Announce():
                self._announce()
            case policy.Finish():
                self._finished = True

    def _start_zygote(self, action: policy.StartZygote) -> None:
        self.roster.reload_wanted = False
        settings = self.settings if action.replaces else self._reread_settings(action.generation)
        if settings is None:
            return
        ours, theirs = message_pair()

        def let_go() -> None:
            ours.close()
            self._let_go()

        pid = self.shared.fork_zygote(settings, action.generation, theirs, let_go)
        theirs.close()
        self._links[pid] = ours
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear_zygote(pid, ours))
        zygote = ZygoteHandle(pid, action.generation, time.monotonic(), replaces=action.replaces)
        self.roster.zygotes.append(zygote)
        self.roster.newest = max(self.roster.newest, action.generation)
        self._declared[pid] = []
        self._next_settings[pid] = settings
        journal.zygote_forked(action.generation, pid)

    def _reread_settings(self, generation: int) -> Settings | None:
        """Read the configuration again for a reload; None when it has an error."""
        if generation == 1:
            return self.settings
        try:
            return self.shared.read_settings()
        except Exception as error:  # noqa: BLE001 - a file may be wrong in any way
            journal.load_failed(generation, str(error))
            journal.reload_failed(generation, self.roster.generation)
            self.roster.newest = generation
            return None

    def _let_go(self) -> None:
        """In a new zygote: close what only the master needs."""
        self.signals.let_go()
        self._selector.close()
        self.shared.switchboard.lifeline.hold()
        self.shared.switchboard.control_in.close()
        for link in self._links.values():
            link.close()

    def _spawn(self, seat: Seat) -> None:
        zygote = self.roster.current_zygote()
        row = self.shared.scoreboard.free_row()
        if zygote is None or row is None:
            return
        history = self.roster.seat_history(seat)
        row.assign(seat, self.roster.generation, history.spawned)
        history.spawned += 1
        now = time.monotonic()
        self.roster.children.append(
            ChildHandle(seat, row.index, self.roster.generation, zygote.pid, now, now)
        )
        self._order(zygote, {"op": "spawn", "row": row.index})

    def _order(self, zygote: ZygoteHandle, order: dict[str, Any]) -> None:
        try:
            self._links[zygote.pid].send(order, patience_s=0.0)
        except ChannelFull:  # it forks one after the other and has hundreds of orders in hand
            journal.notice("the zygote is stuck; it is replaced")
            os.kill(zygote.pid, unix_signals.SIGKILL)

    def _send_signal(self, child: ChildHandle, number: unix_signals.Signals) -> None:
        pid = child.pid or self._row(child).pid
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # its death is on its way to us

    def _kill(self, action: policy.KillChild) -> None:
        child = action.child
        if action.why == "mercy":
            journal.mercy_ended(str(child.seat), child.pid, action.seconds)
        elif action.why == "start":
            journal.start_too_slow(str(child.seat), child.pid, action.seconds)
        self._hear_of(child, Event.KILL)
        self._send_signal(child, unix_signals.SIGKILL)
        if not (child.pid or self._row(child).pid):
            self._bury(child)

    def _end_zygote(self, zygote: ZygoteHandle, phase: ZygotePhase) -> None:
        zygote.phase, zygote.since = phase, time.monotonic()
        link = self._links.pop(zygote.pid, None)
        if link is not None:
            self._selector.unregister(link)
            link.close()

    def _announce(self) -> None:
        if self.roster.announced:
            journal.reload_done(self.roster.generation)
        kinds = Counter(seat.kind for seat in self.shared.plan)
        seats = [f"{count} {kind}s" for kind, count in kinds.items()]
        journal.server_ready(self.roster.generation, seats)
        self.roster.announced = self.roster.generation

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

    def _reload(self, why: str) -> None:
        if self.roster.mode is Mode.RUNNING and self.roster.generation:
            journal.reload_started(self.roster.newest + 1, why)
            self.roster.reload_wanted = True

    def _stop(self, why: str) -> None:
        if self.roster.mode is Mode.RUNNING:
            journal.stopping(why)
            self.roster.mode = Mode.STOPPING
            self._close_listeners()
        elif self.roster.mode is Mode.STOPPING:
            journal.stopping_now(why)
            self.roster.mode = Mode.STOPPING_NOW

    def _close_listeners(self) -> None:
        for listener in self.shared.listeners:
            close_listener(listener, vacuum=self.settings.vacuum)

    # -- hearing: the children -----------------------------------------------------------

    def _hear_children(self) -> None:
        for message in self.shared.switchboard.control_in.take_all():
            match message["op"]:
                case "ready":
                    self._child_spoke(message["row"], message["pid"])
                case "retiring":
                    self._child_retires(message["row"], message["pid"])
                case "source":
                    self.router.add(message)
                case "reload":
                    self._reload("uwsgi.reload()")
                case "stop":
                    self._stop("uwsgi.stop()")
                case "deadline":
                    pass  # heard: the deadlines are looked at in every turn

    def _child_spoke(self, row: int, pid: int) -> None:
        child = self.roster.child_by_row(row)
        if child is not None and child.pid in (0, pid):
            child.pid = pid
            self._hear_of(child, Event.SPEAK)

    def _child_retires(self, row: int, pid: int) -> None:
        child = self.roster.child_by_row(row)
        if child is not None and child.pid == pid:
            self._hear_of(child, Event.RETIRE)

    def _hear_of(self, child: ChildHandle, event: Event) -> None:
        child.hear(event, time.monotonic())
        states = {Phase.READY: State.READY, Phase.RETIRING: State.RETIRING}
        self._row(child).set_state(states.get(child.phase, State.FORKED), child.pid or None)

    # -- hearing: the zygotes ------------------------------------------------------------

    def _hear_zygote(self, pid: int, link: Endpoint) -> None:
        if self._links.get(pid) is not link:
            return  # its death was heard in this very turn, and closed the link
        for message in link.take_all():
            match message["op"]:
                case "source" | "signal":
                    self._declared[pid].append(message)
                case "loaded":
                    self._zygote_loaded(pid, message)
                case "failed":
                    self._zygote_failed(pid, message["why"])
                case "forked":
                    self._child_forked(message["row"], message["pid"])
                case "died":
                    self._child_died(message["pid"], message["status"])

    def _zygote_loaded(self, pid: int, message: dict[str, Any]) -> None:
        zygote = self.roster.zygote_by_pid(pid)
        if zygote is None or zygote.phase is not ZygotePhase.LOADING:
            return
        zygote.phase, zygote.since = ZygotePhase.READY, time.monotonic()
        declared, settings = self._declared.pop(pid), self._next_settings.pop(pid)
        if zygote.replaces:
            if message["fingerprint"] == self.roster.fingerprint:
                return
            self.roster.newest += 1
            zygote.generation = self.roster.newest
            journal.zygote_differs(zygote.generation)
        self.settings = settings
        _follow_zone(message["zone"])
        self.roster.generation = zygote.generation
        self.roster.fingerprint = message["fingerprint"]
        self.roster.zygote_history.quick_deaths = 0
        self._publish(declared)

    def _publish(self, declared: list[dict[str, Any]]) -> None:
        """A new generation serves: its signals and its clock take the place of the old ones."""
        signals = [message for message in declared if message["op"] == "signal"]
        sources = [message for message in declared if message["op"] == "source"]
        for message in signals:
            self.shared.switchboard.targets.set(message["signum"], message["target"])
        self.router.replace(sources)
        journal.registered(len(signals), [_in_words(source) for source in sources])

    def _zygote_failed(self, pid: int, why: str) -> None:
        zygote = self.roster.zygote_by_pid(pid)
        if zygote is not None and zygote.phase is ZygotePhase.LOADING:
            zygote.phase = ZygotePhase.FAILED
            self._load_ended(zygote, why)

    def _child_forked(self, row: int, pid: int) -> None:
        child = self.roster.child_by_row(row)
        if child is None:
            return
        child.pid = pid
        self._hear_of(child, Event.FORK)
        respawned = self.roster.seat_history(child.seat).spawned > 1
        say = journal.child_respawned if respawned else journal.child_spawned
        say(str(child.seat), pid, child.generation)
        if child.phase is Phase.RETIRING:
            self._send_signal(child, unix_signals.SIGTERM)

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
            if zygote is None:
                self._child_died(pid, status)
            else:
                self._zygote_died(zygote, status)

    def _zygote_died(self, zygote: ZygoteHandle, status: int) -> None:
        link = self._links.get(zygote.pid)
        if link is not None:
            self._hear_zygote(zygote.pid, link)  # its last words
        phase = zygote.phase
        self._end_zygote(zygote, ZygotePhase.KILLED)
        self.roster.zygotes.remove(zygote)
        self._declared.pop(zygote.pid, None)
        self._next_settings.pop(zygote.pid, None)
        self._find_lost(zygote)
        if phase is ZygotePhase.LOADING:
            self._load_ended(zygote, f"its import ended the process ({_how(status)})")
        elif phase is ZygotePhase.READY:
            self._zygote_lost(zygote, status)

    def _find_lost(self, zygote: ZygoteHandle) -> None:
        """Hear of the children whose deaths a zygote took with it into its own."""
        for child in [c for c in self.roster.children if c.zygote == zygote.pid]:
            child.pid = child.pid or self._row(child).pid
            if child.pid and not _exists(child.pid):
                self._child_died(child.pid, unix_signals.SIGKILL)

    def _zygote_lost(self, zygote: ZygoteHandle, status: int) -> None:
        """A loaded zygote died: its children go on, and the policy asks for another one."""
        if zygote.generation == self.roster.generation and self.roster.mode is Mode.RUNNING:
            now = time.monotonic()
            history = self.roster.zygote_history
            delay = policy.note_death(history, now - zygote.since, now, expected=False)
            journal.zygote_died(zygote.generation, _how(status), delay)

    def _load_ended(self, zygote: ZygoteHandle, why: str) -> None:
        """An import failed: no server yet, a reload that is given up, or a new try later."""
        now = time.monotonic()
        if self.roster.generation == 0:
            journal.cannot_start(why)
            self.exit_code = ExitCode.NO_APP
            self.roster.mode = Mode.STOPPING
            self._close_listeners()
            return
        journal.load_failed(zygote.generation, why)
        if zygote.replaces:
            policy.note_death(self.roster.zygote_history, 0.0, now, expected=False)
        else:
            journal.reload_failed(zygote.generation, self.roster.generation)

    def _child_died(self, pid: int, status: int) -> None:
        child = self.roster.child_by_pid(pid)
        if child is None:
            return
        self.shared.switchboard.forget_ticks()
        now = time.monotonic()
        expected = child.phase in (Phase.RETIRING, Phase.KILLED)
        history = self.roster.seat_history(child.seat)
        delay = policy.note_death(history, now - child.born, now, expected=expected)
        doing = self._row(child).doing
        if doing:
            journal.work_lost(str(child.seat), pid, doing)
        if expected or self.roster.mode is not Mode.RUNNING:
            journal.child_left(str(child.seat), pid, _how(status))
        else:
            journal.child_died(str(child.seat), pid, _how(status), delay)
        self._bury(child)

    def _bury(self, child: ChildHandle) -> None:
        self.roster.children.remove(child)
        self.shared.scoreboard.retire_row(self._row(child))

    def _row(self, child: ChildHandle) -> Row:
        return self.shared.scoreboard.rows[child.row]

    # -- deadlines -----------------------------------------------------------------------

    def _next_deadline_check(self) -> float | None:
        chosen = self.settings
        limits = (chosen.harakiri, chosen.spooler_harakiri, chosen.mule_harakiri)
        return self.deadlines.next_check(limits, time.monotonic())

    def _check_deadlines(self) -> None:
        for overdue in list(self.deadlines.overdue(self.roster.children, time.monotonic())):
            child, seat = overdue.child, str(overdue.child.seat)
            if not overdue.kill:
                journal.harakiri(seat, child.pid, self._doing(child, overdue.what), overdue.late_s)
                self._send_signal(child, unix_signals.SIGUSR2)
            else:
                journal.harakiri_done(seat, child.pid)
                self._hear_of(child, Event.KILL)
                self._send_signal(child, unix_signals.SIGKILL)

    def _doing(self, child: ChildHandle, what: str) -> str:
        return self._row(child).doing or what


def _follow_zone(zone: str | None) -> None:
    """Keep the clock in the application's time zone.

    Under uWSGI the application lives in the master and sets its zone there: Django does, while it
    is imported, and a cron job at 2:40 is meant in that zone.
    """
    if zone is not None and os.environ.get("TZ") != zone:
        os.environ["TZ"] = zone
        time.tzset()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _how(status: int) -> str:
    """Say in words how a process ended."""
    if os.WIFSIGNALED(status):
        return f"killed by {unix_signals.Signals(os.WTERMSIG(status)).name}"
    code = os.WEXITSTATUS(status)
    names = {ExitCode.RELOAD: "as asked", ExitCode.OK: "exit code 0"}
    return (
        names.get(ExitCode(code), f"exit code {code}")
        if code in list(ExitCode)
        else f"exit code {code}"
    )


def _in_words(source: dict[str, Any]) -> str:
    numbers = " ".join(f"{number:g}" for number in source["arguments"])
    target = source["target"] or "any worker"
    return f"{source['kind']}({numbers}) -> signal {source['signum']} to {target}"
