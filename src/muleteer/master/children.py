"""The children as processes: asking for them, signalling them, hearing of them, burying them.

It does and remembers; when, is the policy's.

Runs in: the master.
"""

from __future__ import annotations

import os
import signal as unix_signals
import time
from collections.abc import Callable

from muleteer import journal
from muleteer.errors import ChannelFull, ExitCode
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.scoreboard import Row, Scoreboard, Seat, State
from muleteer.master import policy
from muleteer.master.ledger import Ledger
from muleteer.master.roster import ChildHandle, Event, Mode, Phase, Roster, ZygoteHandle

__all__ = ["Children", "how", "lives"]

Order = Callable[[ZygoteHandle, int], None]


class Children:
    """Every child of the server, from outside."""

    def __init__(self, roster: Roster, scoreboard: Scoreboard, switchboard: Switchboard) -> None:
        self._roster = roster
        self._scoreboard = scoreboard
        self._switchboard = switchboard
        self.ledger = Ledger()

    # -- doing ---------------------------------------------------------------------------

    def spawn(self, seat: Seat, order: Order) -> None:
        """Ask the serving generation's zygote for a child; `order` brings it the row's number."""
        zygote = self._roster.current_zygote()
        row = self._scoreboard.free_row()
        if zygote is None or row is None:
            return
        history = self._roster.seat_history(seat)
        row.assign(seat, self._roster.generation, history.spawned)
        history.spawned += 1
        now = time.monotonic()
        self._roster.children.append(
            ChildHandle(seat, row.index, self._roster.generation, zygote.pid, now, now)
        )
        order(zygote, row.index)

    def send(self, child: ChildHandle, number: unix_signals.Signals) -> None:
        """Send a child a Unix signal; one that is dead already is passed over."""
        pid = child.pid or self.row(child).pid
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # its death is on its way to us

    def retire(self, action: policy.Retire) -> None:
        """Ask a child to leave; a child that had time and is asked again has its mercy from now."""
        child = action.child
        if child.unhurried:
            child.since = time.monotonic()
        self.hear(child, Event.RETIRE)
        child.unhurried = action.unhurried
        self.send(child, unix_signals.SIGTERM)

    def end(self, child: ChildHandle) -> None:
        """Send a child SIGKILL."""
        self.hear(child, Event.KILL)
        self.send(child, unix_signals.SIGKILL)

    def interrupt(self, action: policy.Interrupt) -> None:
        """Tell a child that its mercy is over: it gives up what it does."""
        child = action.child
        journal.interrupted(str(child.seat), child.pid, self.row(child).doing, action.seconds)
        self.hear(child, Event.INTERRUPT)
        self.send(child, unix_signals.SIGQUIT)

    def kill(self, action: policy.KillChild) -> None:
        """Send a child SIGKILL, and say why."""
        child = action.child
        if action.why in ("mercy", "interrupted"):
            journal.mercy_ended(str(child.seat), child.pid, action.seconds)
        elif action.why == "start":
            journal.start_too_slow(str(child.seat), child.pid, action.seconds)
        self.end(child)
        if not (child.pid or self.row(child).pid):
            self.bury(child)

    # -- hearing -------------------------------------------------------------------------

    def spoke(self, row: int, pid: int) -> Seat | None:
        """Hear that a child is ready; returns its seat, if it is one of ours."""
        child = self._roster.child_by_row(row)
        if child is not None and child.pid in (0, pid):
            child.pid = pid
            self.hear(child, Event.SPEAK)
            return child.seat
        return None

    def retires(self, row: int, pid: int) -> None:
        """A child said that it leaves by its own decision."""
        child = self._roster.child_by_row(row)
        if child is not None and child.pid == pid:
            child.unhurried = child.unhurried or child.counts
            self.hear(child, Event.RETIRE)

    def hear(self, child: ChildHandle, event: Event) -> None:
        """Something happened to a child: its next phase, here and on the scoreboard."""
        child.hear(event, time.monotonic())
        states = {
            Phase.READY: State.READY,
            Phase.RETIRING: State.RETIRING,
            Phase.INTERRUPTED: State.RETIRING,
        }
        self.row(child).set_state(states.get(child.phase, State.FORKED), child.pid or None)

    def forked(self, row: int, pid: int) -> None:
        """A zygote forked the child that was asked for."""
        child = self._roster.child_by_row(row)
        if child is None:
            return
        child.pid = pid
        self.hear(child, Event.FORK)
        respawned = self._roster.seat_history(child.seat).spawned > 1
        say = journal.child_respawned if respawned else journal.child_spawned
        say(str(child.seat), pid, child.generation)
        if child.phase is Phase.RETIRING:
            self.send(child, unix_signals.SIGTERM)

    def died(self, pid: int, status: int) -> None:
        """A child is dead: say how, and of what, and give its row back."""
        child = self._roster.child_by_pid(pid)
        if child is None:
            return
        self._switchboard.forget_ticks()
        now = time.monotonic()
        expected = child.phase in (Phase.RETIRING, Phase.INTERRUPTED, Phase.KILLED)
        history = self._roster.seat_history(child.seat)
        delay = policy.note_death(history, now - child.born, now, expected=expected)
        doing = self.row(child).doing
        if doing:
            journal.work_lost(str(child.seat), pid, doing)
        if expected or self._roster.mode is not Mode.RUNNING:
            journal.child_left(str(child.seat), pid, how(status))
        else:
            journal.child_died(str(child.seat), pid, how(status), delay)
        self.bury(child)

    def _put_back_signals(self, child: ChildHandle) -> None:
        """What a dead child held until a lock would be free is for its successor, or another."""
        for number in self.row(child).held:
            try:
                self._switchboard.put_back(number)
            except ChannelFull as error:
                journal.held_signal_lost(str(child.seat), str(error))

    def bury(self, child: ChildHandle) -> None:
        """Forget a child."""
        self._put_back_signals(child)
        self._roster.children.remove(child)
        self.ledger.close(child.seat, self.row(child))
        self._scoreboard.retire_row(self.row(child))

    def row(self, child: ChildHandle) -> Row:
        """Return a child's row."""
        return self._scoreboard.rows[child.row]


def how(status: int) -> str:
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


def lives(pid: int) -> bool:
    """Is there a process of that pid, whoever owns it?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
