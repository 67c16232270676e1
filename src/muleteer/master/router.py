"""The router: from the clock's due sources to the pipes of their targets.

Runs in: the master.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from muleteer import journal
from muleteer.clock.cron import CronSpec, SystemZone
from muleteer.clock.timers import Clock, Cron, Entry, Timer
from muleteer.errors import ChannelFull, UnknownTarget
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.targets import resolve

__all__ = ["Router"]


class Router:
    """The clock of the server, and the way of what is due."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self.clock = Clock(SystemZone())

    def replace(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """A new generation serves: its sources take the place of the old ones'."""
        now, wall = time.monotonic(), time.time()
        self.clock.replace([_entry(message) for message in messages], now, wall)

    def add(self, message: Mapping[str, Any]) -> None:
        """A child added a source after the fork."""
        entry = _entry(message)
        if isinstance(entry, Timer):
            now = time.monotonic()
            period, iterations = entry.period, entry.iterations
            self.clock.add_timer(entry.signum, entry.target, period, now, iterations=iterations)
        else:
            self.clock.add_cron(entry.signum, entry.target, entry.spec, time.time())

    def next_due(self) -> float | None:
        """When to come back at the latest (monotonic)."""
        return self.clock.next_due(time.monotonic(), time.time())

    def send_due(self) -> None:
        """Send every signal that is due; never blocks: a full queue is logged and passed over."""
        for due in self.clock.due(time.monotonic(), time.time()):
            self._send(due.signum, self._switchboard.targets.get(due.signum))
        for missed in self.clock.take_missed():
            journal.cron_missed(missed.signum, missed.late_s)

    def _send(self, signum: int, target: str) -> None:
        try:
            for pipe in resolve(target, self._switchboard.population):
                self._switchboard.signals[pipe].send_tick(signum)
        except (ChannelFull, UnknownTarget) as error:
            journal.signal_not_sent(signum, str(error))


def _entry(message: Mapping[str, Any]) -> Entry:
    signum, target, numbers = message["signum"], message["target"], message["arguments"]
    if message["kind"] == "cron":
        return Cron(signum, target, CronSpec(*(int(number) for number in numbers)))
    period, iterations = (*numbers, 0)[:2]
    return Timer(signum, target, period, int(iterations))
