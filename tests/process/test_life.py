"""Promises about the life of a server: it serves, heals, reloads and stops, and nothing is left.

Every server here is the real command, proven clean by its fixture at the end.
"""

from __future__ import annotations

import os
import signal as unix_signals
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server, apps, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
socket = 127.0.0.1:0
module = app
processes = 2
spooler = spool
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """Two workers and a spooler around an app that answers its pid."""
    return start_server(ini=INI, files={"app.py": apps.PID, "spool/": ""})


def pid_of(server: Server) -> int:
    return int(server.get("/").text)


# -- stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [unix_signals.SIGTERM, unix_signals.SIGINT, unix_signals.SIGQUIT]
)
def test_stop_is_clean(server: Server, number: int) -> None:
    """Each of the three stop signals ends the server with exit code 0."""
    assert pid_of(server)
    assert server.stop(number) == 0
    assert "goodbye" in server.log


SLOW = """
import time, threading
def application(environ, start_response):
    print("request begins", flush=True)
    if environ["PATH_INFO"] == "/slow":
        while not __import__("os").path.exists("go"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"done"]
"""


def test_stop_lets_a_running_request_finish(start_server: StartServer) -> None:
    """A request that runs when SIGTERM comes is answered, and then the server ends."""
    server = start_server(ini=INI, files={"app.py": SLOW, "spool/": ""})
    with Client(server.http) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("request begins")
        server.send(unix_signals.SIGTERM)
        server.wait_for("stopping")
        (server.folder / "go").touch()
        response = client.read_response()
    assert (response.status, response.body) == (200, b"done")
    assert server.wait() == 0


def test_second_stop_signal_ends_at_once(start_server: StartServer) -> None:
    """Who asks twice does not want to wait for what runs."""
    server = start_server(ini=INI, files={"app.py": SLOW, "spool/": ""})
    with Client(server.http) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("request begins")
        server.send(unix_signals.SIGTERM)
        server.wait_for("stopping")
        server.send(unix_signals.SIGTERM)
        assert server.wait() == 0
    assert "stopping at once" in server.log


# -- healing ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["worker", "spooler"])
def test_killed_child_is_replaced_and_nobody_else_is_disturbed(server: Server, role: str) -> None:
    """kill -9 of a worker or a spooler: a new one takes the seat, the others keep their pids."""
    before = {p.pid: p.role for p in server.children()}
    victim = min(server.pids(role))
    os.kill(victim, unix_signals.SIGKILL)
    count = len(server.pids(role) | {victim})
    new = eventually(lambda: (server.pids(role) - set(before)) and server.pids(role), within=10)
    assert len(new) == count
    assert set(before) - {victim} <= {p.pid for p in server.children()}
    assert pid_of(server)


def test_killed_zygote_is_replaced_and_its_children_go_on(server: Server) -> None:
    """kill -9 of the zygote: another one loads the code; workers and spooler keep their pids."""
    before = server.pids("worker") | server.pids("spooler")
    (zygote,) = server.pids("zygote")
    os.kill(zygote, unix_signals.SIGKILL)
    server.wait_for("the zygote of generation 1 died")
    server.wait_for("generation 1: loaded", times=2)
    assert pid_of(server) in before
    victim = min(server.pids("worker"))
    os.kill(victim, unix_signals.SIGKILL)
    server.wait_for("respawned worker")
    after = eventually(lambda: len(server.pids("worker")) == 2 and server.pids("worker"))
    assert len(after & before) == 1


def test_orphaned_worker_is_heard_when_it_dies(server: Server) -> None:
    """A worker whose zygote is gone is the master's: its death is heard, and it is replaced."""
    (zygote,) = server.pids("zygote")
    os.kill(zygote, unix_signals.SIGKILL)
    victim = min(server.pids("worker"))
    os.kill(victim, unix_signals.SIGKILL)
    server.wait_for(rf"worker \d \(pid: {victim}\) died")
    eventually(lambda: len(server.pids("worker")) == 2)
    assert pid_of(server)


def test_child_that_dies_at_once_is_not_reborn_in_a_hot_loop(start_server: StartServer) -> None:
    """A worker that cannot live is forked a handful of times in a second, not thousands."""
    code = apps.PID + "\nimport uwsgi\nuwsgi.post_fork_hook = lambda: os._exit(1)\n"
    files = {"app.py": code, "spool/": ""}
    server = start_server(ini=INI, files=files, ready="spawned worker 1")
    server.wait_for(r"respawning in 0\.8 s")
    assert len(server.log.find("spawned worker 1 ")) <= 8
    server.stop()


def test_children_leave_when_the_master_is_killed(server: Server) -> None:
    """kill -9 of the master: the kernel tells every child, and all of them leave."""
    server.kill()
    server.wait_until_empty(within=10)


# -- reloading ----------------------------------------------------------------------------

# Two versions of one length saved within a second look the same to Python's bytecode cache.
VERSION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


def test_reload_serves_the_new_code(start_server: StartServer) -> None:
    """After SIGHUP every worker runs the new code, under the same master."""
    server = start_server(ini=INI, files={"app.py": VERSION % "one", "spool/": ""})
    before = server.pids("worker") | server.pids("spooler") | server.pids("zygote")
    assert server.get("/").text == "one"
    server.write({"app.py": VERSION % "second"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done: every child is of generation 2")
    assert {server.get("/").text for _ in range(10)} == {"second"}
    eventually(lambda: not before & {p.pid for p in server.children()})


def test_reload_of_broken_code_keeps_the_old_generation(start_server: StartServer) -> None:
    """When the new code does not import, the old one goes on serving and the log says why."""
    server = start_server(ini=INI, files={"app.py": VERSION % "one", "spool/": ""})
    before = server.pids("worker") | server.pids("spooler")
    server.write({"app.py": "import nothing_of_that_name\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("reload failed: generation 2 is given up, generation 1 goes on serving")
    assert "No module named 'nothing_of_that_name'" in server.log
    assert server.get("/").text == "one"
    assert server.pids("worker") | server.pids("spooler") == before


def test_reload_after_a_failed_one_works(start_server: StartServer) -> None:
    """A broken deploy costs nothing: the next one that is right is served."""
    server = start_server(ini=INI, files={"app.py": VERSION % "one", "spool/": ""})
    server.write({"app.py": "1 / 0\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("reload failed")
    server.write({"app.py": VERSION % "third one"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done")
    assert server.get("/").text == "third one"


def test_reload_whose_import_kills_its_process_is_given_up(start_server: StartServer) -> None:
    """An import that ends its process (a crash in C, os._exit) is a failed reload, not silence."""
    server = start_server(ini=INI, files={"app.py": VERSION % "one", "spool/": ""})
    server.write({"app.py": "import os; os.kill(os.getpid(), 11)\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("reload failed")
    assert "killed by SIGSEGV" in server.log
    assert server.get("/").text == "one"


def test_reload_from_the_app(start_server: StartServer) -> None:
    """`uwsgi.reload()` in a request is the same graceful reload; the request is answered."""
    code = "import uwsgi\n" + VERSION % "one"
    code = code.replace("    start_response", "    uwsgi.reload()\n    start_response", 1)
    server = start_server(ini=INI, files={"app.py": code, "spool/": ""})
    server.write({"app.py": VERSION % "second"})
    assert server.get("/").text == "one"
    server.wait_for("chain reload done")
    assert server.get("/").text == "second"


def test_stop_from_the_app(start_server: StartServer) -> None:
    """`uwsgi.stop()` in a request stops the server, and the request is answered."""
    code = "import uwsgi\n" + VERSION % "one"
    code = code.replace("    start_response", "    uwsgi.stop()\n    start_response", 1)
    server = start_server(ini=INI, files={"app.py": code, "spool/": ""})
    assert server.get("/").text == "one"
    assert server.wait() == 0


def test_reload_reads_the_configuration_again(start_server: StartServer) -> None:
    """An option of the application changed in the ini is the new generation's."""
    code = VERSION.replace('b"%s"', "__import__('os').environ['V'].encode()")
    server = start_server(ini=INI + "env = V=one\n", files={"app.py": code, "spool/": ""})
    assert server.get("/").text == "one"
    server.write({"server.ini": "[uwsgi]\n" + INI + "env = V=second\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done")
    assert server.get("/").text == "second"


def test_reload_with_a_broken_ini_keeps_the_old_generation(server: Server) -> None:
    """An error in the ini is named with its line, and the server goes on."""
    server.write({"server.ini": "[uwsgi]\nprocesses = four\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("reload failed")
    assert "server.ini:2" in server.log
    assert pid_of(server)


# -- recycling and deadlines --------------------------------------------------------------


def test_max_requests_recycles_a_worker_and_loses_no_request(start_server: StartServer) -> None:
    """A worker leaves after max-requests; every request meanwhile is answered."""
    ini = INI.replace("processes = 2", "processes = 1")
    ini += "max-requests = 10\nmin-worker-lifetime = 0\n"
    server = start_server(ini=ini, files={"app.py": apps.PID, "spool/": ""})
    pids = {pid_of(server) for _ in range(35)}
    assert 3 <= len(pids) <= 5


def test_harakiri_kills_a_worker_over_its_deadline(start_server: StartServer) -> None:
    """A request over `harakiri` seconds costs its worker; the next request is answered."""
    ini = INI + "harakiri = 1\n"
    server = start_server(ini=ini, files={"app.py": SLOW, "spool/": ""})
    with Client(server.http) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("HARAKIRI ON WORKER", within=5)
        assert client.at_end()
    server.wait_for("respawned worker")
    assert server.get("/").text == "done"


def test_threads_serve_at_the_same_time(start_server: StartServer) -> None:
    """With `threads = 4` one worker has four requests in hand at once."""
    code = """
import threading
together = threading.Barrier(4)
def application(environ, start_response):
    together.wait(10)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
    ini = INI.replace("processes = 2", "processes = 1\nthreads = 4")
    server = start_server(ini=ini, files={"app.py": code, "spool/": ""})
    clients = [Client(server.http) for _ in range(4)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [client.read_response().text for client in clients] == ["ok"] * 4
    for client in clients:
        client.close()


# -- files --------------------------------------------------------------------------------


def test_unix_socket_is_served_and_removed(start_server: StartServer) -> None:
    """A unix socket serves, and its file is gone after the stop (uWSGI needs `vacuum` for it)."""
    ini = INI.replace("socket = 127.0.0.1:0\nmodule", "socket = app.sock\nmodule")
    server = start_server(ini=ini, files={"app.py": apps.HELLO, "spool/": ""})
    assert server.ask("/").text == "hello"
    path = server.folder / "app.sock"
    assert path.exists()
    server.stop()
    assert not path.exists()


def test_stale_unix_socket_of_a_killed_server_is_taken_over(
    start_server: StartServer, tmp_path: Path
) -> None:
    """A socket file that nobody listens on is replaced at the next start."""
    path = tmp_path / "app.sock"
    ini = INI.replace("socket = 127.0.0.1:0\nmodule", f"socket = {path}\nmodule")
    first = start_server(ini=ini, files={"app.py": apps.HELLO, "spool/": ""})
    first.kill()
    first.wait_until_empty()
    assert path.exists()
    second = start_server(ini=ini, files={"app.py": apps.HELLO, "spool/": ""})
    assert second.ask("/").text == "hello"


def test_pidfile_holds_the_master(start_server: StartServer) -> None:
    """`pidfile` names the master while it runs and is gone afterwards."""
    server = start_server(ini=INI + "pidfile = m.pid\n", files={"app.py": apps.HELLO, "spool/": ""})
    assert int((server.folder / "m.pid").read_text()) == server.pid
    server.stop()
    assert not (server.folder / "m.pid").exists()
