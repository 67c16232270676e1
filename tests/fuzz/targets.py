"""What is fuzzed: each target takes any bytes and checks what must hold for them.

A parser answers, or refuses with an error of ours; it never raises anything else, never hangs, and
means the same however its bytes are cut. What it accepted can be written and reads the same again.

Runs in: the test process, and campaign.py's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from muleteer.errors import MuleteerError, WireError
from muleteer.wire import etf
from muleteer.wire.calls import FrameReader, decode_values
from muleteer.wire.distribution import Packets, decode_message
from muleteer.wire.http1 import RequestReader
from muleteer.wire.packet import Modifier, Packet
from muleteer.wire.request import Limits, Request
from muleteer.wire.spoolfile import decode_task, encode_task
from muleteer.wire.uwsgi import PacketReader

__all__ = ["TARGETS", "Target"]

Target = Callable[[bytes], None]
Answer = tuple[object, ...]

LIMITS = Limits(head=65535, body=1 << 16, memory=1 << 10)


def http(data: bytes) -> None:
    """HTTP/1.1 as a client sends it: the same requests and the same refusal in every cut."""
    assert _http(pieces(data)) == _http([data])


def _http(parts: Iterable[bytes]) -> Answer:
    reader = RequestReader({"FIXED": "1"}, LIMITS, io.BytesIO, "9.9.9.9")
    requests = [_shown(request) for part in parts for request in reader.feed(part)]
    assert reader.failure is None or isinstance(reader.failure, WireError)
    status = reader.failure.status if reader.failure else None
    assert status != 500, "an error of ours passes for one of the client's"
    reader.discard()
    return requests, status


def packet(data: bytes) -> None:
    """The uwsgi protocol as a web server sends it."""
    assert _packet(pieces(data)) == _packet([data])


def _packet(parts: Iterable[bytes]) -> Answer:
    reader = PacketReader({"FIXED": "1"}, LIMITS, io.BytesIO)
    for part in parts:
        whole = reader.feed(part)
        if isinstance(whole, Packet):
            body = whole.body if whole.modifier1 == Modifier.SPOOL else b""  # else what came along
            return "packet", whole.modifier1, whole.modifier2, whole.payload, body
        if whole is not None:
            return "request", _shown(whole)
    status = reader.failure.status if reader.failure else None
    reader.discard()
    return "refused" if status else "waits", status


def _shown(request: Request) -> Answer:
    for name, value in request.variables.items():
        assert type(name) is str
        assert type(value) is str, name
    body = request.body if isinstance(request.body, bytes) else request.body.getvalue()  # type: ignore[attr-defined]
    return request.variables, request.method, request.target, request.keep_alive, body


def spoolfile(data: bytes) -> None:
    """A file found in a spool directory: what is read can be written, and is the same task."""
    try:
        task = decode_task(data)
        again = encode_task(task.vars, task.body)
    except MuleteerError:
        return
    assert decode_task(again) == task


def term(data: bytes) -> None:
    """A term of Erlang's: what is read can be written, and is the same term.

    But for one: an empty string is Erlang's empty list, in other bytes.
    """
    try:
        value = etf.decode(data)
        again = etf.encode(value)
    except MuleteerError:
        return
    once = etf.decode(again)
    assert repr(once) == repr(value).replace("Charlist('')", "[]")
    assert etf.encode(once) == again


def node(data: bytes) -> None:
    """What an Erlang node sends after the handshake: the same messages in every cut."""
    assert _node(pieces(data)) == _node([data])


def _node(parts: Iterable[bytes]) -> Answer:
    packets = Packets(1 << 16)
    found: list[Any] = []
    try:
        for part in parts:
            found += packets.feed(part)
    except MuleteerError as error:
        # the packets of the piece with the fault are lost with the connection
        return type(error).__name__, 0
    return "messages", [_message(one) for one in found if one]


def _message(one: bytes) -> str:
    try:
        return repr(decode_message(one))
    except MuleteerError as error:
        return type(error).__name__


def call(data: bytes) -> None:
    """What another muleteer sends on its line: frames, and the values of calls in them."""
    whole, cut = _call([data]), _call(pieces(data))
    assert whole[1] == cut[1]
    assert whole[0] == cut[0] or whole[1] is not None


def _call(parts: Iterable[bytes]) -> tuple[list[object], str | None]:
    reader = FrameReader()
    found: list[object] = []
    try:
        for part in parts:
            for kind, payload in reader.feed(part):
                found.append((kind, _values(payload)))
    except WireError as error:
        return found, type(error).__name__
    return found, None


def _values(payload: bytes) -> str:
    try:
        return repr(decode_values(payload))
    except WireError as error:
        return type(error).__name__


def pieces(data: bytes) -> list[bytes]:
    """The same bytes in a few cuts, which they themselves choose: a failure can be repeated."""
    places = sorted({byte * len(data) // 256 for byte in data[:6]})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


TARGETS: dict[str, Target] = {
    each.__name__: each for each in (http, packet, spoolfile, term, node, call)
}
