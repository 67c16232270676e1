"""Ears: what the master hears in place of children that are not there.

Runs in: the master.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping

__all__ = ["Ears"]


class Ears:
    """Some descriptors in the master's selector, which change as a whole."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._heard: Mapping[int, Callable[[], None]] = {}

    def hear(self, wanted: Mapping[int, Callable[[], None]]) -> None:
        """Hear these descriptors and no others from now on; one that is heard stays as it is."""
        for fd in self._heard.keys() - wanted.keys():
            self._selector.unregister(fd)
        for fd in wanted.keys() - self._heard.keys():
            self._selector.register(fd, selectors.EVENT_READ, wanted[fd])
        self._heard = wanted

    def close(self) -> None:
        """Hear nothing any more."""
        self.hear({})
