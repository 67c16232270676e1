"""The grid of stops and reloads: every way to ask for one, whatever is being done meanwhile.

Each cell says what the client sees, what becomes of the work and that the server did what it was
asked; the fixture proves that no process, socket, file or shared page is left.
"""

from __future__ import annotations

import signal as unix_signals
from collections.abc import Callable

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 2
mules = 1
spooler = spool
touch-reload = bell
"""

APP = """
import os, time
import uwsgi
from uwsgidecorators import mulefunc, signal, spool, timer

FOLDER = os.getcwd()

def there(name):
    return os.path.exists(os.path.join(FOLDER, name))

def work(kind):
    print("begins:", kind, flush=True)
    while not there("go"):
        time.sleep(0.01)
    print("ends:", kind, flush=True)

@spool
def task(arguments):
    work("task")

@mulefunc
def message():
    work("message")

@signal(10, target="worker")
def handler(number):
    work("signal")

@timer(1, target="mule")
def ticking(number):
    if there("tick"):
        os.unlink(os.path.join(FOLDER, "tick"))
        work("timer")

def streamed():
    yield b"first,"
    work("stream")
    yield b"last"

def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/stream":
        return streamed()
    if path == "/request":
        work("request")
    elif path == "/task":
        task.spool(a="b")
    elif path == "/message":
        message()
    elif path == "/signal":
        uwsgi.signal(10)
    elif path == "/reload":
        uwsgi.reload()
    elif path == "/stop":
        uwsgi.stop()
    return [b"done"]
"""

HELD = {"request": b"done", "stream": b"first,last"}
"""What is asked by a client that waits, and what it gets."""

STOPS: dict[str, Callable[[Server], object]] = {
    "SIGTERM": lambda server: server.send(unix_signals.SIGTERM),
    "SIGINT": lambda server: server.send(unix_signals.SIGINT),
    "SIGQUIT": lambda server: server.send(unix_signals.SIGQUIT),
    "uwsgi.stop()": lambda server: server.get("/stop"),
}
RELOADS: dict[str, Callable[[Server], object]] = {
    "SIGHUP": lambda server: server.send(unix_signals.SIGHUP),
    "uwsgi.reload()": lambda server: server.get("/reload"),
    "touch-reload": lambda server: (server.folder / "bell").touch(),
}
WORK = ["idle", "request", "stream", "task", "message", "signal", "timer"]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """Two workers, a mule and a spooler, and work of every kind that goes on until it may end."""
    server = start_server(ini=INI, files={"app.py": APP, "spool/": ""})
    server.wait_for("watching 1 path:")
    return server


def begin(server: Server, kind: str) -> Client | None:
    """Have some work in flight; returns the client that waits for it, if one does."""
    client = None
    if kind in HELD:
        client = Client(server.http)
        client.send(f"GET /{kind} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    elif kind == "timer":
        (server.folder / "tick").touch()
    elif kind != "idle":
        assert server.get(f"/{kind}").text == "done"
    if kind != "idle":
        server.wait_for(f"begins: {kind}")
    return client


def end(server: Server, kind: str, client: Client | None) -> None:
    """Let it end: the client has its whole answer."""
    (server.folder / "go").touch()
    if client is not None:
        response = client.read_response()
        assert (response.status, response.body) == (200, HELD[kind])
        client.close()


def assert_done_once(server: Server, kind: str) -> None:
    """What was in flight came to its end, and nobody began it again."""
    if kind != "idle":
        assert len(server.log.find(f"begins: {kind}")) == 1
        assert len(server.log.find(f"ends: {kind}")) == 1


@pytest.mark.parametrize("kind", WORK)
@pytest.mark.parametrize("way", STOPS)
def test_a_stop_lets_what_runs_finish(server: Server, way: str, kind: str) -> None:
    """Exit code 0; the request is answered to its last byte, the task is done and gone."""
    client = begin(server, kind)
    STOPS[way](server)
    server.wait_for("stopping")
    end(server, kind, client)
    assert server.wait() == 0
    server.wait_until_empty()
    assert_done_once(server, kind)
    assert [path.name for path in (server.folder / "spool").glob("uwsgi_spoolfile*")] == []


@pytest.mark.parametrize("kind", WORK)
@pytest.mark.parametrize("way", RELOADS)
def test_a_reload_lets_what_runs_finish(server: Server, way: str, kind: str) -> None:
    """New requests are answered by the new code while the old work goes on; then all is new."""
    before = {one.pid for one in server.children()}
    client = begin(server, kind)
    server.write({"app.py": APP.replace('b"done"', 'b"new code"')})
    RELOADS[way](server)
    server.wait_for("chain reload started")
    eventually(lambda: server.get("/").text == "new code")
    end(server, kind, client)
    server.wait_for("chain reload done")
    eventually(lambda: not before & {one.pid for one in server.children()})
    assert_done_once(server, kind)
    assert server.get("/").text == "new code"
