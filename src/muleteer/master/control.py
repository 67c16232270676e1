"""What reaches the master from outside its children: Unix signals, and what each of them means.

Runs in: the master.
"""

from __future__ import annotations

import os
import signal as unix_signals
from enum import Enum

__all__ = ["MEANING", "Command", "UnixSignals"]


class Command(Enum):
    """What somebody wants of the server."""

    STOP = "stop"
    RELOAD = "reload"
    REAP = "reap"
    SHOW = "open the log anew, and show"


MEANING: dict[int, Command | None] = {
    unix_signals.SIGTERM: Command.STOP,  # uWSGI reloads here unless die-on-term is set
    unix_signals.SIGINT: Command.STOP,
    unix_signals.SIGQUIT: Command.STOP,
    unix_signals.SIGHUP: Command.RELOAD,
    unix_signals.SIGCHLD: Command.REAP,
    unix_signals.SIGUSR1: Command.SHOW,
    unix_signals.SIGUSR2: None,  # kills uWSGI's master
    unix_signals.SIGPIPE: None,
}
"""What a Unix signal means to the master; None: heard and ignored."""


class UnixSignals:
    """The signals that arrived, as numbers on a descriptor: nothing is done in a signal handler."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()
        for fd in (self.read_fd, self._write_fd):
            os.set_blocking(fd, False)
        unix_signals.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number, command in MEANING.items():
            unix_signals.signal(number, unix_signals.SIG_IGN if command is None else _only_wake)

    def take(self) -> list[tuple[int, Command]]:
        """Take what arrived, in order; never blocks."""
        try:
            numbers = os.read(self.read_fd, 4096)
        except BlockingIOError:
            return []
        found = ((number, MEANING.get(number)) for number in numbers)
        return [(number, command) for number, command in found if command is not None]

    def let_go(self) -> None:
        """In a forked process: hear nothing of the master's any more."""
        unix_signals.set_wakeup_fd(-1)
        for number in MEANING:
            unix_signals.signal(number, unix_signals.SIG_DFL)
        unix_signals.signal(unix_signals.SIGUSR1, unix_signals.SIG_IGN)  # until it has a meaning
        os.close(self.read_fd)
        os.close(self._write_fd)


def _only_wake(_number: int, _frame: object) -> None:
    """The wake-up descriptor has the number."""
