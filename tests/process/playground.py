"""A server that evaluates what it is asked, and a notebook its processes write to.

The app's own code is given by each test; `note(…)` in it is seen by `Playground.notes()` here.

Runs in: the test process; `APP` in the started server.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.harness import Server, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

APP = """\
import os, sys, time, threading
import uwsgi
from uwsgidecorators import *

HERE = os.getcwd()

def note(*words):
    line = " ".join(str(word) for word in words) + "\\n"
    fd = os.open(HERE + "/notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line.encode())
    os.close(fd)

def hold(name):
    note("began", name)
    while not os.path.exists(HERE + "/let_" + name):
        time.sleep(0.005)

{code}

def application(environ, start_response):
    asked = environ["wsgi.input"].read().decode() or "None"
    try:
        answer = repr(eval(asked, globals()))
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__[:-3]]
        answer = repr(f"{{'/'.join(kinds)}}: {{error}}")
    body = answer.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

INI = """
http-socket = 127.0.0.1:0
module = app
disable-logging = true
"""


class Playground:
    """A started server with the app above."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.folder = server.folder

    def ask(self, expression: str, *, within: float = 10.0) -> Any:
        """What the expression is in a worker; an exception as its classes and words."""
        with Client(self.server.http, timeout=within) as client:
            response = client.request("POST", "/", body=expression.encode())
        assert response.status == 200, response
        return ast.literal_eval(response.text)

    def notes(self) -> list[str]:
        """What the processes noted so far, in order."""
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, *lines: str, within: float = 10.0) -> list[str]:
        """Wait until each of the lines was noted, as often as given here; returns all notes."""
        wanted = Counter(lines)
        eventually(
            lambda: not wanted - Counter(self.notes()),
            within=within,
            what=f"the notes {lines} came; there are {self.notes()}",
        )
        return self.notes()

    def state_of(self, path: bytes) -> str:
        """What `muleteer.spool.status` says in a worker of a task; the app has imported it."""
        return str(self.ask(f"muleteer.spool.status({path!r}).state.value"))

    def let(self, name: str) -> None:
        """Let go whoever is held under that name."""
        (self.folder / f"let_{name}").touch()


def play(
    start_server: StartServer,
    code: str,
    ini: str = "",
    *,
    files: Mapping[str, str] | None = None,
    **options: Any,
) -> Playground:
    """Start a server around the app's code; `spool/` is a directory of the folder."""
    files = {"app.py": APP.format(code=code), "spool/": "", **(files or {})}
    return Playground(start_server(ini=INI + ini, files=files, **options))
