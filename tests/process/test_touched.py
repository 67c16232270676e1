"""Promises of touched files and of `py-autoreload`: what changes, and what goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server, apps, eventually

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 2
mules = 1
spooler = spool
"""
VERSION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


def touch(server: Server, name: str) -> None:
    """As the shell's touch."""
    (server.folder / name).touch()


@pytest.mark.parametrize("option", ["touch-reload", "touch-chain-reload", "fs-reload"])
def test_a_touched_file_reloads(start_server: StartServer, option: str) -> None:
    """The new code serves; the file need not have been there."""
    server = start_server(ini=INI + f"{option} = bell\n", files={"app.py": VERSION % "one"})
    server.wait_for("watching 1 path:")
    server.write({"app.py": VERSION % "second"})
    touch(server, "bell")
    server.wait_for(r"chain reload started \(touch-reload\)")
    server.wait_for("chain reload done")
    assert server.get("/").text == "second"


def test_broken_code_is_not_reloaded_by_a_touch(start_server: StartServer) -> None:
    """And the next touch, with the code repaired, works."""
    server = start_server(ini=INI + "touch-reload = bell\n", files={"app.py": VERSION % "one"})
    server.wait_for("watching 1 path:")
    server.write({"app.py": "1 / 0\n"})
    touch(server, "bell")
    server.wait_for("reload failed")
    assert server.get("/").text == "one"
    server.write({"app.py": VERSION % "third one"})
    touch(server, "bell")
    server.wait_for("chain reload done")
    assert server.get("/").text == "third one"


@pytest.mark.parametrize("kind", ["worker", "mule", "spooler"])
def test_one_kind_of_children_is_replaced(start_server: StartServer, kind: str) -> None:
    """`touch-workers-reload` and its kin: all of that kind are new, nobody else is."""
    ini = INI + f"touch-{kind}s-reload = bell\n"
    server = start_server(ini=ini, files={"app.py": apps.PID})
    server.wait_for("watching 1 path:")
    before = {role: server.pids(role) for role in ("worker", "mule", "spooler", "zygote")}
    touch(server, "bell")
    eventually(lambda: not before[kind] & server.pids(kind) and len(server.pids(kind)))
    eventually(lambda: len(server.pids(kind)) == len(before[kind]))
    assert {role: server.pids(role) for role in before if role != kind} == {
        role: pids for role, pids in before.items() if role != kind
    }


def test_a_touched_file_runs_a_command(start_server: StartServer) -> None:
    """`touch-exec`, each time."""
    ini = INI + "touch-exec = bell echo rung >> rings; echo done\n"
    server = start_server(ini=ini, files={"app.py": apps.HELLO})
    server.wait_for("watching 1 path:")
    for times in (1, 2):
        touch(server, "bell")
        server.wait_for("^done", times=times)
    assert (server.folder / "rings").read_text() == "rung\nrung\n"


AUTO = """
import uwsgi
from uwsgidecorators import mulefunc, spool
import parts

@spool
def task(arguments):
    import late_task
    print("task:", late_task.WORD, flush=True)

@mulefunc
def message():
    import late_message
    print("message:", late_message.WORD, flush=True)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/task":
        task.spool(a="b")
    if environ["PATH_INFO"] == "/message":
        message()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [parts.WORD.encode()]
"""
PARTS = {
    "app.py": AUTO,
    "parts.py": "WORD = 'one'\n",
    "late_task.py": "WORD = 'one'\n",
    "late_message.py": "WORD = 'one'\n",
    "ignored.py": "WORD = 'one'\n",
}


@pytest.fixture
def developing(start_server: StartServer) -> Server:
    """A server that reloads by itself when its code changes."""
    ini = INI + "py-autoreload = 1\npy-auto-reload-ignore = ignored\nimport = ignored\n"
    server = start_server(ini=ini, files=PARTS)
    server.wait_for(r"watching 2 paths: .*app\.py, .*parts\.py")
    return server


def rewritten(server: Server, name: str, text: str) -> None:
    """Write a module of another length, so that no bytecode of the same second passes for it."""
    path = Path(server.folder / name)
    path.write_text(text)


def test_changed_code_is_served(developing: Server) -> None:
    """A module that the application imports, saved."""
    rewritten(developing, "parts.py", "WORD = 'second'\n")
    developing.wait_for(r"chain reload started \(py-autoreload\)")
    developing.wait_for("chain reload done")
    assert developing.get("/").text == "second"


@pytest.mark.parametrize(("path", "module"), [("/task", "late_task"), ("/message", "late_message")])
def test_code_of_tasks_and_messages_is_watched_too(
    developing: Server, path: str, module: str
) -> None:
    """Also what only a spooler or a mule imports, and not before it is needed."""
    developing.get(path)
    developing.wait_for(f"{path[1:]}: one")
    developing.wait_for(rf"watching 3 paths: .*{module}\.py")
    rewritten(developing, f"{module}.py", "WORD = 'second'\n")
    developing.wait_for("chain reload done")
    developing.get(path)
    developing.wait_for(f"{path[1:]}: second")


def test_broken_code_is_watched_until_it_is_repaired(developing: Server) -> None:
    """The old code serves; a module that never loaded is noticed when it is repaired."""
    rewritten(developing, "broken.py", "WORD = (\n")
    rewritten(developing, "parts.py", "from broken import WORD\n")
    developing.wait_for("reload failed")
    assert developing.get("/").text == "one"
    developing.wait_for(r"watching \d paths: .*broken\.py")
    rewritten(developing, "broken.py", "WORD = 'repaired'\n")
    developing.wait_for("chain reload done")
    assert developing.get("/").text == "repaired"


def test_an_ignored_module_reloads_nothing(developing: Server) -> None:
    """`py-auto-reload-ignore`: a change of another one comes, and is the first."""
    rewritten(developing, "ignored.py", "WORD = 'second'\n")
    rewritten(developing, "parts.py", "WORD = 'second'\n")
    developing.wait_for("chain reload done")
    assert len(developing.log.find("chain reload started")) == 1
