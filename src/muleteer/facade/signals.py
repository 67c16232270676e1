"""`uwsgi`'s signals and what raises them: register_signal, signal, add_timer, add_cron ...

Not here: the pipes and the clock; a call ends in the registry or in one verb of the runtime.
Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from muleteer.clock.cron import CronSpec
from muleteer.clock.timers import Timer
from muleteer.errors import SignalError
from muleteer.ipc.targets import resolve
from muleteer.registry import AUTO_SIGNALS_FROM, MAX_SIGNAL, Registration, Source
from muleteer.runtime import Runtime

__all__ = ["Signals"]


class Signals:
    """The signal functions of `uwsgi`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._handed_out: set[int] = set()

    def register_signal(
        self, signum: int, target: str, handler: Callable[[int], object], /
    ) -> None:
        """Let `handler(signum)` run in `target` whenever signal `signum` (0 to 255) is raised.

        Targets: '' (any idle worker), 'workerN', 'workers', 'active-workers', 'spooler'.
        ValueError for a number out of range (uWSGI wraps it round), a target that reaches nobody
        (uWSGI finds out when it is raised), a handler that is no callable, and, before the fork,
        a number that is taken. After the fork only this process learns of the change.
        """
        self._check_own(signum)
        if not callable(handler):
            raise SignalError(f"register_signal({signum}): {handler!r} is not callable")
        resolve(target, self._runtime.switchboard.population)
        signals = self._runtime.registry.signals
        if signum in signals and not self._runtime.forked:
            raise SignalError(_taken(signum, signals[signum].handler))
        signals[signum] = Registration(target, handler)

    def signal(self, signum: int, node: str = "", /) -> None:
        """Raise a signal: one write into its target's queue.

        Blocks up to five seconds while that queue is full, then raises ChannelFull (uWSGI drops
        the signal). ValueError for a number that is none.
        """
        if node:
            raise SignalError(
                f"signal({signum}, {node!r}): other nodes are not in this version yet"
            )
        self._runtime.raise_signal(_number(signum, "signal"))

    def signal_registered(self, signum: int, /) -> bool | None:
        """Return True when this process has a handler for the signal, else None, as uWSGI."""
        return signum in self._runtime.registry.signals or None

    def free_signal(self, name: str, /) -> int:
        """Return a number from 256 up that nobody has; the same one for the same name in every run.

        muleteer's own: the decorators take their numbers here, so they never meet an application's.
        """
        number = self._runtime.registry.number_for(name)
        self._handed_out.add(number)
        return number

    # -- what raises signals by itself ---------------------------------------------------------

    def add_timer(self, signum: int, seconds: float, /) -> None:
        """Raise a signal every `seconds` from now on, without drift. ValueError unless above 0."""
        self._add_timer("timer", signum, seconds)

    def add_rb_timer(self, signum: int, seconds: float, iterations: int = 0, /) -> None:
        """Raise a signal every `seconds`, `iterations` times (0: for ever).

        ValueError unless `seconds` is above 0 (uWSGI fires in a burst).
        """
        self._add_timer("rbtimer", signum, seconds, _whole(iterations, "iterations"))

    def add_cron(
        self, signum: int, minute: int, hour: int, day: int, month: int, weekday: int, /
    ) -> bool:
        """Raise a signal in every minute of local time that matches; returns True.

        -1 is any, -N every Nth, weekday 0 and 7 are Sunday; with day and weekday both given, either
        may match. ValueError for what can never match (uWSGI waits for ever).
        """
        fields = ("minute", "hour", "day", "month", "weekday")
        values = (minute, hour, day, month, weekday)
        numbers = [_whole(value, f) for value, f in zip(values, fields, strict=True)]
        CronSpec(*numbers)
        self._runtime.add_source(Source("cron", _number(signum, "add_cron"), tuple(numbers)))
        return True

    def _add_timer(self, kind: str, signum: int, seconds: float, iterations: int = 0) -> None:
        _number(signum, f"add_{kind}")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise SignalError(f"a timer takes a number of seconds, not {seconds!r}")
        Timer(signum, None, seconds, iterations)
        numbers = (seconds, iterations) if kind == "rbtimer" else (seconds,)
        self._runtime.add_source(Source(kind, signum, numbers))

    def _check_own(self, signum: int) -> None:
        """An application's numbers end at 255; a higher one must have come from `free_signal`."""
        _number(signum, "register_signal")
        if signum >= AUTO_SIGNALS_FROM and signum not in self._handed_out:
            raise SignalError(
                f"register_signal({signum}): an application's signals are 0 to"
                f" {AUTO_SIGNALS_FROM - 1}; higher numbers are given out by uwsgi.free_signal(name)"
            )


def _number(signum: int, function: str) -> int:
    if isinstance(signum, bool) or not isinstance(signum, int):
        raise SignalError(f"{function}: a signal is a number, not {signum!r}")
    if not 0 <= signum <= MAX_SIGNAL:
        raise SignalError(f"{function}({signum}): a signal is a number from 0 to {MAX_SIGNAL}")
    return signum


def _whole(value: Any, what: str) -> int:
    """Take an int, or a float that is one; '5' and 5.5 are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise SignalError(f"{what} = {value!r} is not a whole number")
    return int(value)


def _taken(signum: int, handler: Callable[..., Any]) -> str:
    where = f"{getattr(handler, '__module__', '?')}.{getattr(handler, '__qualname__', handler)}"
    return f"signal {signum} is registered already, for {where}; choose another number"
