"""Erlang's kinds of values that Python has not, as small immutable Python ones.

They carry what is needed to send them back unchanged; what bytes they are, `wire/etf.py` knows.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "MAX_ATOM",
    "MAX_REF_WORDS",
    "Atom",
    "BitString",
    "Charlist",
    "Export",
    "FrozenList",
    "FrozenMap",
    "Fun",
    "Improper",
    "Pid",
    "Port",
    "Ref",
    "atom_name",
]

MAX_ATOM = 255
"""Characters in an atom; a longer one costs the sender its connection."""
MAX_REF_WORDS = 5


class Atom(str):
    """An atom. Erlang never forgets one, so never make them of what users send."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Atom({str(self)!r})"


class Charlist(str):
    """A list of character codes, which is Erlang's "string"; a Python str is sent as a binary."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Charlist({str(self)!r})"


class FrozenList(tuple[Any, ...]):
    """A list where Python needs something hashable: as (or in) the key of a map."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"FrozenList({list(self)!r})"


class FrozenMap(frozenset[tuple[Any, Any]]):
    """A map, as its set of pairs, where Python needs something hashable."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Improper:
    """A list whose last tail is no list: `[1, 2 | 3]`; aliases `[alias | Ref]` come so."""

    items: tuple[Any, ...]
    tail: Any

    def __post_init__(self) -> None:
        if not self.items or isinstance(self.tail, list | FrozenList | Charlist):
            raise ValueError("an improper list has at least one item and a tail that is no list")


@dataclass(frozen=True, slots=True)
class BitString:
    """A binary whose last byte has only `bits` (1 to 7) bits, the upper ones."""

    data: bytes
    bits: int

    def __post_init__(self) -> None:
        if not self.data or not 1 <= self.bits <= 7:
            raise ValueError("a bit string has at least one byte and 1 to 7 bits in its last one")
        unused = self.data[-1] & (0xFF >> self.bits)
        if unused:  # a peer compares these as bytes, so they must be zero
            last = self.data[-1] - unused
            object.__setattr__(self, "data", self.data[:-1] + bytes((last,)))


@dataclass(frozen=True, slots=True)
class Pid:
    """A process; `node` says whose, and `creation` in which of that node's lives."""

    node: str
    id: int
    serial: int
    creation: int


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference: unique, and compared as a whole."""

    node: str
    creation: int
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of another node; nothing to do with TCP."""

    node: str
    id: int
    creation: int


@dataclass(frozen=True, slots=True)
class Export:
    """`fun module:function/arity`."""

    module: str
    function: str
    arity: int


@dataclass(frozen=True, slots=True)
class Fun:
    """A closure, kept as the bytes it came in; it can be sent back, never called."""

    raw: bytes


def atom_name(term: object) -> str | None:
    """The name of an atom, also of those that Python has values for; None for what is none."""
    if isinstance(term, Atom):
        return str(term)
    if term is None:
        return "undefined"
    if isinstance(term, bool):
        return "true" if term else "false"
    return None
