"""Signal targets: from `'workers'` or `'spooler'` to the names of the pipes that reach them.

It knows how many there are of each, and nothing of the pipes themselves.

Runs in: anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from muleteer.errors import UnknownTarget

__all__ = ["ANY_WORKER", "Population", "resolve"]

ANY_WORKER = "worker"

_NUMBERED = re.compile(r"(worker)(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Population:
    """How many children of each kind the server has."""

    workers: int
    spoolers: int = 0

    @property
    def pipes(self) -> list[str]:
        """The names of all signal pipes this server needs."""
        each = [f"worker{n}" for n in range(1, self.workers + 1)]
        return [ANY_WORKER, *each, "spooler"]


def resolve(target: str, population: Population) -> list[str]:
    """Return the pipes a signal for `target` is written to; `UnknownTarget` says what there is.

    `''`, `worker` and `worker0` mean the first worker that is idle, as in uWSGI (`core/signal.c`).
    """
    if target in ("", "worker", "worker0"):
        return [ANY_WORKER]
    if target in ("workers", "active-workers"):
        return [f"worker{n}" for n in range(1, population.workers + 1)]
    if target == "spooler":
        return _spooler(population)
    numbered = _NUMBERED.match(target)
    if numbered and 1 <= int(numbered[2]) <= population.workers:
        return [f"worker{int(numbered[2])}"]
    raise UnknownTarget(
        f"signal target {target!r} reaches nobody: this server has worker1 to"
        f" worker{population.workers}; write '' (any worker), 'workerN', 'workers' or 'spooler'"
    )


def _spooler(population: Population) -> list[str]:
    if not population.spoolers:
        raise UnknownTarget("signal target 'spooler' reaches nobody: set `spooler = DIR`")
    return ["spooler"]
