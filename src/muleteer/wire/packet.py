"""The uwsgi packet: four bytes of header, then variables, an array, or plain bytes.

It knows the layout and nothing of what a packet is for; spool files have the same variables.
Runs in: anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from muleteer.errors import Malformed, TooLarge

__all__ = [
    "HEADER_SIZE",
    "MAX_PAYLOAD",
    "Modifier",
    "Packet",
    "decode_array",
    "decode_header",
    "decode_vars",
    "encode_array",
    "encode_packet",
    "encode_vars",
]

HEADER_SIZE = 4
MAX_PAYLOAD = 0xFFFF

_HEADER = struct.Struct("<BHB")
_LENGTH = struct.Struct("<H")


class Modifier(IntEnum):
    """What `modifier1` says about a packet, by uWSGI's numbers."""

    WSGI = 0
    SPOOL = 17
    EVAL = 22
    WSGI_MANAGED = 30
    """A WSGI request whose PATH_INFO still begins with SCRIPT_NAME."""
    MESSAGE = 31
    MESSAGE_ARRAY = 32
    MESSAGE_MARSHAL = 33
    PING = 100
    SIGNAL = 110
    CACHE = 111
    RPC = 173
    RESPONSE = 255


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; what its payload means depends on the modifiers."""

    modifier1: int
    payload: bytes
    modifier2: int = 0
    body: bytes = b""
    """What came after the packet and belongs to it."""


def encode_packet(modifier1: int, payload: bytes, modifier2: int = 0) -> bytes:
    """Header and payload, ready to send; raises TooLarge over 65535 bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise TooLarge(f"a packet holds at most {MAX_PAYLOAD} bytes, not {len(payload)}: send less")
    return _HEADER.pack(modifier1, len(payload), modifier2) + payload


def decode_header(data: bytes | bytearray) -> tuple[int, int, int]:
    """(modifier1, payload size, modifier2) from the first four bytes of `data`."""
    modifier1, size, modifier2 = _HEADER.unpack_from(data)
    return modifier1, size, modifier2


def encode_vars(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The block of variables; raises TooLarge (or Malformed) naming the key at fault.

    The block itself may grow beyond one packet's payload: a spool file has no such limit.
    """
    pack = _LENGTH.pack
    parts: list[bytes] = []
    for key, value in pairs:
        if not key:
            raise Malformed("a variable needs a name: an empty key cannot be sent")
        if len(key) > MAX_PAYLOAD or len(value) > MAX_PAYLOAD:
            raise TooLarge(_too_long(key, value))
        parts += (pack(len(key)), key, pack(len(value)), value)
    return b"".join(parts)


def decode_vars(block: bytes | bytearray | memoryview) -> list[tuple[bytes, bytes]]:
    """All pairs in order, duplicates included; raises Malformed with the offset at fault."""
    block = bytes(block)
    pairs: list[tuple[bytes, bytes]] = []
    at, end = 0, len(block)
    try:
        while at < end:
            name, value = at + 2, at + 4 + (block[at] | block[at + 1] << 8)
            at = value + (block[value - 2] | block[value - 1] << 8)
            pairs.append((block[name : value - 2], block[value:at]))
            if name + 2 == value:
                break
    except IndexError:
        at = end + 1
    if at != end or (pairs and not pairs[-1][0]):
        raise _fault_in(block)
    return pairs


def _fault_in(block: bytes) -> Malformed:
    """What is wrong with a block of variables, looked for item by item."""
    at, end = 0, len(block)
    try:
        while at < end:
            key, after = _item(block, at, end)
            if not key:
                return Malformed(f"variable at byte {at} has an empty name")
            _, at = _item(block, after, end)
    except Malformed as fault:
        return fault
    raise AssertionError("a block without a fault was refused")


def encode_array(items: Iterable[bytes]) -> bytes:
    """The block of an array; raises TooLarge naming the item's place."""
    parts: list[bytes] = []
    for place, item in enumerate(items):
        if len(item) > MAX_PAYLOAD:
            raise TooLarge(f"item {place} has {len(item)} bytes; at most {MAX_PAYLOAD} fit")
        parts += (_LENGTH.pack(len(item)), item)
    return b"".join(parts)


def decode_array(block: bytes | bytearray | memoryview) -> list[bytes]:
    """All items, empty ones too (uWSGI's own reader skips those); Malformed with the offset."""
    block = bytes(block)
    items: list[bytes] = []
    at, end = 0, len(block)
    while at < end:
        item, at = _item(block, at, end)
        items.append(item)
    return items


def _item(block: bytes, at: int, end: int) -> tuple[bytes, int]:
    start = at + 2
    if start > end:
        raise Malformed(f"block ends at byte {end} inside a length that begins at {at}")
    stop = start + (block[at] | block[at + 1] << 8)
    if stop > end:
        raise Malformed(f"item at byte {at} says {stop - start} bytes, {end - start} are there")
    return block[start:stop], stop


def _too_long(key: bytes, value: bytes) -> str:
    name = key[:64].decode("utf-8", "replace")
    size = max(len(key), len(value))
    return f"{name!r} has {size} bytes; a variable holds at most {MAX_PAYLOAD}: send less"
