"""One spool file, byte for byte as uWSGI writes it, and the task it holds.

Not here: where files lie, who may read them, when they are due; that is spool/directory.py.
Runs in: anywhere.

Rules
1. A task that fits is written exactly as uWSGI writes it:
   17, size of the var block (u16le), 0; the var block; the body to the end of the file.
2. What does not fit into the var block (64 KiB in all) travels at the start of the body, as
   (u32le length, key, u32le length, value) repeated, and the var `ud_spool_overflow` holds the
   size of that part. A reader that does not know the var sees the rest of the task unharmed.
3. Bytes that end too early are `Truncated` (the writer died, or is not done); any other breach
   is `Malformed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from struct import Struct
from typing import Final, NamedTuple

from muleteer.errors import BadTask, Malformed, TooLarge, Truncated
from muleteer.wire.packet import decode_vars, encode_vars

__all__ = ["HEADER_BYTES", "MODIFIER", "OVERFLOW", "SpoolTask", "decode_task", "encode_task"]

MODIFIER: Final = 17
HEADER_BYTES: Final = 4
OVERFLOW: Final = b"ud_spool_overflow"

_HEADER: Final = Struct("<BHB")
_LENGTH: Final = Struct("<I")
_BLOCK_LIMIT: Final = 0xFFFF
_PAIR_BYTES: Final = 4
_LARGEST_VALUE: Final = 0xFFFFFFFF
# The most that the pair (ud_spool_overflow, decimal length) itself can take in the block.
_MARKER_BYTES: Final = _PAIR_BYTES + len(OVERFLOW) + 20

Vars = Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]]


class SpoolTask(NamedTuple):
    """What one spool file says: its vars (of a key written twice, the last) and its body."""

    vars: dict[bytes, bytes]
    body: bytes = b""


def encode_task(task_vars: Vars, body: bytes = b"") -> bytes:
    """The bytes of the task's file; values of any size; BadTask names a key that cannot be kept."""
    pairs = dict(task_vars)
    _refuse_unstorable(pairs)
    block, overflow = _block_that_fits(pairs), b""
    if block is None:
        pairs, overflow = _split_overflow(pairs)
        block = encode_vars(pairs.items())
    return b"".join((_HEADER.pack(MODIFIER, len(block), 0), block, overflow, body))


def _block_that_fits(pairs: Mapping[bytes, bytes]) -> bytes | None:
    """All vars as uWSGI writes them; None when they are too large for that."""
    try:
        block = encode_vars(pairs.items())
    except TooLarge:
        return None
    return block if len(block) <= _BLOCK_LIMIT else None


def decode_task(data: bytes) -> SpoolTask:
    """The task in a file's bytes; Truncated or Malformed say at which byte they break the form."""
    body_start = _body_start(data)
    try:
        pairs = dict(decode_vars(data[HEADER_BYTES:body_start]))
    except Malformed as error:
        raise Malformed(
            f"spool file: in the var block, from byte {HEADER_BYTES}: {error}"
        ) from None
    if OVERFLOW in pairs:
        size = _overflow_size(pairs.pop(OVERFLOW))
        pairs.update(_decode_overflow(data, body_start, size))
        body_start += size
    return SpoolTask(pairs, data[body_start:])


def _refuse_unstorable(pairs: Mapping[bytes, bytes]) -> None:
    """Raise BadTask where a key would make a file that no spooler can read back."""
    if b"" in pairs:
        raise BadTask("spool: the key b'' is empty; give it a name (uWSGI drops such tasks unrun)")
    if OVERFLOW in pairs:
        raise BadTask(f"spool: the key {OVERFLOW!r} is the file format's own; choose another name")


def _block_size(pairs: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(_PAIR_BYTES + len(key) + len(value) for key, value in pairs)


def _split_overflow(pairs: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], bytes]:
    """The vars that stay in the block, and the overflow part: the largest leave first."""
    room = _BLOCK_LIMIT - _MARKER_BYTES
    excess = _block_size(pairs.items()) - room
    moved: set[bytes] = set()
    for key in sorted(pairs, key=lambda key: len(key) + len(pairs[key]), reverse=True):
        if excess <= 0:
            break
        excess -= _PAIR_BYTES + len(key) + len(pairs[key])
        moved.add(key)
    overflow = b"".join(_encode_overflow((key, pairs[key]) for key in pairs if key in moved))
    kept = {key: value for key, value in pairs.items() if key not in moved}
    kept[OVERFLOW] = b"%d" % len(overflow)
    return kept, overflow


def _encode_overflow(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for key, value in pairs:
        if len(value) > _LARGEST_VALUE or len(key) > _LARGEST_VALUE:
            raise BadTask(f"spool: the value of {key[:80]!r} is 4 GiB or more; pass a file's path")
        yield _LENGTH.pack(len(key))
        yield key
        yield _LENGTH.pack(len(value))
        yield value


def _body_start(data: bytes) -> int:
    """Where the var block ends, after a look at the header."""
    if len(data) < HEADER_BYTES:
        raise Truncated(f"spool file: {len(data)} bytes where a header of {HEADER_BYTES} begins")
    modifier1, block_size, modifier2 = _HEADER.unpack_from(data)
    if (modifier1, modifier2) != (MODIFIER, 0):
        raise Malformed(
            f"spool file: at byte 0: modifiers {modifier1}, {modifier2} are not a task's"
            f" ({MODIFIER}, 0)"
        )
    body_start: int = HEADER_BYTES + block_size
    if len(data) < body_start:
        raise Truncated(
            f"spool file: ends at byte {len(data)}, its vars should end at {body_start}"
        )
    return body_start


def _overflow_size(text: bytes) -> int:
    if not (text.isdigit() and len(text) <= 20):
        raise Malformed(f"spool file: {OVERFLOW!r} holds {text[:40]!r}, not a number of bytes")
    return int(text)


def _decode_overflow(data: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = start + size
    if len(data) < end:
        raise Truncated(f"spool file: ends at byte {len(data)}, its overflow should end at {end}")
    at = start
    while at < end:
        key, at = _take(data, at, end)
        if not key:
            raise Malformed(f"spool file: at byte {at}: an empty key in the overflow")
        value, at = _take(data, at, end)
        yield key, value


def _take(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """One length-prefixed item of the overflow and where the next begins."""
    item = at + _LENGTH.size
    if item > end:
        raise Malformed(f"spool file: at byte {at}: the overflow ends inside a length")
    (size,) = _LENGTH.unpack_from(data, at)
    if item + size > end:
        raise Malformed(f"spool file: at byte {at}: {size} bytes do not fit into the overflow")
    return data[item : item + size], item + size
