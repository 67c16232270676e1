"""The log as a file: opened once at the start, and anew by every process when it was moved away.

All processes write to it through the descriptors they inherited; each opens it for itself again,
so that a line goes whole to the old file or to the new one, and none to neither.

Rules:
1. The master opens it first.  Where it cannot, nobody is told, and all go on in the old file.
2. The count of openings stands on the scoreboard before anybody is told, so that a child which
   was forked meanwhile finds out by itself when it sits down.

Runs in: every process.
"""

from __future__ import annotations

import os

from muleteer.ipc.scoreboard import Scoreboard

__all__ = ["LogFile"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class LogFile:
    """One file behind stdout and stderr."""

    def __init__(self, path: str, mode: int = 0o644) -> None:
        self.path = path
        self._mode = mode
        self._turn = 0

    def open(self) -> None:
        """Let stdout and stderr be the file, which is made if it is not there; raises OSError."""
        fd = os.open(self.path, _FLAGS, self._mode)
        os.dup2(fd, 2)
        os.dup2(fd, 1)
        os.close(fd)

    def turn(self, scoreboard: Scoreboard) -> None:
        """In the master: open it anew and count that; raises OSError and changes nothing then."""
        self.open()
        scoreboard.turn_log()
        self._turn = scoreboard.log_turns

    def follow(self, scoreboard: Scoreboard) -> None:
        """In any other process: open it anew if the master did; safe in a Unix signal handler.

        What cannot open it (another user's process, a directory it may not enter) goes on in the
        old file and says so there.
        """
        if self._turn == scoreboard.log_turns:
            return
        self._turn = scoreboard.log_turns
        try:
            self.open()
        except OSError as error:
            words = f"muleteer: {self.path}: {error.strerror}; process {os.getpid()} goes on"
            os.write(2, f"{words} in the old file\n".encode(errors="replace"))
