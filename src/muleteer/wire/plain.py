"""The little HTTP of a page for monitors: one GET, one answer, the end of the connection.

Requests of clients are http1.py's; this is spoken where a master shows itself.
Runs in: the master.
"""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["answer", "is_whole", "path_in"]


def is_whole(request: bytes) -> bool:
    """Is the head of the request there?"""
    return b"\r\n\r\n" in request or b"\n\n" in request


def path_in(request: bytes) -> tuple[str, str]:
    """(method, target) of a request; ("", "") when its first line is none."""
    words = request.partition(b"\n")[0].decode("latin-1").split()
    return (words[0], words[1]) if len(words) == 3 else ("", "")


def answer(status: int, media_type: str, body: bytes, *, is_head: bool = False) -> bytes:
    """A whole response after which the connection ends."""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if is_head else body)
