"""A program in a terminal of its own, as a person would see it: keys such as Ctrl-C are for it.

Runs in: the test process.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from types import TracebackType

from tests.harness.waiting import TimedOut

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78MDEc])")


class Terminal:
    """One program, and what it showed so far."""

    def __init__(self, command: Sequence[str], *, rows: int = 40, columns: int = 160) -> None:
        self.raw = ""
        self._fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environ = {**os.environ, "TERM": "xterm"}
        for name in ("COLUMNS", "LINES"):  # they would win over the terminal's own size
            environ.pop(name, None)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=inner, stdout=inner, stderr=inner, env=environ,
        )  # fmt: skip
        os.close(inner)

    @property
    def text(self) -> str:
        """What it showed, without colours and movements."""
        return self.plain(self.raw)

    @staticmethod
    def plain(raw: str) -> str:
        """The same of a piece of it."""
        return _ESCAPES.sub("", raw)

    def attributes(self) -> list[object]:
        """How the terminal is set; what a program should leave as it found it."""
        return termios.tcgetattr(self._fd)

    def wait_for(self, pattern: str, *, within: float = 15.0) -> re.Match[str]:
        """Wait until the pattern was shown."""
        end = time.monotonic() + within
        while (found := re.search(pattern, self.text)) is None:
            if not self._read(end - time.monotonic()):
                raise TimedOut(f"{pattern!r} was not shown; seen so far:\n{self.text}")
        return found

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def wait(self, *, within: float = 15.0) -> int:
        """The exit code, once it ends by itself."""
        end = time.monotonic() + within
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.05)
        if self.process.poll() is None:
            raise TimedOut(f"it did not end; seen so far:\n{self.text}")
        return self.process.returncode

    def _read(self, patience_s: float) -> bool:
        """Take in what it shows next; False when nothing comes or nothing can come any more."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, patience_s))
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # it has ended
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._fd)
