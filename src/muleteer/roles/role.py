"""The life all children share: sit down, start, turn the loop, and leave in good order.

A role file adds only what makes that kind of child itself; the fork is the zygote's.

Rules:
1. `start()` comes before the post-fork hooks, since a post-fork hook may never return.
2. A request to leave is heard between two things, never in the middle of one. A life that the
   application's code leads by itself has no such moment: it ends there, by `Retire`.
3. Nothing of a child outlives `run()`: the zygote ends the process with its result.

Runs in: a child, after the fork.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import os
import select
import signal as unix_signals
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from muleteer import journal
from muleteer.errors import DeadlinePassed, ExitCode, LockTimeout, Postponed, Retire
from muleteer.ipc.channels import SignalPipe
from muleteer.ipc.loop import Loop
from muleteer.ipc.scoreboard import Row, Seat
from muleteer.roles.code import CodeReporter
from muleteer.roles.postponed import PostponedSignals
from muleteer.roles.recycling import Recycling, limits_of
from muleteer.runtime import Runtime

__all__ = ["Role"]

_ASKED_TO_LEAVE = (unix_signals.SIGTERM, unix_signals.SIGINT, unix_signals.SIGHUP)
_IGNORED = (unix_signals.SIGPIPE, unix_signals.SIGTSTP)


class Role:
    """One child of one kind; its seat says which."""

    kind: ClassVar[str]
    ready_before_hooks: ClassVar[bool] = False
    """Tell the master that we are ready before the post-fork hooks run, which may never return."""

    runs_app: ClassVar[bool] = True
    """Does the application's code run here: its post-fork and exit hooks?"""

    def __init__(self, runtime: Runtime, row: Row) -> None:
        # -- shared since before the fork
        self.runtime = runtime
        self.settings = runtime.settings
        self.registry = runtime.registry
        self.switchboard = runtime.switchboard
        # -- this process
        self.row = row
        self.seat: Seat = row.seat
        self.loop = Loop()
        self.leaving = False
        self._asked_to_leave = False
        self._recycling: Recycling | None = None
        self._code: CodeReporter | None = None
        self._told_of: set[tuple[int, float]] = set()
        """The threads and the deadlines that were told of by an exception."""
        self._leaves_for_successor = False
        self.on_its_own = False
        self._undisturbed: list[int] = []
        self.postponed = PostponedSignals(runtime.locks, runtime.switchboard, row)
        self.signal_names: tuple[str, ...] = ()
        self.mail_names: tuple[str, ...] = ()
        self.farm_names: tuple[str, ...] = ()
        runtime.life = self
        self._woken_fd = -1

    # -- what a role adds --------------------------------------------------------------

    def start(self) -> None:
        """Listen to what this role lives on; called once, before the post-fork hooks."""

    def ready(self) -> None:
        """Begin to work; called once, after the post-fork hooks."""

    def step(self) -> None:
        """Do one thing: wait for something and deal with it."""
        self.loop.turn()

    def retire(self) -> None:
        """Begin to leave; called once. What has begun is finished by further steps."""

    def done(self) -> bool:
        """Is nothing left to be finished, after `retire()`?"""
        return True

    def stop(self) -> None:
        """Give back what this process holds; called once, last."""

    @property
    def harakiri(self) -> float | None:
        """Seconds a signal handler may take in this role."""
        return None

    # -- the life ------------------------------------------------------------------------

    def run(self) -> int:
        """Live; returns the exit code."""
        journal.identify(f"{self.seat.kind} {self.seat.id}")
        limits = limits_of(self.settings, self.seat)
        self._recycling = Recycling(limits) if limits else None
        self._code = CodeReporter(self.runtime) if self.settings.py_autoreload else None
        self._hear_unix_signals()
        self.loop.watch(self.switchboard.lifeline.read_fd, self._master_died)
        try:
            self._begin()
            while not (self.leaving and self.done()):
                self.step()
        except Retire:
            self.leaving = True
        except SystemExit as leaving:
            return _exit_code(leaving)
        finally:
            self.on_its_own = False
        self.stop()
        self._run_exit_hooks()
        return ExitCode.RELOAD

    def _begin(self) -> None:
        self.start()
        if self.ready_before_hooks:
            self.runtime.tell_master("ready", row=self.row.index)
        self._run_post_fork_hook()
        self.ready()
        if self._code is not None and self.runs_app:
            self._code.report()
        if not self.ready_before_hooks:
            self.runtime.tell_master("ready", row=self.row.index)

    def leave(self) -> None:
        """Leave as soon as what has begun is finished; idempotent."""
        if not self.leaving:
            self.leaving = True
            self.postponed.give_back()
            self.retire()

    @property
    def work_done(self) -> int:
        """How many pieces of work this child has done: tasks or messages."""
        return self.row.tasks

    def after_work(self) -> None:
        """Between two pieces of work: tell of new code, leave if enough is done. In any thread."""
        if self._code is not None:
            self._code.report()
        if self._recycling is not None and not self._leaves_for_successor:
            why = self._recycling.due(self.work_done)
            if why is not None:
                self.leave_for_successor(why)

    def leave_for_successor(self, why: str) -> None:
        """Leave by our own decision.

        The master may fork the successor at once. Any thread may ask.
        """
        if not self._leaves_for_successor:
            self._leaves_for_successor = True
            journal.recycled(str(self.seat), why)
            self.runtime.tell_master("retiring", row=self.row.index)
            # heard by the main thread, between two things
            os.kill(os.getpid(), unix_signals.SIGTERM)

    # -- Unix signals ----------------------------------------------------------------------

    def _hear_unix_signals(self) -> None:
        self._woken_fd, wake_fd = os.pipe()
        for fd in (self._woken_fd, wake_fd):
            os.set_blocking(fd, False)
        unix_signals.set_wakeup_fd(wake_fd, warn_on_full_buffer=False)
        for number in _ASKED_TO_LEAVE:
            unix_signals.signal(number, self._note_wish)
        for number in _IGNORED:
            unix_signals.signal(number, unix_signals.SIG_IGN)
        unix_signals.signal(unix_signals.SIGUSR1, self._turn_log)
        self.runtime.follow_log()  # it may have turned while we were forked
        unix_signals.signal(unix_signals.SIGCHLD, unix_signals.SIG_DFL)
        # written by the C handler itself: it works in a C call, an endless loop, a blocked read
        faulthandler.register(unix_signals.SIGUSR2, file=2, all_threads=True)
        unix_signals.signal(unix_signals.SIGXCPU, self._raise_overdue)
        self.loop.watch(self._woken_fd, self._woken)

    def _raise_overdue(self, _number: int, _frame: object) -> None:
        """In a Unix signal handler: what runs too long hears of it by an exception, once."""
        now, me = time.monotonic(), threading.get_ident()
        late = [(me, self.row.overdue(now))]
        late += [(self.thread_of(n), core.overdue(now)) for n, core in enumerate(self.row.cores)]
        overdue = {(thread, when) for thread, when in late if when}
        to_tell = {thread for thread, _ in overdue - self._told_of}
        self._told_of = overdue
        for thread in to_tell - {me}:
            _raise_in(thread)
        if me in to_tell:
            raise DeadlinePassed

    def thread_of(self, _lane: int) -> int:
        """Which thread answers the requests of a lane."""
        return threading.get_ident()

    def _turn_log(self, _number: int, _frame: object) -> None:
        """In a Unix signal handler: the log was moved away, and the master opened a new one."""
        self.runtime.follow_log()

    def _woken(self, _events: int) -> None:
        numbers = os.read(self._woken_fd, 64)
        if any(number in numbers for number in _ASKED_TO_LEAVE):
            self.leave()

    def _note_wish(self, _number: int, _frame: object) -> None:
        """In a Unix signal handler: note the wish; it is heard between two things."""
        self._asked_to_leave = True
        self._end_own_life()

    # -- a life of the application's own -----------------------------------------------------

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let nothing be cut off here: what is asked meanwhile is heard at the end.

        Any thread may be here; the main thread is the one that leaves.
        """
        self._undisturbed.append(1)
        try:
            yield
        finally:
            self._undisturbed.pop()
            if self._asked_to_leave:
                if threading.current_thread() is threading.main_thread():
                    self._end_own_life()
                else:
                    os.kill(os.getpid(), unix_signals.SIGTERM)

    def leave_if_asked(self) -> None:
        """Raise `Retire` if we were asked to leave; who calls this is not cut off elsewhere."""
        self.on_its_own = False
        self.wait((), 0.0)

    def _end_own_life(self) -> None:
        """Cut off a program or a hook that would never come back, but for what it has in hand."""
        if self.on_its_own and not self._undisturbed and not self.row.busy:
            self.on_its_own = False
            raise Retire

    def _master_died(self, _events: int) -> None:
        self.loop.unwatch(self.switchboard.lifeline.read_fd)
        journal.master_gone()
        self.leave()

    # -- uWSGI signals -----------------------------------------------------------------------

    def listen_for_signals(self, loop: Loop, *names: str) -> list[int]:
        """Handle the signals of these targets in `loop`; returns the descriptors to unwatch."""
        fds = []
        for name in names:
            pipe = self.switchboard.signals[name]
            loop.watch(pipe.read_fd, self._signal_taker(loop, pipe), exclusive=True)
            fds.append(pipe.read_fd)
        return fds

    def _signal_taker(self, loop: Loop, pipe: SignalPipe) -> Callable[[int], None]:
        take = pipe.take

        def on_ready(_events: int) -> None:
            signum = take()
            if signum is not None:  # every idle process was woken; another one was faster
                self._handle_or_postpone(loop, pipe, signum)

        return on_ready

    def _handle_or_postpone(self, loop: Loop, pipe: SignalPipe, signum: int) -> None:
        """Run a signal's handler, now or when the lock that it runs under is free."""
        stage = self.runtime.stage
        stage.signum = signum
        try:
            self.handle_signal(signum)
        except Postponed as why:
            again = partial(self._handle_or_postpone, loop, pipe, signum)
            self.postponed.add(loop, pipe, signum, why.number, again)
        finally:
            stage.signum = -1

    def handle_signal(self, signum: int) -> None:
        """Run a signal's handler under this role's deadline.

        Its exception is logged and hurts nobody.
        """
        registration = self.registry.signals.get(signum)
        if registration is None:
            journal.signal_unknown(signum)
            return
        self.runtime.begin(self.harakiri, signum, registration.name)
        try:
            with self.runtime.around():
                registration.handler(signum)
        except LockTimeout as error:
            journal.signal_skipped(signum, str(error))
        except Exception:  # noqa: BLE001 - the application's own code
            self.row.note_failure()
            journal.signal_failed(signum)
        finally:
            self.runtime.end()
        self.after_work()

    def wait(self, fds: Sequence[int], timeout_s: float | None) -> list[int]:
        """Wait inside a call of the application (`mule_get_msg`, `signal_wait`).

        Raises `Retire` when we were asked to leave: between two messages is where a mule may go.
        """
        self.after_work()
        poll = select.poll()
        ours = self.leave_fds
        for fd in (*fds, *ours):
            poll.register(fd, select.POLLIN)
        ready = [] if self._asked() else poll.poll(None if timeout_s is None else timeout_s * 1000)
        if self._asked() or any(fd in ours for fd, _ in ready):
            raise Retire
        return [fd for fd, _ in ready]

    @property
    def leave_fds(self) -> tuple[int, ...]:
        """The descriptors that become readable when we are to leave."""
        return (self._woken_fd, self.switchboard.lifeline.read_fd)

    def _asked(self) -> bool:
        return self.leaving or self._asked_to_leave

    # -- hooks -------------------------------------------------------------------------------

    def run_hook(self, name: str, hook: Callable[..., Any]) -> None:
        """Call a hook of the application; its exception is logged and hurts nobody."""
        try:
            hook()
        except Exception:  # noqa: BLE001 - the application's own code
            self.row.note_failure()
            journal.hook_failed(name)

    def _run_post_fork_hook(self) -> None:
        hook = self.registry.hooks.get("post_fork_hook")
        if hook is not None and self.runs_app:
            self.run_hook("post_fork_hook", hook)

    def _run_exit_hooks(self) -> None:
        if not self.runs_app:
            return
        hook = self.registry.hooks.get("atexit")
        if hook is not None:
            self.run_hook("atexit", hook)
        atexit._run_exitfuncs()


def _raise_in(thread: int) -> None:
    """Raise DeadlinePassed in another thread, as soon as it runs Python code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(DeadlinePassed)
    )


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    print(leaving.code, file=sys.stderr)
    return 1
