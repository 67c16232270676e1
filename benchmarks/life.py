"""A Django site's start, its reload, and the memory of all its processes, beside real uWSGI's.

Four workers, a mule and a spooler, one ini for both. For the memory there is a third: gunicorn
with celery's worker and beat, over redis, which is what one has without a spooler.

Runs in: a process of its own: `make bench`, or `python -m benchmarks.life --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal as unix_signals
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

if not __package__:  # run by its path, and then this folder's http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import harness, queues
from benchmarks.harness import Missing, Program, Trouble
from benchmarks.pairs import OURS, SERVERS, Figures, Result, Row, as_json, render
from benchmarks.servers import BENCH

HEADING = "A Django site: time and memory"
WORKERS = 4
STACK = "gunicorn, celery, redis"
TICK_S = 0.002
REQUESTS = 100
"""Asked before the memory is looked at: what a process needs, it has by then."""

INI = f"""\
[uwsgi]
master = true
processes = {WORKERS}
mules = 1
spooler = %d/tasks
need-app = true
disable-logging = true
die-on-term = true
module = bench_site
pythonpath = {harness.APPS}
http-socket = 127.0.0.1:%(port)
"""


@contextlib.contextmanager
def site(name: str, folder: Path) -> Iterator[tuple[Program, int, float]]:
    """A running site: its program, its port, and how long it took to the first answer."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "bench.ini").write_text(INI)
    port = harness.free_port()
    command = [*SERVERS[name](), f"--set=port={port}", "--ini", str(folder / "bench.ini")]
    with Program(name, command, folder=folder) as program:
        started = time.monotonic()
        program.start(lambda: harness.is_serving(port), tick_s=TICK_S)
        yield program, port, time.monotonic() - started


def whole_life(name: str, folder: Path) -> Figures:
    """Start, answer, be looked at, reload."""
    with site(name, folder) as (program, port, start):
        warm(port)
        memory = program.memory_mb()
        new, longest = reload(program, port)
        return {"start": start, "memory": memory, "reload": new, "longest": longest}


def warm(port: int) -> None:
    """Let every worker have answered."""
    for _ in range(REQUESTS):
        harness.get(port)


def reload(program: Program, port: int) -> tuple[float, float]:
    """Seconds to the first answer of newly loaded code, and the longest that anybody waited."""
    old = harness.get(port, "/born")
    asked = started = time.monotonic()
    longest = 0.0
    program.send(unix_signals.SIGHUP)
    while True:
        answer = harness.get(port, "/born", timeout=20.0)
        now = time.monotonic()
        longest = max(longest, now - asked)
        if answer != old:
            return now - started, longest
        asked = now


def stack_memory(folder: Path) -> Figures:
    """The memory of gunicorn, celery's worker and beat, and redis."""
    port = harness.free_port()
    celery = [harness.find_program("celery", install=BENCH), "-A", "bench_celery"]
    gunicorn = [harness.find_program("gunicorn", install=BENCH), "--workers", str(WORKERS)]
    parts: list[tuple[str, Sequence[str], Callable[[Program], bool]]] = [
        (
            "gunicorn",
            [*gunicorn, "--bind", f"127.0.0.1:{port}", "bench_site:application"],
            lambda _: harness.is_serving(port),
        ),
        ("worker", [*celery, "worker", "--concurrency", "1", "-l", "INFO"], said(" ready.")),
        ("beat", [*celery, "beat", "-l", "INFO"], said("beat: Starting")),
    ]
    folder.mkdir()
    with contextlib.ExitStack() as running:
        redis, redis_port = queues.start_redis(folder)
        programs = [running.enter_context(redis)]
        env = {
            "BENCH_BROKER": f"redis://127.0.0.1:{redis_port}/0",
            "PYTHONPATH": str(harness.APPS),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name, command, is_ready in parts:
            program = running.enter_context(Program(name, command, folder=folder, env=env))
            programs.append(program)
            program.start(lambda ready=is_ready, it=program: ready(it))  # type: ignore[misc]
        warm(port)
        return {"memory": sum(program.memory_mb() for program in programs)}


def said(words: str) -> Callable[[Program], bool]:
    """Has a program said so in its log?"""
    return lambda program: words in program.log.read_text(errors="replace")


ROWS = (
    Row("start", "start to first answer", whole_life, "start"),
    Row("reload", "reload to first new answer", whole_life, "reload"),
    Row("longest", "longest wait during a reload", whole_life, "longest"),
    Row("memory", "memory of all processes (PSS)", whole_life, "memory", harness.megabytes),
)


def measure(rounds: int, wanted: Sequence[str]) -> list[Result]:
    """All rounds, each with a server of its own."""
    results = [Result(row) for row in ROWS]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            for name in wanted:
                place = Path(folder) / f"{name}{number}"
                found = stack_memory(place) if name == STACK else whole_life(name, place)
                for result in results:
                    result.add(name, found)
    return results


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every row (5)")
    parser.add_argument("--servers", help=f"some of: {'; '.join([*SERVERS, STACK])}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def main() -> int:
    """Measure and print; 1 with one clear line when something needed is missing."""
    options = arguments()
    try:
        wanted = harness.chosen([*SERVERS, STACK], options.servers, between=";")
        results = measure(options.rounds, wanted)
    except (Missing, Trouble) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(as_json(results, HEADING), indent=1) + "\n")
    print(render(results), end="\n\n")
    memory = results[-1].ratio(STACK)
    print(
        f"A Django site with {WORKERS} workers, a mule and a spooler, one ini; {options.rounds}"
        f" interleaved rounds; {os.cpu_count()} processors, Python {platform.python_version()}."
        " Ratios: median (least-most) of uWSGI's value by ours in the same round."
        + (f" The stack of {STACK} has {memory} times the memory of {OURS}." if memory else "")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
