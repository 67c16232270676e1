"""Programs beside the server: what `attach-daemon`, `cron` and their kin say, read and checked.

Not here: running them. Their names and keys are uWSGI's.

Runs in: anywhere, and touches nothing outside memory.
"""

from __future__ import annotations

import re
import signal as unix_signals
from collections.abc import Mapping
from dataclasses import dataclass

from muleteer.clock.cron import CronSpec
from muleteer.clock.crontab import CrontabSpec

__all__ = [
    "CronCommand",
    "Daemon",
    "read_control_daemon",
    "read_cron",
    "read_cron2",
    "read_daemon",
    "read_daemon2",
    "read_smart_daemon",
    "read_smart_daemon2",
    "read_touch_exec",
    "read_unique_cron",
]

CHECK_S = 10.0
_ANY = "-1"
_TRUE = ("", "1", "true", "on", "yes")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A program that is to run as long as the server does."""

    command: str
    pidfile: str = ""
    """It says by this file that it runs: then it is left alone, also when the server ends."""
    daemonizes: bool = False
    """It goes into the background by itself: its first process ends, and the pidfile stays."""
    check_s: float = CHECK_S
    """Seconds between two looks at the pidfile."""
    stop_signal: int = unix_signals.SIGTERM
    reload_signal: int = 0
    """Sent at a reload; 0: it is stopped and started anew."""
    directory: str = ""
    stops_server: bool = False
    """When it ends, the server does."""

    def __str__(self) -> str:
        return self.command


@dataclass(frozen=True, slots=True)
class CronCommand:
    """A command line that runs at certain minutes."""

    spec: CronSpec | CrontabSpec
    command: str
    unique: bool = False
    """It is not started while it still runs."""
    harakiri_s: float | None = None
    """Seconds it may take; None: `cron-harakiri` says so, 0: for ever."""

    def __str__(self) -> str:
        return self.command


# -- daemons -------------------------------------------------------------------------------


def read_daemon(text: str) -> Daemon:
    """Read a command line."""
    return Daemon(_command(text))


def read_control_daemon(text: str) -> Daemon:
    """Read the command line of a program with which the server ends."""
    return Daemon(_command(text), stops_server=True)


def read_smart_daemon(text: str) -> Daemon:
    """Read `PIDFILE COMMAND`, for a program that goes into the background by itself."""
    pidfile, command = _pidfile_and_command(text)
    return Daemon(command, pidfile, daemonizes=True)


def read_smart_daemon2(text: str) -> Daemon:
    """Read `PIDFILE COMMAND`, for a program that stays in the foreground."""
    pidfile, command = _pidfile_and_command(text)
    return Daemon(command, pidfile)


def read_daemon2(text: str) -> Daemon:
    """Read `cmd=COMMAND,key=value…`; a comma in a command is written with a backslash."""
    known = ("cmd", "pidfile", "freq", "daemonize", "stopsignal", "reloadsignal", "chdir")
    keys = _pairs(text.replace("\\,", "\0").split(","), (*known, "control"))
    return Daemon(
        _command(keys.get("cmd", "").replace("\0", ",")),
        keys.get("pidfile", ""),
        daemonizes=_truth(keys, "daemonize"),
        check_s=float(_number(keys, "freq", "0")) or CHECK_S,
        stop_signal=_signal(keys, "stopsignal", unix_signals.SIGTERM),
        reload_signal=_signal(keys, "reloadsignal", 0),
        directory=keys.get("chdir", ""),
        stops_server=_truth(keys, "control"),
    )


def _pidfile_and_command(text: str) -> tuple[str, str]:
    pidfile, _, command = text.strip().partition(" ")
    if not command.strip():
        raise ValueError("expected a pidfile and a command")
    return pidfile, command.strip()


def read_touch_exec(text: str) -> str:
    """Read `FILE COMMAND`."""
    if len(text.split(None, 1)) != 2:
        raise ValueError("expected a file and a command")
    return text.strip()


# -- cron jobs -------------------------------------------------------------------------------


def read_cron(text: str) -> CronCommand:
    """Read `minute hour day month weekday COMMAND`: uWSGI's numbers, or a crontab's fields."""
    *fields, command = _split(text)
    return CronCommand(_spec(fields), command)


def read_unique_cron(text: str) -> CronCommand:
    """Read the same, for a command that never runs twice at once."""
    *fields, command = _split(text)
    return CronCommand(_spec(fields), command, unique=True)


def read_cron2(text: str) -> CronCommand:
    """Read `minute=…,hour=…,unique=1,harakiri=N COMMAND`; what is not named may be any."""
    options, _, command = text.strip().partition(" ")
    times = ("minute", "hour", "day", "month", "week")
    keys = _pairs(options.split(","), (*times, "unique", "harakiri"))
    harakiri = _number(keys, "harakiri", "-1")
    return CronCommand(
        _spec([keys.get(name, _ANY) for name in times]),
        _command(command),
        unique=_truth(keys, "unique"),
        harakiri_s=None if harakiri < 0 else float(harakiri),
    )


def _split(text: str) -> list[str]:
    words = text.split(None, 5)
    if len(words) != 6:
        raise ValueError("expected minute, hour, day, month, weekday and a command")
    return words


def _spec(fields: list[str]) -> CronSpec | CrontabSpec:
    if all(re.fullmatch(r"-?[0-9]{1,2}", field) for field in fields):
        minute, hour, day, month, weekday = map(int, fields)
        return CronSpec(minute, hour, day, month, weekday)
    return CrontabSpec(" ".join("*" if field == _ANY else field for field in fields))


# -- keys ------------------------------------------------------------------------------------


def _command(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("expected a command")
    return text.strip()


def _pairs(words: list[str], known: tuple[str, ...]) -> Mapping[str, str]:
    keys = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known:
            raise ValueError(f"expected some of {', '.join(known)}, not {name!r}")
        keys[name] = value
    return keys


def _truth(keys: Mapping[str, str], name: str) -> bool:
    return name in keys and keys[name].lower() in _TRUE


def _number(keys: Mapping[str, str], name: str, default: str) -> int:
    text = keys.get(name, default)
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(f"expected a number for {name}, not {text!r}")
    return int(text)


def _signal(keys: Mapping[str, str], name: str, default: int) -> int:
    number = _number(keys, name, str(int(default)))
    if not 0 <= number < unix_signals.NSIG:
        raise ValueError(f"expected the number of a Unix signal for {name}, not {number}")
    return number
