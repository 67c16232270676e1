"""The little HTTP of a page for monitors."""

from __future__ import annotations

import pytest

from muleteer.wire.plain import answer, is_whole, path_in


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/metrics")),
        (b"HEAD / HTTP/1.0\n\n", ("HEAD", "/")),
        (b"nonsense\r\n\r\n", ("", "")),
        (b"\xff\xfe /\r\n\r\n", ("", "")),
        (b"", ("", "")),
    ],
)
def test_what_a_request_asks_for(request_: bytes, found: tuple[str, str]) -> None:
    """Method and target of its first line; nothing for what has none."""
    assert path_in(request_) == found


def test_a_request_is_whole_at_its_blank_line() -> None:
    """Not before; however the lines end."""
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [is_whole(whole[:n]) for n in range(len(whole) + 1)] == [False] * len(whole) + [True]
    assert is_whole(b"GET / HTTP/1.0\n\n")


def test_an_answer_says_its_length_and_ends_the_connection() -> None:
    """A HEAD has the same head and no body."""
    full = answer(200, "text/plain", b"12345")
    assert full.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n")
    assert full.endswith(b"Connection: close\r\n\r\n12345")
    assert answer(200, "text/plain", b"12345", is_head=True) == full[:-5]
    assert answer(404, "text/plain", b"").startswith(b"HTTP/1.1 404 Not Found\r\n")
