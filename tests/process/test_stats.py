"""Promises about watching a server from outside: its stats, its metrics, uWSGI's own top."""

from __future__ import annotations

import json
import os
import signal as unix_signals
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.harness import Server, eventually
from tests.harness.clients import read_all, read_stats
from tests.harness.terminal import Terminal

StartServer = Callable[..., Server]
Values = dict[str, Any]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 2
threads = 2
mules = 1
spooler = spool
spooler-frequency = 1
stats = stats.sock
metrics = 127.0.0.1:0
"""

APP = """
import os, time
import uwsgi
from uwsgidecorators import cron, mulefunc, signal, spool, spoolraw, timer

HERE = os.getcwd()

def held():
    while os.path.exists(HERE + "/hold"):
        time.sleep(0.01)

@spool
def work(arguments):
    held()

@mulefunc
def mule_work():
    pass

@signal(17)
def handle(number):
    if os.path.exists(HERE + "/raise"):
        raise ValueError("on purpose")

@cron(40, 2, -1, -1, -1)
def nightly(number):
    pass

@timer(3600)
def hourly(number):
    pass

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/held":
        held()
    if path == "/spool":
        work.spool(a="b")
    if path == "/mule":
        mule_work()
    if path == "/signal":
        uwsgi.signal(17)
    if path == "/raise":
        raise ValueError("on purpose")
    status = "404 Not Found" if path == "/missing" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(ini=INI, files={"app.py": APP, "spool/": ""})


def stats(server: Server) -> Values:
    return read_stats(server.addresses("stats")[0])


def metrics(server: Server) -> dict[str, float]:
    """Every sample, as `name{label=value,…}`."""
    host, port = server.addresses("metrics")[0]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        page = answer.read().decode()
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def total(server: Server) -> int:
    return int(stats(server)["muleteer"]["requests"]["total"])


# -- what is counted ----------------------------------------------------------------------


def test_requests_are_counted_by_status_and_time(server: Server) -> None:
    """Whichever worker and thread answers; an exception is one, and a 500."""
    for path in ("/", "/", "/missing", "/raise"):
        server.get(path)
    eventually(lambda: total(server) == 4)
    requests = stats(server)["muleteer"]["requests"]
    assert requests["statuses"] == {
        "none": 0, "1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1
    }  # fmt: skip
    assert requests["exceptions"] == 1
    assert sum(requests["latency"].values()) == 4
    workers = stats(server)["workers"]
    assert sum(worker["requests"] for worker in workers) == 4
    assert sum(core["requests"] for worker in workers for core in worker["cores"]) == 4
    assert sum(worker["exceptions"] for worker in workers) == 1
    found = metrics(server)
    assert found["muleteer_requests_total,status=2xx"] == 2
    assert found["muleteer_request_duration_seconds_count"] == 4
    assert found["muleteer_request_duration_seconds_bucket,le=+Inf"] == 4
    assert found["muleteer_request_exceptions_total"] == 1


def test_a_killed_worker_takes_no_count_with_it(server: Server) -> None:
    """Its seat goes on counting; the respawn is counted, too."""
    server.get("/")
    eventually(lambda: total(server) == 1)
    for pid in server.pids("worker"):
        os.kill(pid, unix_signals.SIGKILL)
    server.wait_for("respawned worker", times=2)
    server.get("/")
    eventually(lambda: total(server) == 2)
    workers = stats(server)["workers"]
    assert sum(worker["requests"] for worker in workers) == 2
    assert sum(worker["delta_requests"] for worker in workers) == 1
    assert [worker["respawn_count"] for worker in workers] == [2, 2]
    assert metrics(server)["muleteer_restarts_total,kind=worker"] == 2


def test_a_busy_worker_shows(server: Server) -> None:
    """While a request runs its worker is busy, its thread is in it, and says for how long."""
    (server.folder / "hold").touch()
    with socket.create_connection(server.http) as client:
        client.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        busy = eventually(lambda: [w for w in stats(server)["workers"] if w["status"] == "busy"])
        assert sum(core["in_request"] for core in busy[0]["cores"]) == 1
        assert metrics(server)["muleteer_children,kind=worker,state=busy"] == 1
        eventually(lambda: any(w["busy_for"] > 0 for w in stats(server)["workers"]))
        (server.folder / "hold").unlink()
        eventually(lambda: all(w["status"] == "idle" for w in stats(server)["workers"]))


def test_spoolers_show_what_waits_and_what_they_did(server: Server) -> None:
    """What lies there is counted while the spooler is busy, dead tasks beside it."""
    (server.folder / "hold").touch()
    server.get("/spool")
    running = eventually(lambda: [s for s in stats(server)["spoolers"] if s["running"]])
    assert running[0]["doing"].startswith("uwsgi_spoolfile_on_")
    for _ in range(3):
        server.get("/spool")
    (server.folder / "spool" / "dead").mkdir(exist_ok=True)
    (server.folder / "spool" / "dead" / "uwsgi_spoolfile_on_vm_1_2_3_4_5").touch()
    eventually(lambda: stats(server)["spoolers"][0]["backlog"] == 4, within=15)
    eventually(lambda: stats(server)["spoolers"][0]["dead"] == 1, within=15)
    (server.folder / "hold").unlink()
    eventually(lambda: stats(server)["spoolers"][0]["tasks"] == 4, within=15)
    eventually(lambda: stats(server)["spoolers"][0]["backlog"] == 0, within=15)
    directory = str(server.folder / "spool")
    assert metrics(server)[f"muleteer_spooler_tasks_total,dir={directory}"] == 4


def test_mules_signals_and_the_clock_show(server: Server) -> None:
    """Messages taken, handlers run and those that raised, and what fires next."""
    server.get("/mule")
    eventually(lambda: stats(server)["mules"][0]["messages"] == 1)
    (server.folder / "raise").touch()
    server.get("/signal")
    eventually(lambda: sum(w["failures"] for w in stats(server)["workers"]) == 1)
    eventually(lambda: sum(w["signals"] for w in stats(server)["workers"]) == 1)
    clock = stats(server)["muleteer"]["clock"]
    assert {shot["when"] for shot in clock} == {"40 2 -1 -1 -1", "every 3600 s"}
    assert all(shot["next"] > shot["last"] == 0 for shot in clock)
    assert metrics(server)["muleteer_mule_messages_total,mule=1"] == 1


def test_a_failed_reload_shows(server: Server) -> None:
    """The old generation serves on, and the stats say when what was given up and why."""
    (server.folder / "app.py").write_text("import nothing_of_that_name\n")
    server.send(unix_signals.SIGHUP)
    server.wait_for("reload failed")
    ours = eventually(lambda: (s := stats(server)["muleteer"])["reloads"]["failed"] and s)
    assert ours["generation"] == 1
    assert ours["reloads"]["last_failure"]["generation"] == 2
    assert "nothing_of_that_name" in ours["reloads"]["last_failure"]["why"]
    found = metrics(server)
    assert found["muleteer_reloads_total,result=failed"] == 1
    assert found["muleteer_last_failed_reload_timestamp_seconds"] > 0
    (server.folder / "app.py").write_text(APP)
    server.send(unix_signals.SIGHUP)
    eventually(lambda: stats(server)["muleteer"]["reloads"]["done"] == 1, within=15)
    assert stats(server)["muleteer"]["generation"] == 3
    assert server.get("/").text == "ok"


# -- how it is served ---------------------------------------------------------------------


def test_stats_may_be_spoken_in_http(start_server: StartServer) -> None:
    """With `stats-http` any browser reads them; uwsgitop asks for them so, too."""
    ini = INI.replace("stats.sock", "127.0.0.1:0") + "stats-http = true\nstats-no-cores = true\n"
    server = start_server(ini=ini, files={"app.py": APP, "spool/": ""})
    host, port = server.addresses("stats")[0]
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        found = json.load(answer)
    assert found["pid"] == server.pid
    assert "cores" not in found["workers"][0]


def test_readers_that_do_not_read_hold_nobody_up(server: Server) -> None:
    """A crowd of silent visitors: the master reaps, respawns and answers as ever."""
    crowd = []
    for _ in range(60):
        sock = socket.create_connection(server.addresses("metrics")[0])
        crowd.append(sock)
    try:
        (victim,) = [one.pid for one in server.children("worker")][:1]
        os.kill(victim, unix_signals.SIGKILL)
        server.wait_for("respawned worker")
        assert metrics(server)["muleteer_restarts_total,kind=worker"] == 1
        assert server.get("/").text == "ok"
    finally:
        for sock in crowd:
            sock.close()


def test_no_child_holds_a_visitors_connection(server: Server) -> None:
    """A visitor that is there while a generation is forked still sees the end of its page."""
    with socket.create_connection(server.addresses("metrics")[0], timeout=10) as visitor:
        server.send(unix_signals.SIGHUP)
        server.wait_for("chain reload done")
        visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
        page = read_all(visitor)
    assert b"muleteer_generation 2\n" in page


def test_stats_are_there_until_the_last_child_has_left(server: Server) -> None:
    """A server that stops can be watched while it finishes what runs; then the file is gone."""
    (server.folder / "hold").touch()
    with socket.create_connection(server.http, timeout=10) as client:
        client.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: [w for w in stats(server)["workers"] if w["status"] == "busy"])
        server.send(unix_signals.SIGTERM)
        server.wait_for("stopping")
        assert eventually(lambda: stats(server)["muleteer"]["mode"] == "stopping")
        (server.folder / "hold").unlink()
    assert server.wait() == 0
    assert not (server.folder / "stats.sock").exists()


def test_an_address_in_use_is_told(start_server: StartServer, tmp_path: Path) -> None:
    """The start ends, with the option that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failing = Server(
            tmp_path, ini=f"{INI}metrics = 127.0.0.1:{port}\n", files={"app.py": APP, "spool/": ""}
        )
        try:
            assert failing.run() != 0
            assert f"metrics = '127.0.0.1:{port}': cannot listen" in failing.log
            assert "stop the other server or choose another address" in failing.log
        finally:
            failing.close()


# -- uWSGI's own tool ---------------------------------------------------------------------


def test_uwsgitop_works(server: Server) -> None:
    """The real uwsgitop shows our workers, and their threads when it is asked for them."""
    for _ in range(5):
        server.get("/")
    eventually(lambda: total(server) == 5)
    script = str(Path(sys.executable).parent / "uwsgitop")
    with Terminal([script, server.addresses("stats")[0]]) as top:
        top.wait_for(r"req: 5 ")
        top.wait_for(rf"masterpid: {server.pid}")
        for pid in server.pids("worker"):
            top.wait_for(rf"\b{pid}\b")
        top.wait_for(r"idle")
        top.type("a")
        top.wait_for(r"[12]:[01]")
        top.type("q")
        assert top.wait() == 0
