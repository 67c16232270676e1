"""What the primitives cost beside real uWSGI's: locks, RPC, mules, signals, timers, as ratios.

Both servers run one ini and one application (`apps/bench_primitives.py`), which measures from
inside a worker. Rounds are interleaved, and each round of ours is compared with uWSGI's of the same
round.

Runs in: a process of its own: `make bench`, or `python -m benchmarks.primitives --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

if not __package__:  # run by its path, and then this folder's http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import harness
from benchmarks.harness import Missing, Program, Trouble
from benchmarks.pairs import OURS, SERVERS, Figures, Result, Row, as_json, render

HEADING = "Primitives: time"
WORKERS = 4
CONTENTION_S = 0.3
TIMERS, MANY_TIMERS = 60, 1000
"""uWSGI has room for 64 timers."""
TICKS_S = 6.0
TICK = struct.Struct("Id")

INI = f"""\
[uwsgi]
master = true
processes = {WORKERS}
mules = 2
locks = 2
need-app = true
disable-logging = true
die-on-term = true
module = bench_primitives
pythonpath = {harness.APPS}
http-socket = 127.0.0.1:%(port)
socket = 127.0.0.1:%(rpc_port)
socket = %(rpc_path)
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A running server: where its worker is asked, and where its functions can be called."""

    port: int
    rpc_port: int
    rpc_path: str

    def ask(self, probe: str, **arguments: object) -> dict[str, float]:
        """A probe's figures; raises Trouble where it failed."""
        status, body = harness.get(self.port, f"/{probe}?{urlencode(arguments)}", timeout=30)
        if status != 200:
            raise Trouble(f"{probe} failed in the server: {status} {body.decode().strip()[:200]}")
        figures: dict[str, float] = json.loads(body)
        return figures


# -- the probes ------------------------------------------------------------------------------------


def rpc_unix(node: Node) -> Figures:
    """Call on the unix socket: another worker answers."""
    return node.ask("rpc", node=node.rpc_path, n=500)


def rpc_tcp(node: Node) -> Figures:
    """Call over loopback."""
    return node.ask("rpc", node=f"127.0.0.1:{node.rpc_port}", n=500)


def contended(node: Node) -> Figures:
    """All workers want one lock: wall time by how many times it was had."""
    for _ in range(20):  # until each request has found a worker of its own
        start = time.monotonic() + 0.2
        ask = partial(node.ask, "contend", start=start, seconds=CONTENTION_S)
        with ThreadPoolExecutor(WORKERS) as pool:
            found = [future.result() for future in [pool.submit(ask) for _ in range(WORKERS)]]
        if len({each["pid"] for each in found}) == WORKERS:
            return {"median": CONTENTION_S / sum(each["count"] for each in found)}
    raise Trouble(f"{WORKERS} requests at a time never had {WORKERS} workers")


def loaded_signal(node: Node) -> Figures:
    """Raise signals for the first idle worker while requests keep the workers busy."""
    with load(node.port):
        return node.ask("signal", number=18, n=300)


@contextlib.contextmanager
def load(port: int) -> Iterator[None]:
    """Ask all the time, over connections that are used once, as both servers have them."""
    wrk = harness.find_program("wrk", install="sudo apt-get install wrk")
    url = f"http://127.0.0.1:{port}/"
    command = [wrk, "-t1", "-c8", "-d60", "-H", "Connection: close", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def asking(probe: str, **arguments: object) -> Callable[[Node], Figures]:
    """A probe that needs nothing but one request."""
    return lambda node: node.ask(probe, **arguments)


RPC_LOCAL = asking("rpc", node="", n=5000)
SMALL_TRIP = asking("mule_trip", n=300, size=8)
IDLE_SIGNAL = asking("signal", number=17, n=300)

ROWS = (
    Row("lock", "lock and unlock, free", asking("lock", n=50_000)),
    Row("contended", "lock and unlock, wanted by 4 processes", contended),
    Row("rpc-local", "RPC in the same process", RPC_LOCAL),
    Row("rpc-unix", "RPC over a unix socket", rpc_unix),
    Row("rpc-unix-p99", "RPC over a unix socket, p99", rpc_unix, "p99"),
    Row("rpc-tcp", "RPC over TCP", rpc_tcp),
    Row("rpc-tcp-p99", "RPC over TCP, p99", rpc_tcp, "p99"),
    Row("mule-send", "mule message, the sender's cost", asking("mule_send", n=200)),
    Row("mule-trip", "mule message, small: sent to handled", SMALL_TRIP),
    Row("mule-60k", "mule message, 60 KB", asking("mule_trip", n=100, size=60_000)),
    Row("mule-1m", "mule message, 1 MB", asking("mule_trip", n=30, size=1 << 20)),
    Row("signal", "signal raised to handled, to a mule", IDLE_SIGNAL),
    Row("signal-p99", "signal raised to handled, p99", IDLE_SIGNAL, "p99"),
    Row("signal-worker", "signal to an idle worker", asking("signal", number=18, n=300)),
    Row("signal-load", "signal to a worker, all under load", loaded_signal),
    Row("signal-load-p99", "signal under load, p99", loaded_signal, "p99"),
)
TIMER_ROW = Row("timers", f"{TIMERS} timers of 1 s, p99 of jitter", lambda _: {})
MANY_ROW = Row("timers-1000", f"{MANY_TIMERS:,} timers of 1 s, p99 of jitter", lambda _: {})


def jitter(ticks: Sequence[tuple[int, float]], period: float) -> Figures:
    """How far from their period the pauses between each timer's ticks are, p99.

    Empty where no timer ticked twice.
    """
    by_timer: dict[int, list[float]] = {}
    for number, when in ticks:
        by_timer.setdefault(number, []).append(when)
    off = sorted(
        abs(later - earlier - period)
        for times in by_timer.values()
        for earlier, later in itertools.pairwise(times)
    )
    return {"median": off[min(len(off) - 1, len(off) * 99 // 100)]} if off else {}


# -- the run ---------------------------------------------------------------------------------------


def start(
    name: str, folder: Path, stack: contextlib.ExitStack, env: Mapping[str, str] | None = None
) -> Node:
    """Start one server in a folder of its own."""
    folder.mkdir()
    node = Node(harness.free_port(), harness.free_port(), str(folder / "rpc.sock"))
    (folder / "bench.ini").write_text(INI)
    values = asdict(node)
    places = [f"--set={key}={value}" for key, value in values.items()]
    command = [*SERVERS[name](), *places, "--ini", str(folder / "bench.ini")]
    program = Program(name, command, folder=folder, env=dict(env or {}))
    stack.enter_context(program)
    program.start(lambda: harness.is_serving(node.port))
    return node


def measure(rows: Sequence[Row], wanted: Sequence[str], rounds: int) -> list[Result]:
    """All rounds of the rows, the servers in turn; a probe two rows share runs once a round."""
    results = [Result(row) for row in rows]
    probes = list(dict.fromkeys(row.probe for row in rows))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        contextlib.ExitStack() as stack,
    ):
        nodes = {name: start(name, Path(folder) / name, stack) for name in wanted}
        for number in range(-1, rounds):  # the first one warms up
            for probe in probes:
                for name, node in nodes.items():
                    figures = probe(node)
                    for result in results:
                        if number >= 0 and result.row.probe is probe:
                            result.add(name, figures)
    return results


def measure_timers(row: Row, counts: Mapping[str, int], rounds: int) -> Result:
    """Let the servers' timers tick for a while, one server at a time; most of it is waiting."""
    result = Result(row)
    for _ in range(rounds):
        for name, count in counts.items():
            result.add(name, jitter(ticks_of(name, count), 1.0))
    return result


def ticks_of(name: str, count: int) -> list[tuple[int, float]]:
    """The ticks of so many timers: which, and when."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        contextlib.ExitStack() as stack,
    ):
        ticks = Path(folder) / "ticks"
        env = {"BENCH_TIMERS": str(count), "BENCH_TICKS": str(ticks)}
        start(name, Path(folder) / name, stack, env)
        time.sleep(TICKS_S)
        data = ticks.read_bytes()
    return list(TICK.iter_unpack(data[: len(data) // TICK.size * TICK.size]))


def arguments() -> argparse.Namespace:
    """The command line."""
    names = [row.name for row in (*ROWS, TIMER_ROW, MANY_ROW)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.primitives", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of every row (7)")
    parser.add_argument("--rows", help=f"some of: {', '.join(names)}")
    parser.add_argument("--servers", help=f"some of: {', '.join(SERVERS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def run(options: argparse.Namespace) -> list[Result]:
    """Measure what was asked for."""
    every = (*ROWS, TIMER_ROW, MANY_ROW)
    names = harness.chosen([row.name for row in every], options.rows)
    wanted = harness.chosen(SERVERS, options.servers)
    results = measure([row for row in ROWS if row.name in names], wanted, options.rounds)
    timer_rounds = min(options.rounds, 5)
    if TIMER_ROW.name in names:
        counts = dict.fromkeys(wanted, TIMERS)
        results.append(measure_timers(TIMER_ROW, counts, timer_rounds))
    if MANY_ROW.name in names and OURS in wanted:
        results.append(measure_timers(MANY_ROW, {OURS: MANY_TIMERS}, timer_rounds))
    if options.json:
        options.json.write_text(json.dumps(as_json(results, HEADING), indent=1) + "\n")
    return results


def main() -> int:
    """Measure and print; 1 with one clear line when something needed is missing."""
    options = arguments()
    try:
        results = run(options)
    except (Missing, Trouble) as error:
        print(error, file=sys.stderr)
        return 1
    print(render(results), end="\n\n")
    print(
        f"{WORKERS} workers and 2 mules each, one ini; {options.rounds} interleaved rounds (timers:"
        f" at most 5, of {TICKS_S:g} s); {os.cpu_count()} processors, Python"
        f" {platform.python_version()}. Ratios: median (least-most) of uWSGI's time by ours in the"
        " same round. Times: medians of the rounds. uWSGI takes no message over its socket's"
        " buffer, and no more than 64 timers."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
