"""What a client gets of a body: whole, in pieces, from a file, or none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.serving import (
    GET,
    PLAIN,
    Body,
    NewSite,
    echo,
    file_app,
    hello,
    new_file,
    post,
    serving,
)


def test_a_large_answer_is_sent_as_its_client_takes_it(new_site: NewSite) -> None:
    """What does not fit in the socket waits; other clients are served meanwhile."""
    body = bytes(range(256)) * 20_000
    site = new_site(lambda e, s: serving([body] if e["PATH_INFO"] == "/big" else [b"ok"])(e, s))
    slow, quick = site.connect(receive_buffer=4096), site.connect()
    slow.send(GET.replace(b"/ ", b"/big ", 1))
    site.turn(3)
    assert quick.ask(GET).body == b"ok"
    slow.hurry()
    assert slow.answers(1)[0].body == body
    assert slow.ask(GET).body == b"ok"


def test_pipelined_requests_wait_for_the_answer_before_them(new_site: NewSite) -> None:
    """While an answer waits for its client the next request is not run."""
    calls = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        start_response("200 OK", PLAIN)
        return [b"x" * 5_000_000]

    site = new_site(app)
    client = site.connect(receive_buffer=4096)
    client.send(GET + GET)
    site.turn(5)
    assert len(calls) == 1
    client.hurry()
    answers = client.answers(2)
    assert [len(answer.body) for answer in answers] == [5_000_000] * 2


def test_a_list_of_pieces_has_a_length(new_site: NewSite) -> None:
    """A list is known whole: it gets a Content-Length and goes out in one piece."""
    answer = new_site(serving([b"a", b"", b"bc"])).connect().ask(GET)
    assert answer.body == b"abc"
    assert answer.headers["Content-Length"] == "3"


def test_a_generator_is_chunked_and_sent_as_it_comes(new_site: NewSite) -> None:
    """Each piece is with the client before the next one is asked for."""
    seen: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"one", b"", b"two"):
            yield piece
            client.take()
            seen.append(client.received.partition(b"\r\n\r\n")[2])

    site = new_site(serving(pieces))
    client = site.connect()
    answer = client.ask(GET)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body == b"onetwo"
    assert seen == [b"3\r\none\r\n"] * 2 + [b"3\r\none\r\n3\r\ntwo\r\n"]
    assert not client.is_closed


def test_a_generator_for_http10_ends_with_its_connection(new_site: NewSite) -> None:
    """HTTP/1.0 has no chunks: the end of the connection is the end of the body."""
    client = new_site(serving(lambda: iter([b"one", b"two"]))).connect()
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = client.read_to_end().partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert b"Connection: close" in head
    assert body == b"onetwo"
    assert not client.was_reset


def test_an_iterable_of_one_has_a_length(new_site: NewSite) -> None:
    """PEP 3333: when len() is 1 the length is known."""

    class One(Body):
        def __len__(self) -> int:
            return 1

    answer = new_site(serving(lambda: One([b"abc"]))).connect().ask(GET)
    assert answer.headers["Content-Length"] == "3"
    assert answer.body == b"abc"


def test_an_empty_iterable_is_an_empty_body(new_site: NewSite) -> None:
    """Nothing yielded is a body of length 0."""
    for body in ([], (), lambda: iter([]), [b""], lambda: iter([b"", b""])):
        answer = new_site(serving(body)).connect().ask(GET)
        assert answer.headers["Content-Length"] == "0"
        assert answer.body == b""


def test_bytes_are_sent_as_they_are(new_site: NewSite) -> None:
    """uWSGI takes bytes for a body; so do we."""
    assert new_site(serving(b"abc")).connect().ask(GET).body == b"abc"


@pytest.mark.parametrize("body", [[b"hello"], lambda: iter([b"hello"])], ids=["list", "generator"])
@pytest.mark.parametrize("length", [None, "5"])
def test_head_gets_the_head_alone(new_site: NewSite, body: Any, length: str | None) -> None:
    """HEAD is answered without a body, and the connection goes on."""
    headers = [("Content-Length", length)] if length else []
    client = new_site(serving(body, *headers)).connect()
    answer = client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
    assert client.received.endswith(b"\r\n\r\n")
    assert answer.headers.get("Content-Length", "5") == "5"
    assert client.ask(GET).body == b"hello"


def test_a_file_for_head_is_closed(new_site: NewSite) -> None:
    """HEAD of a file sends its length, and closes the file."""
    file = new_file(b"x" * 77)
    app = lambda e, s: (s("200 OK", PLAIN), e["wsgi.file_wrapper"](file))[1]  # noqa: E731
    answer = new_site(app).connect().ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
    assert answer.headers["Content-Length"] == "77"
    assert file.closed


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [[], [b"hello"], lambda: iter([b"hello"])])
def test_some_statuses_have_no_body(new_site: NewSite, status: str, body: Any) -> None:
    """204 and 304 end at their head, whatever the application returned."""
    client = new_site(serving(body, status=status)).connect()
    client.ask(GET)
    assert client.received.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in client.received
    assert b"chunked" not in client.received
    client.ask(GET)


def test_204_loses_its_length(new_site: NewSite) -> None:
    """A 204 must not have a Content-Length."""
    client = new_site(serving([], ("Content-Length", "0"), status="204 No Content")).connect()
    client.ask(GET)
    assert b"Content-Length" not in client.received


@pytest.mark.parametrize("body", [[b"abcdef"], lambda: iter([b"abc", b"def"])])
def test_more_than_the_length_is_cut(new_site: NewSite, body: Any, caplog: Any) -> None:
    """What exceeds the application's Content-Length is not sent; the log says so."""
    client = new_site(serving(body, ("Content-Length", "4"))).connect()
    assert client.ask(GET).body == b"abcd"
    assert client.ask(GET).body == b"abcd"
    assert "more bytes than its Content-Length of 4" in caplog.text


@pytest.mark.parametrize("body", [[b"abc"], lambda: iter([b"a", b"bc"]), []])
def test_less_than_the_length_breaks_off(new_site: NewSite, body: Any, caplog: Any) -> None:
    """A body that is too short ends the connection; the log says so."""
    client = new_site(serving(body, ("Content-Length", "4"))).connect()
    client.send(GET)
    client.read_to_end()
    assert client.answers(1) == []
    assert "fewer bytes than its Content-Length of 4" in caplog.text


def test_a_framed_body_of_the_application_passes(new_site: NewSite) -> None:
    """Under uWSGI an application may chunk by itself: its bytes pass as they are, once."""
    app = serving(lambda: iter([b"2\r\nab\r\n", b"0\r\n\r\n"]), ("Transfer-Encoding", "chunked"))
    client = new_site(app).connect()
    client.send(GET)
    client.read_to_end()
    assert client.answers(1)[0].body == b"ab"


def test_close_of_the_application_is_obeyed(new_site: NewSite) -> None:
    """`Connection: close` from the application ends the connection, and is said once."""
    client = new_site(serving([b"x"], ("Connection", "close"))).connect()
    client.send(GET)
    assert client.read_to_end().count(b"Connection: close") == 1


def test_a_chunked_request_reaches_the_application_whole(new_site: NewSite) -> None:
    """Chunks are undone, and CONTENT_LENGTH says how much there is."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        length = environ["CONTENT_LENGTH"].encode()
        return [length, b":", environ["wsgi.input"].read(int(length))]

    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = new_site(app).connect().ask(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert answer.body == b"5:abcde"


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200_000])
def test_a_body_reads_the_same_from_memory_and_from_a_file(new_site: NewSite, size: int) -> None:
    """`post-buffering` moves the border; the application does not notice."""
    body = (b"line %d\n" * (size // 7 + 1))[:size]
    answer = new_site(echo, post_buffering=100).connect().ask(post(body))
    assert answer.body == body


def test_an_unread_body_does_not_eat_the_answer(new_site: NewSite) -> None:
    """An application that ignores a large body still gets its answer through, and goes on."""
    client = new_site(hello, post_buffering=1000).connect()
    client.send(post(b"x" * 3_000_000) + GET)
    assert [answer.body for answer in client.answers(2)] == [b"hello"] * 2
    assert not client.was_reset


def test_write_sends_at_once(new_site: NewSite) -> None:
    """The old `write()` sends before the application returns; its iterable follows."""
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", PLAIN)
        write(b"one")
        client.take()
        seen.append(client.received)
        write(b"")
        write(b"two")
        return [b"three"]

    client = new_site(app).connect()
    assert client.ask(GET).body == b"onetwothree"
    assert b"3\r\none\r\n" in seen[0]


def test_a_file_is_sent_by_the_kernel_from_where_it_stands(new_site: NewSite) -> None:
    """The wrapper's file is sent from its position to its end, with a length, and closed."""
    data = bytes(range(256)) * 20_000
    files = []

    def make() -> Any:
        files.append(new_file(data, at=100))
        return files[-1]

    site = new_site(file_app(make))
    client = site.connect(receive_buffer=4096)
    client.send(GET)
    site.turn(3)
    assert not files[0].closed
    client.hurry()
    answer = client.answers(1)[0]
    assert answer.body == data[100:]
    assert answer.headers["Content-Length"] == str(len(data) - 100)
    assert files[0].closed
    assert client.ask(GET).body == data[100:]
    assert "via sendfile()" in site.lines[0]


def test_a_file_respects_the_length_of_the_application(new_site: NewSite) -> None:
    """With a Content-Length only so much of the file is sent (a range)."""

    app = file_app(lambda: new_file(b"0123456789", at=3), ("Content-Length", "4"))
    client = new_site(app).connect()
    assert client.ask(GET).body == b"3456"
    assert client.ask(GET).body == b"3456"


def test_what_only_looks_like_a_file_is_read(new_site: NewSite) -> None:
    """An object with read() alone is read in blocks, and closed."""
    made = []

    def make() -> Any:
        made.append(io.BytesIO(b"x" * 2500))
        return made[-1]

    assert new_site(file_app(make)).connect().ask(GET).body == b"x" * 2500
    assert made[0].closed


def test_a_file_of_a_client_that_is_gone_is_closed(new_site: NewSite) -> None:
    """When the client goes away in the middle, the file is closed once."""
    file = new_file(b"")
    file.truncate(50_000_000)
    site = new_site(file_app(lambda: file))
    client = site.connect(receive_buffer=4096)
    client.send(GET)
    site.turn(3)
    client.sock.close()
    site.turn(5)
    assert file.closed
    assert site.engine.open_connections == 0


def test_a_file_that_cannot_be_closed_hurts_nobody(new_site: NewSite, caplog: Any) -> None:
    """The exception is the application's own; the log has it, the client its file."""

    class Stubborn:
        def __init__(self) -> None:
            self.file = new_file(b"abc")
            self.fileno, self.tell = self.file.fileno, self.file.tell

        def close(self) -> None:
            self.file.close()
            raise RuntimeError("in close of the file")

    client = new_site(file_app(Stubborn)).connect()
    assert client.ask(GET).body == b"abc"
    assert client.ask(GET).body == b"abc"
    assert "in close of the file" in caplog.text
