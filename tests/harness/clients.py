"""Clients that say exactly the bytes they are told to: HTTP and the uwsgi protocol, by hand.

They share no line with muleteer's own parsers, so that a mistake there cannot hide here.

Runs in: the test process.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

Address = tuple[str, int] | str
"""A (host, port), or the path of a unix socket."""


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer."""

    status: int
    reason: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_list(self, name: str) -> list[str]:
        """Every header of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()


def connect(address: Address, *, timeout: float = 10.0) -> socket.socket:
    """A connected socket; the caller closes it."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock
    return socket.create_connection(address, timeout)


def http_raw(address: Address, request: bytes, *, timeout: float = 10.0) -> bytes:
    """Send bytes, read until the server closes, return all it said."""
    with connect(address, timeout=timeout) as sock:
        sock.sendall(request)
        return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the end of the stream; a reset counts as the end."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass  # the server closed without reading all we sent; what it said before counts
    return b"".join(parts)


def read_stats(address: Address, *, timeout: float = 10.0) -> dict[str, Any]:
    """The stats that a server, ours or uWSGI, tells whoever connects there."""
    with connect(address, timeout=timeout) as sock:
        found = json.loads(read_all(sock))
    assert isinstance(found, dict)
    return found


class Client:
    """One HTTP/1.1 connection, kept alive for as long as the server allows."""

    def __init__(self, address: Address, *, timeout: float = 10.0) -> None:
        self.sock = connect(address, timeout=timeout)
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; twice is safe."""
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.sock.sendall(data)

    def request(
        self,
        method: str,
        path: str = "/",
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Response:
        """Send one request and read its whole answer."""
        self.send(http_request(method, path, headers=headers, body=body))
        return self.read_response(method)

    def read_response(self, method: str = "GET") -> Response:
        """Read one whole answer: by length, by chunks, or until the close."""
        while True:
            response = self._read_head()
            if response.status >= 200 or response.status == 101:
                break
        if method == "HEAD" or response.status in (204, 304):
            return response
        body = self._read_body(response)
        return Response(response.status, response.reason, response.headers, body)

    def at_end(self) -> bool:
        """Has the server closed? Waits for it, up to the timeout."""
        return not self._buffer and not self._fill()

    def _read_head(self) -> Response:
        head = self._read_until(b"\r\n\r\n")
        return parse_head(head)

    def _read_body(self, response: Response) -> bytes:
        if (response.header("Transfer-Encoding") or "").lower() == "chunked":
            return self._read_chunks()
        length = response.header("Content-Length")
        if length is not None:
            return self._read_exactly(int(length))
        while self._fill():
            pass
        body, self._buffer = self._buffer, b""
        return body

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self._read_until(b"\r\n").split(b";")[0], 16):
            parts.append(self._read_exactly(size))
            self._read_until(b"\r\n")
        while self._read_until(b"\r\n"):
            pass  # trailers
        return b"".join(parts)

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            assert self._fill(), f"the server closed in the middle, after {self._buffer!r}"
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            assert self._fill(), f"the server closed after {len(self._buffer)} of {size} bytes"
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _fill(self) -> bool:
        part = self.sock.recv(65536)
        self._buffer += part
        return bool(part)


def http_request(
    method: str,
    path: str = "/",
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> bytes:
    """The bytes of one well-formed request."""
    lines = [f"{method} {path} HTTP/1.1"]
    given = list(headers)
    names = {name.lower() for name, _ in given}
    if "host" not in names:
        given.insert(0, ("Host", "localhost"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        given.append(("Content-Length", str(len(body))))
    lines += [f"{name}: {value}" for name, value in given]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def parse_head(head: bytes) -> Response:
    """A status line and headers, without the empty line."""
    first, *lines = head.decode("latin-1").split("\r\n")
    _version, status, reason = [*first.split(" ", 2), ""][:3]
    pairs = [line.partition(":") for line in lines]
    return Response(int(status), reason, [(name, value.strip()) for name, _, value in pairs])


# -- the uwsgi protocol ---------------------------------------------------------------------


def uwsgi_packet(
    variables: Iterable[tuple[bytes, bytes]] = (), *, modifier1: int = 0, modifier2: int = 0
) -> bytes:
    """One packet of the uwsgi protocol: header and a block of variables."""
    block = b"".join(struct.pack("<H", len(part)) + part for pair in variables for part in pair)
    return struct.pack("<BHB", modifier1, len(block), modifier2) + block


def uwsgi_request(
    address: Address,
    path: str = "/",
    *,
    method: str | None = None,
    body: bytes = b"",
    variables: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> Response:
    """One request as a web server in front sends it; the answer comes as plain HTTP."""
    pairs = _cgi_variables(path, method or ("POST" if body else "GET"), len(body))
    pairs |= dict(variables or {})
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]
    with connect(address, timeout=timeout) as sock:
        sock.sendall(uwsgi_packet(encoded) + body)
        answer = read_all(sock)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head, "the server closed without an answer"
    parsed = parse_head(head)
    return Response(parsed.status, parsed.reason, parsed.headers, rest)


def _cgi_variables(path: str, method: str, length: int) -> dict[str, str]:
    """What nginx's uwsgi_params file sends."""
    pure, _, query = path.partition("?")
    return {
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": str(length) if length else "",
        "REQUEST_URI": path,
        "PATH_INFO": pure,
        "DOCUMENT_ROOT": "/nonexistent",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "SERVER_PORT": "80",
        "SERVER_NAME": "localhost",
        "HTTP_HOST": "localhost",
    }
