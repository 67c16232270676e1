"""What connected Erlang nodes say to each other: packets, and the control messages in them.

1. A packet is a length and "pass-through": a control term and perhaps a payload term.
2. A broken control term ends the connection; a broken payload only loses its message.
3. What is written is whole and checked before its first byte can be sent.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from muleteer.errors import Malformed, TooLarge
from muleteer.wire import etf
from muleteer.wire.terms import Atom, Pid, Ref

__all__ = ["MAX_PACKET", "TICK", "Message", "Op", "Packets", "decode_message", "encode_message"]

MAX_PACKET = 64 << 20
"""Bytes of one message: without fragments it comes whole, however large."""
TICK = bytes(4)
"""The empty packet that says: I am alive."""
PASS_THROUGH = 112
MAX_OP = 1000
EMPTY = Atom("")
"""Where a cookie once stood."""


class Op(IntEnum):
    """The control messages, by the number they begin with."""

    LINK = 1
    SEND = 2
    EXIT = 3
    UNLINK = 4
    NODE_LINK = 5
    REG_SEND = 6
    GROUP_LEADER = 7
    EXIT2 = 8
    SEND_TT = 12
    EXIT_TT = 13
    REG_SEND_TT = 16
    EXIT2_TT = 18
    MONITOR_P = 19
    DEMONITOR_P = 20
    MONITOR_P_EXIT = 21
    SEND_SENDER = 22
    SEND_SENDER_TT = 23
    PAYLOAD_EXIT = 24
    PAYLOAD_EXIT_TT = 25
    PAYLOAD_EXIT2 = 26
    PAYLOAD_EXIT2_TT = 27
    PAYLOAD_MONITOR_P_EXIT = 28
    SPAWN_REQUEST = 29
    SPAWN_REQUEST_TT = 30
    SPAWN_REPLY = 31
    SPAWN_REPLY_TT = 32
    ALIAS_SEND = 33
    ALIAS_SEND_TT = 34
    UNLINK_ID = 35
    UNLINK_ID_ACK = 36


@dataclass(slots=True)
class Message:
    """One control message: its number, what follows the number, and the payload if it has one."""

    op: int
    args: tuple[Any, ...]
    payload: Any = None
    broken: str = ""
    """Why the payload could not be read; the control message is good still."""


class Packets:
    """Bytes as they arrive -> whole packets; an empty one is a tick."""

    def __init__(self, limit: int = MAX_PACKET) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 4
        """Bytes without which there is no packet: a large one is put together once."""

    def feed(self, data: bytes) -> list[bytes]:
        """Every packet that is complete now; raises TooLarge before a too large one is kept."""
        self._have += len(data)
        self._parts.append(data)
        if self._have < self._need:
            return []
        if len(self._parts) > 1:
            data = b"".join(self._parts)
        found, at, self._need = [], 0, 4
        while self._have - at >= 4:
            length = int.from_bytes(data[at : at + 4], "big")
            if length > self._limit:
                raise TooLarge(f"a message of {length} bytes; {self._limit} are the most")
            if self._have - at - 4 < length:
                self._need = 4 + length
                break
            found.append(data[at + 4 : at + 4 + length])
            at += 4 + length
        self._parts = [data[at:]]
        self._have -= at
        return found


def decode_message(packet: bytes, limits: etf.Limits | None = None) -> Message:
    """What a packet (not a tick) says; Malformed or TooLarge if its control term is broken."""
    if packet[:1] != b"\x70":
        raise Malformed("a message does not begin as one without atom cache and fragments")
    limits = limits or etf.Limits()
    control, end = etf.decode_from(packet, 1, limits)
    if type(control) is not tuple or not control or type(control[0]) is not int:
        raise Malformed("a control message is not a tuple that begins with a number")
    if not 0 < control[0] <= MAX_OP:  # a longer one could not even be printed
        raise Malformed(f"a control message has a number that is not in 1 to {MAX_OP}")
    message = Message(control[0], control[1:])
    size = _SIZES.get(message.op)
    if size is not None and len(message.args) != size:
        raise Malformed(f"control message {message.op} has {len(message.args)} parts, not {size}")
    if end < len(packet):
        try:
            message.payload, _ = etf.decode_from(packet, end, limits)
        except (Malformed, TooLarge) as error:
            message.broken = str(error)
    elif message.op in _WITH_PAYLOAD:
        message.broken = "it has no payload"
    return message


def encode_message(control: tuple[Any, ...], *payload: Any) -> bytes:
    """A packet ready to send; raises BadTerm naming what cannot be sent."""
    out = bytearray(4)
    out.append(PASS_THROUGH)
    etf.encode_into(out, control)
    for term in payload:
        etf.encode_into(out, term)
    if len(out) - 4 > MAX_PACKET:
        raise TooLarge(f"a message of {len(out) - 4} bytes; {MAX_PACKET} are the most")
    out[:4] = (len(out) - 4).to_bytes(4, "big")
    return bytes(out)


_SIZES: dict[int, int] = {
    Op.LINK: 2,
    Op.SEND: 2,
    Op.EXIT: 3,
    Op.REG_SEND: 3,
    Op.EXIT2: 3,
    Op.SEND_TT: 3,
    Op.REG_SEND_TT: 4,
    Op.MONITOR_P: 3,
    Op.DEMONITOR_P: 3,
    Op.MONITOR_P_EXIT: 4,
    Op.SEND_SENDER: 2,
    Op.SEND_SENDER_TT: 3,
    Op.PAYLOAD_MONITOR_P_EXIT: 3,
    Op.SPAWN_REQUEST: 5,
    Op.SPAWN_REQUEST_TT: 6,
    Op.SPAWN_REPLY: 4,
    Op.SPAWN_REPLY_TT: 5,
    Op.ALIAS_SEND: 2,
    Op.ALIAS_SEND_TT: 3,
    Op.UNLINK_ID: 3,
}
"""How many parts follow the number, of those whose parts we read."""

_WITH_PAYLOAD = frozenset(
    (
        *(Op.SEND, Op.REG_SEND, Op.SEND_TT, Op.REG_SEND_TT, Op.SEND_SENDER, Op.SEND_SENDER_TT),
        *(Op.ALIAS_SEND, Op.ALIAS_SEND_TT, Op.SPAWN_REQUEST, Op.SPAWN_REQUEST_TT),
        Op.PAYLOAD_MONITOR_P_EXIT,
    )
)


# -- the messages we write, each a packet -----------------------------------------------------


def send(to: Pid, message: Any) -> bytes:
    """A message to a process."""
    return encode_message((Op.SEND, EMPTY, to), message)


def send_to_name(sender: Pid, name: str, message: Any) -> bytes:
    """A message to whatever process has the name there, if one has."""
    return encode_message((Op.REG_SEND, sender, EMPTY, Atom(name)), message)


def send_to_alias(sender: Pid, alias: Ref, message: Any) -> bytes:
    """A message to an alias: dropped there if nobody waits any more."""
    return encode_message((Op.ALIAS_SEND, sender, alias), message)


def exited(process: Pid, linked: Pid, reason: Any) -> bytes:
    """To a linked process: ours ended, or never was (`noproc`)."""
    return encode_message((Op.EXIT, process, linked, reason))


def exit_process(sender: Pid, to: Pid, reason: Any) -> bytes:
    """What `exit/2` sends."""
    return encode_message((Op.EXIT2, sender, to, reason))


def monitored(process: Pid | Atom, watcher: Pid, ref: Ref, reason: Any) -> bytes:
    """To a monitoring process: ours ended with this reason, which may be an rpc's result."""
    return encode_message((Op.MONITOR_P_EXIT, process, watcher, ref, reason))


def unlinked(number: int, process: Pid, linked: Pid) -> bytes:
    """The acknowledgement that UNLINK_ID insists on."""
    return encode_message((Op.UNLINK_ID_ACK, number, process, linked))


def spawned(request: Ref, to: Pid, flags: int, process: Pid) -> bytes:
    """The answer to a spawn request: here is the process (flags: 1 linked, 2 monitored)."""
    return encode_message((Op.SPAWN_REPLY, request, to, flags, process))


def not_spawned(request: Ref, to: Pid, reason: str) -> bytes:
    """The answer to a spawn request that is refused."""
    return encode_message((Op.SPAWN_REPLY, request, to, 0, Atom(reason)))
