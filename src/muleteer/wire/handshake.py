"""The handshake of two Erlang nodes, version 6, from both sides: bytes in, bytes out.

1. Nobody is a peer before it has proven that it knows the cookie.
2. A packet here is at most MAX_PACKET bytes; more is nobody's greeting.
3. Chance and decisions come from outside: the challenge, and what to say to a name.

The steps are the methods `_hear_…`, in the order of the protocol.

Runs in: anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from muleteer.errors import Malformed, NodeRefused, TooLarge

__all__ = [
    "MANDATORY",
    "MAX_PACKET",
    "OURS",
    "Acceptor",
    "Flag",
    "Handshake",
    "Initiator",
    "Local",
    "Peer",
    "digest",
]

MAX_PACKET = 2048


class Flag(IntFlag):
    """What a node says it can do."""

    PUBLISHED = 0x1
    EXTENDED_REFERENCES = 0x4
    DIST_MONITOR = 0x8
    FUN_TAGS = 0x10
    DIST_MONITOR_NAME = 0x20
    NEW_FUN_TAGS = 0x80
    EXTENDED_PIDS_PORTS = 0x100
    EXPORT_PTR_TAG = 0x200
    BIT_BINARIES = 0x400
    NEW_FLOATS = 0x800
    UTF8_ATOMS = 0x10000
    MAP_TAG = 0x20000
    BIG_CREATION = 0x40000
    HANDSHAKE_23 = 0x1000000
    UNLINK_ID = 0x2000000
    MANDATORY_25_DIGEST = 0x4000000
    """Short for everything that OTP 25 insists on."""
    SPAWN = 1 << 32
    """Without it `rpc:call` and `erpc:call` give up before they ask."""
    NAME_ME = 1 << 33
    V4_NC = 1 << 34
    ALIAS = 1 << 35


MANDATORY = (
    Flag.EXTENDED_REFERENCES
    | Flag.FUN_TAGS
    | Flag.NEW_FUN_TAGS
    | Flag.EXTENDED_PIDS_PORTS
    | Flag.EXPORT_PTR_TAG
    | Flag.BIT_BINARIES
    | Flag.NEW_FLOATS
    | Flag.UTF8_ATOMS
    | Flag.MAP_TAG
    | Flag.BIG_CREATION
    | Flag.HANDSHAKE_23
)
OURS = (
    MANDATORY
    | Flag.DIST_MONITOR
    | Flag.DIST_MONITOR_NAME
    | Flag.UNLINK_ID
    | Flag.MANDATORY_25_DIGEST
    | Flag.SPAWN
    | Flag.V4_NC
    | Flag.ALIAS
)
"""Ours: hidden, without atom cache and fragments, so that every packet stands for itself."""

_NAME = struct.Struct(">cQIH")
_CHALLENGE = struct.Struct(">cQIIH")
_REPLY = struct.Struct(">cI16s")
_ACK = struct.Struct(">c16s")


@dataclass(frozen=True, slots=True)
class Local:
    """Who we are in one handshake; the cookie never leaves it but as a digest."""

    name: str
    creation: int
    cookie: bytes
    challenge: int
    flags: int = int(OURS)

    def __repr__(self) -> str:
        return f"Local({self.name!r})"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who the other node says it is; true once `Handshake.peer` says so."""

    name: str
    creation: int
    flags: int


Greet = Callable[[Peer], str]
"""What an acceptor says to a name: ok, ok_simultaneous, nok, alive or not_allowed."""


def digest(cookie: bytes, challenge: int) -> bytes:
    """What proves that one knows the cookie: MD5, which is the protocol's choice."""
    text = cookie + str(challenge).encode()
    return hashlib.md5(text, usedforsecurity=False).digest()


class Handshake:
    """One side: feed it what arrives and send what it returns, until there is a `peer`.

    Malformed, TooLarge and NodeRefused end it; a NodeRefused may have a `farewell` to send.
    """

    def __init__(self, local: Local) -> None:
        self._local = local
        self._buffer = bytearray()
        self._step: Callable[[bytes], bytes] = self._unexpected
        self._stranger: Peer | None = None
        self.peer: Peer | None = None
        """The other node, once it is proven."""

    @property
    def rest(self) -> bytes:
        """What arrived after the handshake's last packet: the first messages."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; return what is to be sent, often nothing."""
        self._buffer += data
        answer = bytearray()
        while self.peer is None and len(self._buffer) >= 2:
            size = int.from_bytes(self._buffer[:2], "big")
            if size > MAX_PACKET:
                raise TooLarge(f"a handshake's packet has at most {MAX_PACKET} bytes, not {size}")
            if len(self._buffer) < 2 + size:
                break
            packet = bytes(self._buffer[2 : 2 + size])
            del self._buffer[: 2 + size]
            answer += self._step(packet)
        return bytes(answer)

    def _unexpected(self, packet: bytes) -> bytes:
        raise Malformed("a packet of the handshake came where none is expected")

    def _prove(self, theirs: bytes) -> None:
        """Take the stranger for a peer, or raise NodeRefused."""
        if not hmac.compare_digest(theirs, digest(self._local.cookie, self._local.challenge)):
            name = self._stranger.name if self._stranger else "?"
            raise NodeRefused(f"{name} has another cookie than ours: give both the same one")
        self.peer = self._stranger


class Acceptor(Handshake):
    """The side that was connected to."""

    def __init__(self, local: Local, greet: Greet) -> None:
        super().__init__(local)
        self._greet = greet
        self._step = self._hear_name

    def _hear_name(self, packet: bytes) -> bytes:
        self._stranger = _read_stranger(_NAME, packet)
        if not _is_able(self._stranger.flags):
            raise _refusal(self._stranger, "not_allowed", "it lacks what OTP 25 insists on")
        status = self._greet(self._stranger)
        if status == "alive":
            self._step = self._hear_if_they_go_on
            return _framed(b"salive")
        if status not in ("ok", "ok_simultaneous"):
            raise _refusal(self._stranger, status, f"it was told {status}")
        return _framed(b"s" + status.encode()) + self._challenge()

    def _hear_if_they_go_on(self, packet: bytes) -> bytes:
        """They know that we have a connection under their name; is it dead to them?"""
        if packet != b"strue":
            raise NodeRefused("a node that is connected already gave up its second connection")
        return self._challenge()

    def _challenge(self) -> bytes:
        me, name = self._local, self._local.name.encode()
        self._step = self._hear_reply
        head = _CHALLENGE.pack(b"N", me.flags, me.challenge, me.creation, len(name))
        return _framed(head + name)

    def _hear_reply(self, packet: bytes) -> bytes:
        _tag, challenge, proof = _unpack(_REPLY, packet, b"r")
        self._prove(proof)
        self._step = self._unexpected
        return _framed(_ACK.pack(b"a", digest(self._local.cookie, challenge)))


class Initiator(Handshake):
    """The side that connects; `start()` is what it sends first."""

    def __init__(self, local: Local) -> None:
        super().__init__(local)
        self._step = self._hear_status
        self.is_simultaneous = False
        """The other node was connecting to us, too, and gives that up."""
        self.has_replied = False
        """Our proof is sent: a node that hangs up now has another cookie."""

    def start(self) -> bytes:
        """The greeting."""
        me, name = self._local, self._local.name.encode()
        return _framed(_NAME.pack(b"N", me.flags, me.creation, len(name)) + name)

    def _hear_status(self, packet: bytes) -> bytes:
        if packet[:1] != b"s":
            raise Malformed("the other side does not speak the protocol of Erlang nodes")
        status = packet[1:].decode("latin-1")
        self._step = self._hear_challenge
        if status == "alive":  # an old connection of ours, dead to us: the new one counts
            return _framed(b"strue")
        if status not in ("ok", "ok_simultaneous"):
            refusal = NodeRefused(_REASONS.get(status, f"the node answered {status[:40]!r}"))
            refusal.status = status
            raise refusal
        self.is_simultaneous = status == "ok_simultaneous"
        return b""

    def _hear_challenge(self, packet: bytes) -> bytes:
        _tag, flags, challenge, creation, size = _unpack(_CHALLENGE, packet, b"N")
        self._stranger = Peer(_name(packet, _CHALLENGE.size, size), creation, flags)
        if not _is_able(flags):
            raise NodeRefused(f"{self._stranger.name} is too old: OTP 25 or newer is needed")
        self._step = self._hear_ack
        self.has_replied = True
        me = self._local
        return _framed(_REPLY.pack(b"r", me.challenge, digest(me.cookie, challenge)))

    def _hear_ack(self, packet: bytes) -> bytes:
        _tag, proof = _unpack(_ACK, packet, b"a")
        self._prove(proof)
        self._step = self._unexpected
        return b""


_REASONS = {
    "nok": "the node is connecting to us at this moment; its connection is the one that counts",
    "not_allowed": "the node does not let this name connect: see its net_kernel:allow/1",
}


def _is_able(flags: int) -> bool:
    return flags & MANDATORY == MANDATORY or bool(flags & Flag.MANDATORY_25_DIGEST)


def _refusal(stranger: Peer, status: str, reason: str) -> NodeRefused:
    refusal = NodeRefused(f"{stranger.name} was refused: {reason}")
    refusal.farewell = _framed(b"s" + status.encode())
    return refusal


def _framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


def _unpack(layout: struct.Struct, packet: bytes, tag: bytes) -> Any:
    if packet[:1] != tag or len(packet) < layout.size:
        raise Malformed("the other side does not speak the protocol of Erlang nodes")
    return layout.unpack_from(packet)


def _read_stranger(layout: struct.Struct, packet: bytes) -> Peer:
    _tag, flags, creation, size = _unpack(layout, packet, b"N")
    return Peer(_name(packet, layout.size, size), creation, flags)


def _name(packet: bytes, at: int, size: int) -> str:
    """A node's name, `alive@host`; anything after it is a later version's."""
    name = packet[at : at + size]
    alive, _, host = name.partition(b"@")
    if len(name) != size or not name.isascii() or not alive or not host or b"@" in host:
        raise Malformed("a node's name is not of the form alive@host")
    text = name.decode()
    if size > 255 or not text.isprintable():
        raise Malformed("a node's name is not of the form alive@host")
    return text
