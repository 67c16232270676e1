"""What becomes of an application's mistakes, and of its iterable."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.contract.serving import (
    CLOSE,
    GET,
    PLAIN,
    Body,
    NewSite,
    hello,
    serving,
)


def raising(environ: dict[str, Any], start_response: Any) -> Any:
    raise RuntimeError("the app's own")


def late(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield b"one"
    raise RuntimeError("in the middle")


def test_an_exception_is_500_and_in_the_log(new_site: NewSite, caplog: Any) -> None:
    """The client gets a plain 500, the log the traceback with the request; we go on."""
    site = new_site(raising)
    client = site.connect()
    client.send(GET)
    client.read_to_end()
    assert client.answers(1)[0].status == 500
    assert "the app's own" not in client.received.decode()
    assert "GET /" in caplog.text
    assert "the app's own" in caplog.text
    assert site.core.counted[0]["failed"]


def test_an_exception_in_the_middle_breaks_off(new_site: NewSite, caplog: Any) -> None:
    """A body that breaks off is seen to: no last chunk, and for HTTP/1.0 a reset."""
    site = new_site(late)
    client = site.connect()
    client.send(GET)
    data = client.read_to_end()
    assert b"one" in data or client.was_reset
    assert not data.endswith(b"0\r\n\r\n")
    old = site.connect()
    old.send(b"GET / HTTP/1.0\r\n\r\n")
    old.read_to_end()
    assert old.was_reset
    assert "in the middle" in caplog.text


@pytest.mark.parametrize(
    ("app", "word"),
    [
        (serving([b"x"], ("X-A", "b\r\nSet-Cookie: c")), "X-A"),
        (serving([b"x"], ("X-A", "b\nc")), "X-A"),
        (serving([b"x"], ("X-A", "b\0c")), "X-A"),
        (serving([b"x"], ("X A", "b")), "X A"),
        (serving([b"x"], ("X-A\r\nB", "b")), "X-A"),
        (serving([b"x"], ("X-A", 5)), "str"),
        (serving([b"x"], ("X-A", b"5")), "str"),
        (serving([b"x"], ("X-A", "\u20ac")), "latin-1"),
        (serving([b"x"], ("Content-Length", "-1")), "Content-Length"),
        (serving([b"x"], ("Content-Length", "1"), ("Content-Length", "2")), "Content-Length"),
        (serving([b"x"], status="OK"), "status"),
        (serving([b"x"], status="200 OK\r\nX: y"), "status"),
        (serving([b"x"], status=200), "status"),  # type: ignore[arg-type]
        (serving(["x"]), "str"),
        (serving(["x", "y"]), "str"),
        (serving(lambda: iter(["x"])), "str"),
        (serving("text"), "str"),
        (serving(None), "NoneType"),
        (lambda environ, start_response: [b"x"], "start_response"),
        (lambda environ, start_response: iter([b"x"]), "start_response"),
    ],
)
def test_what_breaks_wsgi_is_500_and_named(
    new_site: NewSite, app: Any, word: str, caplog: Any
) -> None:
    """A broken rule of WSGI is never sent on: it is a 500, and the log names it."""
    client = new_site(app).connect()
    client.send(GET)
    client.read_to_end()
    (answer,) = client.answers(1)
    assert answer.status == 500
    assert word in caplog.text
    assert "Set-Cookie" not in answer.headers


def test_start_response_twice_needs_exc_info(new_site: NewSite, caplog: Any) -> None:
    """A second start_response() without exc_info is an error; with it, it replaces the first."""

    def twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] == "/wrong":
            start_response("201 Created", PLAIN)
        try:
            raise ValueError("x")
        except ValueError:
            start_response("503 Busy", PLAIN, sys.exc_info())
        return [b"busy"]

    site = new_site(twice)
    assert site.connect().ask(GET).status == 503
    client = site.connect()
    client.send(GET.replace(b"/ ", b"/wrong ", 1))
    client.read_to_end()
    assert client.answers(1)[0].status == 500


def test_start_response_after_the_head_raises_again(new_site: NewSite, caplog: Any) -> None:
    """With the head gone, start_response(exc_info) raises the application's exception."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"one"
        try:
            raise KeyError("the cause")
        except KeyError:
            start_response("500 Oops", PLAIN, sys.exc_info())
        yield b"never"

    client = new_site(app).connect()
    client.send(GET)
    assert b"never" not in client.read_to_end()
    assert "the cause" in caplog.text


def test_system_exit_is_answered_and_passed_on(new_site: NewSite, caplog: Any) -> None:
    """sys.exit() in a view ends the worker, as under uWSGI; its client gets a 500 first."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise SystemExit(3)

    site = new_site(app)
    client = site.connect()
    client.send(GET)
    with pytest.raises(SystemExit):
        client.read_to_end()
    assert site.core.depth == 0
    client.take()
    assert b"500" in client.received


def bodies() -> dict[str, tuple[Callable[[], Body], bytes]]:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("broken")

    head = GET.replace(b"GET", b"HEAD")
    return {
        "whole": (lambda: Body([b"one", b"two"]), GET),
        "empty": (lambda: Body([]), GET),
        "head": (lambda: Body([b"one"]), head),
        "raising": (lambda: Body(broken()), GET),
        "text": (lambda: Body(["one"]), GET),
        "http10": (lambda: Body([b"one"]), b"GET / HTTP/1.0\r\n\r\n"),
    }


@pytest.mark.parametrize("name", bodies())
def test_close_is_called_exactly_once(new_site: NewSite, name: str, caplog: Any) -> None:
    """Whatever happened to the answer, the iterable's close() is called once."""
    make, request = bodies()[name]
    made: list[Body] = []

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", PLAIN)
        made.append(make())
        return made[0]

    site = new_site(app)
    client = site.connect()
    client.send(request)
    site.turn(5)
    assert [body.closed for body in made] == [1]


def test_a_body_that_breaks_off_behind_a_slow_client_is_reset(
    new_site: NewSite, caplog: Any
) -> None:
    """What was sent before arrives; then comes the reset, not an orderly end."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"x" * 900_000
        raise RuntimeError("in the middle")

    site = new_site(app)
    client = site.connect(receive_buffer=4096)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    site.turn(3)
    assert not client.is_closed
    client.hurry()
    client.read_to_end()
    assert client.was_reset


def test_close_is_called_when_the_client_is_gone(new_site: NewSite) -> None:
    """An endless body ends when its client has gone away, and is closed."""
    made: list[Body] = []

    def endless() -> Iterator[bytes]:
        for n in itertools.count():
            if n == 5:
                client.sock.close()
            yield b"x" * 1000

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", PLAIN)
        made.append(Body(endless()))
        return made[0]

    site = new_site(app)
    client = site.connect()
    client.send(GET)
    site.turn(3)
    assert made[0].closed == 1
    assert site.engine.open_connections == 0


def test_write_to_a_client_that_is_gone_raises_and_is_no_fault(
    new_site: NewSite, caplog: Any
) -> None:
    """`write()` tells the application; the log does not blame it."""
    raised = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        client.sock.close()
        try:
            for _ in range(100):
                write(b"x" * 100_000)
        except OSError as error:
            raised.append(error)
            raise
        return []

    site = new_site(app)
    client = site.connect()
    client.send(GET)
    site.turn(3)
    assert len(raised) == 1
    assert caplog.text == ""
    assert site.engine.open_connections == 0


def test_an_endless_body_for_a_client_that_takes_nothing_ends(new_site: NewSite) -> None:
    """A stalled client stops the iteration after `socket-timeout`, not the memory."""
    made: list[Body] = []

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", PLAIN)
        made.append(Body(itertools.repeat(b"x" * 100_000)))
        return made[0]

    site = new_site(app, socket_timeout=0.05)
    client = site.connect(receive_buffer=4096)
    client.send(GET)
    site.turn(3)
    assert made[0].closed == 1
    assert site.engine.open_connections == 0


def test_an_exception_in_close_is_logged_and_hurts_nobody(new_site: NewSite, caplog: Any) -> None:
    """The answer is whole; the connection goes on; the log has the traceback."""

    class Bad(Body):
        def close(self) -> None:
            raise RuntimeError("in close")

    client = new_site(serving(lambda: Bad([b"one"]))).connect()
    assert client.ask(GET).body == b"one"
    assert client.ask(GET).body == b"one"
    assert "in close" in caplog.text


def test_a_request_is_counted_and_has_a_deadline(new_site: NewSite) -> None:
    """The core is busy during the call, until `harakiri` from now, and counts what was sent."""
    site = new_site(hello, harakiri=30)
    before = site.clock()
    site.connect().ask(GET)
    assert before + 30 <= site.core.deadlines[0] <= site.clock() + 30
    (counted,) = site.core.counted
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
    assert (counted["tx"], counted["status"]) == (len(head) + 5, 200)
    assert not counted["failed"]


def test_without_harakiri_there_is_no_deadline(new_site: NewSite) -> None:
    """0.0 stands for never."""
    site = new_site(hello)
    site.connect().ask(GET)
    assert site.core.deadlines == [0.0]


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_a_client_has_its_answer_and_the_end_before_the_hooks(
    new_site: NewSite, protocol: str
) -> None:
    """What runs after a request (the app's hook, the log) keeps no client waiting."""
    site = new_site(hello)
    client = site.connect(protocol)
    seen: list[bytes] = []
    site.after_request = lambda: seen.append(client.read_to_end())
    client.send(CLOSE if protocol == "http" else b"\0\0\0\0")
    site.turn(3)
    assert [data[-5:] for data in seen] == [b"hello"]


def test_the_lines_of_one_turn_are_written_together(new_site: NewSite) -> None:
    """The log gets one write for all requests of a turn, each with its line."""
    site = new_site(hello)
    client = site.connect()
    client.send(GET * 3)
    client.answers(3)
    site.turn()
    assert len(site.lines) == 1
    lines = site.lines[0].splitlines()
    assert len(lines) == 3
    assert "GET / => generated 5 bytes in" in lines[0]
    assert "(HTTP/1.1 200) 2 headers in" in lines[0]


def test_disable_logging_leaves_no_line(new_site: NewSite) -> None:
    """With `disable-logging` requests leave no line."""
    site = new_site(hello, disable_logging=True)
    site.connect().ask(GET)
    site.turn()
    assert site.lines == []


def test_a_refusal_is_logged_once_and_then_counted(new_site: NewSite, caplog: Any) -> None:
    """A client cannot fill the log with its faults."""
    caplog.set_level(logging.WARNING)
    site = new_site(hello)
    for _ in range(5):
        client = site.connect()
        client.send(b"\x01\r\n\r\n")
        client.read_until(len)
    assert caplog.text.count("refused with 400") == 1
