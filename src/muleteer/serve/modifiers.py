"""Packets that are no requests: who answers them, and with what.

A ping anybody may send. What acts in the server (calls, signals, tasks) is answered by a `Desk`,
and only where no other machine can send it.
Runs in: workers.

Rules:
1. Nothing of a packet is evaluated or unpickled.
2. A task is acknowledged when it is on the disk, and not before.
3. Who is no muleteer hears of a failure what uWSGI says: no byte, or a 0 for a task or a signal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from muleteer.errors import (
    CallFailed,
    ChannelFull,
    Malformed,
    MuleteerError,
    SpoolError,
    UnknownFunction,
    WireError,
)
from muleteer.rpc.functions import run
from muleteer.runtime import Runtime
from muleteer.wire.calls import (
    OWN,
    Failure,
    Kind,
    decode_values,
    encode_frame,
    encode_values,
)
from muleteer.wire.packet import (
    MAX_PAYLOAD,
    Modifier,
    Packet,
    decode_array,
    decode_vars,
    encode_packet,
    encode_vars,
)

__all__ = ["ACTING", "DONE", "NOT_DONE", "Desk", "PacketHandler", "answer_packet"]

_log = logging.getLogger("muleteer")

PacketHandler = Callable[[Packet], bytes]

PONG = encode_packet(Modifier.PING, b"", 1)
DONE = encode_packet(Modifier.RESPONSE, b"", 1)
NOT_DONE = encode_packet(Modifier.RESPONSE, b"", 0)
ACTING = (Modifier.SIGNAL, Modifier.SPOOL)
"""What is acknowledged with DONE or NOT_DONE."""

_FRAMED, _HTTP, _XML_RPC = 0, 2, 3
_LONG_RESULT = 5


def answer_packet(packet: Packet, handlers: Mapping[int, PacketHandler]) -> bytes:
    """The reply to send before the connection is closed; nothing for what nobody answers."""
    handler = handlers.get(packet.modifier1)
    if handler is not None:
        try:
            return handler(packet)
        except WireError as error:
            _log.warning("packet with modifier1 %s refused: %s", packet.modifier1, error)
            return b""
        except Exception:  # noqa: BLE001 - the handler runs code that is not ours
            _log.exception("packet with modifier1 %s: its handler raised", packet.modifier1)
            return b""
    if packet.modifier1 == Modifier.PING:
        return PONG
    _log.warning(
        "a packet with modifier1 %s came, which nothing here answers: its connection is closed",
        packet.modifier1,
    )
    return b""


class Core(Protocol):
    """A thread's place on the scoreboard."""

    def enter(self, deadline: float) -> None: ...
    def leave(self) -> None: ...
    def count(self, *, tx: int, seconds: float, failed: bool) -> None: ...


class Desk:
    """Answers the packets that act in the server; one per thread of a worker."""

    def __init__(self, runtime: Runtime, core: Core) -> None:
        self._runtime = runtime
        self._core = core
        self._harakiri = runtime.settings.harakiri or 0.0

    @property
    def handlers(self) -> dict[int, PacketHandler]:
        """Who answers which modifier1."""
        return {
            Modifier.RPC: self.call,
            Modifier.SIGNAL: self.signal,
            Modifier.SPOOL: self.spool,
        }

    # -- tasks and signals -------------------------------------------------------------------

    def signal(self, packet: Packet) -> bytes:
        """Queue the signal of the packet's modifier2; may block while its queue is full."""
        try:
            self._runtime.raise_signal(packet.modifier2)
        except (ChannelFull, MuleteerError) as error:
            _log.warning("signal %d from another node was not queued: %s", packet.modifier2, error)
            return NOT_DONE
        return DONE

    def spool(self, packet: Packet) -> bytes:
        """Store the packet's variables, and its body, as a task; blocks as long as the disk."""
        task_vars = dict(decode_vars(packet.payload))
        try:
            _refuse_pickles(task_vars)
            self._runtime.put_task(task_vars, packet.body)
        except SpoolError as error:
            _log.warning("a task from another node was not spooled: %s", error)
            return NOT_DONE
        return DONE

    # -- calls -------------------------------------------------------------------------------

    def call(self, packet: Packet) -> bytes:
        """Run the named function under the requests' deadline; returns what goes back."""
        if packet.modifier2 == OWN:
            return self._own_call(packet.payload)
        if packet.modifier2 == _HTTP:
            return self._http_call(dict(decode_vars(packet.payload)))
        if packet.modifier2 == _XML_RPC:
            raise Malformed("XML-RPC (modifier2 3) is not spoken here; use modifier2 0, 1 or 2")
        words = decode_array(packet.payload)
        if packet.modifier2 != _FRAMED:  # nginx sends pairs; an empty word fills one up
            words = [word for word in words if word]
        result = self._bytes_of(words)
        return result if packet.modifier2 != _FRAMED or not result else _framed(result)

    def _own_call(self, payload: bytes) -> bytes:
        name, *args = decode_values(payload) or [None]
        if not isinstance(name, bytes):
            raise Malformed("the call names no function")
        try:
            return encode_frame(Kind.RESULT, encode_values([self._run(name, args)]))
        except UnknownFunction as error:
            return _failed(Failure.UNKNOWN, str(error))
        except CallFailed as error:
            _log.error("%s", error, exc_info=error.__cause__)
            return _failed(Failure.RAISED, str(error))
        except WireError as error:
            text = f"the result of RPC function {name.decode(errors='replace')!r}: {error}"
            _log.error("%s", text)
            return _failed(Failure.RAISED, text)

    def _http_call(self, variables: Mapping[bytes, bytes]) -> bytes:
        protocol = variables.get(b"SERVER_PROTOCOL", b"") or b"HTTP/1.0"
        words = [word for word in variables.get(b"PATH_INFO", b"").split(b"/") if word]
        if not words:
            return _http_answer(protocol, b"500 Internal Server Error")
        result = self._bytes_of(words)
        if not result:
            return _http_answer(protocol, b"404 Not Found")
        accepted = variables.get(b"HTTP_ACCEPT", b"")
        kind = b"application/binary" if accepted in (b"", b"*", b"*/*") else accepted
        head = b"Content-Length: %d\r\nContent-Type: %b\r\n\r\n" % (len(result), kind)
        return protocol + b" 200 OK\r\n" + head + result

    def _bytes_of(self, words: Sequence[bytes]) -> bytes:
        """The function's result for who knows bytes only; b'' for every failure, as uWSGI."""
        if not words:
            raise Malformed("the call names no function")
        name, *args = words
        try:
            result = self._run(name, args)
        except UnknownFunction as error:
            _log.warning("%s", error)
            return b""
        except CallFailed as error:
            _log.error("%s", error, exc_info=error.__cause__)
            return b""
        if isinstance(result, bytes):
            return result
        if result is not None:
            _log.error(
                "RPC function %r returned a value of type %s, which only a muleteer could take: the"
                " caller gets nothing; return str or bytes",
                name.decode(errors="replace"), type(result).__name__,
            )  # fmt: skip
        return b""

    def _run(self, name: bytes, args: Sequence[Any]) -> Any:
        """Run it as a request is run: busy, under its deadline, counted."""
        started = time.monotonic()
        failed = True
        self._core.enter(started + self._harakiri if self._harakiri else 0.0)
        try:
            result = run(self._runtime.registry.rpc, name, args)
            failed = False
            return result
        finally:
            self._core.leave()
            self._core.count(tx=0, seconds=time.monotonic() - started, failed=failed)


def _framed(result: bytes) -> bytes:
    if len(result) <= MAX_PAYLOAD:
        return encode_packet(Modifier.RPC, result)
    length = encode_vars([(b"CONTENT_LENGTH", b"%d" % len(result))])
    return encode_packet(Modifier.RPC, length, _LONG_RESULT) + result


def _failed(failure: Failure, text: str) -> bytes:
    return encode_frame(Kind.FAILED, encode_values([int(failure), text.encode(errors="replace")]))


def _http_answer(protocol: bytes, status: bytes) -> bytes:
    reason = status.partition(b" ")[2]
    head = b" %b\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" % status
    return protocol + head + reason


def _refuse_pickles(task_vars: Mapping[bytes, bytes]) -> None:
    """SpoolError for the arguments of a decorated function: its decorator would unpickle them."""
    named = {b"ud_spool_func", b"ud_spool_name"} & task_vars.keys()
    if named and {b"args", b"kwargs"} & task_vars.keys():
        raise SpoolError(
            "it holds pickled arguments (`args`, `kwargs`), which are never taken from the network;"
            " send plain keys"
        )
