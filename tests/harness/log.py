"""What a started command says: one thread reads its pipe, everybody else waits for lines.

Runs in: the test process.
"""

from __future__ import annotations

import re
import threading
import time
from typing import IO

from tests.harness.waiting import TimedOut


class Log:
    """The lines a command has written so far, and a bell that rings at each new one."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.bell = threading.Condition()
        self.has_ended = False
        self._lines: list[str] = []
        self._pipe = pipe
        self._reader = threading.Thread(target=self._read, name="log reader", daemon=True)
        self._reader.start()

    def __str__(self) -> str:
        with self.bell:
            return "\n".join(self._lines)

    def __contains__(self, words: str) -> bool:
        return words in str(self)

    def here(self) -> int:
        """The number of lines so far: hand it to `wait_for` to look only at what comes after."""
        with self.bell:
            return len(self._lines)

    def lines(self, after: int = 0) -> list[str]:
        """The lines from number `after` on."""
        with self.bell:
            return self._lines[after:]

    def find(self, pattern: str, *, after: int = 0) -> list[re.Match[str]]:
        """Every line that the pattern is found in, as its match."""
        return [found for line in self.lines(after) if (found := re.search(pattern, line))]

    def wait_for(
        self, pattern: str, *, within: float = 10.0, after: int = 0, times: int = 1
    ) -> re.Match[str]:
        """The match of the line that makes it `times`; raises TimedOut with the log's end."""
        deadline = time.monotonic() + within
        with self.bell:
            while len(found := self.find(pattern, after=after)) < times:
                left = deadline - time.monotonic()
                if left <= 0 or self.has_ended:
                    raise TimedOut(self._words(pattern, within, len(found), times))
                self.bell.wait(left)
        return found[times - 1]

    def join(self, within: float = 2.0) -> None:
        """Wait until the last writer has closed the pipe; a leftover process may keep it open."""
        self._reader.join(within)
        if not self._reader.is_alive():
            self._pipe.close()

    def _words(self, pattern: str, within: float, found: int, times: int) -> str:
        why = "the log has ended" if self.has_ended else f"not within {within:g} s"
        last = "\n    ".join(self._lines[-40:]) or "(nothing)"
        return f"{why}: {pattern!r} seen {found} of {times} times; the log's end:\n    {last}"

    def _read(self) -> None:
        for line in self._pipe:
            with self.bell:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                self.bell.notify_all()
        with self.bell:
            self.has_ended = True
            self.bell.notify_all()
