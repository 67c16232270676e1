"""Signal targets: from `'workers'` or `'spooler'` to the names of the pipes that reach them.

It knows how many there are of each, and nothing of the pipes themselves.

Runs in: anywhere.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from muleteer.config.options import Settings
from muleteer.errors import UnknownTarget

__all__ = [
    "ANY_MULE",
    "ANY_WORKER",
    "WATCHER",
    "Farm",
    "Population",
    "TargetTable",
    "population_of",
    "resolve",
    "spooler_pipe",
]

ANY_WORKER = "worker"
ANY_MULE = "mule"
WATCHER = "watcher"
"""The name of the watcher's message queue; no signals go there."""

_NUMBERED = re.compile(r"(worker|mule|farm)(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Farm:
    """A named group of mules."""

    name: str
    mules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """How many children of each kind the server has."""

    workers: int
    spoolers: int = 0
    spooler_dirs: tuple[str, ...] = ()
    mules: int = 0
    farms: tuple[Farm, ...] = ()

    @property
    def pipes(self) -> list[str]:
        """The names of all signal pipes this server needs."""
        workers = [f"worker{n}" for n in range(1, self.workers + 1)]
        mules = [f"mule{n}" for n in range(1, self.mules + 1)]
        farms = [f"farm_{farm.name}" for farm in self.farms]
        spoolers = [spooler_pipe(path) for path in self.spooler_dirs]
        return [ANY_WORKER, *workers, ANY_MULE, *mules, *farms, "spooler", *spoolers]

    @property
    def mailboxes(self) -> list[str]:
        """The names of all message queues this server needs."""
        if not self.mules:
            return [WATCHER]
        mules = [f"mule{n}" for n in range(1, self.mules + 1)]
        return [WATCHER, ANY_MULE, *mules, *(f"farm_{farm.name}" for farm in self.farms)]

    def farms_of(self, mule: int) -> list[Farm]:
        """The farms a mule is in."""
        return [farm for farm in self.farms if mule in farm.mules]


def population_of(settings: Settings, workers: int) -> Population:
    """Count what the settings ask for; without a socket there are no workers, whatever they say."""
    return Population(
        workers,
        len(settings.spooler_seats),
        settings.spooler,
        len(settings.mule_programs),
        tuple(Farm(name, mules) for name, mules in settings.farms.items()),
    )


def spooler_pipe(path: str) -> str:
    """Return the name of the pipe that reaches the spoolers of one directory."""
    return f"spooler {path}"


def resolve(
    target: str, population: Population, active: Callable[[], Collection[int]] | None = None
) -> list[str]:
    """Return the pipes a signal for `target` is written to; `UnknownTarget` says what there is.

    `''`, `worker` and `worker0` mean the first worker that is idle, `mule` and `mule0` the first
    idle mule, as in uWSGI (`core/signal.c`). `active` returns the numbers of the workers
    that are there, for `active-workers`; without it they all are.
    """
    if target == "active-workers" and active is not None:
        return [f"worker{n}" for n in sorted(active())]
    found = _groups(target, population) or _numbered(target, population)
    found = found or _farm_or_spooler(target, population)
    if found:
        return found
    raise UnknownTarget(f"signal target {target!r} reaches nobody: {_who_is_there(population)}")


def _groups(target: str, population: Population) -> list[str]:
    if target in ("", "worker", "worker0"):
        return [ANY_WORKER]
    if target in ("workers", "active-workers"):
        return [f"worker{n}" for n in range(1, population.workers + 1)]
    if target in ("mule", "mule0") and population.mules:
        return [ANY_MULE]
    if target == "mules":
        return [f"mule{n}" for n in range(1, population.mules + 1)]
    return []


def _numbered(target: str, population: Population) -> list[str]:
    match = _NUMBERED.match(target)
    if match is None:
        return []
    kind, number = match[1], int(match[2])
    if kind == "farm":
        return [f"farm_{f.name}" for f in population.farms[number - 1 : number] if number]
    there = population.workers if kind == "worker" else population.mules
    return [f"{kind}{number}"] if 1 <= number <= there else []


def _farm_or_spooler(target: str, population: Population) -> list[str]:
    if target.startswith("farm_"):
        return [target] if target in (f"farm_{f.name}" for f in population.farms) else []
    if target == "spooler" and population.spoolers:
        return ["spooler"]
    return [spooler_pipe(target)] if target in population.spooler_dirs else []


def _who_is_there(population: Population) -> str:
    there = [f"worker1 to worker{population.workers}" if population.workers else "no worker"]
    if population.mules:
        there.append(f"mule1 to mule{population.mules}")
    there += [f"farm_{farm.name}" for farm in population.farms]
    there += ["spooler"] if population.spoolers else []
    missing = [] if population.mules else ["`mules = N` makes mules"]
    missing += [] if population.spoolers else ["`spooler = DIR` makes one"]
    hint = f" ({'; '.join(missing)})" if missing else ""
    return (
        f"this server has {', '.join(there)}{hint}; write '' (any worker), 'workers',"
        " 'workerN', 'spooler', 'mule', 'muleN', 'mules' or 'farm_NAME'"
    )


class TargetTable:
    """The target of every signal, for whoever did not see its registration; shared by all.

    A process looks at its own registry first.  What a child registers after the fork stands here
    for the others, and the master's clock reads it when a timer is due.
    """

    LONGEST = 255
    _SLOT = LONGEST + 1

    def __init__(self, numbers: int) -> None:
        self._page = mmap.mmap(-1, numbers * self._SLOT)  # untouched pages cost nothing

    def set(self, signum: int, target: str) -> None:
        """Write a target down; `UnknownTarget` for one that is too long for the table."""
        text = os.fsencode(target)  # a spool directory's path may be no text
        if len(text) > self.LONGEST:
            raise UnknownTarget(f"signal target {target!r} is longer than {self.LONGEST} bytes")
        start = signum * self._SLOT
        self._page[start : start + self._SLOT] = text.ljust(self._SLOT, b"\0")

    def get(self, signum: int) -> str:
        """Return a signal's target; '' (any worker) for a number nobody registered, as uWSGI."""
        start = signum * self._SLOT
        return os.fsdecode(self._page[start : start + self._SLOT].rstrip(b"\0"))
