"""Deadlines: what runs too long is ended on time, and the log says where it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client
from tests.process.playground import play

StartServer = Callable[..., Server]

APP = """
import ctypes, os, re, threading, time
import uwsgi
from uwsgidecorators import harakiri, spool, mulefunc, signal

def busy_in_c():
    re.match("(a+)+$", "a" * 40 + "b")

def busy_in_python():
    while True:
        pass

def blocked_in_the_kernel():
    read, write = os.pipe()
    os.read(read, 1)

WAYS = {f.__name__: f for f in (busy_in_c, busy_in_python, blocked_in_the_kernel)}

@spool
def long_task(arguments):
    WAYS[arguments["way"]]()

@mulefunc
def long_message(way):
    WAYS[way]()

@harakiri(1)
def limited(way):
    WAYS[way]()

@harakiri(1)
def quick():
    raise ValueError("quick")

def application(environ, start_response):
    _, place, way = environ["PATH_INFO"].split("/")
    if place == "request":
        WAYS[way]()
    elif place == "user":
        limited(way)
    elif place == "raises":
        try:
            quick()
        except ValueError:
            time.sleep(1.5)
    elif place == "task":
        long_task.spool(way=way)
    elif place == "message":
        long_message(way)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 1
mules = 1
spooler = spool
"""

FILES = {"app.py": APP, "spool/": ""}
WAYS = ["busy_in_c", "busy_in_python", "blocked_in_the_kernel"]


@pytest.mark.parametrize("way", WAYS)
def test_request_is_ended_on_time_and_its_stack_is_logged(
    start_server: StartServer, way: str
) -> None:
    """In C code, in an endless loop, in a system call: the worker is killed and replaced."""
    server = start_server(ini=INI + "harakiri = 1\n", files=FILES)
    with Client(server.http) as client:
        client.send(f"GET /request/{way} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        server.wait_for("HARAKIRI ON WORKER 1")
        assert client.at_end()
    server.wait_for("respawned worker 1")
    assert f"in {way}" in server.log
    assert server.get("/none/x").text == "ok"


@pytest.mark.parametrize("way", WAYS)
def test_user_harakiri_ends_a_worker_without_a_harakiri_option(
    start_server: StartServer, way: str
) -> None:
    """`@harakiri(1)` alone wakes the master in time."""
    server = start_server(ini=INI, files=FILES)
    with Client(server.http) as client:
        client.send(f"GET /user/{way} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        server.wait_for("HARAKIRI ON WORKER 1.*set_user_harakiri")
        assert client.at_end()
    server.wait_for("respawned worker 1")
    assert f"in {way}" in server.log


def test_exception_disarms_user_harakiri(start_server: StartServer) -> None:
    """A function that raises under `@harakiri` costs nobody's life (uWSGI leaves it armed)."""
    server = start_server(ini=INI, files=FILES)
    assert server.get("/raises/x").text == "ok"
    assert "HARAKIRI" not in server.log


def test_spooled_task_is_ended_and_stays(start_server: StartServer) -> None:
    """A task over `spooler-harakiri` costs its spooler, and is named in the log."""
    server = start_server(ini=INI + "spooler-harakiri = 1\n", files=FILES)
    server.get("/task/busy_in_python")
    server.wait_for("HARAKIRI ON SPOOLER 1.*uwsgi_spoolfile_on_")
    server.wait_for("respawned spooler 1")
    assert "in busy_in_python" in server.log


def test_mule_message_is_ended_and_named(start_server: StartServer) -> None:
    """A message over `mule-harakiri` costs its mule (uWSGI never ends one)."""
    server = start_server(ini=INI + "mule-harakiri = 1\n", files=FILES)
    server.get("/message/blocked_in_the_kernel")
    server.wait_for("HARAKIRI ON MULE 1.*long_message")
    server.wait_for("respawned mule 1")
    assert "in blocked_in_the_kernel" in server.log


# -- everywhere, and nobody else -------------------------------------------------------------

EVERYWHERE = """
def stuck_here():
    while True:
        pass

@harakiri(1)
def bounded(name):
    note("began", name)
    if name == "stuck":
        stuck_here()
    note("ended", name)

@mulefunc(1)
def in_mule(name):
    bounded(name)

@spool
def in_spooler(arguments):
    bounded(arguments["name"])

@signal(17, target="worker1")
@harakiri(1)
def handler(signum):
    bounded("stuck")

@signal(18, target="spooler")
def handler_in_spooler(signum):
    bounded("stuck")

@signal(19, target="mule1")
def handler_in_mule(signum):
    bounded("stuck")

@signal(20, target="worker1")
@signal(21, target="mule1")
@signal(22, target="spooler")
def unbounded(signum):
    note("began", signum)
    stuck_here()

def in_a_thread():
    threading.Thread(target=thread_of_the_app, daemon=True).start()
    bounded("stuck")

def thread_of_the_app():
    while True:
        time.sleep(1000)
"""

WHERE = {
    "a mule": ("in_mule('NAME')", "MULE 1"),
    "a spooler": ("in_spooler.spool(name='NAME')", "SPOOLER 1"),
    "a worker's signal handler": ("uwsgi.signal(17)", "WORKER 1"),
    "a spooler's signal handler": ("uwsgi.signal(18)", "SPOOLER 1"),
    "a mule's signal handler": ("uwsgi.signal(19)", "MULE 1"),
}


@pytest.mark.parametrize("where", WHERE)
def test_the_decorator_works_in(start_server: StartServer, where: str) -> None:
    """What is too long costs its process, which is replaced; what is in time nobody."""
    ini = "processes = 2\nmules = 1\nspooler = spool\nspooler-frequency = 1\n"
    yard = play(start_server, EVERYWHERE, ini)
    call, process = WHERE[where]
    if "NAME" in call:
        yard.ask(call.replace("NAME", "quick"))
        yard.wait_for("ended quick")
    yard.ask(call.replace("NAME", "stuck"))
    yard.server.wait_for(f"HARAKIRI ON {process}")
    yard.server.wait_for("in stuck_here")
    yard.server.wait_for(f"respawned {process.lower()}")
    assert len(yard.server.log.find("HARAKIRI ON")) == 1


OPTIONS = {
    "harakiri": (20, "WORKER 1"),
    "mule-harakiri": (21, "MULE 1"),
    "spooler-harakiri": (22, "SPOOLER 1"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_signal_handler_is_under_the_option_of_its_process(
    start_server: StartServer, option: str
) -> None:
    """As requests, messages and tasks are."""
    ini = f"processes = 2\nmules = 1\nspooler = spool\n{option} = 1\n"
    yard = play(start_server, EVERYWHERE, ini)
    number, process = OPTIONS[option]
    yard.ask(f"uwsgi.signal({number})")
    yard.wait_for(f"began {number}")
    yard.server.wait_for(f"HARAKIRI ON {process}.*signal {number}")
    yard.server.wait_for(f"respawned {process.lower()}")


def test_the_log_has_the_stacks_of_all_threads(start_server: StartServer) -> None:
    """Of the one that is too long and of the application's own."""
    yard = play(start_server, EVERYWHERE, "mules = 1\nspooler = spool\n")
    with pytest.raises((OSError, AssertionError)):
        yard.ask("in_a_thread()")
    yard.server.wait_for("HARAKIRI ON WORKER 1")
    for function in ("stuck_here", "bounded", "in_a_thread", "thread_of_the_app"):
        yard.server.wait_for(f"in {function}$")


def test_other_requests_are_not_touched(start_server: StartServer) -> None:
    """Of two workers one is killed in its request; the other's, begun before, is answered."""
    yard = play(start_server, EVERYWHERE, "processes = 2\nmules = 1\nspooler = spool\n")
    with Client(yard.server.http, timeout=20) as other:
        body = b"hold('other') or uwsgi.worker_id()"
        other.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        yard.wait_for("began other")
        with pytest.raises((OSError, AssertionError)):
            yard.ask("bounded('stuck')")
        killed = yard.server.wait_for(r"HARAKIRI ON WORKER (\d)")[1]
        yard.server.wait_for(f"respawned worker {killed}")
        yard.let("other")
        answer = other.read_response()
    assert (answer.status, answer.text) == (200, str(3 - int(killed)))
    assert len(yard.server.log.find("HARAKIRI ON")) == 1


# -- whose deadline --------------------------------------------------------------------------

WHOSE = """
def stuck_here():
    while True:
        time.sleep(0.01)

@harakiri(1)
def bounded(name):
    note("began", name)
    if name == "stuck":
        stuck_here()

@harakiri(1)
def outer():
    bounded("inner")
    stuck_here()

@harakiri(1)
def shorter_than_the_inner_one():
    longer()

@harakiri(100)
def longer():
    stuck_here()

@timer(0.5, target="mule1")
def tick(signum):
    note("tick")
"""


def test_a_handler_s_deadline_is_its_thread_s(start_server: StartServer) -> None:
    """While one thread's handler is stuck another's begin and end: it is killed all the same."""
    code = WHOSE + "\nuwsgi.register_signal(7, '', lambda signum: stuck_here())\n"
    code += "uwsgi.register_signal(8, '', lambda signum: note('quick'))\n"
    yard = play(start_server, code, "threads = 3\nmules = 1\nharakiri = 1\n")
    yard.ask("[uwsgi.signal(7), [uwsgi.signal(8) for _ in range(20)]] and None")
    yard.wait_for(*["quick"] * 20)
    yard.server.wait_for("HARAKIRI ON WORKER 1.*signal 7")


def test_a_deadline_ends_with_its_request(start_server: StartServer) -> None:
    """What the request set for itself and did not call off kills nobody afterwards."""
    yard = play(start_server, WHOSE, "mules = 1\n")
    pids = yard.server.pids("worker")
    yard.ask("uwsgi.set_user_harakiri(1)")
    ticks = yard.notes().count("tick")
    eventually(lambda: yard.notes().count("tick") >= ticks + 5, within=10)
    assert yard.server.pids("worker") == pids
    assert "HARAKIRI" not in yard.server.log


def test_a_deadline_is_its_thread_s(start_server: StartServer) -> None:
    """While one thread is stuck others set and call off theirs: it is killed all the same."""
    yard = play(start_server, WHOSE, "threads = 3\nmules = 1\n")
    with Client(yard.server.http, timeout=20) as stuck:
        body = b"bounded('stuck')"
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        stuck.send(head + body)
        yard.wait_for("began stuck")
        calls = "[uwsgi.set_user_harakiri(60), bounded('quick'), uwsgi.set_user_harakiri(0)]"
        yard.ask(calls)
        yard.ask(f"threading.Thread(target=lambda: {calls}).start()")
        yard.server.wait_for("HARAKIRI ON WORKER 1.*set_user_harakiri")
        assert stuck.at_end()


@pytest.mark.parametrize("call", ["outer()", "shorter_than_the_inner_one()"])
def test_deadlines_may_be_nested(start_server: StartServer, call: str) -> None:
    """An inner one that ended leaves the outer one running, and a longer one does not lengthen."""
    yard = play(start_server, WHOSE, "mules = 1\n")
    with pytest.raises((OSError, AssertionError)):
        yard.ask(call, within=20)
    yard.server.wait_for("HARAKIRI ON WORKER 1.*set_user_harakiri")


# -- an exception before the kill ------------------------------------------------------------

GRACEFUL = """
import time
import uwsgi
from muleteer import DeadlinePassed
from uwsgidecorators import mulefunc, spool

def work(how):
    try:
        while True:
            time.sleep(0.01)
    except DeadlinePassed:
        print("tidied up", how, flush=True)
        if how == "stubborn":
            while True:
                time.sleep(0.01)
        raise

@spool
def task(arguments):
    work("task")

@mulefunc
def message():
    work("message")

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/task":
        task.spool(a="b")
    elif path == "/message":
        message()
    elif path != "/":
        work(path[1:])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
GRACEFUL_INI = INI + "harakiri-graceful-timeout = 20\n"


@pytest.mark.parametrize("threads", [1, 3])
def test_a_request_may_hear_of_its_deadline(start_server: StartServer, threads: int) -> None:
    """An exception is raised in it, in whatever thread: it ends in a 500, and its worker lives."""
    ini = GRACEFUL_INI + f"harakiri = 1\nthreads = {threads}\n"
    server = start_server(ini=ini, files={"app.py": GRACEFUL, "spool/": ""})
    before = server.pids("worker")
    clients = [Client(server.http) for _ in range(threads)]
    for client in clients:
        client.send(b"GET /slow?a=b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {client.read_response().status for client in clients} == {500}
    for client in clients:
        client.close()
    eventually(lambda: len(server.log.find("tidied up slow")) == threads)
    assert server.get("/").text == "ok"
    assert server.pids("worker") == before
    server.wait_for(r"harakiri of worker 1 \(pid: \d+\): GET /slow\?a=b \(\d+\.\d s old\)")


def test_who_does_not_hear_is_killed(start_server: StartServer) -> None:
    """After `harakiri-graceful-timeout`, with its stacks."""
    ini = INI + "harakiri-graceful-timeout = 1\nharakiri = 1\n"
    server = start_server(ini=ini, files={"app.py": GRACEFUL, "spool/": ""})
    with Client(server.http) as client:
        client.send(b"GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("tidied up stubborn")
        server.wait_for(r"HARAKIRI ON WORKER 1 \(pid: \d+\): GET /stubborn \(\d+\.\d s old\)")
        assert client.at_end()
    assert server.get("/").text == "ok"


@pytest.mark.parametrize(
    ("kind", "option"), [("task", "spooler-harakiri"), ("message", "mule-harakiri")]
)
def test_tasks_and_messages_may_hear_of_their_deadline(
    start_server: StartServer, kind: str, option: str
) -> None:
    """The task has failed and counts, the message is logged; their processes live."""
    ini = GRACEFUL_INI + f"{option} = 1\n"
    server = start_server(ini=ini, files={"app.py": GRACEFUL, "spool/": ""})
    before = server.pids("mule") | server.pids("spooler")
    server.get(f"/{kind}")
    server.wait_for(f"tidied up {kind}")
    server.wait_for("DeadlinePassed")
    assert server.pids("mule") | server.pids("spooler") == before
