"""`master-fifo`: a named pipe in which each letter is a command, uWSGI's letters.

What a letter means is this table; doing it is the master's.

Rules:
1. The pipe is made at the start, for its owner only, and removed at the end.
2. It is held open at both ends: a writer that leaves is no end of file, and nothing blocks.

Runs in: the master.
"""

from __future__ import annotations

import os
import selectors
import stat
from collections.abc import Callable, Sequence
from enum import Enum

from muleteer import journal
from muleteer.errors import StartError

__all__ = ["LETTERS", "Fifo", "Order", "make_fifo", "remove_fifo"]


class Order(Enum):
    """What a letter can have the master do."""

    RELOAD = "reload"
    STOP = "stop"
    STOP_NOW = "stop at once"
    REOPEN_LOG = "open the log anew"
    ROTATE_LOG = "put the log aside and begin a new one"
    SHOW = "log what the server does"
    WRITE_PIDFILES = "write the pidfiles again"


LETTERS: dict[str, Order | str] = {
    "r": Order.RELOAD,
    "c": Order.RELOAD,
    "w": Order.RELOAD,
    "R": Order.RELOAD,
    "W": Order.RELOAD,
    "q": Order.STOP,
    "Q": Order.STOP_NOW,
    "l": Order.REOPEN_LOG,
    "L": Order.ROTATE_LOG,
    "s": Order.SHOW,
    "P": Order.WRITE_PIDFILES,
    "p": "there is no pause; let the front server hold the requests back",
    "+": "workers come by themselves: set `cheaper`, or `processes` and reload",
    "-": "workers go by themselves: set `cheaper`, or `processes` and reload",
    "C": "set `cheap` or `idle` to let the workers go when nobody asks for them",
    "f": "nothing is to be forked anew: a reload (r) imports in a process of its own",
    "B": "there is no emperor; let systemd start one server for each configuration",
    "E": "there is no emperor; let systemd start one server for each configuration",
    "S": "there are no subscriptions to block",
}
"""uWSGI's letters: what is done, or what to do instead."""

_BLANK = " \t\r\n"


class Fifo:
    """The pipes of one server; the letters of one of them count, as in uWSGI."""

    def __init__(
        self, selector: selectors.BaseSelector, paths: Sequence[str], obey: Callable[[Order], None]
    ) -> None:
        self._selector = selector
        self._paths = paths
        self._obey = obey
        self._fd = -1
        if paths:
            self._select(0)

    def let_go(self) -> None:
        """In a forked process: close it, without a word to the selector."""
        if self._fd >= 0:
            os.close(self._fd)

    def close(self) -> None:
        """Hear nothing more."""
        if self._fd >= 0:
            self._selector.unregister(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _select(self, number: int) -> None:
        """Hear another pipe from now on; what stood in it already counts."""
        try:
            fd = os.open(self._paths[number], os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            journal.fifo_unusable(self._paths[number], str(error))
            return
        self.close()
        self._fd = fd
        self._selector.register(fd, selectors.EVENT_READ, self._hear)

    def _hear(self) -> None:
        try:
            letters = os.read(self._fd, 4096).decode("latin-1")
        except BlockingIOError:
            return
        for letter in letters:
            self._take(letter)

    def _take(self, letter: str) -> None:
        if letter in _BLANK:
            return
        meaning = LETTERS.get(letter)
        if letter.isascii() and letter.isdigit() and int(letter) < len(self._paths):
            self._select(int(letter))
        elif isinstance(meaning, Order):
            self._obey(meaning)
        else:
            journal.fifo_not_obeyed(letter, meaning or "it is none of uWSGI's letters")


def make_fifo(path: str, where: str) -> None:
    """Make a pipe, in place of one that was left behind; StartError when that is not possible."""
    try:
        if os.path.lexists(path):
            if not stat.S_ISFIFO(os.lstat(path).st_mode):
                raise StartError(f"{where}: a file that is no fifo is there; move it away")
            os.unlink(path)
        os.mkfifo(path, 0o600)
    except OSError as error:
        raise StartError(f"{where}: {error.strerror}; choose another place for it") from None


def remove_fifo(path: str) -> None:
    """Remove a pipe, if it is still one."""
    try:
        if stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)
    except OSError:
        pass  # somebody else tidied up
