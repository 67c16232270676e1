"""How often the log hears of what clients can cause a thousand times a second.

It counts and decides; the sentences are those of whoever complains.
Runs in: workers, one per engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["Complaints"]

_log = logging.getLogger("muleteer")

_EVERY_S = 10.0


class Complaints:
    """Lets the first complaint of a kind through, and then one in ten seconds with a count."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def may(self, kind: str) -> bool:
        """Is it time to say this again?  Kinds are ours, never a client's words: they are kept."""
        now = self._now()
        last = self._last.get(kind)
        if last is not None and now - last < _EVERY_S:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        self._last[kind] = now
        count = self._held_back.pop(kind, 0)
        if count:
            _log.warning("%s more of this kind (%s) since it was said last:", count, kind)
        return True
