"""Removing what has had its time in a spool directory: results, and keys that name nothing.

Not here: which those are (results.py, unique.py).
Runs in: a spooler.

However much lies there, a spooler gives it a small slice of its time and goes on with its tasks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import Final

from muleteer.spool.results import sweep_results
from muleteer.spool.unique import sweep_keys

__all__ = ["Sweeper"]

_SLICE_S: Final = 0.02
_BETWEEN_SLICES_S: Final = 2.0
_BETWEEN_ROUNDS_S: Final = 60.0


class Sweeper:
    """Goes through a directory, slice by slice and round by round."""

    def __init__(self, home: bytes) -> None:
        self._home = home
        self._round: Iterator[None] | None = None

    def sweep(self, now: float) -> float:
        """Go on for a slice; returns the seconds until the next one."""
        if self._round is None:
            self._round = chain(sweep_results(self._home, now), sweep_keys(self._home))
        end = time.monotonic() + _SLICE_S
        for _ in self._round:
            if time.monotonic() >= end:
                return _BETWEEN_SLICES_S
        self._round = None
        return _BETWEEN_ROUNDS_S
