"""`muleteer top`: a server's tables on a terminal, drawn anew every second; plain ANSI, no curses.

A reader that is no terminal gets one picture and the end.
Runs in: the shell's process.
"""

from __future__ import annotations

import io
import re
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from muleteer.cli.asking import ask
from muleteer.cli.exits import Exit
from muleteer.cli.screen import Screen
from muleteer.cli.views import show
from muleteer.errors import NodeUnreachable

__all__ = ["Top", "cropped"]

_OTHER_SCREEN, _THIS_SCREEN = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"
_HOME, _END_OF_LINE, _BELOW = "\033[H", "\033[K", "\033[J"
_ESCAPE = re.compile(r"\033\[[0-9;]*m")

Values = Mapping[str, Any]


class Top:
    """The live view of one server."""

    def __init__(self, address: str, every_s: float, screen: Screen) -> None:
        self._address = address
        self._every_s = every_s
        self._screen = screen
        self._counted: dict[int, int] = {}
        self._counted_at = 0.0

    def run(self) -> Exit:
        """Draw until `q` or Ctrl-C; a server that goes away is waited for."""
        if not (self._screen.out.isatty() and sys.stdin.isatty()):
            self._screen.say("\n".join(self._lines(ask(self._address))))
            return Exit.OK
        ask(self._address)  # one that was never there is an error
        with _own_screen(self._screen):
            self._draw()
            while not _is_left(self._every_s):
                self._draw()
        return Exit.OK

    def _draw(self) -> None:
        width, height = shutil.get_terminal_size()
        try:
            lines = self._lines(ask(self._address))
        except NodeUnreachable as error:
            lines = [str(error), "it is asked again and again; q leaves"]
        shown = [cropped(line, width) + _END_OF_LINE for line in lines[: height - 1]]
        self._screen.out.write(_HOME + "\n".join(shown) + "\n" + _BELOW)
        self._screen.out.flush()

    def _lines(self, picture: Values) -> list[str]:
        """The whole view."""
        paper = Screen(io.StringIO())
        paper.coloured = self._screen.coloured
        rates = self._rates(picture["workers"])
        paper.say(f"{time.strftime('%H:%M:%S')}  {sum(rates.values()):.0f} requests a second")
        show(paper, picture, time.time(), rates)
        assert isinstance(paper.out, io.StringIO)
        return paper.out.getvalue().splitlines()

    def _rates(self, workers: list[Values]) -> dict[int, float]:
        """Requests a second since the last look, by worker; none at the first."""
        now = time.monotonic()
        counted = {worker["id"]: worker["requests"] for worker in workers}
        passed = now - self._counted_at if self._counted else 0.0
        rates = {
            number: max(0, count - self._counted.get(number, count)) / passed if passed else 0.0
            for number, count in counted.items()
        }
        self._counted, self._counted_at = counted, now
        return rates


def cropped(line: str, width: int) -> str:
    """A line's first `width` signs; its colours cost none and end with it."""
    shown, place, left = [], 0, width
    for escape in (*_ESCAPE.finditer(line), None):
        text = line[place : escape.start() if escape else len(line)]
        shown.append(text[: max(left, 0)])
        left -= len(text)
        if escape:
            shown.append(escape[0])
            place = escape.end()
    return "".join(shown)


@contextmanager
def _own_screen(screen: Screen) -> Iterator[None]:
    """Another screen, and keys as they are pressed; the terminal is as before in any case."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    screen.out.write(_OTHER_SCREEN)
    try:
        yield
    except KeyboardInterrupt:
        pass  # the other way to leave
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        screen.out.write(_THIS_SCREEN)
        screen.out.flush()


def _is_left(patience_s: float) -> bool:
    """Wait for a key; True for `q` and for a terminal that is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], patience_s)
    return bool(ready) and sys.stdin.read(1) in ("q", "Q", "")
