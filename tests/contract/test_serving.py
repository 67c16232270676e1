"""What a client of the engine sees: connections, limits, and the engine that retires."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from tests.contract.serving import (
    CLOSE,
    GET,
    NewSite,
    echo,
    hello,
    post,
    serving,
)


def test_a_connection_is_kept_for_the_next_request(new_site: NewSite) -> None:
    """HTTP/1.1 connections stay open between requests, and say nothing of it."""
    site = new_site(hello)
    client = site.connect()
    for _ in range(3):
        answer = client.ask(GET)
        assert (answer.status, answer.body) == (200, b"hello")
        assert "Connection" not in answer.headers
    assert not client.is_closed
    assert site.engine.open_connections == 1


def test_connection_close_is_obeyed_and_said(new_site: NewSite) -> None:
    """A client that asks for the end gets the answer, the word, and the end."""
    client = new_site(hello).connect()
    client.send(CLOSE)
    client.read_to_end()
    (answer,) = client.answers(1)
    assert answer.headers["Connection"] == "close"


def test_keep_alive_can_be_switched_off(new_site: NewSite) -> None:
    """With `http-keepalive = 0` every answer ends its connection."""
    client = new_site(hello, http_keepalive=0).connect()
    client.send(GET)
    assert b"Connection: close" in client.read_to_end()


@pytest.mark.parametrize("asked", [b"", b"Connection: keep-alive\r\n"])
def test_http10_is_kept_only_on_request(new_site: NewSite, asked: bytes) -> None:
    """An HTTP/1.0 client is answered in HTTP/1.0 and kept when it asked for that."""
    client = new_site(hello).connect()
    client.send(b"GET / HTTP/1.0\r\n%b\r\n" % asked)
    (answer,) = client.answers(1)
    assert answer.version == 10
    assert answer.body == b"hello"
    assert answer.headers["Connection"] == ("keep-alive" if asked else "close")
    client.site.turn(3)
    client.take()
    assert client.is_closed is not bool(asked)


def test_pipelined_requests_are_answered_in_order(new_site: NewSite) -> None:
    """What comes in one piece is answered one by one, in order."""
    site = new_site(echo)
    client = site.connect()
    client.send(b"".join(post(b"%d" % n) for n in range(50)) + CLOSE)
    client.read_to_end()
    answers = client.answers(51, *["POST"] * 50, "GET")
    assert [answer.body for answer in answers] == [b"%d" % n for n in range(50)] + [b""]


def test_requests_after_connection_close_are_not_answered(new_site: NewSite) -> None:
    """After `Connection: close` nothing more is read."""
    client = new_site(hello).connect()
    client.send(CLOSE + GET)
    assert client.read_to_end().count(b"HTTP/1.1 200") == 1


def test_a_fault_after_good_requests_comes_after_their_answers(new_site: NewSite) -> None:
    """A malformed request does not take the answers of those before it."""
    client = new_site(hello).connect()
    client.send(GET + GET + b"GET / HTTP/1.1\r\n\r\n")
    client.read_to_end()
    assert [answer.status for answer in client.answers(3)] == [200, 200, 400]


def test_a_client_that_comes_and_goes_leaves_nothing(new_site: NewSite) -> None:
    """Connections that end at any point of a request are forgotten."""
    site = new_site(echo)
    for end in (0, 1, 20, 40, 60):
        client = site.connect()
        client.send(post(b"x" * 100)[:end])
        site.turn(3)
        client.sock.close()
        site.turn(3)
    assert site.engine.open_connections == 0


def test_expect_continue_is_answered_before_the_body(new_site: NewSite) -> None:
    """A client that waits for `100 Continue` gets it, once, and then its answer."""
    client = new_site(echo).connect()
    head, _, body = post(b"hello", b"Expect: 100-continue").partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.read_until(len) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body[:2])
    client.site.turn(3)
    client.received = b""
    client.send(body[2:])
    (answer,) = client.answers(1)
    assert answer.body == b"hello"


def test_expect_continue_is_not_answered_when_the_body_is_too_large(new_site: NewSite) -> None:
    """Who announces too much is told so instead of being asked for it."""
    client = new_site(echo, limit_post=3).connect()
    client.send(post(b"hello", b"Expect: 100-continue")[:-5])
    client.read_to_end()
    assert client.answers(1)[0].status == 413


def test_a_slow_body_does_not_hold_others_up(new_site: NewSite) -> None:
    """While one client sends slowly, others are served."""
    site = new_site(echo)
    slow, quick = site.connect(), site.connect()
    for piece in post(b"slow")[:-1]:
        slow.send(bytes([piece]))
        site.turn()
        assert quick.ask(post(b"quick")).body == b"quick"
    slow.send(b"w")
    assert slow.answers(1)[0].body == b"slow"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (post(b"x" * 2000), 413),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\0\x05\0\0\x03\0FOO\0\0", 400),
    ],
)
def test_what_is_refused_is_told_so_and_ends(new_site: NewSite, data: bytes, status: int) -> None:
    """Every refusal is an HTTP answer with its status, and the end of the connection."""
    site = new_site(hello, limit_post=1000)
    client = site.connect()
    client.send(data)
    client.read_to_end()
    (answer,) = client.answers(1)
    assert answer.status == status
    assert answer.headers["Connection"] == "close"
    assert not client.was_reset
    assert site.core.counted == []


def test_a_refused_client_that_goes_on_sending_still_gets_its_answer(new_site: NewSite) -> None:
    """A 413 is not eaten by a reset although megabytes of the body are still coming."""
    client = new_site(hello, limit_post=1000).connect()
    client.send(post(b"x" * 5_000_000))
    client.read_to_end()
    assert not client.was_reset
    assert client.answers(1)[0].status == 413


def test_a_refused_client_is_not_listened_to_for_ever(new_site: NewSite) -> None:
    """After a refusal the client has a moment to read it; then the connection ends."""
    site = new_site(hello)
    client = site.connect()
    client.send(b"\x01\x02")
    client.read_until(len)
    site.turn(2)
    assert site.engine.open_connections == 1
    site.move_clock(3)
    assert site.engine.open_connections == 0


def test_a_head_that_does_not_come_is_408(new_site: NewSite) -> None:
    """A client that sends its head too slowly is told so after `http-timeout`."""
    site = new_site(hello, http_timeout=10)
    client = site.connect()
    for piece in (b"GET / ", b"HTTP/1.1\r\n", b"Host: a\r\n"):
        client.send(piece)
        site.turn(2)
        site.move_clock(4)
    client.read_until(len)
    assert client.answers(1)[0].status == 408


def test_a_body_that_does_not_come_is_408(new_site: NewSite) -> None:
    """A body may take its time as long as it moves; a pause of `http-timeout` ends it."""
    site = new_site(echo, http_timeout=10)
    client = site.connect()
    client.send(post(b"x" * 10)[:-10])
    for _ in range(5):
        client.send(b"x")
        site.turn(2)
        site.move_clock(6)
        client.take()
        assert client.received == b""
    site.move_clock(6)
    client.read_until(len)
    assert client.answers(1)[0].status == 408


def test_an_idle_connection_is_closed_without_a_word(new_site: NewSite) -> None:
    """After `http-keepalive` seconds between requests the connection just ends."""
    site = new_site(hello, http_keepalive=5)
    client = site.connect()
    client.ask(GET)
    site.move_clock(4)
    client.take()
    assert not client.is_closed
    client.ask(GET)
    site.move_clock(4)
    client.take()
    assert not client.is_closed
    client.received = b""
    site.move_clock(2)
    client.take()
    assert client.is_closed
    assert client.received == b""


def test_a_client_that_takes_nothing_is_given_up(new_site: NewSite) -> None:
    """An answer that its client does not take for `socket-timeout` seconds is dropped."""
    site = new_site(serving([b"x" * 20_000_000]), socket_timeout=4)
    client = site.connect(receive_buffer=4096)
    client.send(GET)
    site.turn(5)
    assert site.engine.open_connections == 1
    site.move_clock(5)
    assert site.engine.open_connections == 0


def test_an_idle_server_has_no_timer(new_site: NewSite) -> None:
    """Without connections nothing wakes the loop."""
    site = new_site(hello)
    client = site.connect()
    client.send(CLOSE)
    client.read_to_end()
    site.move_clock(2)
    assert site.engine._sweeper is None


def test_a_retiring_engine_lets_its_clients_go(new_site: NewSite) -> None:
    """Idle clients get a moment, a request in it is answered with the word, and nobody is lost."""
    site = new_site(hello)
    idle, asking = site.connect(), site.connect()
    idle.ask(GET)
    asking.ask(GET)
    site.engine.retire()
    site.engine.retire()
    answer = asking.ask(GET)
    assert answer.headers["Connection"] == "close"
    asking.read_to_end()
    assert site.engine.open_connections == 1
    site.move_clock(1)
    idle.take()
    assert idle.is_closed
    assert site.engine.open_connections == 0


def test_a_retiring_engine_finishes_what_has_begun(new_site: NewSite) -> None:
    """A request half here is read to its end and answered."""
    site = new_site(echo)
    client = site.connect()
    client.send(post(b"hello")[:-2])
    site.turn(3)
    site.engine.retire()
    site.move_clock(2)
    client.send(b"lo")
    assert client.answers(1)[0].body == b"hello"


def test_a_retiring_engine_accepts_nobody(new_site: NewSite) -> None:
    """New clients are left to others."""
    site = new_site(hello)
    site.engine.retire()
    client = site.connect()
    client.send(GET)
    site.turn(3)
    client.take()
    assert client.received == b""
    assert site.engine.open_connections == 0


def test_the_mercy_bounds_retirement(new_site: NewSite) -> None:
    """After `worker-reload-mercy` even a client in the middle is cut."""
    site = new_site(echo, worker_reload_mercy=5)
    client = site.connect()
    client.send(post(b"hello")[:-2])
    site.turn(3)
    site.engine.retire()
    site.move_clock(6)
    assert site.engine.open_connections == 0


def test_a_dropped_header_is_told_to_the_log(new_site: NewSite, caplog: Any) -> None:
    """Nothing is dropped without a word; but the word is said once."""
    client = new_site(hello).connect()
    for _ in range(3):
        client.ask(GET.replace(b"\r\n\r\n", b"\r\nX_User: root\r\n\r\n"))
    assert caplog.text.count("the header X_User, which was dropped") == 1


def test_a_connection_is_kept_after_a_slow_answer(new_site: NewSite) -> None:
    """The time between requests begins when the client has the whole answer."""
    site = new_site(serving([b"x" * 3_000_000]), http_keepalive=3, socket_timeout=60)
    client = site.connect(receive_buffer=4096)
    client.send(GET)
    site.turn(3)
    site.move_clock(30)
    client.hurry()
    client.answers(1)
    site.move_clock(2)
    assert site.engine.open_connections == 1
    site.move_clock(2)
    assert site.engine.open_connections == 0


def test_without_descriptors_it_says_so_and_looks_away(
    new_site: NewSite, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Out of file descriptors, the engine does not spin, and accepts again later."""
    site = new_site(hello)
    listener = site.engine._listeners[0]

    class Exhausted:
        def _accept(self) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

    sock = listener.sock
    listener.sock = Exhausted()
    client = site.connect()
    client.send(GET)
    site.turn(5)
    assert caplog.text.count("cannot accept a connection: Too many open files") == 1
    assert not listener.is_watched
    listener.sock = sock
    site.move_clock(1)
    assert client.answers(1)[0].status == 200


def test_a_failed_accept_of_one_client_is_nothing(new_site: NewSite, caplog: Any) -> None:
    """A client that gave up in the queue is no reason to look away."""
    site = new_site(hello)
    listener = site.engine._listeners[0]
    sock = listener.sock

    class Aborted:
        def _accept(self) -> Any:
            listener.sock = sock
            raise OSError(errno.ECONNABORTED, "Software caused connection abort")

    listener.sock = Aborted()
    assert site.connect().ask(GET).status == 200
    assert caplog.text == ""
