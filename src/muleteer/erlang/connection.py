"""One connection to another node: its handshake, its reader, its ticks.

1. One thread reads; any thread writes, a whole packet under the lock.
2. A peer drops us when it reads nothing for long, even while it is sending: so whatever arrives
   is answered with a tick unless something was written just now.
3. The handshake has one deadline, not one per read.

Runs in: any process with a node of its own.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

from muleteer.errors import MuleteerError, NodeDown, NodeLost, NodeRefused
from muleteer.wire.distribution import TICK, Packets
from muleteer.wire.handshake import Flag, Handshake, Initiator, Peer
from muleteer.wire.terms import Pid, Ref

__all__ = ["HANDSHAKE_S", "Connection", "dial", "shake"]

HANDSHAKE_S = 7.0
"""What a real node allows for the whole set-up."""
TICK_WHEN_HEARD_S = 1.0
TICK_WHEN_QUIET_S = 15.0
SILENCE_S = 75.0
LOOK_S = 5.0
"""How often a quiet connection is looked at."""
BUFFER = 1 << 18

Taker = Callable[["Connection", bytes], None]


def shake(sock: socket.socket, handshake: Handshake, timeout: float) -> Peer:
    """The proven peer; NodeRefused, NodeLost, Malformed or TooLarge when there is none."""
    deadline = time.monotonic() + timeout
    try:
        if isinstance(handshake, Initiator):
            sock.sendall(handshake.start())
        while handshake.peer is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            data = sock.recv(4096)
            if not data:
                raise _hung_up(handshake)
            sock.sendall(handshake.feed(data))
    except NodeRefused as refusal:
        _try_send(sock, refusal.farewell)
        raise
    except TimeoutError:
        raise NodeLost(f"the handshake was not done within {timeout:g} s") from None
    except ConnectionError:
        raise _hung_up(handshake) from None
    except OSError as error:
        raise NodeLost(f"the connection broke in the handshake: {error.strerror}") from None
    return handshake.peer


def dial(host: str, port: int, timeout: float) -> socket.socket:
    """A connected socket; NodeDown when nobody listens."""
    try:
        return socket.create_connection((host, port), timeout)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NodeDown(f"nobody answers on {host}:{port}: {reason}") from None


class Connection:
    """A connection after its handshake; `run()` reads it to its end, in a thread of its own."""

    def __init__(self, sock: socket.socket, peer: Peer, take: Taker, rest: bytes = b"") -> None:
        self.peer = peer
        self.running: dict[Ref, Pid] = {}
        """The calls of this peer that are being worked on: a result nobody awaits is dropped."""
        self._take = take
        self._rest = rest
        self._sock = sock
        self._writing = threading.Lock()
        self._last_write = self._last_read = time.monotonic()
        self._closed = False
        _prepare(sock)

    @property
    def has_aliases(self) -> bool:
        """Does the peer understand messages to an alias?"""
        return bool(self.peer.flags & Flag.ALIAS)

    def write(self, packet: bytes) -> None:
        """Send a whole packet; may block while the peer does not read; NodeLost when it is gone."""
        with self._writing:
            try:
                self._sock.sendall(packet)
            except OSError as error:
                self.close()
                raise NodeLost(f"{self.peer.name} is gone: {_reason(error)}") from None
            self._last_write = time.monotonic()

    def tick(self, quiet_s: float = TICK_WHEN_HEARD_S) -> None:
        """Say that we live, if nothing was written for so long; never raises, never waits.

        Somebody who is writing at this moment says it, too.
        """
        if time.monotonic() - self._last_write < quiet_s:
            return
        if self._writing.acquire(blocking=False):
            try:
                if self._sock.send(TICK, socket.MSG_DONTWAIT) < len(TICK):
                    self.close()  # half a packet: nothing after it could be read
                self._last_write = time.monotonic()
            except OSError:  # gone, or full: then what fills it says that we live
                pass
            finally:
                self._writing.release()

    def close(self) -> None:
        """End it; the reader comes out of `run()`. Closing twice is safe."""
        self._closed = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is down already
            pass

    def run(self) -> str:
        """Take every packet until the end; the reason of the end, for people. Never raises."""
        try:
            return self._read_on()
        except MuleteerError as error:
            return str(error)
        finally:
            self.close()
            with self._writing:
                self._sock.close()

    # -- the reader's thread --------------------------------------------------------------

    def _read_on(self) -> str:
        packets = Packets()
        buffer = bytearray(BUFFER)
        view = memoryview(buffer)
        data = self._rest
        while True:
            for packet in packets.feed(data):
                if packet:
                    self._take(self, packet)
            size = self._receive(buffer)
            if not size:
                return "closed by us" if self._closed else "closed by the other side"
            data = bytes(view[:size])
            self.tick()

    def _receive(self, buffer: bytearray) -> int:
        """Wait for bytes, and keep the connection alive meanwhile; 0 at its end."""
        self._last_read = time.monotonic()  # not before: we may have been busy with its messages
        while True:
            try:
                return self._sock.recv_into(buffer)
            except BlockingIOError:  # so long nothing came
                self.tick(TICK_WHEN_QUIET_S)
                if time.monotonic() - self._last_read > SILENCE_S:
                    raise NodeLost(f"nothing came for {SILENCE_S:g} s") from None
            except OSError as error:
                if self._closed:
                    return 0
                raise NodeLost(_reason(error)) from None


def _prepare(sock: socket.socket) -> None:
    """Small messages leave at once; waits are the kernel's, which saves a poll per message."""
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(LOOK_S), 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(SILENCE_S), 0))


def _hung_up(handshake: Handshake) -> MuleteerError:
    if isinstance(handshake, Initiator) and handshake.has_replied:
        return NodeRefused("the node hung up on our proof: is its cookie another than ours?")
    return NodeLost("the other side hung up in the handshake")


def _try_send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:  # it left before it was told to
        pass


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
