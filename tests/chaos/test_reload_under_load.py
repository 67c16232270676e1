"""Reloads under load: not one request fails, on kept connections or new ones, in either protocol.

A short run with every `make test`; MULETEER_RELOADS asks for more of them.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from tests.harness import Nginx, Server
from tests.harness.clients import Client, uwsgi_request

StartServer = Callable[..., Server]

RELOADS = int(os.environ.get("MULETEER_RELOADS", "4"))
INI = "http-socket = 127.0.0.1:0\nsocket = 127.0.0.1:0\nmodule = app\nprocesses = 2\n"
APP = """
import os
def application(environ, start_response):
    body = os.environ.get("UWSGI_RELOADS", "") + "answered"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]
"""


class Crowd:
    """Clients that ask on and on, each in its own way, and count what they get."""

    def __init__(self, ways: dict[str, Callable[[], int]]) -> None:
        self.counts: dict[str, Counter[str]] = {way: Counter() for way in ways}
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=item) for item in ways.items()]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, way: str, ask: Callable[[], int]) -> None:
        while not self._ends.is_set():
            try:
                self.counts[way][str(ask())] += 1
            except Exception as error:
                self.counts[way][f"{type(error).__name__}: {error}"] += 1


class Kept:
    """A connection that is kept as long as the server keeps it, and then made anew."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client: Client | None = None

    def ask(self) -> int:
        """One request; a connection is left when its answer says `Connection: close`."""
        if self._client is None:
            self._client = Client(self._server.http)
        response = self._client.request("GET")
        if response.header("Connection") == "close":
            self.close()
        return response.status

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None


@pytest.mark.parametrize("how", ["at once", "one after the other"])
def test_no_request_fails_while_the_server_is_reloaded(
    start_server: StartServer, start_nginx: Callable[..., Nginx], how: str
) -> None:
    """Several reloads, waited for or not; every answer of every client is a 200."""
    server = start_server(ini=INI, files={"app.py": APP})
    nginx, kept = start_nginx(server.uwsgi), Kept(server)
    ways: dict[str, Callable[[], int]] = {
        "new connections": lambda: server.get("/").status,
        "a kept connection": kept.ask,
        "the uwsgi protocol": lambda: uwsgi_request(server.uwsgi, "/").status,
        "through nginx": lambda: nginx.get("/").status,
    }
    with Crowd(ways) as crowd:
        for number in range(1, RELOADS + 1):
            server.send(1)
            server.wait_for("chain reload started", times=number, within=30)
            if how == "one after the other":
                server.wait_for("chain reload done", times=number, within=60)
        newest = server.log.find(r"chain reload started .*: generation (\d+)")[-1][1]
        server.wait_for(f"chain reload done: .* generation {newest}$", within=60)
    kept.close()
    print({way: dict(counts) for way, counts in crowd.counts.items()})
    for way, counts in crowd.counts.items():
        assert set(counts) == {"200"}, way
        assert counts["200"] >= RELOADS, way
