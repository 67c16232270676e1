"""The ways to look at a started server; each gives a small value that can be compared.

Runs in: the test process.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.differential.claims import Observe
from tests.harness import Server, eventually, http_raw, uwsgi_packet
from tests.harness.clients import connect, read_all


def value(source: str) -> Observe:
    """The value of Python statements' last expression, run in a worker; `e` is the environ."""
    code = inspect.cleandoc(source)
    return lambda server: evaluate(server, code)


def evaluate(server: Server, code: str) -> object:
    """What `value` observes, at once."""
    response = server.ask("/", body=code.encode())
    assert response.status == 200, f"the probe failed: {code}\n{server.log}"
    try:
        return ast.literal_eval(response.text)
    except (ValueError, SyntaxError):
        return response.text


# -- what an application sees of a request ---------------------------------------------------

Pairs = Iterable[tuple[str, str]]

REQUEST = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/see?a=1",
    "PATH_INFO": "/see",
    "QUERY_STRING": "a=1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "example.org",
    "SERVER_PORT": "80",
    "REMOTE_ADDR": "192.0.2.1",
    "HTTP_HOST": "example.org",
    "CONTENT_TYPE": "",
    "CONTENT_LENGTH": "",
}
"""The variables of a plain packet, as nginx sends them."""


def seen(*changes: tuple[str, str], only: str = ".*") -> Observe:
    """What the application finds in its environ for a packet: name -> value."""
    return lambda server: seen_in(packet(server, [*REQUEST.items(), *changes]), only)


def seen_over_http(head: str, *, only: str = ".*") -> Observe:
    """What the application finds in its environ for an HTTP request: name -> value."""
    return lambda server: seen_in(http(server, head), only)


def seen_in(answer: bytes, only: str) -> dict[str, object]:
    """What is in the environ that an answer of `/see` shows."""
    found: dict[str, object] = ast.literal_eval(body_of(answer).decode())
    return {name: value for name, value in sorted(found.items()) if re.fullmatch(only, name)}


# -- what a client gets ----------------------------------------------------------------------


def packet(
    server: Server, pairs: Pairs = (), *, body: bytes = b"", modifier1: int = 0, modifier2: int = 0
) -> bytes:
    """Send one packet; all that comes back."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    request = uwsgi_packet(encoded, modifier1=modifier1, modifier2=modifier2) + body
    with connect(server.uwsgi) as sock:
        sock.sendall(request)
        return read_all(sock)


def http(server: Server, head: str, body: bytes = b"") -> bytes:
    """Send one HTTP request as it stands; all that comes back until the close."""
    lines = head.strip().splitlines()
    return http_raw(server.http, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def answer(path: str, *, method: str = "GET", body: bytes = b"", **changes: str) -> Observe:
    """All bytes of the answer to a packet for that path."""
    length = str(len(body)) if body else ""
    asked = {"PATH_INFO": path, "REQUEST_METHOD": method, "CONTENT_LENGTH": length, **changes}
    return lambda server: packet(server, (REQUEST | asked).items(), body=body)


def answer_over_http(head: str, body: bytes = b"") -> Observe:
    """All bytes of the answer to an HTTP request."""
    return lambda server: http(server, head, body)


def whole(observe: Observe) -> Observe:
    """An answer as a client reads it: status line, headers but for the framing, body."""

    def look(server: Server) -> object:
        answer = observe(server)
        assert isinstance(answer, bytes)
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        return status, [line for line in headers if not line.startswith(FRAMING)], body

    return look


FRAMING = ("Content-Length: ", "Connection: ")
"""Headers that muleteer adds to say where an answer ends; rows of their own hold them."""


def body_of(answer: bytes) -> bytes:
    """What stands after the head."""
    return answer.partition(b"\r\n\r\n")[2]


def status_of(observe: Observe) -> Observe:
    """Of the answer's bytes, only the status line; the empty string: closed without an answer."""

    def look(server: Server) -> object:
        answer = observe(server)
        assert isinstance(answer, bytes)
        return answer.partition(b"\r\n")[0].decode()

    return look


# -- tasks -----------------------------------------------------------------------------------


def spool(server: Server, **task: bytes) -> Path:
    """Enqueue a task by `uwsgi.spool`; its file."""
    pairs = {name.encode(): value for name, value in task.items()}
    path = evaluate(server, f"uwsgi.spool({pairs!r})")
    assert isinstance(path, bytes), f"it was not enqueued: {path!r}"
    return Path(os.fsdecode(path))


def in_spooler(source: str, **task: bytes) -> Observe:
    """The value of statements run by the task's handler in a spooler; `e` is what it was given."""
    code = inspect.cleandoc(source)

    def look(server: Server) -> object:
        path = spool(server, look=code.encode(), **task)
        return ast.literal_eval(server.wait_for(f"TASK {path.name} (.*)")[1])

    return look


Enqueue = Callable[[Server, str], Path]


class Endings:
    """Tasks whose end is watched: each is gone after one run, or after it was run again.

    All of them are enqueued when the first is asked for: what is run again waits for the spooler's
    next look, and so they wait together.
    """

    def __init__(self, names: Iterable[str], enqueue: Enqueue) -> None:
        self._names = list(names)
        self._enqueue = enqueue
        self._paths: dict[tuple[Server, str], Path] = {}

    def end_of(self, name: str) -> Observe:
        """'gone' or 'again'."""

        def look(server: Server) -> object:
            if (server, name) not in self._paths:
                self._enqueue_all(server)
            path = self._paths[server, name]
            eventually(lambda: not path.exists(), within=20, bell=server.log.bell)
            ran_twice = (server.folder / "seen" / f"{path.name}.again").exists()
            return "again" if ran_twice else "gone"

        return look

    def _enqueue_all(self, server: Server) -> None:
        for name in self._names:
            self._paths[server, name] = self._enqueue(server, name)
