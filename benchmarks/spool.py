"""Enqueue cost, tasks per second and start latency of spoolers and queues, as ratios of one run.

Two tables. The first compares muleteer with real uWSGI, celery, rq, huey and dramatiq, in
interleaved rounds; the second shows one server while 10 to 1,000,000 tasks wait for their day.
Every task appends one record to a file: when it was sent, when it started.

Runs in: a process of its own: `make bench`, or `python -m benchmarks.spool --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # run by its path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import harness, queues
from benchmarks.apps.bench_record import RECORD
from benchmarks.harness import Missing, Program, Spread, Trouble
from benchmarks.queues import System

BASE = "uwsgi"
PROBES, PROBE_GAP_S = 50, 0.02
PATIENCE_S = 35.0
"""How long to wait for tasks: uWSGI looks again after 30 s when a wake-up was lost."""
FUTURE = 4_000_000_000.0
FLAT = "10,1000,100000,1000000"
NICENESS = 19
"""Spoolers give way to everything else, uWSGI's and ours; the others and all producers do so here,
too, so that a busy machine hits all alike."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one round of one system gave."""

    enqueue_us: float
    """Microseconds of one enqueuing call."""
    drain_per_s: float
    """Tasks per second out of a queue that was filled before."""
    drain_cpu_us: float
    """Processor time of the consumer for each of those."""
    live_per_s: float
    """Tasks per second from the first enqueue to the last start, the consumer idle at first."""
    latency_ms: float
    """From the enqueue to the start, the median of tasks that find the consumer idle."""
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; a ratio says how many times better than uWSGI it is."""

    title: str
    unit: str
    value: Callable[[Measure], float]
    more_is_better: bool = True

    def ratio(self, measure: Measure, base: Measure) -> float | None:
        ours, theirs = self.value(measure), self.value(base)
        if not ours or not theirs:
            return None
        return ours / theirs if self.more_is_better else theirs / ours


FIGURES = (
    Figure("drain of a filled queue", " tasks/s", lambda one: one.drain_per_s),
    Figure("its processor time", " us/task", lambda one: one.drain_cpu_us, more_is_better=False),
    Figure("enqueue and run at once", " tasks/s", lambda one: one.live_per_s),
    Figure("enqueue", " us", lambda one: one.enqueue_us, more_is_better=False),
    Figure("start latency, median", " ms", lambda one: one.latency_ms, more_is_better=False),
    Figure("start latency, worst", " ms", lambda one: one.worst_ms, more_is_better=False),
)


# -- records ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """What tasks noted at their start, in that order."""

    sent: Sequence[float]
    at: Sequence[float]
    cpu_s: Sequence[float]

    def latencies_ms(self) -> list[float]:
        """From each task's enqueue to its start."""
        return [(at - sent) * 1e3 for sent, at in zip(self.sent, self.at, strict=True)]


class Records:
    """The file that the tasks of one system write."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "records"
        self._read = 0

    def wait_for(self, count: int, since: float, patience_s: float = PATIENCE_S) -> Started:
        """The tasks sent since then, when so many have started; raises Trouble when none does."""
        deadline = time.monotonic() + patience_s
        found: list[tuple[float, ...]] = []
        while len(found) < count and time.monotonic() < deadline:
            time.sleep(0.002)
            found += [one for one in self._new() if one[0] >= since]
        if not found:
            raise Trouble(f"no task started within {patience_s:g} s")
        return Started(*zip(*found, strict=True))

    def _new(self) -> Iterator[tuple[float, ...]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = len(data) // RECORD.size * RECORD.size
        self._read += whole
        yield from RECORD.iter_unpack(data[:whole])


# -- one round of one system -----------------------------------------------------------------------


def measure(system: System, records: Records) -> Measure:
    """Drain a filled queue, then enqueue one by one, then all at once."""
    count = system.batch
    begun = time.time()
    system.fill(count, sent=begun)
    with system.start():
        drained = records.wait_for(count, begun)
        probed = probe(system, records)
        live, enqueue_us = enqueue_and_run(system, records)
    seconds = drained.at[-1] - drained.at[0]
    cpu_us = (drained.cpu_s[-1] - drained.cpu_s[0]) * 1e6 / len(drained.at)
    return Measure(
        enqueue_us=enqueue_us,
        drain_per_s=len(drained.at) / seconds,
        drain_cpu_us=cpu_us,
        live_per_s=live,
        latency_ms=statistics.median(probed),
        worst_ms=max(probed),
    )


def probe(system: System, records: Records) -> list[float]:
    """Start latencies in ms of tasks that find the consumer idle."""
    begun = time.time()
    system.enqueue(PROBES, PROBE_GAP_S)
    return records.wait_for(PROBES, begun).latencies_ms()


def enqueue_and_run(system: System, records: Records) -> tuple[float, float]:
    """Tasks per second from first enqueue to last start, and microseconds of one enqueue."""
    count = system.batch // 4
    begun = time.time()
    seconds = system.enqueue(count)
    started = records.wait_for(count, begun)
    return len(started.at) / (max(started.at) - min(started.sent)), seconds * 1e6 / count


def compare(names: Sequence[str], rounds: int, place: Path) -> dict[str, list[Measure]]:
    """All rounds of all systems, interleaved; one that is missing is said and left out."""
    found: dict[str, list[Measure]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        redis, port = queues.start_redis(folder)
        stack.enter_context(redis)
        for turn in range(rounds):
            for one in [name for name in names if name in found]:
                print(f"round {turn + 1}/{rounds}: {one} …", file=sys.stderr)
                own = folder / f"{one}-{turn}"
                try:
                    with queues.new_system(one, own, place, port) as system:
                        found[one].append(measure(system, Records(own)))
                except (Missing, Trouble) as error:
                    print(f"{one} left out: {error}", file=sys.stderr)
                    del found[one]
    return found


# -- flatness --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flat:
    """One server while so many tasks wait for a day to come."""

    waiting: int
    at_start_ms: float
    """The worst start latency right after the server's start, while it reads the directory."""
    enqueue_us: float
    live_per_s: float
    latency_ms: float
    worst_ms: float
    idle_cpu_percent: float
    memory_mb: float


def flatness(name: str, waiting: int, place: Path) -> Flat:
    """The same three figures, what it costs to wait, and the spooler's own memory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary) / name
        with queues.new_system(name, folder, place, redis=0) as system:
            print(f"{name}: {waiting:,} tasks wait …", file=sys.stderr)
            system.fill(waiting, sent=0.0, at=FUTURE)
            records = Records(folder)
            with system.start() as server:
                at_start = max(probe(system, records))
                idle = until_idle(server)
                latencies = probe(system, records)
                live, enqueue_us = enqueue_and_run(system, records)
                memory = server.largest_private_mb()
    return Flat(
        waiting,
        at_start,
        enqueue_us,
        live,
        statistics.median(latencies),
        max(latencies),
        idle,
        memory,
    )


def until_idle(server: Program, seconds: float = 3.0, patience_s: float = 180.0) -> float:
    """Processor time of a server with nothing to do, in percent of one processor.

    It is measured when the directory has been read, or at last when the patience is over.
    """
    deadline = time.monotonic() + patience_s
    while True:
        before = server.cpu_seconds()
        time.sleep(seconds)
        percent = (server.cpu_seconds() - before) / seconds * 100
        if percent < 5.0 or time.monotonic() > deadline:
            return percent


# -- words -----------------------------------------------------------------------------------------


def render(found: dict[str, list[Measure]]) -> str:
    """A line per figure, a column per system: the base's own figures, the others' ratios to it."""
    return harness.table(
        [f"times better than {BASE}", *found],
        [[figure.title, *(cell(figure, found, name) for name in found)] for figure in FIGURES],
    )


def cell(figure: Figure, found: dict[str, list[Measure]], name: str) -> str:
    """The median and the spread of a system's ratios, and its figure itself."""
    median = Spread.of(figure.value(one) for one in found[name]).median
    text = f"{harness.thousands(median)}{figure.unit}"
    if name == BASE or BASE not in found:
        return text
    ratio = spread(figure, found, name)
    return f"{ratio}, {text}" if ratio else text


def spread(figure: Figure, found: dict[str, list[Measure]], name: str) -> Spread | None:
    """A system's ratios to the base, over the rounds; None where either was not measured."""
    pairs = zip(found.get(name, ()), found.get(BASE, ()), strict=False)
    ratios = [ratio for pair in pairs if (ratio := figure.ratio(*pair)) is not None]
    return Spread.of(ratios) if ratios else None


def chart(found: dict[str, list[Measure]], name: str) -> dict[str, dict[str, float] | None]:
    """A system's ratios, by figure."""
    ratios = {figure.title: spread(figure, found, name) for figure in FIGURES}
    return {title: asdict(ratio) if ratio else None for title, ratio in ratios.items()}


def render_flat(rows: Sequence[Flat]) -> str:
    """A line per number of waiting tasks."""
    head = [
        "waiting",
        "at start ms",
        "enqueue us",
        "run at once /s",
        "latency ms",
        "worst ms",
        "idle CPU %",
    ]
    return harness.table(
        [*head, "spooler MB"],
        [
            [f"{row.waiting:,}", *map(harness.thousands, list(asdict(row).values())[1:])]
            for row in rows
        ],
    )


def default_place() -> Path:
    """A file system in memory where there is one: Redis keeps its queues there, too."""
    shm = Path("/dev/shm")
    return shm if os.access(shm, os.W_OK) else Path(tempfile.gettempdir())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spool", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of every system (3); 0: only --flat")
    parser.add_argument("--systems", help=f"some of: {', '.join(queues.NAMES)}")
    parser.add_argument(
        "--flat", default=FLAT, help=f"how many tasks wait ({FLAT}); nothing for none"
    )
    parser.add_argument("--flat-system", default="muleteer", help="whose flatness (muleteer)")
    parser.add_argument(
        "--place", type=Path, default=default_place(), help="where spool directories are made"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def main() -> int:
    """Measure and print; 1 with one clear line when something needed is missing."""
    options = arguments()
    os.nice(NICENESS)
    counts = [int(word) for word in options.flat.split(",") if word]
    try:
        names = harness.chosen(queues.NAMES, options.systems)
        found = compare(names, options.rounds, options.place) if options.rounds else {}
        flat = [flatness(options.flat_system, count, options.place) for count in counts]
    except (Missing, Trouble) as error:
        print(error, file=sys.stderr)
        return 1
    if found:
        print(render(found), end="\n\n")
    if flat:
        print(f"{options.flat_system} while tasks wait:\n\n{render_flat(flat)}\n")
    if options.json:
        rounds = {name: [asdict(one) for one in measures] for name, measures in found.items()}
        charts = {"Spooled tasks": chart(found, queues.NAMES[0])}
        measured = {"rounds": rounds, "flat": [asdict(row) for row in flat], "charts": charts}
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    print(
        "One process enqueues, one consumes, all of them at the spoolers' niceness, logs off; "
        f"{options.rounds} interleaved rounds; spool "
        f"directories in {options.place}, Redis without persistence; {os.cpu_count()} processors, "
        f"Python {platform.python_version()}. Cells: median (least-most) of the ratios of each "
        "round, then the median figure. rq runs its SimpleWorker, which does not fork per job."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
