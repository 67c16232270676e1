"""Promises of `cheaper` and `idle`: workers come and go with the load, and nobody is missed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 4
cheaper = 1
cheaper-overload = 1
"""

APP = """
import os, time
import uwsgi
from uwsgidecorators import signal, timer

FOLDER = os.getcwd()

@signal(10, target="worker4")
def for_the_fourth(number):
    print("signal", number, "in worker", uwsgi.worker_id(), flush=True)

@signal(11, target="workers")
def for_all(number):
    print("signal", number, "in worker", uwsgi.worker_id(), flush=True)

@signal(12, target="active-workers")
def for_those_who_are_there(number):
    print("signal", number, "in worker", uwsgi.worker_id(), flush=True)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        print("request begins", flush=True)
        while not os.path.exists(os.path.join(FOLDER, "go")):
            time.sleep(0.01)
    elif path.startswith("/signal/"):
        uwsgi.signal(int(path[8:]))
    body = repr([w["status"].decode() for w in uwsgi.workers()]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

TICKING = (
    APP
    + """
@timer(1)
def tick(number):
    print("tick in worker", uwsgi.worker_id(), flush=True)
"""
)


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server that has one worker and may have four."""
    return start_server(ini=INI, files={"app.py": APP})


def count(server: Server) -> int:
    return len(server.pids("worker"))


def test_it_starts_with_the_least(server: Server) -> None:
    """`cheaper` workers are there, the others are `cheap`."""
    assert count(server) == 1
    assert server.get("/").text == "['busy', 'cheap', 'cheap', 'cheap']"


def test_it_starts_with_cheaper_initial(start_server: StartServer) -> None:
    """`cheaper-initial` are there at the start."""
    server = start_server(ini=INI + "cheaper-initial = 3\n", files={"app.py": APP})
    assert count(server) == 3


def test_workers_come_while_all_are_busy_and_go_again(server: Server) -> None:
    """Three long requests and one more: all are answered at once, and then one worker is left."""
    clients = [Client(server.http) for _ in range(3)]
    for client in clients:
        client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    server.wait_for("request begins", times=3, within=20)
    assert server.get("/").status == 200
    (server.folder / "go").touch()
    for client in clients:
        assert client.read_response().status == 200
        client.close()
    eventually(lambda: count(server) == 1, within=20)
    assert server.get("/").status == 200


def test_a_signal_to_a_worker_that_is_not_there_brings_it(server: Server) -> None:
    """It comes for its signal, handles it, and leaves."""
    server.get("/signal/10")
    server.wait_for("signal 10 in worker 4")
    eventually(lambda: count(server) == 1, within=10)


def test_a_signal_to_all_workers_reaches_those_who_are_not_there(server: Server) -> None:
    """`workers` are all; `active-workers` those who are there, as in uWSGI."""
    server.get("/signal/12")
    server.get("/signal/11")
    for number in range(1, 5):
        server.wait_for(f"signal 11 in worker {number}")
    assert [match[1] for match in server.log.find(r"signal 12 in worker (\d)")] == ["1"]


def test_an_idle_server_has_no_worker_until_somebody_comes(start_server: StartServer) -> None:
    """`idle`: all leave, and the next request is answered by a new one."""
    ini = INI.replace("cheaper = 1\n", "").replace("cheaper-overload = 1\n", "") + "idle = 1\n"
    server = start_server(ini=ini, files={"app.py": APP})
    assert count(server) == 4
    eventually(lambda: count(server) == 0, within=10)
    assert server.get("/").status == 200
    server.wait_for("respawned worker 4")


def test_timers_tick_with_no_worker_there(start_server: StartServer) -> None:
    """A tick for any worker brings one, for as long as it takes."""
    server = start_server(ini=INI + "idle = 2\n", files={"app.py": TICKING})
    server.wait_for("cheaper: 0 workers", within=10)
    place = server.log.here()
    server.wait_for("tick in worker 1", times=3, after=place, within=20)
    server.wait_for("cheaper: 0 workers", times=2, after=place, within=20)


def test_a_cheap_server_starts_without_workers(start_server: StartServer) -> None:
    """`cheap`: the first client brings them."""
    server = start_server(ini=INI + "cheap = true\n", files={"app.py": APP})
    assert count(server) == 0
    assert server.get("/").status == 200


def test_a_server_may_die_of_idleness(start_server: StartServer) -> None:
    """`die-on-idle` stops it with exit code 0."""
    server = start_server(ini=INI + "idle = 1\ndie-on-idle = true\n", files={"app.py": APP})
    assert server.get("/").status == 200
    assert server.wait(within=15) == 0


def test_a_resting_server_reloads(start_server: StartServer) -> None:
    """A reload needs no worker; the next client gets the new code."""
    server = start_server(ini=INI + "cheap = true\n", files={"app.py": APP})
    server.write({"app.py": APP.replace("repr([", "b'1' + repr([")})
    server.send(1)
    server.wait_for("chain reload done")
    assert count(server) == 0
    assert server.get("/").text.startswith("1[")
