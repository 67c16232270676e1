"""The systems whose tasks are compared, and how each is filled, started and asked to enqueue.

One process consumes and one enqueues, in every system; logs are off, all else is the default.
Redis runs in memory alone, the spool directory is where the benchmark says.

Runs in: the benchmark's process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import harness, servers
from benchmarks.harness import APPS, Program, Trouble, find_program
from benchmarks.servers import BENCH
from muleteer.spool.directory import DirectoryStore

__all__ = ["NAMES", "System", "new_system", "start_redis"]


class System(Protocol):
    """One system under test."""

    name: str
    batch: int
    """How many tasks a round has; the slow ones have fewer, so that a round ends."""

    def fill(self, count: int, sent: float, at: float | None = None) -> None:
        """Have so many tasks wait while nobody consumes."""

    def start(self) -> Program:
        """Start to consume, and to be able to enqueue."""

    def enqueue(self, count: int, gap_s: float = 0.0) -> float:
        """Enqueue, and return the seconds that the calls took."""


def _environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(APPS),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BENCH_RECORDS": str(folder / "records"),
        **more,
    }


class Spooler:
    """muleteer or real uWSGI: a worker that enqueues and a spooler that runs."""

    batch = 20_000

    def __init__(self, name: str, folder: Path, options: Sequence[str], place: Path) -> None:
        self.name = name
        self._folder = folder
        self._options = options
        self._directory = place / f"spool-{name}-{os.getpid()}"
        self._port = 0

    def fill(self, count: int, sent: float, at: float | None = None) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        store = DirectoryStore(bytes(self._directory))
        task = {b"ud_spool_func": b"note", b"ud_spool_ret": b"-2", b"sent": b"%r" % sent}
        for _ in range(count):
            store.put(task, at=at)

    def start(self) -> Program:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._port = harness.free_port()
        program = Program(
            self.name, self._command(), folder=self._folder, env=_environment(self._folder)
        )
        return program.start(lambda: harness.is_serving(self._port), within=120)

    def enqueue(self, count: int, gap_s: float = 0.0) -> float:
        path = f"/?count={count}&gap={gap_s}"
        return float(harness.get(self._port, path, timeout=600)[1])

    def close(self) -> None:
        """Remove the directory with all that is left in it."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _command(self) -> list[str]:
        return [
            *self._program(),
            *("--master", "--processes", "1", "--disable-logging", "--need-app"),
            *("--http-socket", f"127.0.0.1:{self._port}"),
            *("--pythonpath", str(APPS), "--module", "bench_spool:application"),
            *("--spooler", str(self._directory), "--spooler-quiet", *self._options),
        ]

    def _program(self) -> list[str]:
        ours = self.name.startswith("muleteer")
        return servers.muleteer_program() if ours else servers.uwsgi_program()


class Queue:
    """A Python queue on Redis; `program` is its consumer, one process or thread of it."""

    batch = 1_000

    def __init__(self, name: str, folder: Path, command: Sequence[str], redis: int) -> None:
        self.name = name
        self._folder = folder
        self._command = command
        self._env = _environment(folder, BENCH_QUEUE=name, BENCH_REDIS=str(redis))

    def fill(self, count: int, sent: float, at: float | None = None) -> None:
        self.enqueue(count)

    def start(self) -> Program:
        program = find_program(self._command[0], install=BENCH)
        command = [program, *self._command[1:]]
        # there is nothing to ask: the first task that starts says that it is ready
        return Program(self.name, command, folder=self._folder, env=self._env).start(lambda: True)

    def enqueue(self, count: int, gap_s: float = 0.0) -> float:
        done = subprocess.run(
            [sys.executable, str(APPS / "bench_producer.py"), str(count), str(gap_s)],
            env=dict(os.environ) | self._env,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Trouble(f"{self.name} could not enqueue: {done.stderr.strip()[-300:]}")
        return float(done.stdout)

    def close(self) -> None:
        """Redis ends with the benchmark."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    options: Sequence[str] = ()
    command: Sequence[str] = ()


_RECIPES: Mapping[str, _Recipe] = {
    "muleteer": _Recipe(),
    "uwsgi": _Recipe(),
    # The best it can do: in the order of the enqueue, and woken every second, as wake-ups get lost.
    "uwsgi-best": _Recipe(("--spooler-ordered", "--spooler-frequency", "1")),
    "celery": _Recipe(command=("celery", "-A", "bench_queues", "worker", "-c", "1", "-l", "ERROR")),
    # SimpleWorker does not fork for every job, which the default worker does.
    "rq": _Recipe(command=("rq", "worker", "-q", "-w", "rq.worker.SimpleWorker", "-u", "{url}")),
    "huey": _Recipe(command=("huey_consumer", "-q", "bench_queues.huey")),
    "dramatiq": _Recipe(command=("dramatiq", "-p", "1", "-t", "1", "bench_queues")),
}
NAMES = tuple(_RECIPES)


@contextlib.contextmanager
def new_system(name: str, folder: Path, place: Path, redis: int) -> Iterator[System]:
    """One system with a folder of its own for logs and records; removed at the end."""
    recipe = _RECIPES[name]
    folder.mkdir()
    if recipe.command:
        url = f"redis://127.0.0.1:{redis}/0"
        command = [word.format(url=url) for word in recipe.command]
        yield Queue(name, folder, command, redis)
        return
    spooler = Spooler(name, folder, recipe.options, place)
    try:
        yield spooler
    finally:
        spooler.close()


def start_redis(folder: Path) -> tuple[Program, int]:
    """A Redis of our own, in memory alone; returns it and its port."""
    port = harness.free_port()
    program = find_program("redis-server", install="sudo apt-get install redis-server")
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    redis = Program("redis", [program, *options, "--dir", str(folder)], folder=folder)
    return redis.start(lambda: harness.accepts(port)), port
