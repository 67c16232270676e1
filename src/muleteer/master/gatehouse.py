"""The gatehouse: all that reaches the master from outside the server, or shows it to the outside.

The stats and metrics, the fifo's letters, the log file, systemd, the shell that waits for a
server in the background.  It carries words in and out; what is done about them is the master's.

Runs in: the master.
"""

from __future__ import annotations

import json
import selectors
import signal as unix_signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.errors import StartError
from muleteer.ipc.logfile import LogFile
from muleteer.ipc.sockets import Listener
from muleteer.master.background import Background
from muleteer.master.fifo import Fifo, Order
from muleteer.master.logs import Logs
from muleteer.master.lookout import Lookout
from muleteer.master.picture import Sights, take
from muleteer.master.pidfiles import write_pidfiles
from muleteer.master.summary import summary
from muleteer.master.systemd import Supervisor
from muleteer.master.touched import Touch
from muleteer.master.waking import soonest
from muleteer.wire.exposition import MEDIA_TYPE, expose

__all__ = ["Gatehouse", "Outside", "Verbs"]


@dataclass(frozen=True, slots=True)
class Outside:
    """What boot made for the gatehouse."""

    windows: Sequence[Listener]
    """What shows the server: `stats` and `metrics`."""
    log_file: LogFile | None
    environ: Mapping[str, str]
    background: Background


@dataclass(frozen=True, slots=True)
class Verbs:
    """What the master does when it is told to."""

    reload: Callable[[str], None]
    stop: Callable[[str], None]
    stop_now: Callable[[str], None]
    tell_all: Callable[[unix_signals.Signals], None]
    """Send every process of the server a Unix signal."""


class Gatehouse:
    """The doors and windows of one server."""

    def __init__(
        self,
        outside: Outside,
        selector: selectors.BaseSelector,
        sights: Sights,
        settings: Callable[[], Settings],
        verbs: Verbs,
    ) -> None:
        self._sights = sights
        self._settings = settings
        self._verbs = verbs
        self._background = outside.background
        self._failed_reloads = 0
        self._supervisor = Supervisor(outside.environ)
        self.logs = Logs(outside.log_file, sights.scoreboard, verbs.tell_all)
        self._lookout = Lookout(selector)
        self._fifo = Fifo(selector, settings().master_fifo, self._obey)
        for window in outside.windows:
            self._open(window)

    # -- the loop ------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When to look again at the latest (monotonic)."""
        return soonest(
            self._lookout.next_due(),
            self._supervisor.next_sign(),
            self.logs.next_look(self._settings()),
        )

    def look(self) -> None:
        """Do what is due; in every turn of the master's loop."""
        self._lookout.show_out()
        self._hear_of_failures()
        self._supervisor.live()
        self.logs.look(self._settings())

    def let_go(self) -> None:
        """In a forked process: close what is the master's alone."""
        self._lookout.let_go()
        self._fifo.let_go()
        self._supervisor.let_go()
        self._background.let_go()

    def close(self) -> None:
        """The server has ended: hear and show nothing more."""
        self._lookout.close()
        self._fifo.close()

    # -- what happened, told to the outside ------------------------------------------------

    def ready(self) -> None:
        """A generation is complete."""
        self._background.ready()
        self._tell_supervisor()

    def reloading(self) -> None:
        """A reload has begun."""
        self._supervisor.reloading()

    def _hear_of_failures(self) -> None:
        """A reload is given up: the old generation is what is ready."""
        failed = self._sights.roster.reloads.failed
        if failed != self._failed_reloads:
            self._failed_reloads = failed
            self._tell_supervisor()

    def _tell_supervisor(self) -> None:
        """A picture costs some work for each process: none is taken for nobody."""
        if self._supervisor.is_there:
            self._supervisor.ready(summary(self.picture())[0])

    def stopping(self) -> None:
        """The server stops."""
        self._supervisor.stopping()

    # -- what is heard -------------------------------------------------------------------

    def touched(self, number: int) -> None:
        """The watcher saw one of the server's own files change."""
        if number == Touch.REOPEN_LOG:
            self.logs.reopen("touch-logreopen")
        elif number == Touch.ROTATE_LOG:
            self.logs.rotate("touch-logrotate", self._settings())

    def turn_log_and_show(self, why: str) -> None:
        """SIGUSR1: the log is opened anew, if it is a file, and has what uWSGI logs then."""
        if self.logs.is_file:
            self.logs.reopen(why)
        self.show()

    def show(self) -> None:
        """Log what the server does, in a few lines."""
        for line in summary(self.picture()):
            journal.server_state(line)

    def _obey(self, order: Order) -> None:
        why = "the fifo"
        match order:
            case Order.RELOAD:
                self._verbs.reload(why)
            case Order.STOP:
                self._verbs.stop(why)
            case Order.STOP_NOW:
                self._verbs.stop_now(why)
            case Order.REOPEN_LOG:
                self.logs.reopen(why)
            case Order.ROTATE_LOG:
                self.logs.rotate(why, self._settings())
            case Order.SHOW:
                self.show()
            case Order.WRITE_PIDFILES:
                self._write_pidfiles()

    def _write_pidfiles(self) -> None:
        try:
            write_pidfiles(self._settings())
        except StartError as error:
            journal.notice(str(error))

    # -- what is shown -------------------------------------------------------------------

    def picture(self) -> dict[str, Any]:
        """The whole server as plain values."""
        return take(self._sights, self._settings())

    def _open(self, window: Listener) -> None:
        if window.protocol == "metrics":
            self._lookout.open(window, self._metrics_page, speaks_http=True)
        else:
            speaks_http = self._settings().stats_http
            self._lookout.open(window, self._stats_page, speaks_http=speaks_http)

    def _stats_page(self) -> tuple[str, bytes]:
        return "application/json", json.dumps(self.picture()).encode() + b"\n"

    def _metrics_page(self) -> tuple[str, bytes]:
        return MEDIA_TYPE, expose(self.picture())
