"""Erlang's external term format to Python values; writing it is `wire/etf_writing.py`.

1. Nothing is allocated before the bytes that announce it are known to be there.
2. Hostile bytes raise Malformed or TooLarge, and nothing else.
3. Nothing is evaluated, unpickled or unzipped.

Runs in: anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

from muleteer.errors import Malformed, TooLarge
from muleteer.wire.etf_writing import MAX_DEPTH, VERSION, encode, encode_into
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

__all__ = ["VERSION", "Limits", "decode", "decode_from", "encode", "encode_into"]

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_F64 = struct.Struct(">d")
_TWO_U32 = struct.Struct(">II")
_THREE_U32 = struct.Struct(">III")
_PORT = struct.Struct(">QI")

ALIKE = 64
"""How many keys of one map may share a hash: honest ones hardly ever do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one term from outside may cost."""

    depth: int = MAX_DEPTH
    elements: int = 1_000_000
    """Terms in the term: each costs far more memory here than its one byte on the wire."""


DEFAULT = Limits()


def decode(data: bytes, limits: Limits = DEFAULT) -> Any:
    """The one term in `data`; raises Malformed or TooLarge, also if bytes are left over."""
    term, end = decode_from(data, 0, limits)
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes follow the term that ends at byte {end}")
    return term


def decode_from(data: bytes, at: int = 0, limits: Limits = DEFAULT) -> tuple[Any, int]:
    """The term that begins at `at`, and where it ends; raises Malformed or TooLarge."""
    reader = _Reader(data, at + 1, limits)
    try:
        if data[at] != VERSION:
            raise Malformed(f"byte {at} is {data[at]}, and a term begins with {VERSION}")
        return reader.term(limits.depth), reader.at
    except (IndexError, struct.error):
        raise Malformed(f"the term ends before byte {reader.at}, where it goes on") from None
    except KeyError:
        place = reader.at - 1
        raise Malformed(f"byte {place} has the tag {data[place]}: not accepted") from None
    except RecursionError:  # the caller's own stack was deep already
        raise TooLarge(f"the term at byte {reader.at} is nested too deep") from None


class _Reader:
    """One term being read; `at` is where the next byte stands."""

    __slots__ = ("at", "budget", "data", "in_key", "size")

    def __init__(self, data: bytes, at: int, limits: Limits) -> None:
        self.data = data
        self.at = at
        self.size = len(data)
        self.budget = limits.elements
        self.in_key = 0

    def term(self, depth: int) -> Any:
        at = self.at
        self.at = at + 1
        return _READ[self.data[at]](self, depth)

    # -- pieces ---------------------------------------------------------------------------

    def u8(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def u16(self) -> int:
        (value,) = _U16.unpack_from(self.data, self.at)
        self.at += 2
        return int(value)

    def u32(self) -> int:
        (value,) = _U32.unpack_from(self.data, self.at)
        self.at += 4
        return int(value)

    def take(self, count: int) -> bytes:
        start, end = self.at, self.at + count
        if end > self.size:
            raise Malformed(f"{count} bytes announced at byte {start}, {self.size - start} there")
        self.at = end
        return self.data[start:end]

    def count(self, elements: int, depth: int) -> None:
        """Let so many elements come, if they fit the bytes, the budget, and the depth."""
        if elements > self.size - self.at:
            raise Malformed(f"{elements} elements announced at byte {self.at}: more than bytes")
        self.budget -= elements
        if self.budget < 0:
            raise TooLarge(f"{elements} elements at byte {self.at} are more than may come at once")
        if depth < 0 or (depth == 0 and elements):
            raise TooLarge(f"the term at byte {self.at} is nested too deep")

    def atom(self, depth: int) -> Atom:
        """An atom as such, even one that Python has a value for."""
        if self.data[self.at] not in _ATOM_TAGS:
            raise Malformed(f"byte {self.at} has no atom, where one must be")
        self.in_key += 1
        found = self.term(depth)
        self.in_key -= 1
        assert isinstance(found, Atom)
        return found

    def named(self, name: bytes, encoding: str) -> Any:
        found = _atom(name, encoding)
        if not self.in_key and found in _VALUES:
            return _VALUES[found]
        return found


# -- reading: one function per tag -----------------------------------------------------------

_VALUES: dict[str, bool | None] = {"true": True, "false": False, "undefined": None}
_ATOM_TAGS = frozenset((100, 115, 118, 119))


@lru_cache(maxsize=4096)  # bounded: the names come from outside
def _atom(name: bytes, encoding: str) -> Atom:
    try:
        text = name.decode(encoding)
    except UnicodeDecodeError:
        raise Malformed("an atom is not valid UTF-8") from None
    if len(text) > MAX_ATOM:
        raise Malformed(f"an atom has {len(text)} characters; {MAX_ATOM} are the most")
    return Atom(text)


def _read_small(r: _Reader, depth: int) -> int:
    return r.u8()


def _read_integer(r: _Reader, depth: int) -> int:
    (value,) = _I32.unpack_from(r.data, r.at)
    r.at += 4
    return int(value)


def _read_big(r: _Reader, size: int) -> int:
    sign = r.u8()
    value = int.from_bytes(r.take(size), "little")
    return -value if sign else value


def _read_float(r: _Reader, depth: int) -> float:
    (value,) = _F64.unpack_from(r.data, r.at)
    r.at += 8
    return _finite(float(value))


def _read_old_float(r: _Reader, depth: int) -> float:
    text = r.take(31).rstrip(b"\0")
    try:
        return _finite(float(text))
    except ValueError:
        raise Malformed("an old-style float is no number") from None


def _finite(value: float) -> float:
    if not isfinite(value):
        raise Malformed("a float is no finite number, which Erlang does not have")
    return value


def _read_list(r: _Reader, depth: int) -> Any:
    count = r.u32()
    r.count(count, depth)
    items: list[Any] = []
    for _ in range(count):  # no helper here: every level of nesting costs Python's stack
        items.append(r.term(depth - 1))
    if r.data[r.at] == 106:
        r.at += 1
        return items
    tail = r.term(depth - 1)
    if isinstance(tail, Charlist):
        return items + [ord(character) for character in tail]
    if isinstance(tail, list):
        return items + tail
    return Improper(tuple(items), tail) if items else tail


def _read_tuple(r: _Reader, depth: int) -> tuple[Any, ...]:
    count = r.u8() if r.data[r.at - 1] == 104 else r.u32()
    r.count(count, depth)
    items: list[Any] = []
    for _ in range(count):
        items.append(r.term(depth - 1))
    return tuple(items)


def _read_string(r: _Reader, depth: int) -> Charlist:
    return Charlist(r.take(r.u16()).decode("latin-1"))


def _read_bits(r: _Reader, depth: int) -> bytes | BitString:
    size = r.u32()
    bits = r.u8()
    data = r.take(size)
    if bits > 8 or (bits == 0) != (size == 0):
        raise Malformed(f"a bit string of {size} bytes says {bits} bits in its last one")
    return BitString(data, bits) if 0 < bits < 8 else data


def _read_map(r: _Reader, depth: int) -> dict[Any, Any]:
    count = r.u32()
    r.count(2 * count, depth)
    keys: list[Any] = []
    values: list[Any] = []
    for _ in range(count):
        r.in_key += 1
        keys.append(_frozen(r.term(depth - 1)))
        r.in_key -= 1
        values.append(r.term(depth - 1))
    _refuse_alike(keys)
    found = dict(zip(keys, values, strict=True))
    if len(found) != count:
        raise Malformed("two keys of a map are equal in Python (as 1 and 1.0 are)")
    return found


def _refuse_alike(keys: Iterable[Any]) -> None:
    """Raise if many keys share a hash: a dict of them would take time squared to make."""
    hashes = [hash(key) for key in keys]
    if len(hashes) - len(set(hashes)) > ALIKE:
        raise Malformed("the keys of a map were chosen to share one hash")


def _frozen(term: Any) -> Any:
    """The same term as something hashable."""
    if isinstance(term, list):
        return FrozenList(_frozen(item) for item in term)
    if isinstance(term, dict):
        pairs = [(key, _frozen(value)) for key, value in term.items()]
        _refuse_alike(pairs)
        return FrozenMap(pairs)
    if type(term) is tuple:
        return tuple(_frozen(item) for item in term)
    if isinstance(term, Improper):
        return Improper(tuple(_frozen(item) for item in term.items), _frozen(term.tail))
    return term


def _read_new_pid(r: _Reader, depth: int) -> Pid:
    node = r.atom(depth)
    number, serial, creation = _THREE_U32.unpack_from(r.data, r.at)
    r.at += 12
    return Pid(node, number, serial, creation)


def _read_old_pid(r: _Reader, depth: int) -> Pid:
    node = r.atom(depth)
    number, serial = _TWO_U32.unpack_from(r.data, r.at)
    r.at += 8
    return Pid(node, number, serial, r.u8())


def _read_ref(r: _Reader, depth: int) -> Ref:
    size = r.u16()
    if not 1 <= size <= MAX_REF_WORDS:
        raise Malformed(f"a reference has {size} words; {MAX_REF_WORDS} are the most")
    node = r.atom(depth)
    creation = r.u32()
    return Ref(node, creation, tuple([r.u32() for _ in range(size)]))


def _read_v4_port(r: _Reader, depth: int) -> Port:
    node = r.atom(depth)
    number, creation = _PORT.unpack_from(r.data, r.at)
    r.at += 12
    return Port(node, number, creation)


def _read_new_port(r: _Reader, depth: int) -> Port:
    node = r.atom(depth)
    number, creation = _TWO_U32.unpack_from(r.data, r.at)
    r.at += 8
    return Port(node, number, creation)


def _read_export(r: _Reader, depth: int) -> Export:
    module, function = r.atom(depth), r.atom(depth)
    if r.u8() != 97:
        raise Malformed("the arity of an exported function is no small integer")
    return Export(module, function, r.u8())


def _read_fun(r: _Reader, depth: int) -> Fun:
    """The whole closure as it came, after a look that it is one: it may be sent on."""
    start = r.at
    size = r.u32()
    if size < 29:  # size, arity, uniq, index, free
        raise Malformed(f"a closure says it has {size} bytes")
    r.take(1 + 16 + 4)
    free = r.u32()
    r.count(free, depth)
    r.atom(depth)
    for _ in range(3 + free):  # old index, old uniq, pid, then what it closed over
        r.term(depth - 1)
    if r.at != start + size:
        raise Malformed(f"a closure of {size} bytes has {r.at - start}")
    return Fun(r.data[start - 1 : r.at])


_READ: dict[int, Callable[[_Reader, int], Any]] = {
    70: _read_float,
    77: _read_bits,
    88: _read_new_pid,
    89: _read_new_port,
    90: _read_ref,
    97: _read_small,
    98: _read_integer,
    99: _read_old_float,
    100: lambda r, _: r.named(r.take(r.u16()), "latin-1"),
    103: _read_old_pid,
    104: _read_tuple,
    105: _read_tuple,
    106: lambda r, _: [],
    107: _read_string,
    108: _read_list,
    109: lambda r, _: r.take(r.u32()),
    110: lambda r, _: _read_big(r, r.u8()),
    111: lambda r, _: _read_big(r, r.u32()),
    112: _read_fun,
    113: _read_export,
    115: lambda r, _: r.named(r.take(r.u8()), "latin-1"),
    116: _read_map,
    118: lambda r, _: r.named(r.take(r.u16()), "utf-8"),
    119: lambda r, _: r.named(r.take(r.u8()), "utf-8"),
    120: _read_v4_port,
}
