"""What shows a server from outside: the stats.

Runs in: the test process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from tests.differential.claims import Claim, Observe, Setup, rows_of
from tests.differential.looks import answer, evaluate
from tests.differential.probes import PROBE
from tests.harness import Server, eventually

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
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(str(server.folder / "stats.sock"))
        data = b""
        while part := sock.recv(65536):
            data += part
    found = json.loads(data)
    assert isinstance(found, dict)
    return found


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


CLAIMS: list[Claim] = [
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
