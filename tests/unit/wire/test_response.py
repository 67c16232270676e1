"""A response's head: what an application may say, and what it may not."""

from __future__ import annotations

import pytest

from muleteer.wire import response
from muleteer.wire.response import ResponseHead, encode_chunk, error_response


def test_status_and_headers_are_kept_as_they_came() -> None:
    """Order and spelling are the application's."""
    head = ResponseHead("200 OK", [("x-b", "1"), ("X-A", "2"), ("x-b", "3")])
    assert head.text == "200 OK\r\nx-b: 1\r\nX-A: 2\r\nx-b: 3\r\n"
    assert (head.code, head.count, head.length) == (200, 3, None)


def test_a_length_is_read_and_stays_in_its_place() -> None:
    """Content-Length is known and goes out where the application put it, once."""
    head = ResponseHead("200 OK", [("content-length", "5"), ("A", "b"), ("Content-Length", "5")])
    assert head.length == 5
    assert head.text == "200 OK\r\ncontent-length: 5\r\nA: b\r\n"


@pytest.mark.parametrize("name", ["Connection", "keep-alive", "TE", "Trailer", "UPGRADE"])
def test_hop_by_hop_headers_stay_here(name: str) -> None:
    """What is between two neighbours is the server's to say (PEP 3333)."""
    head = ResponseHead("200 OK", [(name, "close"), ("A", "b")])
    assert head.text == "200 OK\r\nA: b\r\n"
    assert head.closes is (name == "Connection")


@pytest.mark.parametrize(
    ("status", "is_forbidden"),
    [("200 OK", False), ("204 No Content", True), ("304 N", True), ("103 E", True), ("205", False)],
)
def test_some_statuses_forbid_a_body(status: str, is_forbidden: bool) -> None:
    """1xx, 204 and 304."""
    assert ResponseHead(status, []).forbids_body is is_forbidden


@pytest.mark.parametrize(("status", "line"), [("200", "200 OK"), ("299", "299 Unknown")])
def test_a_bare_number_gets_its_words(status: str, line: str) -> None:
    """A status line without a space behind its number is no HTTP."""
    assert ResponseHead(status, []).text == f"{line}\r\n"


@pytest.mark.parametrize("status", ["", "OK", "20 OK", "2000 OK", "099 X", "200\tOK", "200 O\r\nK"])
def test_what_is_no_status_is_refused(status: str) -> None:
    """Three digits, a space, words."""
    with pytest.raises(ValueError, match="is not a status"):
        ResponseHead(status, [])


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\r\n", "a\r\n"])
def test_a_value_cannot_forge_a_header(value: str) -> None:
    """Line breaks and NUL are refused, and the header named, even behind a good one."""
    with pytest.raises(ValueError, match="X-Evil"):
        ResponseHead("200 OK", [("X-Good", "a"), ("X-Evil", value)])


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "\u00e9", "(a)"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """Names are tokens."""
    with pytest.raises(ValueError, match="cannot be the name"):
        ResponseHead("200 OK", [(name, "x")])


@pytest.mark.parametrize("value", ["", "x", "-1", "+1", "1.0", " 1", "1e3", "\u0661"])
def test_what_is_no_length_is_refused(value: str) -> None:
    """Content-Length is plain digits."""
    with pytest.raises(ValueError, match="Content-Length"):
        ResponseHead("200 OK", [("Content-Length", value)])


def test_names_of_clients_choice_do_not_fill_the_memory() -> None:
    """Only so many header names are remembered."""
    for n in range(5000):
        ResponseHead("200 OK", [(f"X-{n}", "")])
    assert len(response._HEADER_KINDS) <= 2000


def test_a_chunk_has_its_size_in_hex() -> None:
    """Size, line, data, line."""
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_an_error_is_a_whole_answer() -> None:
    """It has a length, says close, and is for people."""
    head, _, body = error_response(431, "too large").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert b"Connection: close" in head
    assert b"too large" in body
