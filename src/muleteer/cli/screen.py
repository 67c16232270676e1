"""What people see in a terminal: tables, ages and sizes, colours, progress.

Colours and progress are for a terminal only: a file or a pipe gets plain text.
Runs in: the shell's process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TextIO, TypeVar

__all__ = ["Screen", "age", "moment", "size"]

T = TypeVar("T")

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_PROGRESS_AFTER_S = 0.5
_PROGRESS_EVERY = 1024
_GAP = "  "
_MEASURED_ROWS = 1000


class Screen:
    """One command's way to its reader: text to `out`, progress and complaints to `err`."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.coloured = self.out.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text: str = "") -> None:
        """One line of the answer."""
        print(text, file=self.out)

    def complain(self, text: str) -> None:
        """One line about what did not go well."""
        print(f"muleteer: {text}", file=self.err)

    def painted(self, text: str, colour: str) -> str:
        """The text in a colour, if there are colours."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self.coloured and colour else text

    def table(self, heads: Sequence[str], rows: Iterable[tuple[Sequence[str], str]]) -> int:
        """Aligned columns, each row with its colour; returns how many rows there were.

        The first thousand say how wide the columns are, so that a million need no memory.
        """
        coming = iter(rows)
        first = list(islice(coming, _MEASURED_ROWS))
        lines = [heads, *(cells for cells, _ in first)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        count = -1
        for cells, colour in chain([(heads, "bold")], first, coming):
            padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            text = _GAP.join(padded).rstrip()
            self.say(self.painted(text, colour))
            count += 1
        return count

    def watched(self, things: Iterable[T], doing: str) -> Iterator[T]:
        """The same things; on a terminal a line says how many it were once it takes long."""
        if not self.err.isatty():
            yield from things
            return
        began, shown = time.monotonic(), False
        for count, thing in enumerate(things, 1):
            yield thing
            if count % _PROGRESS_EVERY == 0 and time.monotonic() - began > _PROGRESS_AFTER_S:
                self.err.write(f"\r{doing}: {count:,} ")
                self.err.flush()
                shown = True
        if shown:
            self.err.write("\r\033[K")
            self.err.flush()


def age(seconds: float) -> str:
    """A length of time in its two largest units: `3m 20s`."""
    left = max(int(seconds), 0)
    parts: list[str] = []
    for length, unit in _UNITS:
        amount, left = divmod(left, length)
        if amount or parts:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"


def moment(unix_s: float, now: float) -> str:
    """A moment as people say it: when by this machine's clock, and how far from now."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))
    return f"{shown} ({f'in {age(unix_s - now)}' if unix_s > now else f'{age(now - unix_s)} ago'})"


def size(size_bytes: float) -> str:
    """A size with its unit: `12.3 KB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if size_bytes < 1024 or unit == "GB":
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError("unreachable")
