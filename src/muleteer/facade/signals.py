"""`uwsgi`'s signals: register_signal, signal, signal_registered, signal_wait, signal_received.

Not here: the pipes, and what raises signals by itself (`sources.py`).
Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from muleteer.errors import SignalError, UnknownTarget
from muleteer.ipc.channels import SignalPipe
from muleteer.ipc.targets import TargetTable, resolve
from muleteer.registry import AUTO_SIGNALS_FROM, MAX_SIGNAL, Registration
from muleteer.rpc.classic import send_signal
from muleteer.runtime import Life, Runtime

__all__ = ["Signals", "signal_number"]


class Signals:
    """The signal functions of `uwsgi`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._handed_out: set[int] = set()
        self._last = threading.local()

    def register_signal(
        self, signum: int, target: str, handler: Callable[[int], object], /
    ) -> None:
        """Let `handler(signum)` run in `target` whenever signal `signum` (0 to 255) is raised.

        Targets: '' (any idle worker), 'workerN', 'workers', 'active-workers', 'spooler', the path
        of a spool directory, 'mule' (any idle mule), 'muleN', 'mules', 'farm_NAME', 'farmN'.
        ValueError for a number out of range (uWSGI wraps it round), a target that reaches nobody
        (uWSGI finds out when it is raised), a handler that is no callable, and, before the fork,
        a number that is taken. After the fork only this process gets the handler, so there ''
        means this process; everybody else learns of the target, the clock included.
        """
        self._check_own(signum)
        if not callable(handler):
            raise SignalError(f"register_signal({signum}): {handler!r} is not callable")
        self._check_target(signum, target)
        signals, forked = self._runtime.registry.signals, self._runtime.forked
        if signum in signals and not forked:
            raise SignalError(
                f"signal {signum} is registered already, for {signals[signum].name.decode()};"
                " choose another number"
            )
        target = target or self._own_target()
        signals[signum] = Registration(target, handler)
        if forked:
            self._runtime.switchboard.targets.set(signum, target)

    def signal(self, signum: int, node: str | bytes = "", /) -> None:
        """Raise a signal: one write into its target's queue.

        Blocks up to five seconds while that queue is full, then raises ChannelFull (uWSGI drops
        the signal). ValueError for a number that is none.
        With a `node` (`host:port`, a socket's path, `@abstract`) it is raised there, not here:
        NodeUnreachable (an OSError) when nobody answers within `socket-timeout`, ValueError when
        the node does not take it.
        """
        number = signal_number(signum, "signal")
        if node:
            send_signal(os.fsdecode(node), number, self._runtime.settings.socket_timeout)
        else:
            self._runtime.raise_signal(number)

    def signal_registered(self, signum: int, /) -> bool | None:
        """Return True when this process has a handler for the signal, else None, as uWSGI."""
        return signum in self._runtime.registry.signals or None

    # -- waiting -------------------------------------------------------------------------------

    def signal_wait(self, signum: int | None = None, /) -> bytes:
        """Wait until a signal (or that one) comes to this process; `signal_received()` says which.

        Handlers of what arrives run meanwhile; a number without one is no error here. Returns b'',
        as uWSGI. ValueError where no signals come to: while the code is imported.
        Ends this process's life when it is asked to leave.
        """
        life = self._life("signal_wait")
        wanted = None if signum is None else signal_number(signum, "signal_wait")
        with life.undisturbed():  # no signal that was taken is lost
            self._last.signum = self._wait_for_signal(life, wanted)
        return b""

    def signal_received(self) -> int:
        """Return the number that ended this thread's last `signal_wait`, 0 when there was none."""
        return int(getattr(self._last, "signum", 0))

    def free_signal(self, name: str, /) -> int:
        """Return a number from 256 up that nobody has; the same one for the same name in every run.

        muleteer's own: the decorators take their numbers here, so they never meet an application's.
        """
        number = self._runtime.registry.number_for(name)
        self._handed_out.add(number)
        return number

    def _life(self, function: str) -> Life:
        life = self._runtime.life
        if life is None or not life.signal_names:
            raise SignalError(
                f"{function}: no signals come to this process; call it in a worker, a mule or a"
                " spooler, not while the code is imported"
            )
        return life

    def _wait_for_signal(self, life: Life, wanted: int | None) -> int:
        """Handle what comes until it is the one that is wanted (None: any); returns its number."""
        pipes = {pipe.read_fd: pipe for pipe in self._pipes(life)}
        while True:
            for fd in life.wait(list(pipes), None):
                taken = pipes[fd].take()
                if taken is None:  # another process, or another thread, was faster
                    continue
                if taken in self._runtime.registry.signals:
                    life.handle_signal(taken)
                if wanted in (None, taken):
                    return taken

    def _pipes(self, life: Life) -> list[SignalPipe]:
        return [self._runtime.switchboard.signals[name] for name in life.signal_names]

    def _own_target(self) -> str:
        """What '' means: before the fork any worker, after it this process."""
        seat = self._runtime.seat
        if seat is None or not self._runtime.forked:
            return ""
        if seat.kind == "spooler":
            return self._runtime.settings.spooler_seats[seat.id - 1]
        return f"{seat.kind}{seat.id}"

    def _check_target(self, signum: int, target: str) -> None:
        if not isinstance(target, str):
            raise TypeError(f"register_signal({signum}): a target is a str, not {target!r}")
        resolve(target, self._runtime.switchboard.population)
        if len(os.fsencode(target)) > TargetTable.LONGEST:
            raise UnknownTarget(
                f"register_signal({signum}): the target {target!r} is longer than"
                f" {TargetTable.LONGEST} bytes; give the spool directory a shorter path"
            )

    def _check_own(self, signum: int) -> None:
        """An application's numbers end at 255; a higher one must have come from `free_signal`."""
        signal_number(signum, "register_signal")
        if signum >= AUTO_SIGNALS_FROM and signum not in self._handed_out:
            raise SignalError(
                f"register_signal({signum}): an application's signals are 0 to"
                f" {AUTO_SIGNALS_FROM - 1}; higher numbers are given out by uwsgi.free_signal(name)"
            )


def signal_number(signum: int, function: str) -> int:
    if isinstance(signum, bool) or not isinstance(signum, int):
        raise SignalError(f"{function}: a signal is a number, not {signum!r}")
    if not 0 <= signum <= MAX_SIGNAL:
        raise SignalError(f"{function}({signum}): a signal is a number from 0 to {MAX_SIGNAL}")
    return signum
