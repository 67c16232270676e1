"""Weights: which child is too large, seen from outside while it works, and when to weigh again.

The `evil-reload-on-…` options are the last resort before the machine has no memory left: a child
at work is killed there. What a child sees of itself between two pieces of work is
roles/recycling.py.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from muleteer.config.options import Settings
from muleteer.ipc.memory import Memory, memory_of
from muleteer.master.roster import ChildHandle, Phase

__all__ = ["Overweight", "Weights", "heaviest"]

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Overweight:
    """A child that is too large, and in which way."""

    child: ChildHandle
    what: str


class Weights:
    """The scales; they cost nothing while no option asks for them."""

    def __init__(self, weigh: Callable[[int], Memory] = memory_of) -> None:
        self._weigh = weigh
        self._next = 0.0

    def next_check(self, settings: Settings) -> float | None:
        """When to look again; None when no option asks."""
        return self._next if any(map(any, heaviest(settings).values())) else None

    def overweight(
        self, settings: Settings, children: Iterable[ChildHandle], now: float
    ) -> Iterator[Overweight]:
        """Yield the children that are too large, when it is time to look."""
        limits = heaviest(settings)
        if now < self._next or not any(map(any, limits.values())):
            return
        self._next = now + settings.mem_collector_freq
        for child in list(children):
            rss, vsz = limits.get(child.seat.kind, (0, 0))
            if (rss or vsz) and child.pid and child.phase in (Phase.READY, Phase.RETIRING):
                memory = self._weigh(child.pid)
                if rss and memory.rss >= rss:
                    yield Overweight(child, f"{memory.rss // _MB} MB resident")
                elif vsz and memory.vsz >= vsz:
                    yield Overweight(child, f"{memory.vsz // _MB} MB of address space")


def heaviest(settings: Settings) -> dict[str, tuple[int, int]]:
    """Bytes (resident, address space) that a child of each kind may have; 0 for no limit."""
    return {
        "worker": (settings.evil_reload_on_rss * _MB, settings.evil_reload_on_as * _MB),
        "mule": (settings.mule_evil_reload_on_rss * _MB, 0),
        "spooler": (settings.spooler_evil_reload_on_rss * _MB, 0),
    }
