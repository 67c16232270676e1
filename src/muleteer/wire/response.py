"""HTTP/1.x responses without sockets: what the application said in, checked bytes out.

It decides nothing about framing: whoever sends the body does (serve/wsgi.py).
Runs in: workers.
"""

from __future__ import annotations

import re
from http import HTTPStatus

__all__ = ["CONTINUE", "LAST_CHUNK", "ResponseHead", "encode_chunk", "error_response"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_CACHED_NAMES = 2000
_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}
_STATUS = re.compile(r"([1-9][0-9]{2})(?: [^\r\n\0]*)?")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN, _LENGTH, _CONNECTION, _TRANSFER, _HOP = range(5)
_KINDS = {
    "content-length": _LENGTH,
    "connection": _CONNECTION,
    "transfer-encoding": _TRANSFER,
    "keep-alive": _HOP,
    "proxy-connection": _HOP,
    "te": _HOP,
    "trailer": _HOP,
    "upgrade": _HOP,
}


class _HeaderKinds(dict[str, int]):
    """Header name -> what it means for framing; refuses what is no header name."""

    def __missing__(self, name: str) -> int:
        if not isinstance(name, str):
            raise TypeError(f"a header's name is a str, not {type(name).__name__}: {name!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header")
        kind = _KINDS.get(name.lower(), _PLAIN)
        if len(self) < _CACHED_NAMES:
            self[name] = kind
        return kind


class _Statuses(dict[str, "tuple[int, bool]"]):
    """Status text -> its number, and whether it forbids a body; refuses what is no status."""

    def __missing__(self, status: str) -> tuple[int, bool]:
        if not isinstance(status, str):
            raise TypeError(f"the status is a str, not {type(status).__name__}: {status!r}")
        match = _STATUS.fullmatch(status)
        if match is None:
            raise ValueError(f"{status!r} is not a status such as '200 OK'")
        code = int(match[1])
        known = code, code < 200 or code in (204, 304)
        if len(self) < _CACHED_NAMES:
            self[status] = known
        return known


_HEADER_KINDS = _HeaderKinds()
_STATUSES = _Statuses()


class ResponseHead:
    """What the application said with `start_response`, checked.

    `text` is the status and the header lines, as they came; what says how the body is framed
    on this connection is not among them, but a Content-Length of the application's is.
    """

    __slots__ = (
        "closes", "code", "count", "forbids_body", "is_framed", "is_special", "length", "text",
    )  # fmt: skip

    def __init__(self, status: str, headers: list[tuple[str, str]]) -> None:
        """Raises TypeError or ValueError, naming the header, for what must not go out."""
        self.code, self.forbids_body = _STATUSES[status]
        self.is_special = self.forbids_body
        """Something here forbids to send body and length without looking."""
        self.length: int | None = None
        self.closes = False
        self.is_framed = False
        """The application sends its own Transfer-Encoding; its bytes go out as they are."""
        lines = [status if len(status) > 3 else _with_reason(status)]
        kinds = _HEADER_KINDS
        for name, value in headers:
            kind = kinds[name]
            if kind == _PLAIN or self._note(kind, value):
                lines.append(name + ": " + value)
        self.count = count = len(lines) - 1
        lines.append("")
        self.text = text = "\r\n".join(lines)
        breaks = count + 1
        if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
            raise ValueError(_name_injection(headers))
        if not text.isascii():
            text.encode("latin-1")  # raises here, where the application sees it

    @property
    def size(self) -> int:
        """Bytes of the head, less the protocol's name and what frames the body."""
        return len(self.text) + len(" \r\n")

    def _note(self, kind: int, value: str) -> bool:
        """Remember what the header says of the framing; True when it goes out as it is."""
        if kind == _LENGTH:
            return self._note_length(value)
        if kind == _CONNECTION:
            self.closes = self.closes or "close" in value.lower()
        elif kind == _TRANSFER:
            self.is_framed = self.is_special = True
            return True
        return False

    def _note_length(self, value: str) -> bool:
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"Content-Length must be a number, not {value!r}")
        if self.length is not None and self.length != int(value):
            raise ValueError(f"two different Content-Length headers: {self.length} and {value}")
        is_first = self.length is None
        self.length = int(value)
        return is_first and self.code >= 200 and self.code != 204


def _with_reason(status: str) -> str:
    """A bare number with its usual words: the status line needs a space behind the number."""
    known = {code.value: code.phrase for code in HTTPStatus}
    return f"{status} {known.get(int(status), 'Unknown')}"


def _name_injection(headers: list[tuple[str, str]]) -> str:
    for name, value in headers:
        if not {"\r", "\n", "\0"}.isdisjoint(value):
            return (
                f"header {name} holds a line break or NUL, which would forge a response: {value!r}"
            )
    return "a header holds a line break"


def encode_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; `data` must not be empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def error_response(status: int, message: str, protocol: str = "HTTP/1.1") -> bytes:
    """A whole response for people: the status and one line of text.  The connection ends."""
    reason = _REASONS.get(status, "Error")
    body = f"{status} {reason}\n{message}\n".encode()
    head = (
        f"{protocol} {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
