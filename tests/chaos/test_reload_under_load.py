"""Promises of a reload under load: not one request fails, whoever asks and however.

How long the requests take is printed, not judged: the machine may be busy. The short run is part of
`make test`; `make chaos` reloads for MULETEER_CHAOS_SECONDS.
"""

from __future__ import annotations

import os
import signal as unix_signals
import time
from collections.abc import Callable

import pytest
from tests.harness import Nginx, Server, eventually
from tests.harness.clients import Address
from tests.harness.load import KeptAlive, Load, one_by_one, over_uwsgi, percentile, under

StartServer = Callable[..., Server]
StartNginx = Callable[..., Nginx]
RELOADS = 4
BEFORE = 100
"""How many requests of each kind are measured before the first reload."""
SECONDS = float(os.environ.get("MULETEER_CHAOS_SECONDS", "0"))
"""How long to go on reloading; 0: RELOADS times."""

APP = """
import os
BODY = b"generation " + open("generation", "rb").read()
def application(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
    start_response("200 OK", headers)
    return [BODY]
"""
INI = """
http-socket = 127.0.0.1:0
socket = 127.0.0.1:0
module = app
processes = 2
threads = {threads}
mules = 1
spooler = spool
disable-logging = true
"""


def is_right(text: str) -> bool:
    """Of any generation, and whole."""
    return text.startswith("generation ") and text[11:].isdigit()


def loads_on(server: Server, through: Address) -> list[Load]:
    """Each kind of client, on the server itself and through nginx."""
    kept, passed = KeptAlive(server.http, is_right), KeptAlive(through, is_right)
    return [
        Load("HTTP, kept alive", kept, kept.close),
        Load("HTTP", one_by_one(server.http, is_right)),
        Load("uwsgi protocol", over_uwsgi(server.uwsgi, is_right)),
        Load("nginx, kept alive", passed, passed.close),
        Load("nginx", one_by_one(through, is_right)),
    ]


def reload(server: Server, generation: int, how: str) -> None:
    """Another version, asked for and waited for; or asked for in the middle of the one before."""
    server.write({"next": str(generation)})
    os.replace(server.folder / "next", server.folder / "generation")
    after = server.log.here()
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload started", after=after, within=60)
    if how == "one by one":
        server.wait_for("chain reload done", after=after, within=60)


@pytest.mark.parametrize(("threads", "how"), [(1, "one by one"), (3, "one by one"), (1, "at once")])
def test_not_one_request_fails_while_it_reloads(
    start_server: StartServer, start_nginx: StartNginx, threads: int, how: str
) -> None:
    """Through several reloads; and each kind of client was answered by the last generation."""
    server = start_server(ini=INI.format(threads=threads), files={"app.py": APP, "generation": "1"})
    loads = loads_on(server, start_nginx(server.uwsgi).http)
    with under(*loads):
        began = time.monotonic()
        eventually(lambda: all(len(load.answers) >= BEFORE for load in loads), within=60)
        reloading = time.monotonic()
        generation = 1
        while generation <= RELOADS or time.monotonic() < reloading + SECONDS:
            generation += 1
            reload(server, generation, how)
        server.wait_for(rf"chain reload done: .* generation {generation}$", within=60)
        over = time.monotonic()
    for load in loads:
        report(load, began, reloading, over)
    assert {load.name: load.failures()[:3] for load in loads if load.failures()} == {}
    assert server.get("/").text == f"generation {generation}"
    kept = loads[0].ask
    assert isinstance(kept, KeptAlive)
    assert kept.again <= max(1, generation // 10), "told that its connection ends, before it ends"
    assert all(load.seconds(reloading, over) for load in loads)


def report(load: Load, began: float, reloading: float, over: float) -> None:
    """Print how many were asked, and the 99th percentile before and in the reloads, in ms."""
    before, within = load.seconds(began, reloading), load.seconds(reloading, over)
    print(
        f"{load.name}: {len(load.answers)} requests, {len(load.failures())} failed;"
        f" p99 {1000 * percentile(before, 0.99):.1f} ms before,"
        f" {1000 * percentile(within, 0.99):.1f} ms within"
    )


def test_broken_code_costs_no_request(start_server: StartServer, start_nginx: StartNginx) -> None:
    """Reloads that fail, under load: the old generation answers all of it."""
    server = start_server(ini=INI.format(threads=1), files={"app.py": APP, "generation": "1"})
    loads = loads_on(server, start_nginx(server.uwsgi).http)
    server.write({"app.py": "import nothing_of_that_name\n"})
    children = {one.pid for one in server.children()}
    with under(*loads):
        for times in (1, 2):
            server.send(unix_signals.SIGHUP)
            server.wait_for("reload failed", times=times, within=60)
    assert {load.name: load.failures()[:3] for load in loads if load.failures()} == {}
    assert all(load.answers for load in loads)
    # the last failed zygote may still be on its way out
    eventually(lambda: {one.pid for one in server.children()} == children)
