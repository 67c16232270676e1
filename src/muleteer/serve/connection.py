"""One client's socket, from accept to close.

It moves bytes: in to a reader of its protocol, out from a response.  It calls no application
(its engine does) and understands no protocol (wire does).
Runs in: workers, one thread each.

Rules:
1. Nothing here blocks, but for `relax`, and that for a bounded time.
2. A connection answers one request at a time, in order; while an answer waits for its client to
   take it, nothing more is read from that client.
3. Time limits are one number, `deadline`; the engine looks at it now and then.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Protocol

from muleteer.errors import Malformed, WireError
from muleteer.ipc.loop import READ, WRITE, Loop
from muleteer.serve.modifiers import ACTING, NOT_DONE, PacketHandler, answer_packet
from muleteer.serve.request import ServeSettings, make_spill
from muleteer.serve.trust import EVERYTHING
from muleteer.serve.wsgi import Response
from muleteer.wire.calls import BYE, GREETING, OWN, FrameReader, Kind, is_hello
from muleteer.wire.http1 import RequestReader
from muleteer.wire.packet import Modifier, Packet, encode_packet
from muleteer.wire.request import Limits, Request
from muleteer.wire.response import CONTINUE, error_response
from muleteer.wire.uwsgi import PacketReader

__all__ = [
    "Connection",
    "Host",
    "HttpConnection",
    "PacketHandler",
    "UwsgiConnection",
    "taking",
]

_FLAGS = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
"""With it a call does not block, whatever the socket's own mode: one system call fewer each."""
_LAST_FLAGS = _FLAGS | getattr(socket, "MSG_MORE", 0)
"""The kernel waits for the end of the connection and sends both in one packet."""
_HIGH_WATER = 1 << 20
"""So many bytes may wait for a client before the application is stopped from making more."""
_FILE_PIECE = 1 << 20
_LINGER_S = 2.0
_LINE_IDLE_S = 60.0
_SLOW_CALL_S = 0.005
_GREETING = encode_packet(Modifier.PING, GREETING, 1)
_TAKES_NONE = (
    "%s takes no calls, signals and tasks of that kind: other machines can reach it, or its"
    " `allow-packets` leaves them out; send them to a unix socket or to one bound to 127.0.0.1, or"
    " declare them: allow-packets = ADDRESS rpc signal spool"
)
_NO_LINGER = b"\1\0\0\0\0\0\0\0"  # on, for 0 seconds: closing resets


class Host(Protocol):
    """What a connection needs of its engine."""

    loop: Loop
    limits: Limits
    settings: ServeSettings
    packets: dict[int, PacketHandler]
    keeps_alive: bool
    keepalive_s: float
    buffer: memoryview
    """What is received goes here first; it is free again when `feed` has returned."""
    finished_at: float
    """When the last answer was finished (monotonic)."""
    accepted_at: float
    """When the client that is accepted now came (monotonic)."""
    lines: set[UwsgiConnection]
    """Idle lines of other muleteers."""
    calls_are_slow: bool
    """The last call took long enough to let others wait."""
    is_retiring: bool

    def now(self) -> float: ...
    def run(self, request: Request, connection: Connection) -> Response: ...
    def forget(self, connection: Connection) -> None: ...
    def complain(self, connection: Connection, error: WireError) -> None: ...
    def note_dropped(self, connection: Connection, header: bytes) -> None: ...
    def dismiss_lines(self) -> None: ...
    def refuse_packet(self, connection: Connection, packet: Packet, why: str) -> None: ...


class _FilePiece:
    """Bytes of a file that wait to be sent by the kernel."""

    __slots__ = ("close", "fd", "offset", "size")

    def __init__(self, fd: int, offset: int, size: int, close: Callable[[], None]) -> None:
        self.fd = fd
        self.offset = offset
        self.size = size
        self.close = close


class Connection:
    """What connections of every protocol share: the way out, and the end."""

    __slots__ = (
        "_closes_after_flush", "_fd", "_host", "_is_lingering", "_pending", "_pending_bytes",
        "_resets", "_sock", "_watched", "deadline", "is_gone", "peer",
    )  # fmt: skip

    def __init__(self, sock: socket.SocketType, peer: str, host: Host, patience_s: float) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._host = host
        self.peer = peer
        self.deadline = host.accepted_at + patience_s
        self._watched = 0
        self._pending: deque[memoryview | _FilePiece] | None = None  # most answers fit at once
        self._pending_bytes = 0
        self._closes_after_flush = False
        self._is_lingering = False
        self._resets = False
        self.is_gone = False

    # -- called by the engine and the loop -------------------------------------

    def begin(self) -> None:
        """Read what may have come with the handshake; watch for the rest."""
        self._read()
        if not self.is_gone and not self._watched:
            self._watch(READ)

    def on_ready(self, _events: int) -> None:
        """The loop's: something can be read or written, or the client is gone."""
        if self._pending:
            self._flush()
            if not self._pending:
                self._flushed()
        elif self._is_lingering:
            self._drain()
        else:
            self._read()

    def on_deadline(self) -> None:
        """The time is up for what the client should have done."""
        self.close()

    @property
    def is_idle(self) -> bool:
        """Between requests, with nothing to send."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close, as soon as the client has all of the last answer."""
        self._closes_after_flush = True
        if not self._after_response():
            self.close()

    def close(self) -> None:
        """End the connection and give back all it holds.  Safe to call twice."""
        if self._fd < 0:
            return
        self.is_gone = True
        if self._watched:
            self._host.loop.unwatch(self._fd)
            self._watched = 0
        self._fd = -1
        if self._resets:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._sock.close()
        if self._pending:
            self._drop_pending()
        self._discard()
        self._host.forget(self)

    # -- a response's Output ---------------------------------------------------

    def send(self, data: bytes, *, is_last: bool = False) -> None:
        """Send, or keep what does not fit; never blocks, never raises.

        What is last leaves together with the end of the connection, which must follow at once.
        """
        if self._pending:
            self._keep(memoryview(data))
            self._flush()
        elif not self.is_gone:
            try:
                sent = self._sock.send(data, _LAST_FLAGS if is_last else _FLAGS)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.is_gone = True
                return
            if sent < len(data):
                self._keep(memoryview(data)[sent:])

    def send_parts(self, *parts: bytes) -> None:
        """As `send`, for what is too large to be joined first: one call, one packet's beginning.

        A head that travels alone wakes its client for nothing (and is a packet of its own).
        """
        sent = 0
        if not self._pending and not self.is_gone:
            try:
                sent = self._sock.sendmsg(parts, (), _FLAGS)
            except BlockingIOError:
                pass
            except OSError:
                self.is_gone = True
        for part in () if self.is_gone else parts:
            self._keep(memoryview(part)[sent:])
            sent = max(0, sent - len(part))

    def send_file(self, fd: int, offset: int, size: int, close: Callable[[], None]) -> None:
        """Send a piece of a file in the kernel; `close` is called once, at its end."""
        self._sock.setblocking(False)  # sendfile has no flags
        self._queue().append(_FilePiece(fd, offset, size, close))
        self._flush()

    def relax(self) -> None:
        """Wait, when very much is kept, until the client took some of it."""
        while self._pending_bytes > _HIGH_WATER and not self.is_gone:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            if not poll.poll(self._host.settings.socket_timeout * 1000):
                self.is_gone = True
                return
            self._flush()

    def abort(self, *, resets: bool) -> None:
        """End the connection after what was sent, with a reset or in an orderly way."""
        self._resets = resets
        if self._pending:
            self._closes_after_flush = True
        else:
            self.is_gone = True

    # -- inside ----------------------------------------------------------------

    def _read(self) -> None:
        """Take in what has come and act on it."""
        raise NotImplementedError

    def _discard(self) -> None:
        """Give up a request that will not become whole."""

    def _flushed(self) -> None:
        """All of an answer is with the kernel."""
        if self.is_gone or self._closes_after_flush:
            self._end()
        else:
            self._watch(READ)

    def _receive(self) -> memoryview | None:
        """What has come, in the thread's one buffer, until the next call of anybody.

        None when nothing has, or when the connection has ended (it is closed then).
        """
        buffer = self._host.buffer
        try:
            size = self._sock.recv_into(buffer, 0, _FLAGS)
        except BlockingIOError:
            return None
        except OSError:
            size = 0
        if not size:
            self.close()
            return None
        return buffer[:size]

    def _watch(self, events: int) -> None:
        if self._watched == 0:
            self._host.loop.watch(self._fd, self.on_ready, events)
        elif self._watched != events:
            self._host.loop.change(self._fd, events)
        self._watched = events

    def _keep(self, rest: memoryview) -> None:
        if rest:
            self._queue().append(rest)
            self._pending_bytes += len(rest)

    def _queue(self) -> deque[memoryview | _FilePiece]:
        if self._pending is None:
            self._pending = deque()
        return self._pending

    def _flush(self) -> None:
        """Send of what waits as much as the client takes."""
        pending = self._queue()
        try:
            while pending and not self.is_gone:
                first = pending[0]
                if isinstance(first, _FilePiece):
                    if self._send_piece(first):
                        pending.popleft()
                        first.close()
                    continue
                sent = self._sock.send(first, _FLAGS)
                self._pending_bytes -= sent
                if sent < len(first):
                    pending[0] = first[sent:]
                else:
                    pending.popleft()
                self.deadline = self._host.now() + self._host.settings.socket_timeout
        except BlockingIOError:
            return
        except OSError:
            self.is_gone = True
        if self.is_gone:
            self._drop_pending()

    def _send_piece(self, piece: _FilePiece) -> bool:
        sent = os.sendfile(self._fd, piece.fd, piece.offset, min(piece.size, _FILE_PIECE))
        if not sent and piece.size:  # the file became shorter while we sent it
            self.is_gone = True
            return False
        piece.offset += sent
        piece.size -= sent
        self.deadline = self._host.now() + self._host.settings.socket_timeout
        return piece.size == 0

    def _drop_pending(self) -> None:
        pending, self._pending = self._pending, None
        self._pending_bytes = 0
        for piece in pending or ():
            if isinstance(piece, _FilePiece):
                piece.close()

    def _after_response(self) -> bool:
        """Wait for the client to take the rest; False when it has it all and may go on."""
        if self.is_gone:
            self.close()
            return True
        if self._pending:
            self.deadline = self._host.now() + self._host.settings.socket_timeout
            self._watch(WRITE)
            return True
        return False

    def _refuse(self, error: WireError, answer: bytes | None = None) -> None:
        """Say what is wrong, and end: the client may still be sending what nobody will read."""
        self._host.complain(self, error)
        self.send(error_response(error.status, str(error)) if answer is None else answer)
        self._is_lingering = True
        self._closes_after_flush = True
        if not self._after_response():
            self._end()

    def _end(self) -> None:
        """Close; after a refusal only when the client has read it, or some time has passed.

        Closing with unread bytes in our buffer sends a reset, and a reset eats the answer.
        """
        if not self._is_lingering or self.is_gone:
            self.close()
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.deadline = self._host.now() + _LINGER_S
        self._watch(READ)

    def _drain(self) -> None:
        self._receive()


class HttpConnection(Connection):
    """A client that speaks HTTP/1.x, for as many requests as it likes."""

    __slots__ = ("_reader", "_waiting")

    def __init__(
        self, sock: socket.SocketType, peer: str, host: Host, template: dict[str, Any]
    ) -> None:
        super().__init__(sock, peer, host, host.settings.http_timeout)
        self._reader = RequestReader(template, host.limits, make_spill, peer)
        self._waiting: list[Request] = []

    @property
    def is_idle(self) -> bool:
        return self._reader.is_idle and not self._pending and not self._is_lingering

    def on_deadline(self) -> None:
        """Close an idle client; tell a slow one why."""
        if self._pending or self._is_lingering or self._reader.is_idle:
            self.close()
            return
        error = WireError("the request did not arrive in time (http-timeout)")
        error.status = 408
        self._refuse(error)

    def _discard(self) -> None:
        self._reader.discard()
        self._waiting = []

    def _flushed(self) -> None:
        super()._flushed()
        if not self.is_gone and not self._closes_after_flush:
            self._host.finished_at = self._host.now()
            self._answer(self._waiting)

    def _read(self) -> None:
        data = self._receive()
        if data is None:
            return
        reader = self._reader
        requests = reader.feed(data)
        if requests or reader.failure is not None:
            self._answer(requests)
        else:
            self._wait_for_more(reader.fed == len(data))

    def _answer(self, requests: list[Request]) -> None:
        """Answer in order; what cannot be answered yet waits until the client took the rest."""
        host = self._host
        for place, request in enumerate(requests):
            if not host.keeps_alive:
                request.keep_alive = False
            host.run(request, self)
            if not request.keep_alive:
                return
            if self.is_gone or self._pending:
                self._waiting = requests[place + 1 :]
                self._after_response()
                return
        self._waiting = []
        reader = self._reader
        if reader.failure is not None:
            self._refuse(reader.failure)
            return
        if reader.dropped is not None:
            host.note_dropped(self, reader.dropped)
            reader.dropped = None
        self.deadline = host.finished_at + host.keepalive_s

    def _wait_for_more(self, is_beginning: bool) -> None:
        reader, host = self._reader, self._host
        if is_beginning or reader.is_in_body:  # a head has one deadline, a body one for each pause
            self.deadline = host.now() + host.settings.http_timeout
        if reader.is_in_body and reader.take_expectation():
            self.send(CONTINUE)


class UwsgiConnection(Connection):
    """A front server that speaks the uwsgi protocol: one packet, one answer.

    Another muleteer may keep the connection as a line for calls (`wire.calls`). Nobody waits on a
    line for a worker that is busy elsewhere: it says goodbye first, and the caller asks another.
    """

    __slots__ = ("_frames", "_reader")

    takes: ClassVar[frozenset[int]] = EVERYTHING
    """The modifier1 of the packets that may act in the server; a socket has a class with its own
    (`taking`), so that a connection carries nothing."""

    def __init__(
        self, sock: socket.SocketType, peer: str, host: Host, template: dict[str, Any]
    ) -> None:
        super().__init__(sock, peer, host, host.settings.socket_timeout)
        self._reader = PacketReader(template, host.limits, make_spill)
        self._frames: FrameReader | None = None

    @property
    def is_idle(self) -> bool:
        return self._reader.is_idle and not self._is_lingering

    def on_deadline(self) -> None:
        """Close, after a goodbye to who could send another call."""
        if self in self._host.lines:
            self.dismiss()
        else:
            self.close()

    def close(self) -> None:
        """End the connection."""
        self._host.lines.discard(self)
        super().close()

    def _discard(self) -> None:
        self._reader.discard()

    def _read(self) -> None:
        data = self._receive()
        if data is None:
            return
        if self._frames is not None:
            self._answer_calls(self._frames, bytes(data))
            return
        whole = self._reader.feed(bytes(data))
        if isinstance(whole, Request):
            self._host.run(whole, self)
        elif whole is not None and is_hello(whole) and Modifier.RPC in self.takes:
            self._become_line(whole.body)
        elif whole is not None:
            self._answer_packet(whole)
            self.finish()
        elif self._reader.failure is not None:
            modifier1 = self._reader.modifier1
            no_request = modifier1 in self._host.packets  # whoever sent it reads no HTTP
            self._refuse(self._reader.failure, _no(modifier1) if no_request else None)
        else:
            self.deadline = self._host.now() + self._host.settings.socket_timeout

    def _answer_packet(self, packet: Packet) -> None:
        acts = Modifier.RPC if is_hello(packet) else packet.modifier1
        if acts in EVERYTHING and acts not in self.takes:
            reply = self._refuse_packet(packet)
        else:
            self._host.dismiss_lines()
            reply = answer_packet(packet, self._host.packets)
        if reply:
            self.send(reply)

    def _refuse_packet(self, packet: Packet) -> bytes:
        """Say no in the words of who asks."""
        name = self._sock.getsockname()
        why = _TAKES_NONE % (f"port {name[1]}" if isinstance(name, tuple) else name)
        self._host.refuse_packet(self, packet, why)
        if is_hello(packet):
            return encode_packet(Modifier.PING, GREETING + b" " + why.encode(), 1)
        return _no(packet.modifier1)

    # -- a line for calls ------------------------------------------------------

    def _become_line(self, data: bytes) -> None:
        self._frames = FrameReader()
        self.send(_GREETING)
        self._answer_calls(self._frames, data)

    def _answer_calls(self, frames: FrameReader, data: bytes) -> None:
        host = self._host
        host.lines.discard(self)
        try:
            for kind, payload in frames.feed(data):
                if kind is not Kind.CALL:
                    raise Malformed(f"a caller sent a frame of kind {kind.name}")
                self._answer_call(payload)
        except WireError as error:
            host.complain(self, error)
            self.close()
            return
        self.deadline = host.now() + host.settings.socket_timeout
        if frames.is_idle and not self._after_response():
            self._stay()

    def _answer_call(self, payload: bytes) -> None:
        host = self._host
        if host.calls_are_slow:
            host.dismiss_lines()
        started = host.now()
        reply = answer_packet(Packet(Modifier.RPC, payload, OWN), host.packets)
        host.calls_are_slow = host.now() - started > _SLOW_CALL_S
        if not reply:
            raise Malformed("a call that nothing here understands")
        self.send(reply)

    def _flushed(self) -> None:
        super()._flushed()
        if self._frames is not None and not self.is_gone and not self._closes_after_flush:
            self._stay()

    def _stay(self) -> None:
        """Wait for the next call, unless we are leaving."""
        host = self._host
        self.deadline = host.now() + _LINE_IDLE_S
        host.lines.add(self)
        if host.is_retiring:
            self.dismiss()

    def dismiss(self) -> None:
        """Say goodbye to the other end of an idle line, and hang up when it has heard it."""
        self._host.lines.discard(self)
        self.send(BYE)
        self._is_lingering = True
        self._closes_after_flush = True
        if not self._after_response():
            self._end()


@cache
def taking(kinds: frozenset[int]) -> type[UwsgiConnection]:
    """The class of connections that take these packets, beside requests and pings."""
    return type("UwsgiConnection", (UwsgiConnection,), {"__slots__": (), "takes": kinds})


def _no(modifier1: int) -> bytes:
    """The refusal that the sender of such a packet understands."""
    return NOT_DONE if modifier1 in ACTING else b""
