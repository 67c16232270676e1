"""Deadlines: what runs too long is ended on time, and the log says where it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.harness import Server
from tests.harness.clients import Client

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
