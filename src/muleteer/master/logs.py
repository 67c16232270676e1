"""The log as the master keeps it: opened anew, put aside when it is large, and everybody told.

Opening it is ipc/logfile.py's.
Runs in: the master.
"""

from __future__ import annotations

import os
import signal as unix_signals
import time
from collections.abc import Callable

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.ipc.logfile import LogFile
from muleteer.ipc.scoreboard import Scoreboard

__all__ = ["Logs"]

_LOOK_EVERY_S = 1.0

Tell = Callable[[unix_signals.Signals], None]


class Logs:
    """The log file of a server, if it has one."""

    def __init__(self, file: LogFile | None, scoreboard: Scoreboard, tell: Tell) -> None:
        self._file = file
        self._scoreboard = scoreboard
        self._tell = tell
        self._next_look = 0.0

    @property
    def is_file(self) -> bool:
        """Is there anything to open anew?"""
        return self._file is not None

    def reopen(self, why: str) -> None:
        """Open the file anew in every process: something moved it away."""
        if self._file is None:
            journal.log_is_no_file(why)
            return
        journal.log_reopens(self._file.path, why)
        try:
            self._file.turn(self._scoreboard)
        except OSError as error:
            journal.log_stays(self._file.path, str(error))
            return
        self._tell(unix_signals.SIGUSR1)
        journal.log_reopened(self._file.path, why)

    def rotate(self, why: str, settings: Settings) -> None:
        """Put the file aside and begin a new one."""
        if self._file is None:
            journal.log_is_no_file(why)
            return
        aside = settings.log_backupname or f"{self._file.path}.{int(time.time())}"
        try:
            os.rename(self._file.path, aside)
        except OSError as error:
            journal.log_stays(self._file.path, str(error))
            return
        self.reopen(f"{why}; the old one is {aside}")

    # -- log-maxsize ---------------------------------------------------------------------

    def next_look(self, settings: Settings) -> float | None:
        """When to look at its size again (monotonic)."""
        return self._next_look if self._file and settings.log_maxsize else None

    def look(self, settings: Settings) -> None:
        """Put it aside when it has grown too large; a look is one fstat a second."""
        now = time.monotonic()
        if self._file is None or not settings.log_maxsize or now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        if os.fstat(2).st_size > settings.log_maxsize:
            self.rotate(f"log-maxsize = {settings.log_maxsize}", settings)
