"""How two muleteers speak of calls: what uWSGI's array packet cannot carry.

Values of any size, empty ones, and JSON; failures that say what failed; many calls on one line.
Not here: who calls, and what runs.  Real uWSGI never sees any of it.
Runs in: anywhere.

A line begins with a HELLO, which to uWSGI is an ordinary ping.  A muleteer answers with GREETING in
the pong's payload, and from there on both sides send frames: size (u32), kind (u8), payload.
A CALL is an array of values, the function's name first; its answer is a RESULT (one value) or
FAILED (what kind of failure, and a sentence).  A BYE says that the line is closed and that no call
was taken from it after the last answer, so the caller may ask another worker.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from muleteer.errors import Malformed, TooLarge
from muleteer.wire.packet import Modifier, Packet, encode_packet

__all__ = [
    "BYE",
    "GREETING",
    "HELLO",
    "MAX_FRAME",
    "OWN",
    "Failure",
    "FrameReader",
    "Kind",
    "as_value",
    "copied",
    "decode_values",
    "encode_frame",
    "encode_values",
    "is_hello",
]

OWN = 0x6D
"""The modifier2 of our own ping and calls."""
HELLO = encode_packet(Modifier.PING, b"", OWN)
GREETING = b"muleteer 1"
MAX_FRAME = 1 << 28
"""Bytes of one call or result."""

_FRAME = struct.Struct("<IB")
_VALUE = struct.Struct("<BI")
_BYTES, _JSON = 0, 1
_SCALARS = (int, float, bool, type(None))


class Kind(IntEnum):
    """What a frame is."""

    CALL = 1
    RESULT = 2
    FAILED = 3
    BYE = 4


class Failure(IntEnum):
    """Why there is no result."""

    UNKNOWN = 1
    """There is no function of that name."""
    RAISED = 2
    """The function raised, or its result cannot be sent."""


def is_hello(packet: Packet) -> bool:
    """Does a muleteer ask for a line?"""
    return packet.modifier1 == Modifier.PING and packet.modifier2 == OWN


_HEAD = _FRAME.size
_KINDS = {int(kind): kind for kind in Kind}


# -- values ------------------------------------------------------------------------------


def as_value(value: Any) -> Any:
    """The value as a called function sees it: text is its UTF-8 bytes, as with uWSGI.

    What is neither text nor bytes is left as it is: JSON-able or refused by `encode_values`.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return value


def copied(value: Any) -> Any:
    """The value as if it had travelled: a local call and a remote one see the same.

    Malformed when it could not travel.
    """
    value = as_value(value)
    if type(value) is bytes or type(value) in _SCALARS:
        return value
    return json.loads(_json(value))


def encode_values(values: Iterable[Any]) -> bytes:
    """Bytes, text and JSON-able values as one block; Malformed names what is none of them."""
    parts: list[bytes] = []
    for value in values:
        value = as_value(value)
        tag = _BYTES if isinstance(value, bytes) else _JSON
        data = value if tag == _BYTES else _json(value)
        parts += (_VALUE.pack(tag, len(data)), data)
    return b"".join(parts)


def decode_values(block: bytes) -> list[Any]:
    """The values of a block; Malformed with the offset at fault."""
    values: list[Any] = []
    at, end = 0, len(block)
    while at < end:
        start = at + _VALUE.size
        if start > end:
            raise Malformed(f"the block ends at byte {end}, inside the head of a value")
        tag, size = _VALUE.unpack_from(block, at)
        stop = start + size
        if stop > end:
            raise Malformed(f"the value at byte {at} says {size} bytes, {end - start} are there")
        data = block[start:stop]
        values.append(data if tag == _BYTES else _parsed(tag, data, at))
        at = stop
    return values


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(
            f"a value of type {type(value).__name__} cannot be sent ({error}): send str, bytes,"
            " or what JSON has"
        ) from None


def _parsed(tag: int, data: bytes, at: int) -> Any:
    if tag != _JSON:
        raise Malformed(f"the value at byte {at} is of an unknown kind, {tag}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the value at byte {at} is no JSON: {error}") from None


# -- frames ------------------------------------------------------------------------------


def encode_frame(kind: Kind, payload: bytes) -> bytes:
    """One frame, ready to send; TooLarge over MAX_FRAME bytes."""
    if len(payload) > MAX_FRAME:
        raise TooLarge(f"{len(payload)} bytes in one call or result; at most {MAX_FRAME} can be")
    return _FRAME.pack(len(payload), kind) + payload


BYE = encode_frame(Kind.BYE, b"")


class FrameReader:
    """Cuts what comes from the other side into frames."""

    __slots__ = ("_buffer", "_missing")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._missing = 0  # so many more before it is worth looking again

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """The frames that became whole with `data`; Malformed or TooLarge ends the line."""
        if not self._buffer and len(data) >= _HEAD:
            size, kind = _FRAME.unpack_from(data)
            if size == len(data) - _HEAD and kind in _KINDS:  # nearly always: one, and whole
                return [(_KINDS[kind], data[_HEAD:])]
        self._buffer += data
        self._missing -= len(data)
        return [] if self._missing > 0 else list(self._frames(self._buffer))

    def _frames(self, buffer: bytearray) -> Iterator[tuple[Kind, bytes]]:
        while len(buffer) >= _HEAD:
            size, kind = _FRAME.unpack_from(buffer)
            if size > MAX_FRAME:
                raise TooLarge(f"a frame of {size} bytes; at most {MAX_FRAME} can be")
            if kind not in _KINDS:
                raise Malformed(f"a frame of an unknown kind, {kind}")
            end = _HEAD + size
            if len(buffer) < end:
                self._missing = end - len(buffer)
                return
            payload = bytes(memoryview(buffer)[_HEAD:end])
            del buffer[:end]
            yield _KINDS[kind], payload

    @property
    def is_idle(self) -> bool:
        """Is nothing here that waits for its rest?"""
        return not self._buffer
