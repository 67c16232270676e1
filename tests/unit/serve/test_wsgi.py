"""How an answer leaves: in how many calls, and copied or not."""

from __future__ import annotations

from typing import Any

from muleteer.serve.wsgi import respond
from muleteer.wire.request import Request


class Recorder:
    """An output that remembers what it was given, call by call."""

    is_gone = False

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, ...]] = []

    def send(self, data: bytes, *, is_last: bool = False) -> None:
        self.calls.append((data,))

    def send_parts(self, *parts: bytes) -> None:
        self.calls.append(parts)


def calls_for(body: bytes) -> list[tuple[bytes, ...]]:
    """What an output gets of the answer of an application that returns this body."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [body]

    out = Recorder()
    respond(app, Request({}, "GET", "/", "HTTP/1.1", b"", True, True), out)  # type: ignore[arg-type]
    return out.calls


def test_a_small_body_leaves_joined_to_its_head() -> None:
    """One call, one piece."""
    assert calls_for(b"hello") == [(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",)]


def test_a_large_body_leaves_uncopied_in_one_call_with_its_head() -> None:
    """A head alone would be a packet of its own, and the copy a megabyte of memory."""
    body = b"x" * 1_000_000
    ((head, sent),) = calls_for(body)
    assert head.endswith(b"Content-Length: 1000000\r\n\r\n")
    assert sent is body
