"""The lookout over real sockets: one visitor never keeps the master, or another one, waiting.

The loop is turned by hand, in one thread, as the master turns it.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from muleteer.ipc.sockets import Listener, bind
from muleteer.master import lookout as room
from muleteer.master.lookout import Lookout

HUGE = b"x" * (8 << 20)


class Yard:
    """A lookout with two windows, and its loop."""

    def __init__(self, folder: Path) -> None:
        self.page = b'{"a": 1}\n'
        self.folder = folder
        self.selector = selectors.DefaultSelector()
        self.lookout = Lookout(self.selector)
        self.raw = self.window("raw", speaks_http=False)
        self.http = self.window("http", speaks_http=True)
        self.visitors: list[socket.socket] = []

    def window(self, name: str, *, speaks_http: bool) -> Listener:
        listener = bind(str(self.folder / name), name, backlog=64)
        self.lookout.open(listener, lambda: ("text/x", self.page), speaks_http=speaks_http)
        return listener

    def visit(self, listener: Listener, words: bytes = b"") -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(listener.name)
        sock.sendall(words)
        self.visitors.append(sock)
        return sock

    def turn(self, times: int = 1) -> None:
        """As the master: whatever is ready now; it never waits."""
        for _ in range(times):
            for key, _ in self.selector.select(0):
                key.data()
            self.lookout.show_out()

    def close(self) -> None:
        for listener in self.lookout.close():
            listener.sock.close()
        for sock in self.visitors:
            sock.close()
        self.selector.close()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    made.close()


def all_of(sock: socket.socket) -> bytes:
    """Read to the end; the loop has been turned before."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def test_who_connects_gets_the_page(yard: Yard) -> None:
    """At once, without a word; and the end of the connection is the end of the page."""
    visitor = yard.visit(yard.raw)
    yard.turn(2)
    assert all_of(visitor) == yard.page


def test_who_speaks_http_is_answered_in_http(yard: Yard) -> None:
    """Head and body; a HEAD has no body."""
    visitor = yard.visit(yard.http, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    other = yard.visit(yard.http, b"HEAD /metrics HTTP/1.1\r\n\r\n")
    yard.turn(4)
    head, _, body = all_of(visitor).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n")
    assert body == yard.page
    assert all_of(other) == head + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /elsewhere HTTP/1.1\r\n\r\n", b"404"),
        (b"nonsense\r\n\r\n", b"405"),
        (b"GET /?a=b HTTP/1.1\r\n\r\n", b"200"),
    ],
)
def test_what_else_is_asked(yard: Yard, words: bytes, status: bytes) -> None:
    """Only GET and only the page; a query changes nothing."""
    visitor = yard.visit(yard.http, words)
    yard.turn(4)
    assert all_of(visitor).split()[1] == status


def test_a_request_may_come_byte_by_byte(yard: Yard) -> None:
    """It is answered when it is whole."""
    visitor = yard.visit(yard.http)
    yard.turn()
    for byte in b"GET / HTTP/1.1\r\n\r\n":
        visitor.sendall(bytes([byte]))
        yard.turn()
    yard.turn()
    assert all_of(visitor).endswith(yard.page)


def test_a_request_without_an_end_is_cut(yard: Yard) -> None:
    """More than 8 kB of head is nobody's question."""
    visitor = yard.visit(yard.http)
    yard.turn()
    visitor.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000)
    yard.turn(1)
    visitor.sendall(b"a: b\r\n" * 1000)
    yard.turn(3)
    try:
        assert not all_of(visitor)
    except ConnectionResetError:
        pass  # it was cut in the middle of its words
    assert yard.lookout.next_due() is None


def test_a_reader_that_does_not_read_holds_nobody_up(yard: Yard) -> None:
    """What does not fit waits for it; others are answered meanwhile, and the loop never blocks."""
    yard.page = HUGE
    slow = yard.visit(yard.raw)
    yard.turn(5)
    yard.page = b"small"
    quick = yard.visit(yard.raw)
    yard.turn(3)
    assert all_of(quick) == b"small"
    got = b""
    while len(got) < len(HUGE):
        got += slow.recv(1 << 20)
        yard.turn()
    assert got == HUGE


def test_whose_time_is_up_is_shown_out(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent ones and slow ones alike; the loop is told when to look."""
    yard.page = HUGE
    silent, slow = yard.visit(yard.http), yard.visit(yard.raw)
    yard.turn(3)
    due = yard.lookout.next_due()
    assert due is not None
    monkeypatch.setattr(room.time, "monotonic", lambda: due + 0.1)
    yard.turn()
    assert yard.lookout.next_due() is None
    assert not all_of(silent)
    assert len(all_of(slow)) < len(HUGE)


def test_a_crowd_makes_the_oldest_leave(yard: Yard) -> None:
    """There are never more than 32; the newest is always let in."""
    first = yard.visit(yard.http)
    yard.turn()
    crowd = []
    for _ in range(40):
        crowd.append(yard.visit(yard.http))
        yard.turn()
    assert not all_of(first)
    crowd[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")
    yard.turn(3)
    assert all_of(crowd[-1]).endswith(yard.page)
    assert len(yard.selector.get_map()) == 2 + 32  # the two windows, and who is there


def test_who_hangs_up_is_forgotten(yard: Yard) -> None:
    """Before, in the middle of and after the answer."""
    yard.page = HUGE
    for visitor in (yard.visit(yard.http), yard.visit(yard.raw)):
        yard.turn()
        visitor.close()
        yard.turn(3)
    assert yard.lookout.next_due() is None


def test_what_a_visitor_says_unasked_costs_it_no_answer(yard: Yard) -> None:
    """Closing on unread bytes would reset the connection before the answer was read."""
    visitor = yard.visit(yard.raw, b"GET / HTTP/1.0\r\n\r\n")
    yard.turn(3)
    assert all_of(visitor) == yard.page


def test_a_closed_lookout_sees_nobody(yard: Yard) -> None:
    """Everybody is sent away, and the listeners are given back."""
    visitor = yard.visit(yard.http)
    yard.turn()
    listeners = yard.lookout.close()
    assert [listener.protocol for listener in listeners] == ["raw", "http"]
    assert not all_of(visitor)
    assert not yard.selector.get_map()
    for listener in listeners:
        listener.sock.close()


def test_a_page_that_fails_costs_its_reader_alone(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the stats is logged; the master goes on, and so do the others."""
    monkeypatch.setattr(logging.getLogger("muleteer"), "propagate", True)

    def fail() -> tuple[str, bytes]:
        raise ValueError("on purpose")

    door = bind(str(yard.folder / "broken"), "broken", backlog=4)
    yard.lookout.open(door, fail, speaks_http=True)
    broken = yard.visit(door, b"GET / HTTP/1.1\r\n\r\n")
    yard.turn(4)
    assert all_of(broken).split()[1] == b"500"
    assert "the stats could not be put together" in caplog.text
    other = yard.visit(yard.raw)
    yard.turn(3)
    assert all_of(other) == yard.page
