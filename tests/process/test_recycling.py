"""Promises of recycling: children that have done enough are replaced, never in their work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.harness import Server, apps, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
min-worker-lifetime = 0
"""

GREEDY = """
import os, time
import uwsgi
from uwsgidecorators import mulefunc, spool

kept = []

def wait_for(name):
    while not os.path.exists(os.path.join(FOLDER, name)):
        time.sleep(0.01)

def grow(megabytes):
    kept.append(bytearray(b"x" * (1 << 20)) * megabytes)

FOLDER = os.getcwd()

@spool
def task(arguments):
    grow(int(arguments["grow"]))
    print("task in pid", os.getpid(), flush=True)

@mulefunc
def message(megabytes):
    grow(megabytes)
    print("message in pid", os.getpid(), flush=True)

def application(environ, start_response):
    what, _, size = environ["PATH_INFO"][1:].partition("/")
    if what == "grow":
        grow(int(size))
    elif what == "wait":
        print("request begins", flush=True)
        wait_for("go")
    elif what == "growandwait":
        grow(int(size))
        print("request begins", flush=True)
        wait_for("go")
    elif what == "task":
        task.spool(grow=size)
    elif what == "message":
        message(int(size))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def pid_of(server: Server, path: str = "/") -> int:
    return int(server.get(path).text)


def test_each_worker_has_its_own_number_of_requests(start_server: StartServer) -> None:
    """`max-requests-delta` keeps the workers from leaving all at once."""
    ini = INI + "processes = 2\nmax-requests = 10\nmax-requests-delta = 30\n"
    server = start_server(ini=ini, files={"app.py": apps.PID})
    number = {one.pid: one.id for one in server.children("worker")}
    answered = Counter(pid_of(server) for _ in range(60))
    assert {number[pid]: count for pid, count in answered.items() if pid in number}.get(2, 0) <= 41
    server.wait_for(r"worker 1 has done enough \(1\d requests\)")


def test_young_worker_is_not_recycled(start_server: StartServer) -> None:
    """Before `min-worker-lifetime` (10 s unless set) max-requests replaces nobody."""
    ini = INI.replace("min-worker-lifetime = 0\n", "") + "max-requests = 1\n"
    server = start_server(ini=ini, files={"app.py": apps.PID})
    assert len({pid_of(server) for _ in range(20)}) == 1


def test_worker_is_replaced_after_its_lifetime(start_server: StartServer) -> None:
    """`max-worker-lifetime`: a new worker comes, and no request is refused meanwhile."""
    server = start_server(ini=INI + "max-worker-lifetime = 1\n", files={"app.py": apps.PID})
    first = pid_of(server)
    eventually(lambda: pid_of(server) != first, within=10)


def test_request_that_outlives_its_workers_lifetime_is_answered(start_server: StartServer) -> None:
    """The successor serves, the old worker finishes, longer than any mercy."""
    ini = INI + "max-worker-lifetime = 1\nworker-reload-mercy = 1\n"
    server = start_server(ini=ini, files={"app.py": GREEDY})
    with Client(server.http) as client:
        client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("request begins")
        (busy,) = server.pids("worker")
        eventually(lambda: len(server.pids("worker") - {busy}) >= 1, within=10)
        assert pid_of(server) != busy
        past_mercy = time.monotonic() + 2
        eventually(lambda: pid_of(server) and time.monotonic() > past_mercy)
        assert busy in server.pids("worker")
        (server.folder / "go").touch()
        assert int(client.read_response().text) == busy
    eventually(lambda: busy not in server.pids("worker"))
    assert "did not leave within its mercy" not in server.log


def test_worker_that_grew_is_replaced_after_its_request(start_server: StartServer) -> None:
    """`reload-on-rss`: the request is answered, the next one is another worker's."""
    server = start_server(ini=INI + "reload-on-rss = 150\n", files={"app.py": GREEDY})
    first = pid_of(server)
    assert pid_of(server) == first
    assert pid_of(server, "/grow/200") == first
    eventually(lambda: pid_of(server) != first)
    server.wait_for(r"worker 1 has done enough \(2\d\d MB resident\)")


def test_worker_that_grows_too_far_is_killed_in_its_request(start_server: StartServer) -> None:
    """`evil-reload-on-rss` ends a request that eats the machine; the next one is answered."""
    ini = INI + "evil-reload-on-rss = 150\nmem-collector-freq = 0.2\n"
    server = start_server(ini=ini, files={"app.py": GREEDY})
    with Client(server.http) as client:
        client.send(b"GET /growandwait/200 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(r"worker 1 \(pid: \d+\) has \d\d\d MB resident, killed while it runs")
        assert client.at_end()
    assert pid_of(server)


def test_idle_worker_that_is_too_large_is_asked_to_leave(start_server: StartServer) -> None:
    """The evil option kills nobody who does nothing."""
    ini = INI + "evil-reload-on-rss = 150\nmem-collector-freq = 0.2\n"
    server = start_server(ini=ini, files={"app.py": apps.PID + "kept = os.urandom(200 << 20)\n"})
    server.wait_for(r"worker 1 has done enough \(2\d\d MB resident\)", times=2)
    assert "killed" not in server.log


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mule", "mule-max-messages = 2"),
        ("mule", "mule-reload-on-rss = 100"),
        ("spooler", "spooler-max-tasks = 2"),
        ("spooler", "spooler-reload-on-rss = 100"),
    ],
)
def test_mules_and_spoolers_are_recycled_between_two_pieces_of_work(
    start_server: StartServer, kind: str, options: str
) -> None:
    """Ten messages or tasks, several processes, and each of them ran exactly once."""
    ini = INI + f"mules = 1\nspooler = spool\n{options}\n"
    server = start_server(ini=ini, files={"app.py": GREEDY, "spool/": ""})
    path = "/message/40" if kind == "mule" else "/task/40"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pid_of(server, path), range(10)))
    server.wait_for(r"(message|task) in pid \d+", times=10, within=30)
    lines = server.log.find(r"(message|task) in pid (\d+)")
    assert len(lines) == 10
    assert len({match[2] for match in lines}) >= 4


@pytest.mark.parametrize("kind", ["mule", "spooler"])
def test_mules_and_spoolers_are_replaced_after_their_lifetime(
    start_server: StartServer, kind: str
) -> None:
    """`mule-max-lifetime`, `spooler-max-lifetime`: an idle one leaves when it is old enough."""
    ini = INI + f"mules = 1\nspooler = spool\n{kind}-max-lifetime = 1\n"
    server = start_server(ini=ini, files={"app.py": GREEDY, "spool/": ""})
    server.wait_for(f"respawned {kind} 1", times=2, within=15)
    assert server.log.find("did not leave") == []


def test_mule_program_is_replaced_between_two_messages(start_server: StartServer) -> None:
    """A mule that loops in `mule_get_msg` hears there that it is old enough."""
    program = """
import uwsgi
def loop():
    while True:
        print("got", uwsgi.mule_get_msg(), flush=True)
"""
    ini = INI + "mule = program:loop\nmule-max-lifetime = 1\n"
    app = apps.PID.replace("    body", "    import uwsgi; uwsgi.mule_msg(b'hello', 1)\n    body", 1)
    files = {"app.py": app, "program.py": program}
    server = start_server(ini=ini, files=files)
    server.wait_for("respawned mule 1", within=10)
    server.get("/")
    server.wait_for("got b'hello'")
