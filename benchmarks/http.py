"""Requests per second of muleteer, real uWSGI, gunicorn and granian, as ratios of one run.

Rounds are interleaved (A B C, A B C, …) and each round's figures are divided by uWSGI's of the
same round: what the machine does meanwhile hits all alike. `wrk` makes the load.

Runs in: a process of its own: `make bench`, or `python -m benchmarks.http --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

if not __package__:  # run by its path, and then this folder's http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import harness, servers
from benchmarks.harness import Missing, Program, Spread, Trouble
from benchmarks.servers import Contender

BASE = ("uwsgi", "uwsgi-http")
"""What a row's ratios are against: the first of these that ran in the row."""

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.8,it;q=0.5,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://www.example.org/videos/holiday?from=start&page=2",
    "DNT": "1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
    "Cache-Control": "max-age=0",
    "If-None-Match": 'W/"5f8f0c4d-2ab"',
    "Cookie": "sessionid=k3j4h5k3j4h5k6j7h8g9f0d1s2a3q4w5; csrftoken=" + "c" * 32 + "; theme=dark",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what is asked, of which application."""

    name: str
    title: str
    app: str = "bench_plain"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    post_bytes: int = 0
    keeps_alive: bool = True
    behind_nginx: bool = False
    connections: int | None = None
    four_threads: bool = False
    slow_clients: int = 0
    """Others who sent half a request and stay."""

    def contenders(self) -> Sequence[Contender]:
        """Who takes part: without keep-alive, uWSGI does so with its closing socket only."""
        if self.behind_nginx:
            return servers.BEHIND_NGINX
        if self.four_threads:
            return servers.FOUR_THREADS
        closing = ("uwsgi", "uwsgi-threads") if not self.keeps_alive else ()
        return [one for one in servers.CONTENDERS if one.name not in closing]


ROWS = (
    Row("hello", "hello, keep-alive, bare headers"),
    Row("two", "hello, keep-alive, 2 clients only", connections=2),
    Row("browser", "hello, a browser's 15 headers and cookies", headers=BROWSER),
    Row("close", "hello, no keep-alive", headers={"Connection": "close"}, keeps_alive=False),
    Row("10k", "10 KB answer", path="/10k"),
    Row("1m", "1 MB answer", path="/1m"),
    Row("post", "100 KB POST, read by the app", path="/read", post_bytes=102_400),
    Row("flask", "Flask hello", app="bench_flask"),
    Row("django", "Django hello", app="bench_django"),
    Row("threads", "hello, threads = 4", four_threads=True, connections=8),
    Row("slow", "hello, beside 1,000 slow clients", slow_clients=1000),
    Row("nginx", "hello, behind nginx (uwsgi protocol)", behind_nginx=True),
)


@dataclass(frozen=True, slots=True)
class Load:
    """How hard and how long `wrk` asks in one round."""

    seconds: int
    connections: int
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Measure:
    """What one round of one server gave; `errors` counts lost connections and non-2xx/3xx.

    `cpu_us` is the processor time of the server's own processes for one request: it stands still
    where the requests per second tremble, because others use the machine too.
    """

    per_second: float
    p99_ms: float
    errors: int
    timeouts: int
    cpu_us: float = 0.0

    @classmethod
    def parse(cls, output: str, cpu_seconds: float = 0.0) -> Measure:
        """Read what wrk.lua printed; raises Trouble where it is not there."""
        lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if not lines:
            raise Trouble(f"wrk did not say what it measured: {output.strip()[-300:]}")
        said: dict[str, int] = json.loads(lines[-1].removeprefix("RESULT "))
        errors = sum(said[name] for name in ("connect", "read", "write", "status"))
        per_second = said["requests"] / max(said["microseconds"], 1) * 1e6
        cpu_us = cpu_seconds * 1e6 / said["requests"] if said["requests"] else 0.0
        return cls(per_second, said["p99_us"] / 1e3, errors, said["timeout"], cpu_us)


@dataclass(frozen=True, slots=True)
class Figure:
    """One way to look at the measures, where more is better; the base's cell has its unit."""

    title: str
    unit: str
    value: Callable[[Measure], float]


SPEED = Figure("requests/s, as a ratio to uWSGI's", "/s", lambda one: one.per_second)
THRIFT = Figure(
    "requests per second of the server's own CPU time, as a ratio to uWSGI's",
    "/CPU s",
    lambda one: 1e6 / one.cpu_us if one.cpu_us else 0.0,
)


@dataclass(slots=True)
class Result:
    """A row and, by server, the measures of its rounds and how many of its clients starve."""

    row: Row
    rounds: dict[str, list[Measure]]
    waiting: dict[str, int] = field(default_factory=dict)

    def values(self, server: str, figure: Figure) -> list[float]:
        """A figure of a server, round by round."""
        return [figure.value(measure) for measure in self.rounds[server]]

    def base(self) -> str | None:
        """The server that is 1.0 here, or None where uWSGI did not run."""
        return next((name for name in BASE if name in self.rounds), None)

    def ratio(self, server: str, figure: Figure = SPEED) -> Spread | None:
        """A server's figure by uWSGI's, over the rounds."""
        base = self.base()
        if base is None or server not in self.rounds:
            return None
        found = harness.ratios(self.values(server, figure), self.values(base, figure))
        return Spread.of(found) if found else None

    def faults(self, server: str) -> str:
        """What went wrong for its clients, in words; nothing when nothing did."""
        errors = sum(measure.errors for measure in self.rounds[server])
        timeouts = sum(measure.timeouts for measure in self.rounds[server])
        starving = self.waiting.get(server, 0)
        words = [(errors, "errors"), (timeouts, "timeouts"), (starving, "clients starve")]
        return ", ".join(f"{count} {word}" for count, word in words if count)

    def cell(self, server: str, figure: Figure = SPEED) -> str:
        """One cell: the ratio and its spread, the figure where there is no ratio, the faults."""
        if server not in self.rounds:
            return "-"
        ratio = self.ratio(server, figure)
        text = str(ratio)
        if ratio is None or server == self.base():
            median = Spread.of(self.values(server, figure)).median
            text = f"{harness.thousands(median)}{figure.unit}"
        faults = self.faults(server)
        return f"{text} **! {faults}**" if faults else text


def render(results: Sequence[Result], figure: Figure = SPEED) -> str:
    """The table: a line per row, a column per server; uWSGI's own columns in requests/s."""
    present = {name for result in results for name in result.rounds}
    names = [one.name for one in servers.CONTENDERS if one.name in present]
    lines = [
        [result.row.title, *(result.cell(name, figure) for name in names)] for result in results
    ]
    return harness.table([figure.title, *names], lines)


def as_json(results: Sequence[Result], load: Load) -> dict[str, Any]:
    """All rounds of all rows, with the ratios, for a machine to read."""
    rows = {
        result.row.name: {
            server: {
                "rounds": [asdict(measure) for measure in measures],
                "starving_clients": result.waiting.get(server, 0),
                "ratio": asdict(ratio) if (ratio := result.ratio(server)) else None,
                "cpu_ratio": asdict(ratio) if (ratio := result.ratio(server, THRIFT)) else None,
            }
            for server, measures in result.rounds.items()
        }
        for result in results
    }
    return {
        "load": asdict(load),
        "python": platform.python_version(),
        "rows": rows,
        "charts": {
            "HTTP: requests per second": chart(results, SPEED),
            "HTTP: requests per second of processor time": chart(results, THRIFT),
        },
    }


def chart(results: Sequence[Result], figure: Figure) -> dict[str, dict[str, float] | None]:
    """Our ratio in each row, by its title; None in a row without one."""
    ours = {result.row.title: result.ratio("muleteer", figure) for result in results}
    return {title: asdict(ratio) if ratio else None for title, ratio in ours.items()}


# -- the run ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """A running server: whom to charge, where to ask."""

    server: Program
    port: int


def ask(wrk: str, row: Row, target: Target, load: Load) -> Measure:
    """One round of one server."""
    headers = [word for pair in row.headers.items() for word in ("-H", ": ".join(pair))]
    threads, connections = f"-t{load.threads}", f"-c{row.connections or load.connections}"
    script = ["-s", str(harness.ROOT / "benchmarks" / "wrk.lua")]
    url = f"http://127.0.0.1:{target.port}{row.path}"
    post = ["--", str(row.post_bytes)] if row.post_bytes else []
    command = [wrk, threads, connections, f"-d{load.seconds}", *script, *headers, url, *post]
    limit = load.seconds + 30
    with harness.slow_clients(target.port, row.slow_clients):
        before = target.server.cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        used = target.server.cpu_seconds() - before
    try:
        return Measure.parse(done.stdout + done.stderr, used)
    except Trouble as error:  # the server has gone: the others' figures are still worth having
        print(f"{row.name}: {error}", file=sys.stderr)
        return Measure(per_second=0.0, p99_ms=0.0, errors=1, timeouts=0)


@contextlib.contextmanager
def serving(row: Row, wanted: Sequence[str], folder: Path) -> Iterator[dict[str, Target]]:
    """The row's servers, all running, by name. A missing one is said and left out."""
    with contextlib.ExitStack() as stack:
        targets: dict[str, Target] = {}
        for contender in row.contenders():
            if contender.name not in wanted:
                continue
            try:
                targets[contender.name] = start(contender, row, folder, stack)
            except (Missing, Trouble) as error:
                print(f"{row.name}: {contender.name} left out: {error}", file=sys.stderr)
        yield targets


def start(contender: Contender, row: Row, folder: Path, stack: contextlib.ExitStack) -> Target:
    """Start one server, with nginx in front where the row has one."""
    port, name = harness.free_port(), f"{row.name}-{contender.name}"
    command = contender.command(row.app, port)
    server = Program(name, command, folder=folder, env=servers.ENVIRONMENT)
    stack.enter_context(server)
    if contender.speaks == "http":
        return Target(server.start(lambda: harness.is_serving(port)), port)
    front = harness.free_port()
    nginx = servers.nginx_command(folder / f"nginx-{contender.name}", front, port)
    proxy = stack.enter_context(Program(f"{name}-nginx", nginx, folder=folder))
    server.start(lambda: True)
    proxy.start(lambda: harness.is_serving(front))
    return Target(server, front)


def measure_row(wrk: str, row: Row, wanted: Sequence[str], load: Load, rounds: int) -> Result:
    """All rounds of one row, interleaved, after a warm-up of every server."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        serving(row, wanted, Path(folder)) as targets,
    ):
        result = Result(row, {name: [] for name in targets})
        for name, target in targets.items():
            ask(wrk, row, target, replace(load, seconds=1))
            if row.keeps_alive and not row.post_bytes and not row.slow_clients:
                clients = row.connections or load.connections
                result.waiting[name] = harness.waiting_clients(target.port, clients, row.path)
        for _ in range(rounds):
            for name, target in targets.items():
                result.rounds[name].append(ask(wrk, row, target, load))
    return result


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every row (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each server's round (2)")
    parser.add_argument("--connections", type=int, default=32, help="clients at a time (32)")
    parser.add_argument("--rows", help=f"some of: {', '.join(row.name for row in ROWS)}")
    parser.add_argument(
        "--servers", help=f"some of: {', '.join(one.name for one in servers.CONTENDERS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def run(options: argparse.Namespace) -> list[Result]:
    """Measure what was asked for; prints where it is, since it takes minutes."""
    harness.allow_many_files()
    wrk = harness.find_program("wrk", install="sudo apt-get install wrk")
    wanted = harness.chosen([one.name for one in servers.CONTENDERS], options.servers)
    names = harness.chosen([row.name for row in ROWS], options.rows)
    rows = [row for row in ROWS if row.name in names]
    load = Load(options.seconds, options.connections)
    turns = sum(sum(one.name in wanted for one in row.contenders()) for row in rows)
    longest = turns * (options.rounds * options.seconds + 3)
    print(f"at most {longest / 60:.0f} minutes", file=sys.stderr)
    results = []
    for number, row in enumerate(rows, 1):
        print(f"{number}/{len(rows)} {row.title} …", file=sys.stderr)
        results.append(measure_row(wrk, row, wanted, load, options.rounds))
    if options.json:
        options.json.write_text(json.dumps(as_json(results, load), indent=1) + "\n")
    return results


def main() -> int:
    """Measure and print; 1 with one clear line when something needed is missing."""
    options = arguments()
    try:
        results = run(options)
    except (Missing, Trouble) as error:
        print(error, file=sys.stderr)
        return 1
    for figure in (SPEED, THRIFT):
        print(render([result for result in results if result.rounds], figure), end="\n\n")
    print(
        f"{servers.WORKERS} workers each, request logs off, defaults otherwise; {options.rounds} "
        f"interleaved rounds of {options.seconds} s by wrk over {options.connections} "
        f"connections; {os.cpu_count()} processors, Python {platform.python_version()}. Cells: "
        "median (least-most) of the ratios of each round; the base is uWSGI's http11-socket, "
        "where there is no keep-alive its http-socket. A client starves when it gets no answer as "
        "long as the others keep their connections."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
