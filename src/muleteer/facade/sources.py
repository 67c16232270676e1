"""What raises `uwsgi`'s signals by itself: add_timer, add_cron, add_file_monitor and their kin.

Not here: the clock and the watcher; a call is checked and ends in one verb of the runtime.
Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

import os
from typing import Any

from muleteer.clock.cron import CronSpec
from muleteer.clock.crontab import CrontabSpec, zone_named
from muleteer.clock.timers import Timer
from muleteer.errors import SignalError
from muleteer.facade.signals import signal_number
from muleteer.registry import Source
from muleteer.runtime import Runtime

__all__ = ["Sources"]

_FIELDS = ("minute", "hour", "day", "month", "weekday")


class Sources:
    """The functions that give a signal to the clock or to the watcher."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    # -- timers --------------------------------------------------------------------------------

    def add_timer(
        self, signum: int, seconds: float, iterations: int = 0, /, *, overlap: str = "allow"
    ) -> None:
        """Raise a signal every `seconds` from now on, without drift. ValueError unless above 0.

        With `iterations` so many times, as uWSGI's documentation has it (and uWSGI has not).
        A tick that nobody took yet is not queued twice. With `overlap="skip"` (ours) there is none
        while its handler still runs somewhere; by default another process may take it meanwhile.
        """
        if iterations:
            self.add_rb_timer(signum, seconds, iterations, overlap=overlap)
        else:
            self._add_timer("timer", signum, (_seconds(seconds),), overlap)

    def add_ms_timer(self, signum: int, milliseconds: float, /, *, overlap: str = "allow") -> None:
        """Raise a signal every so many milliseconds, else as `add_timer` (uWSGI 2.1)."""
        self._add_timer("timer", signum, (_seconds(milliseconds, 1000),), overlap)

    def add_rb_timer(
        self, signum: int, seconds: float, iterations: int = 0, /, *, overlap: str = "allow"
    ) -> None:
        """Raise a signal every `seconds`, `iterations` times (0: for ever); without drift, too.

        ValueError unless `seconds` is above 0 (uWSGI fires in a burst).
        """
        numbers = (_seconds(seconds), _whole(iterations, "iterations"))
        self._add_timer("rbtimer", signum, numbers, overlap)

    def _add_timer(self, kind: str, signum: int, numbers: tuple[float, ...], overlap: str) -> None:
        signal_number(signum, f"add_{kind}")
        period, iterations = (*numbers, 0)[:2]
        Timer(signum, None, period, int(iterations))
        options = _options(overlap=_one_of("overlap", overlap, "allow", "skip"))
        self._runtime.add_source(Source(kind, signum, numbers, options))

    # -- cron jobs -----------------------------------------------------------------------------

    def add_cron(
        self,
        signum: int,
        minute: int | str,
        hour: int | None = None,
        day: int | None = None,
        month: int | None = None,
        weekday: int | None = None,
        /,
        *,
        tz: str | None = None,
        overlap: str = "allow",
        catch_up: str = "none",
    ) -> bool:
        """Raise a signal in every minute of local time that matches; returns True.

        -1 is any, -N every Nth, weekday 0 and 7 are Sunday; with day and weekday both given, either
        may match. Ours: one text as in a crontab, `"*/5 * * * *"`, in the place of the five; `tz`,
        a zone for this job; `overlap` as in `add_timer`; `catch_up="one"`, to run once for what was
        missed while the server was down ("none": not at all).
        ValueError for what can never match (uWSGI waits for ever), and for an unknown zone.
        """
        signal_number(signum, "add_cron")
        arguments = _cron_arguments(minute, (hour, day, month, weekday))
        if tz is not None:
            zone_named(tz)
        options = _options(
            tz=tz,
            overlap=_one_of("overlap", overlap, "allow", "skip"),
            catch_up=self._check_catch_up(catch_up),
        )
        kind = "crontab" if isinstance(minute, str) else "cron"
        self._runtime.add_source(Source(kind, signum, arguments, options))
        return True

    # -- files ---------------------------------------------------------------------------------

    def add_file_monitor(
        self, signum: int, path: str | bytes | os.PathLike[str] | os.PathLike[bytes], /
    ) -> None:
        """Raise a signal when a file changes, or something right in a directory.

        It may be missing yet, be replaced, deleted and made again (uWSGI hears of none of these),
        and several signals may have one path. A relative path counts from the current directory.
        What changes until the handler begins is one signal.
        """
        signal_number(signum, "add_file_monitor")
        name = os.fsdecode(path)
        if not name or "\0" in name:
            raise SignalError(f"add_file_monitor({signum}, {path!r}): this is no path")
        self._runtime.add_source(Source("filemon", signum, (os.path.abspath(name),)))

    def _check_catch_up(self, catch_up: str) -> str:
        _one_of("catch_up", catch_up, "none", "one")
        settings = self._runtime.settings
        if catch_up != "none" and not (settings.cron_state or settings.spooler):
            raise SignalError(
                f"cron: catch_up={catch_up!r} needs a file that remembers the last run:"
                " set `cron-state = FILE` (with a spooler it lies in its directory)"
            )
        return catch_up


def _options(**options: str | None) -> dict[str, str]:
    """The options that are not the default ones."""
    return {name: value for name, value in options.items() if value not in (None, "allow", "none")}


def _cron_arguments(first: int | str, others: tuple[Any, ...]) -> tuple[float | str, ...]:
    if isinstance(first, str):
        if any(value is not None for value in others):
            raise SignalError(f"cron: {first!r} is a whole line; numbers beside it mean nothing")
        CrontabSpec(first)
        return (first,)
    pairs = zip((first, *others), _FIELDS, strict=True)
    numbers = tuple(_whole(value, field) for value, field in pairs)
    CronSpec(*numbers)
    return numbers


def _one_of(name: str, value: str, *choices: str) -> str:
    if value not in choices:
        words = " or ".join(repr(choice) for choice in choices)
        raise SignalError(f"{name}={value!r}: it is {words}")
    return value


def _seconds(value: Any, per_second: int = 1) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        unit = "seconds" if per_second == 1 else "milliseconds"
        raise SignalError(f"a timer takes a number of {unit}, not {value!r}")
    return value if per_second == 1 else value / per_second


def _whole(value: Any, what: str) -> int:
    """Take an int, or a float that is one; '5' and 5.5 are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise SignalError(f"{what} = {value!r} is not a whole number")
    return int(value)
