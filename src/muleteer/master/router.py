"""The router: from what is due, or what the watcher saw, to the pipes of the targets.

It keeps what raises signals by itself: timers and cron jobs in the clock, file monitors for the
watcher.

Runs in: the master.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from muleteer import journal
from muleteer.clock.cron import CronSpec, SystemZone
from muleteer.clock.crontab import CrontabSpec, zone_named
from muleteer.clock.timers import Clock, Cron, Due, Entry, Timer
from muleteer.config.options import Settings
from muleteer.errors import ChannelFull, UnknownTarget
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.scoreboard import Scoreboard
from muleteer.ipc.targets import WATCHER, resolve
from muleteer.master.cronstate import CronState

__all__ = ["Router", "option_sources"]

Message = Mapping[str, Any]

_TICK_S = 0.02
"""How far behind a kernel's coarse clock may be: it moves on every few milliseconds only."""


class Router:
    """The clock of the server, the list of what is watched, and the way of what is raised."""

    def __init__(
        self, switchboard: Switchboard, scoreboard: Scoreboard, state_path: str | None
    ) -> None:
        self._switchboard = switchboard
        self._scoreboard = scoreboard
        self._state = CronState(state_path)
        self.clock = Clock(SystemZone())
        self.monitors: dict[tuple[int, str], None] = {}
        """Signal and path, in the order in which they came; none twice."""
        self.handlers: dict[int, str] = {}
        """The functions behind the clock's signals, by name."""
        self.last_runs: dict[Entry, float] = {}
        """When the clock's entries fired last (wall time)."""

    # -- what there is -----------------------------------------------------------------------

    def replace(self, messages: Iterable[Message]) -> None:
        """A new generation serves: its sources take the place of the old ones'."""
        monitors, timed = _parted(messages)
        self.handlers = {m["signum"]: m.get("handler", "") for m in timed}
        entries = [_entry(message) for message in timed]
        now, wall = time.monotonic(), _wall_time()
        self.clock.replace(entries, now, wall, self._state.begin(entries, wall))
        self.monitors = dict.fromkeys(monitors)
        known = set(self.clock.entries)
        self.last_runs = {e: when for e, when in self.last_runs.items() if e in known}

    def add(self, message: Message) -> None:
        """A child added a source after the fork; what is there already, its successor adds again.

        So a worker that is respawned does not double its timers.
        """
        monitors, timed = _parted([message])
        self.handlers |= {m["signum"]: m.get("handler", "") for m in timed}
        self.monitors.update(dict.fromkeys(monitors))
        known = self.clock.entries
        for entry in map(_entry, timed):
            if (isinstance(entry, Timer) and entry.iterations) or entry not in known:
                wall = _wall_time()
                last_runs = self._state.begin([*known, entry], wall)
                self.clock.add(entry, time.monotonic(), wall, last_runs.get(entry))

    # -- what is due -------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When to come back at the latest (monotonic)."""
        return self.clock.next_due(time.monotonic(), _wall_time())

    def send_due(self) -> None:
        """Send every signal that is due; never blocks: a full queue is logged and passed over."""
        for due in self.clock.due(time.monotonic(), _wall_time()):
            if due.entry is not None:
                self.last_runs[due.entry] = _wall_time()
            if isinstance(due.entry, Cron) and due.entry.catches_up:
                self._state.note(due.entry, _wall_time())
            if not self._is_skipped(due):
                self.tick(due.signum, counts=_counts(due))
        for missed in self.clock.take_missed():
            journal.cron_missed(missed.signum, missed.late_s)

    def tick(self, signum: int, *, counts: bool = False) -> None:
        """Send a signal to its target unless it waits there already (or it counts); never blocks.

        What cannot be sent is logged.
        """
        target = self._switchboard.targets.get(signum)
        try:
            for pipe in resolve(
                target, self._switchboard.population, self._scoreboard.active_workers
            ):
                channel = self._switchboard.signals[pipe]
                channel.send(signum, patience_s=0.0) if counts else channel.send_tick(signum)
        except (ChannelFull, UnknownTarget) as error:
            journal.signal_not_sent(signum, str(error))

    def _is_skipped(self, due: Due) -> bool:
        skips = due.entry is not None and due.entry.skips
        return skips and self._scoreboard.is_handling(due.signum)

    # -- the watcher ---------------------------------------------------------------------------

    def brief_watcher(self) -> None:
        """Tell the watcher what to watch from now on; never blocks."""
        try:
            message = json.dumps(list(self.monitors)).encode()
            self._switchboard.mail[WATCHER].send(message, patience_s=0.0)
        except ChannelFull as error:
            journal.watcher_stuck(str(error))


def _counts(due: Due) -> bool:
    """Is it one of an rb-timer's given number of shots, of which none may be merged?"""
    return isinstance(due.entry, Timer) and due.entry.iterations > 0


def option_sources(settings: Settings) -> list[dict[str, Any]]:
    """What the options raise: `signal-timer`, `touch-signal` and their kin."""
    timers = [text.split() for text in (*settings.signal_timer, *settings.signal_rbtimer)]
    paths = [text.rsplit(None, 1) for text in (*settings.touch_signal, *settings.fs_signal)]
    return [
        *(_source("timer", signum, float(seconds)) for signum, seconds in timers),
        *(_source("filemon", signum, os.path.abspath(path)) for path, signum in paths),
    ]


def _source(kind: str, signum: str, argument: float | str) -> dict[str, Any]:
    return {
        "op": "source",
        "kind": kind,
        "signum": int(signum),
        "arguments": [argument],
        "options": {},
        "target": "",
    }


def _wall_time() -> float:
    """The wall time as every clock shows it: `time.localtime()` reads the coarse one.

    So a cron job's handler that asks for the time never sees the minute before its own.
    """
    return time.time() - _TICK_S


def _parted(messages: Iterable[Message]) -> tuple[list[tuple[int, str]], list[Message]]:
    """Part file monitors from what the clock raises."""
    messages = list(messages)
    monitors = [m for m in messages if m["kind"] == "filemon"]
    timed = [m for m in messages if m["kind"] != "filemon"]
    return [(m["signum"], m["arguments"][0]) for m in monitors], timed


def _entry(message: Message) -> Entry:
    signum, target, arguments = message["signum"], message["target"], message["arguments"]
    options = message["options"]
    skips = options.get("overlap") == "skip"
    if message["kind"] in ("cron", "crontab"):
        return Cron(
            signum,
            target,
            _spec(message["kind"], arguments),
            zone_named(options["tz"]) if "tz" in options else None,
            skips,
            catches_up=options.get("catch_up") == "one",
        )
    period, iterations = (*arguments, 0)[:2]
    return Timer(signum, target, period, int(iterations), skips)


def _spec(kind: str, arguments: list[Any]) -> CronSpec | CrontabSpec:
    if kind == "crontab":
        return CrontabSpec(arguments[0])
    return CronSpec(*(int(number) for number in arguments))
