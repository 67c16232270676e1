"""The supervisor above us: what systemd (`Type=notify`) is told, and its watchdog.

The protocol is one datagram of `NAME=value` lines to the socket that NOTIFY_SOCKET names
(sd_notify(3)).  Nothing is ever waited for: a supervisor that does not listen hears nothing.

Runs in: the master.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Supervisor"]


class Supervisor:
    """Whoever started us, if it wants to know; without it every call does nothing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._pause_s = _watchdog_s(environ) / 2  # as sd_watchdog_enabled(3) advises
        self._next_sign = 0.0
        self._sock: socket.socket | None = None
        if self._address:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sock.setblocking(False)

    def let_go(self) -> None:
        """In a forked process: close the socket."""
        if self._sock is not None:
            self._sock.close()

    @property
    def is_there(self) -> bool:
        """Does anybody want to know?"""
        return self._sock is not None

    def tell(self, **fields: str) -> None:
        """Send some fields; never blocks, never raises."""
        if self._sock is None:
            return
        message = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            self._sock.sendto(message.encode(), self._address)
        except OSError:
            pass  # it does not listen; we go on all the same

    # -- what happens to a server --------------------------------------------------------

    def ready(self, status: str) -> None:
        """A generation serves: the start, or the reload, is over."""
        self.tell(READY="1", STATUS=status, MAINPID=str(os.getpid()))

    def reloading(self) -> None:
        """A reload begins; it ends with `ready`."""
        self.tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))

    def stopping(self) -> None:
        """The server finishes what runs and ends."""
        self.tell(STOPPING="1", STATUS="stopping: what runs is finished first")

    # -- the watchdog --------------------------------------------------------------------

    def next_sign(self) -> float | None:
        """When the next sign of life is due (monotonic); None without a watchdog."""
        return self._next_sign if self._pause_s and self._sock is not None else None

    def live(self) -> None:
        """Give a sign of life if one is due: the master's loop turns."""
        now = time.monotonic()
        if self._pause_s and now >= self._next_sign:
            self._next_sign = now + self._pause_s
            self.tell(WATCHDOG="1")


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Seconds within which signs of life must come; 0.0 when nobody waits for ours."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (text.isascii() and text.isdigit()) or pid not in ("", str(os.getpid())):
        return 0.0
    return int(text) / 1e6
