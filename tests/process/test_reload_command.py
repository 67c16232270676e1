"""Promises of `muleteer reload`: a deploy script learns what became of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from tests.harness import Server

StartServer = Callable[..., Server]

INI = "http-socket = 127.0.0.1:0\nmodule = app\nstats = stats.sock\nspooler = spool\n"
VERSION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server whose first version answers `one`."""
    return start_server(ini=INI, files={"app.py": VERSION % "one"})


def reload(server: Server, *words: str) -> tuple[int, str]:
    """Exit code and all that was said."""
    done = subprocess.run(
        [*Server.find_command(), "reload", *words],
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("where", ["server.ini", "stats.sock"])
def test_it_returns_when_the_new_code_serves(server: Server, where: str) -> None:
    """Exit code 0, and from then on nobody answers with the old code."""
    server.write({"app.py": VERSION % "second"})
    assert reload(server, where) == (0, "generation 2 serves\n")
    assert {server.get("/").text for _ in range(5)} == {"second"}


def test_broken_code_is_named_and_not_0(server: Server) -> None:
    """The reason stands there; the old code serves, and the next deploy works."""
    server.write({"app.py": "import nothing_of_that_name\n"})
    code, said = reload(server, "server.ini")
    assert code == 1
    assert "No module named 'nothing_of_that_name'" in said
    assert "generation 1 goes on serving" in said
    assert server.get("/").text == "one"
    server.write({"app.py": VERSION % "third one"})
    assert reload(server, "server.ini")[0] == 0
    assert server.get("/").text == "third one"


def test_a_broken_ini_is_named_too(server: Server) -> None:
    """By the address of the stats, since the ini cannot be read."""
    server.write({"server.ini": "[uwsgi]\nprocesses = four\n"})
    code, said = reload(server, "stats.sock")
    assert (code, "server.ini:2" in said) == (1, True)


def test_waiting_has_an_end(server: Server) -> None:
    """Another exit code; the reload goes on."""
    server.write({"app.py": "import time; time.sleep(3)\n" + VERSION % "second"})
    code, said = reload(server, "server.ini", "--timeout", "0.5")
    assert (code, "it goes on" in said) == (2, True)
    server.wait_for("chain reload done")


def test_what_makes_no_sense_is_refused(server: Server) -> None:
    """Nobody there; an ini without stats; no words."""
    assert reload(server, "nobody.sock")[0] == 1
    server.write({"other.ini": "[uwsgi]\nhttp-socket = :0\nmodule = app\n"})
    code, said = reload(server, "other.ini")
    assert (code, "stats = ADDRESS" in said) == (3, True)
    assert reload(server)[0] == 3
    assert reload(server, "server.ini", "--timeout", "-1")[0] == 3
