"""A runtime in memory for the facade: real registry, scoreboard and locks; pipes that record.

Runs in: the test process.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from muleteer.config.options import Settings
from muleteer.facade.surface import Surface
from muleteer.ipc.locks import LockTable
from muleteer.ipc.scoreboard import Scoreboard, Seat, State
from muleteer.ipc.targets import Population, TargetTable
from muleteer.runtime import Runtime
from muleteer.spool.memory import MemoryStore


class RecordingPipe:
    """A signal pipe that nobody reads."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send(self, signum: int) -> None:
        self.sent.append(signum)


class RecordingBell:
    """A bell that counts its rings."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1


class Told:
    """The way to the master, as a list of what it was told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


def make_runtime(*, workers: int = 2, opt: dict[str, Any] | None = None, **options: Any) -> Runtime:
    """Make a runtime with two workers, and spoolers for the directories in `options`."""
    settings = Settings(processes=workers, opt=opt or {}, **options)
    population = Population(workers, len(settings.spooler), settings.spooler, mules=1)
    board = SimpleNamespace(
        population=population,
        signals={name: RecordingPipe() for name in population.pipes},
        spooler_bells={path: RecordingBell() for path in settings.spooler},
        control_out=Told(),
        targets=TargetTable(1 << 16),
    )
    scoreboard = Scoreboard(8, 1)
    new_store: Callable[[str], Any] = lambda _directory: MemoryStore()  # noqa: E731
    return Runtime(settings, board, scoreboard, LockTable(1), new_store, generation=1)  # type: ignore[arg-type]


def seat(runtime: Runtime, kind: str, number: int, *, pid: int = 4242) -> None:
    """Give the runtime's process a row of its own, as after a fork."""
    row = runtime.scoreboard.free_row()
    assert row is not None
    row.assign(Seat(kind, number), 1, 0)
    row.set_state(State.READY, pid)
    runtime.sit(row)


@pytest.fixture
def runtime() -> Runtime:
    """A zygote's runtime: two workers, the spool directories /spool/a and /spool/b."""
    return make_runtime(spooler=("/spool/a", "/spool/b"))


@pytest.fixture
def uwsgi(runtime: Runtime) -> Any:
    """The module an application of that server gets."""
    return Surface(runtime)
