"""Python values to Erlang's external term format; the other way is `wire/etf.py`.

1. What is encoded is complete and checked: a bad term would cost the peer's connection.
2. A str is sent as a binary, and as an atom only if it is an `Atom` (see `wire/terms.py`).

Runs in: anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

from muleteer.errors import BadTerm
from muleteer.wire.terms import (
    MAX_ATOM,
    MAX_REF_WORDS,
    Atom,
    BitString,
    Charlist,
    Export,
    FrozenList,
    FrozenMap,
    Fun,
    Improper,
    Pid,
    Port,
    Ref,
)

__all__ = ["VERSION", "encode", "encode_into"]

VERSION = 131
"""The byte before every term."""
MAX_DEPTH = 250
MAX_STRING = 0xFFFF
MAX_INTEGER_BYTES = (1 << 19) - 8
"""A longer integer is more than a peer's VM may hold, and costs the connection."""

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_F64 = struct.Struct(">d")
_THREE_U32 = struct.Struct(">III")
_PORT = struct.Struct(">QI")


def encode(term: Any) -> bytes:
    """The term with its version byte; raises BadTerm naming what cannot be sent."""
    out = bytearray()
    encode_into(out, term)
    return bytes(out)


def encode_into(out: bytearray, term: Any) -> None:
    """Append the term with its version byte; on BadTerm `out` holds a part of it."""
    out.append(VERSION)
    try:
        _write(out, term, MAX_DEPTH)
    except (struct.error, OverflowError):
        raise BadTerm("a pid, reference or port has a number that does not fit it") from None
    except RecursionError:
        raise BadTerm("a value is nested too deep") from None
    except UnicodeEncodeError:
        raise BadTerm("a str has a lone surrogate, which is no valid UTF-8") from None


def _write(out: bytearray, term: Any, depth: int) -> None:
    if depth < 0:
        raise BadTerm(f"a value is nested deeper than {MAX_DEPTH}, or it contains itself")
    write = _WRITE.get(type(term)) or _inherited(term)
    write(out, term, depth - 1)


def _inherited(term: Any) -> Callable[[bytearray, Any, int], None]:
    """How to write a subclass of something sendable: an IntEnum, a NamedTuple, an OrderedDict."""
    for kind, write in _WRITE.items():
        if isinstance(term, kind):
            return write
    raise BadTerm(f"a {type(term).__name__} cannot be sent to Erlang; make it a plain value")


def _write_int(out: bytearray, term: int, depth: int) -> None:
    if 0 <= term <= 255:
        out += bytes((97, term))
    elif -(1 << 31) <= term < 1 << 31:
        out.append(98)
        out += _I32.pack(term)
    else:
        _write_big(out, term)


def _write_big(out: bytearray, term: int) -> None:
    magnitude = abs(term)
    size = (magnitude.bit_length() + 7) // 8
    if size > MAX_INTEGER_BYTES:
        raise BadTerm(f"an integer of {size} bytes is too large for Erlang")
    out += bytes((110, size)) if size < 256 else b"\x6f" + _U32.pack(size)
    out.append(term < 0)
    out += magnitude.to_bytes(size, "little")


def _write_float(out: bytearray, term: float, depth: int) -> None:
    if not isfinite(term):
        raise BadTerm(f"Erlang has no float {term!r}")
    out.append(70)
    out += _F64.pack(term)


def _write_atom(out: bytearray, name: str, depth: int) -> None:
    if len(name) > MAX_ATOM:
        raise BadTerm(f"an atom has at most {MAX_ATOM} characters, not {len(name)}")
    data = name.encode()
    out += bytes((119, len(data))) if len(data) < 256 else b"\x76" + _U16.pack(len(data))
    out += data


def _write_bool(out: bytearray, term: bool, depth: int) -> None:
    out += b"\x77\x04true" if term else b"\x77\x05false"


def _write_none(out: bytearray, term: None, depth: int) -> None:
    out += b"\x77\x09undefined"


def _write_bytes(out: bytearray, term: bytes | bytearray, depth: int) -> None:
    out.append(109)
    out += _U32.pack(len(term))
    out += term


def _write_memory(out: bytearray, term: memoryview, depth: int) -> None:
    _write_bytes(out, term.tobytes(), depth)


def _write_str(out: bytearray, term: str, depth: int) -> None:
    _write_bytes(out, term.encode(), depth)


def _write_charlist(out: bytearray, term: Charlist, depth: int) -> None:
    if term.isascii() or max(term, default="") <= "\xff":
        _write_codes(out, term.encode("latin-1"))
    else:  # Erlang's strings are lists of code points
        _write_list(out, [ord(character) for character in term], depth)


def _write_codes(out: bytearray, codes: bytes) -> None:
    if not codes:
        out.append(106)
    elif len(codes) <= MAX_STRING:
        out.append(107)
        out += _U16.pack(len(codes))
        out += codes
    else:
        _write_list(out, list(codes), 0)


def _write_list(out: bytearray, term: list[Any], depth: int) -> None:
    if term:
        out.append(108)
        out += _U32.pack(len(term))
        for item in term:
            _write(out, item, depth)
    out.append(106)


def _write_frozen_list(out: bytearray, term: FrozenList, depth: int) -> None:
    """As a list; a key must have one form only, so one of small numbers goes as a string."""
    if 0 < len(term) <= MAX_STRING and all(type(i) is int and 0 <= i <= 255 for i in term):
        _write_codes(out, bytes(term))
    else:
        _write_list(out, list(term), depth)


def _write_improper(out: bytearray, term: Improper, depth: int) -> None:
    out.append(108)
    out += _U32.pack(len(term.items))
    for item in (*term.items, term.tail):
        _write(out, item, depth)


def _write_tuple(out: bytearray, term: tuple[Any, ...], depth: int) -> None:
    size = len(term)
    out += bytes((104, size)) if size < 256 else b"\x69" + _U32.pack(size)
    for item in term:
        _write(out, item, depth)


def _write_dict(out: bytearray, term: dict[Any, Any], depth: int) -> None:
    _write_pairs(out, term.items(), len(term), depth)


def _write_frozen_map(out: bytearray, term: FrozenMap, depth: int) -> None:
    _write_pairs(out, term, len(term), depth)


def _write_pairs(out: bytearray, pairs: Iterable[tuple[Any, Any]], count: int, depth: int) -> None:
    """A map; keys that differ in Python may be one term, and no node accepts that twice."""
    out.append(116)
    out += _U32.pack(count)
    seen: set[bytes] = set()
    for key, value in pairs:
        start = len(out)
        _write(out, key, depth)
        seen.add(bytes(out[start:]))
        _write(out, value, depth)
    if len(seen) != count:
        raise BadTerm("two keys of a dict are the same term in Erlang (as 'a' and b'a' are)")


def _write_bits(out: bytearray, term: BitString, depth: int) -> None:
    out.append(77)
    out += _U32.pack(len(term.data))
    out.append(term.bits)
    out += term.data


def _write_pid(out: bytearray, term: Pid, depth: int) -> None:
    out.append(88)
    _write_atom(out, term.node, depth)
    out += _THREE_U32.pack(term.id, term.serial, term.creation)


def _write_ref(out: bytearray, term: Ref, depth: int) -> None:
    if not 1 <= len(term.words) <= MAX_REF_WORDS:
        raise BadTerm(f"a reference has 1 to {MAX_REF_WORDS} words, not {len(term.words)}")
    out.append(90)
    out += _U16.pack(len(term.words))
    _write_atom(out, term.node, depth)
    out += struct.pack(f">{1 + len(term.words)}I", term.creation, *term.words)


def _write_port(out: bytearray, term: Port, depth: int) -> None:
    out.append(120)
    _write_atom(out, term.node, depth)
    out += _PORT.pack(term.id, term.creation)


def _write_export(out: bytearray, term: Export, depth: int) -> None:
    out.append(113)
    _write_atom(out, term.module, depth)
    _write_atom(out, term.function, depth)
    if not 0 <= term.arity <= 255:
        raise BadTerm("a function has at most 255 arguments")
    out += bytes((97, term.arity))


def _write_fun(out: bytearray, term: Fun, depth: int) -> None:
    out += term.raw


# The order counts for subclasses: a bool is an int, an Atom is a str, a FrozenList a tuple.
_WRITE: dict[type, Callable[[bytearray, Any, int], None]] = {
    bool: _write_bool,
    int: _write_int,
    bytes: _write_bytes,
    Atom: _write_atom,
    Charlist: _write_charlist,
    str: _write_str,
    FrozenList: _write_frozen_list,
    tuple: _write_tuple,
    list: _write_list,
    dict: _write_dict,
    float: _write_float,
    type(None): _write_none,
    bytearray: _write_bytes,
    memoryview: _write_memory,
    FrozenMap: _write_frozen_map,
    Improper: _write_improper,
    BitString: _write_bits,
    Pid: _write_pid,
    Ref: _write_ref,
    Port: _write_port,
    Export: _write_export,
    Fun: _write_fun,
}
