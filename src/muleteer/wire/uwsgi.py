"""The server's side of the uwsgi protocol, without sockets: one connection, one packet.

A packet of variables, with its body, becomes a request; any other packet is handed on as it is.
Runs in: workers.

Rules:
1. The variables come from a front server that is trusted; they reach the application as they are.
2. `feed` never raises.  What is wrong stands in `failure`, and nothing is read any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from muleteer.errors import Malformed, TooLarge, WireError
from muleteer.wire.packet import HEADER_SIZE, Modifier, Packet, decode_header, decode_vars
from muleteer.wire.request import (
    LENGTH_DIGITS,
    SCHEMES,
    Body,
    Limits,
    Request,
    Spill,
    Unkept,
    body_too_large,
)

__all__ = ["PacketReader"]

_ALL = 1 << 62
"""Bytes of a task's body in memory: the store takes it whole."""
_METHODS = frozenset({b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"TRAC"})
_WSGI, _WSGI_MANAGED = int(Modifier.WSGI), int(Modifier.WSGI_MANAGED)  # enums compare slowly


class PacketReader:
    """Reads the one packet of a connection.

    `template` is copied into a request's variables.  `make_spill` opens a file for a large body.
    """

    __slots__ = (
        "_body", "_buffer", "_expected", "_limits", "_make_spill", "_packet", "_template",
        "_variables", "failure", "modifier1",
    )  # fmt: skip

    def __init__(
        self, template: dict[str, Any], limits: Limits, make_spill: Callable[[], Spill]
    ) -> None:
        self._template = template
        self._limits = limits
        self._make_spill = make_spill
        self._buffer = b""
        self._variables: dict[str, Any] | None = None
        self._packet: Packet | None = None  # one that waits for its body
        self._body: Body | None = None
        self._expected = 0  # bytes of the body still to come
        self.modifier1 = -1
        self.failure: WireError | None = None

    def feed(self, data: bytes) -> Request | Packet | None:
        """The request or packet, when it became whole with `data`.  Never raises."""
        if self.failure is not None:
            return None
        try:
            if self._variables is not None:
                return self._take_body(data)
            if self._packet is not None:
                return self._take_packet_body(self._packet, data)
            return self._take_head(self._buffer + data if self._buffer else data)
        except WireError as error:
            self.failure = error
        except OSError as error:  # of the file that takes a large body
            self.failure = Unkept(f"the request could not be kept: {error}")
        self.discard()
        return None

    @property
    def is_idle(self) -> bool:
        """Nothing has come yet."""
        return not self._buffer and self._variables is None and self._packet is None

    @property
    def is_in_body(self) -> bool:
        """The variables are there, the body is not yet whole."""
        return self._variables is not None

    def discard(self) -> None:
        """Give up what was not read to its end.  Safe to call twice."""
        if self._body is not None:
            self._body.discard()
            self._body = None

    def _take_head(self, data: bytes) -> Request | Packet | None:
        self._buffer = data
        if len(data) < HEADER_SIZE:
            return None
        modifier1, size, modifier2 = decode_header(data)
        self.modifier1 = modifier1
        self._check_size(data, size)
        end = HEADER_SIZE + size
        if len(data) < end:
            return None
        block = data[HEADER_SIZE:end]
        if modifier1 != _WSGI and modifier1 != _WSGI_MANAGED:
            return self._begin_packet(Packet(modifier1, block, modifier2), data[end:])
        self._buffer = b""
        self._variables = _variables(block, self._template)
        if modifier1 == _WSGI_MANAGED:
            _strip_script_name(self._variables)
        return self._begin_body(self._variables, data[end:])

    def _check_size(self, data: bytes, size: int) -> None:
        if data[:HEADER_SIZE] in _METHODS:
            raise Malformed(
                "HTTP was spoken to a uwsgi socket: use `http-socket =` for browsers and HTTP "
                "balancers, or the uwsgi protocol (nginx: uwsgi_pass) here"
            )
        if self._limits.head and size > self._limits.head:
            raise TooLarge(
                f"a packet of {size} bytes is larger than buffer-size ({self._limits.head}): "
                "raise `buffer-size`, or send smaller cookies",
                status=431,
            )

    def _begin_packet(self, packet: Packet, data: bytes) -> Packet | None:
        """A packet with what came after it; a task's CONTENT_LENGTH says how much that will be."""
        if packet.modifier1 != Modifier.SPOOL:
            return replace(packet, body=data) if data else packet
        text = dict(decode_vars(packet.payload)).get(b"CONTENT_LENGTH", b"")
        self._expected = self._length(text.decode("latin-1")) if text else 0
        if not self._expected:
            return packet
        self._packet, self._buffer = packet, b""
        return self._take_packet_body(packet, data)

    def _take_packet_body(self, packet: Packet, data: bytes) -> Packet | None:
        if self._body is None:
            self._body = Body(replace(self._limits, memory=_ALL), self._make_spill)
        body = self._body
        body.add(data[: self._expected])
        self._expected -= min(len(data), self._expected)
        if self._expected:
            return None
        self._body = None
        return replace(packet, body=cast("bytes", body.finish()))

    def _begin_body(self, variables: dict[str, Any], data: bytes) -> Request | None:
        text = variables.get("CONTENT_LENGTH")
        if text:
            self._expected = self._length(text)
        if not self._expected:
            return _request(variables, b"")
        return self._take_body(data) if data else None

    def _length(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > LENGTH_DIGITS:
            raise Malformed(f"CONTENT_LENGTH is not a number of bytes: {text[:20]!r}")
        if self._limits.body and int(text) > self._limits.body:
            raise body_too_large(self._limits)
        return int(text)

    def _take_body(self, data: bytes) -> Request | None:
        """More of the body; what comes after its end is not ours to read."""
        body = self._body
        if body is None:
            if len(data) >= self._expected and self._expected <= self._limits.memory:
                return _request(self._variables or {}, data[: self._expected])
            body = self._body = Body(self._limits, self._make_spill)
        body.add(data[: self._expected])
        self._expected -= min(len(data), self._expected)
        if self._expected or self._variables is None:
            return None
        self._body = None
        return _request(self._variables, body.finish())


def _variables(block: bytes, template: dict[str, Any]) -> dict[str, Any]:
    variables = template.copy()
    text = block.decode("latin-1")  # once: pieces of text need no decoding of their own
    at, end = 0, len(block)
    try:
        while at < end:
            key = at + 2
            key_end = key + block[at]
            if block[at + 1]:  # lengths over 255 are rare
                key_end += block[at + 1] << 8
            value = key_end + 2
            at = value + block[key_end]
            if block[key_end + 1]:
                at += block[key_end + 1] << 8
            variables[text[key:key_end]] = text[value:at]
    except IndexError:
        at = -1
    if at != end:
        raise Malformed("the packet's variables do not end where the packet ends")
    if "" in variables:
        raise Malformed("a variable has an empty name")
    scheme = variables.get("UWSGI_SCHEME")
    forwarded = variables.get("HTTP_X_FORWARDED_PROTO")
    if scheme:
        variables["wsgi.url_scheme"] = scheme
    elif forwarded in SCHEMES:
        variables["wsgi.url_scheme"] = forwarded
    elif variables.get("HTTPS", "").lower() in ("on", "1", "true", "yes"):
        variables["wsgi.url_scheme"] = "https"
    return variables


def _strip_script_name(variables: dict[str, Any]) -> None:
    script, path = variables.get("SCRIPT_NAME", ""), variables.get("PATH_INFO", "")
    if script and path.startswith(script):
        variables["PATH_INFO"] = path[len(script) :]


def _request(variables: dict[str, Any], body: bytes | Spill) -> Request:
    get = variables.get
    return Request(
        variables,
        get("REQUEST_METHOD", ""),
        get("REQUEST_URI", ""),
        get("SERVER_PROTOCOL") or "HTTP/1.0",
        body,
        False,
        False,
    )
