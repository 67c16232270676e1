"""What shows a server from outside: the stats, and the lines of requests.

Runs in: the test process.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable
from typing import Any

from tests.differential.claims import Claim, Observe, Setup, rows_of
from tests.differential.looks import answer, evaluate
from tests.differential.probes import PROBE
from tests.differential.rows.life import left
from tests.harness import Server, eventually, http_raw
from tests.harness.clients import read_stats

PATIENCE_S = 15.0

SETUP = Setup(
    name="stats",
    app=PROBE,
    ini="processes = 2\nthreads = 2\nspooler = spool\nmules = 1\nlocks = 1\nstats = stats.sock",
    files={"spool/": ""},
)

stats_row = rows_of("Watching: stats", SETUP)

TOP = (
    "version listen_queue listen_queue_errors signal_queue load pid uid gid cwd locks sockets"
    " workers spoolers"
)
WORKER = (
    "id pid accepting requests delta_requests exceptions harakiri_count signals signal_queue"
    " status rss vsz running_time last_spawn respawn_count tx avg_rt apps cores"
)
CORE = (
    "id requests static_requests routed_requests offloaded_requests write_errors read_errors"
    " in_request vars req_info"
)
APPLICATION = "id modifier1 mountpoint startup_time requests exceptions chdir"
SOCKET = "name proto queue max_queue shared can_offload"
SPOOLER = "dir pid tasks respawns running"


def stats(server: Server) -> dict[str, Any]:
    """The server's stats, as whoever connects gets them."""
    return read_stats(str(server.folder / "stats.sock"), timeout=PATIENCE_S)


Pick = Callable[[dict[str, Any]], dict[str, Any]]


def types_of(names: str, pick: Pick) -> Observe:
    """The types of some values in a part of the stats; NoneType is one that is not there."""

    def look(server: Server) -> object:
        part = pick(stats(server))
        return {name: type(part.get(name)).__name__ for name in names.split()}

    return look


def _counted(server: Server) -> object:
    """How the counts grow by two requests and an exception."""

    def counts() -> list[int]:
        workers = stats(server)["workers"]
        cores = [core for worker in workers for core in worker["cores"]]
        names = ("requests", "delta_requests", "exceptions")
        sums = [sum(worker[name] for worker in workers) for name in names]
        return [*sums, sum(core["requests"] for core in cores)]

    before = counts()
    evaluate(server, "1")
    evaluate(server, "2")
    with contextlib.suppress(AssertionError, OSError):
        answer("/crash")(server)
    eventually(lambda: counts()[0] - before[0] == 3, within=PATIENCE_S)
    return [now - then for now, then in zip(counts(), before, strict=True)]


def _respawned(server: Server) -> object:
    """(requests, those since the respawn, spawned how often) of a worker that was killed."""
    evaluate(server, "1")
    old = stats(server)["workers"][0]
    os.kill(old["pid"], signal.SIGKILL)

    def new() -> dict[str, Any] | None:
        worker = stats(server)["workers"][0]
        return worker if worker["pid"] not in (0, old["pid"]) else None

    worker = eventually(new, within=PATIENCE_S)
    kept = worker["requests"] == old["requests"]
    return kept, worker["delta_requests"], worker["respawn_count"] - old["respawn_count"]


def _locked(server: Server) -> object:
    """Who holds user locks 0 and 1, while a worker holds the second one: its pid, and nobody."""
    pid = evaluate(server, "uwsgi.lock(1); os.getpid()")
    held = {name: owner for lock in stats(server)["locks"] for name, owner in lock.items()}
    return [held["user 0"], held["user 1"] == pid]


def _statuses(server: Server) -> object:
    """What the workers do: nothing."""
    return [worker["status"] for worker in stats(server)["workers"]]


# -- the lines of requests ---------------------------------------------------------------

LINES = """
import uwsgi

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/vars":
        uwsgi.set_logvar("mine", "hello")
        uwsgi.set_logvar(b"two", b"x y")
    if path == "/wanted":
        uwsgi.log_this_request()
    status = {"/missing": "404 Not Found", "/broken": "503 No"}.get(path, "200 OK")
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "2"), ("X", "y")])
    return [b"" if path == "/empty" else b"ok"]
"""

VARIABLES = (
    "method uri proto addr user host uagent referer status rsize hsize size headers cl modifier1"
    " modifier2 werr rerr ioerr wid core var.HTTP_X var.NO mine two nothing metric.x"
)

REQUEST = (
    "{method} {path} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: 100% a b\r\n{more}"
    "Connection: close\r\n\r\n"
)


def _setup(name: str, ini: str) -> Setup:
    return Setup(name=f"request log, {name}", app=LINES, ini=ini)


_named = "LINE " + " ".join(f"{name}=<%({name})>" for name in VARIABLES.split())
FORMATTED = _setup("a format", f"log-format = {_named}")
TIMED = _setup("times", "log-format = LINE %(time) %(tmsecs) %(tmicros) %(epoch) %(secs) %(ltime)")
PERCENT = _setup("a percent sign", "log-format = LINE %(method) 100%% of %(proto)")
QUIET = _setup("disabled", "disable-logging = true\nlog-4xx = true\nlog-5xx = true")
BIG = _setup("disabled but for sizes", "disable-logging = true\nlog-big = 2\nlog-zero = true")
MICROS = _setup("micros", "log-micros = true\nlog-x-forwarded-for = true")
DEFAULT = (
    r"\[pid: (\d+)\|app: 0\|req: (\d+)/(\d+)\] (\S+) \((\S*)\) {\d+ vars in \d+ bytes} \[.{24}\]"
    r" (\S+) (\S+) => generated (\d+) bytes in \d+ (micros|msecs) \((\S+ \d+)\)"
    r" (\d+) headers in (\d+) bytes \(\d+ switches on core (\d)\)"
)


def _ask(server: Server, path: str, more: str = "", method: str = "GET", body: str = "") -> None:
    head = REQUEST.format(method=method, path=path, more=more)
    http_raw(server.http, (head + body).encode())


def line_after(
    path: str, *, more: str = "", method: str = "GET", body: str = "", masks: str = ""
) -> Observe:
    """The line of one request, beginning behind `LINE`; digits are masked where they are time."""

    def look(server: Server) -> object:
        here = server.log.here()
        _ask(server, path, more, method, body)
        line = server.wait_for("^LINE ", after=here, within=PATIENCE_S).string
        return re.sub(masks, "#", line) if masks else line

    return look


def parts_after(path: str, more: str = "") -> Observe:
    """What the default line says, but for pid and time."""

    def look(server: Server) -> object:
        here = server.log.here()
        _ask(server, path, more)
        return server.wait_for(DEFAULT, after=here, within=PATIENCE_S).groups()[1:]

    return look


def lines_of(*paths: str) -> Observe:
    """Which of some requests leave a line; the last one must."""

    def look(server: Server) -> object:
        for path in paths:
            _ask(server, path)
        server.wait_for(f"GET {paths[-1]} ", within=PATIENCE_S)
        return [match[1] for match in server.log.find(r"\] GET (\S+) =>")]

    return look


def _log_row(setup: Setup, says: str, observe: Observe, **verdict: Any) -> Claim:
    return rows_of("Watching: the lines of requests", setup)(says, observe, **verdict)


LOG_CLAIMS = [
    _log_row(MICROS, "the default line, word for word", parts_after("/a%20b?c=d")),
    _log_row(
        MICROS,
        "`log-x-forwarded-for` names whom the proxy names",
        parts_after("/", "X-Forwarded-For: 192.0.2.7\r\n"),
    ),
    _log_row(FORMATTED, "the variables of `log-format`, of a GET", line_after("/a%20b?c=d")),
    _log_row(
        FORMATTED,
        "the same of a POST with a body, a referer and a header of its own",
        line_after(
            "/",
            more="Referer: http://r/\r\nX: 1 2\r\nContent-Length: 3\r\n",
            method="POST",
            body="abc",
        ),
    ),
    _log_row(FORMATTED, "variables that the application set", line_after("/vars")),
    _log_row(FORMATTED, "an answer without a body", line_after("/empty")),
    _log_row(TIMED, "how the times are written", line_after("/", masks=r"\d+|\b[A-Z][a-z]{2}\b")),
    _log_row(PERCENT, "a percent sign that begins no variable stands for itself", line_after("/")),
    _log_row(
        QUIET,
        "`disable-logging` with `log-4xx`, `log-5xx` and `log_this_request()`",
        lines_of("/", "/missing", "/wanted", "/again", "/broken"),
    ),
    _log_row(
        BIG,
        "`disable-logging` with `log-big` and `log-zero`",
        lines_of("/empty", "/"),
    ),
]

# -- the fifo ----------------------------------------------------------------------------


def _letters(text: str) -> Callable[[Server], None]:
    def write(server: Server) -> None:
        fd = eventually(lambda: _writable(server), within=PATIENCE_S)
        os.write(fd, text.encode())
        os.close(fd)

    return write


def _writable(server: Server) -> int:
    """A descriptor of the fifo; 0 as long as nobody reads it, as between two writers of uWSGI's."""
    try:
        return os.open(server.folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def _stops(letter: str) -> Observe:
    """The exit code when a letter ends the server."""

    def look(server: Server) -> object:
        _letters(letter)(server)
        code = server.wait(within=PATIENCE_S)
        server.wait_until_empty(within=PATIENCE_S)
        return code

    return look


def _replaces(letter: str) -> Observe:
    """(are all workers other ones, is the master the same) after a letter that reloads."""

    def look(server: Server) -> object:
        def pids() -> set[int]:
            found = evaluate(server, "[w['pid'] for w in uwsgi.workers()], uwsgi.masterpid()")
            assert isinstance(found, tuple)
            assert found[1] == server.pid
            return set(found[0])

        before = pids()
        _letters(letter)(server)

        def others() -> bool:
            try:
                now = pids()
            except (AssertionError, OSError):
                return False
            return len(now) == 2 and 0 not in now and not now & before

        return eventually(others, within=PATIENCE_S)

    return look


def _fifo_row(says: str, observe: Observe, **verdict: Any) -> Claim:
    name = "fifo " + "".join(letter if letter.isalnum() else "-" for letter in says)[:40]
    setup = Setup(name=name, app=PROBE, ini="processes = 2\nmaster-fifo = fifo")
    return rows_of("Watching: the master's fifo", setup)(says, observe, **verdict)


def _survives_sigusr1(server: Server) -> object:
    """Does the log have something new after SIGUSR1, and does the server go on?"""
    evaluate(server, "1")
    here = server.log.here()
    server.send(signal.SIGUSR1)
    eventually(lambda: server.log.lines(here), within=PATIENCE_S)
    return evaluate(server, "2")


FIFO_CLAIMS = [
    _fifo_row("SIGUSR1 to the master logs what it does, and hurts nobody", _survives_sigusr1),
    _fifo_row("`q` ends the server", _stops("q")),
    _fifo_row("`Q` ends the server at once", _stops("Q")),
    _fifo_row("`r` replaces all workers, under the same master", _replaces("r")),
    _fifo_row("letters that are none, and then one", _replaces("zy\nr\n")),
    _fifo_row(
        "the fifo is removed at the end",
        left("fifo"),
        differs="uWSGI leaves it behind, and a shell that writes into it then waits for ever",
        ours=(True, False),
        theirs=(True, True),
    ),
]

CLAIMS: list[Claim] = [
    *LOG_CLAIMS,
    *FIFO_CLAIMS,
    stats_row("the server's own keys, and the types of their values", types_of(TOP, lambda s: s)),
    stats_row(
        "the keys of a worker, and the types of their values",
        types_of(WORKER, lambda s: s["workers"][0]),
    ),
    stats_row(
        "the keys of a thread, and the types of their values",
        types_of(CORE, lambda s: s["workers"][1]["cores"][1]),
    ),
    stats_row(
        "the keys of an application, and the types of their values",
        types_of(APPLICATION, lambda s: s["workers"][0]["apps"][0]),
    ),
    stats_row(
        "the keys of a socket, and the types of their values",
        types_of(SOCKET, lambda s: s["sockets"][0]),
    ),
    stats_row(
        "the keys of a spooler, and the types of their values",
        types_of(SPOOLER, lambda s: s["spoolers"][0]),
    ),
    stats_row("idle workers are `idle`", _statuses),
    stats_row("two requests and an exception are counted, by worker and thread", _counted),
    stats_row("who holds a lock", _locked),
    stats_row(
        "the mules are there",
        lambda server: len(stats(server).get("mules", [])),
        differs="a mule that hangs is seen nowhere in uWSGI's stats",
        ours=1,
        theirs=0,
    ),
    stats_row(
        "a killed worker's requests stay its seat's; those since the respawn begin anew",
        _respawned,
    ),
]
