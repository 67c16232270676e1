"""`daemonize`: the server leaves its terminal, and the shell hears how the start went.

The shell's process waits for one byte: with `daemonize` until the sockets are bound, with
`daemonize2` until the application is loaded and serves.

Runs in: the process of the command line, before anything is made.
"""

from __future__ import annotations

import os
import sys

from muleteer.config.options import Settings
from muleteer.errors import ExitCode

__all__ = ["Background", "go"]


class Background:
    """The way back to the shell; in a server that keeps its terminal nobody listens there."""

    def __init__(self, settings: Settings, fd: int = -1) -> None:
        self._fd = fd
        self._waits_for_app = settings.daemonize2 is not None

    def bound(self) -> None:
        """The sockets are there."""
        if not self._waits_for_app:
            self._say(ExitCode.OK)

    def ready(self) -> None:
        """The first generation serves."""
        self._say(ExitCode.OK)

    def failed(self, code: int) -> None:
        """There is no server; only the first word counts."""
        self._say(code)

    def let_go(self) -> None:
        """In a forked process: only the master speaks."""
        if self._fd >= 0:
            os.close(self._fd)

    def _say(self, code: int) -> None:
        if self._fd >= 0:
            os.write(self._fd, bytes([code & 0xFF]))
            os.close(self._fd)
            self._fd = -1


def go(settings: Settings) -> Background:
    """Leave the terminal, if asked to; the shell's process ends in here, the server comes back."""
    log = settings.daemonize or settings.daemonize2
    if not log:
        return Background(settings)
    read_fd, write_fd = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(write_fd)
        os._exit(_wait(read_fd, log))
    os.close(read_fd)
    os.setsid()
    if os.fork():  # no leader of a session: no terminal can ever become ours
        os._exit(ExitCode.OK)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return Background(settings, write_fd)


def _wait(read_fd: int, log: str) -> int:
    """The exit code for the shell."""
    word = os.read(read_fd, 1)
    code = word[0] if word else int(ExitCode.START_FAILED)
    if code:
        os.write(2, f"muleteer: the server did not start; {log} says why\n".encode())
    return code
