"""What an option is: its name and words, how its text is read, and errors that know their place.

Not the list of options; that is options.py, and every other reader of the table starts there.

Runs in: anywhere, and touches nothing outside memory.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from muleteer.errors import BadValue

__all__ = [
    "ARGUMENTS",
    "ENVIRONMENT",
    "FILE",
    "Notice",
    "Option",
    "Origin",
    "Pair",
    "nearest",
    "not_negative",
    "one_of",
    "option",
    "positive",
    "read_truth",
    "table_of",
    "within",
]

# Sources in the order of their weight: what stands later wins.
ENVIRONMENT, FILE, ARGUMENTS = range(3)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an option was written: a line of a file, the command line, or the environment."""

    rank: int
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        if self.rank == FILE:
            return f"{self.file}:{self.line}"
        return "command line" if self.rank == ARGUMENTS else "environment"


@dataclass(frozen=True, slots=True)
class Pair:
    """One option as it was written; `text` is None for a flag without a value."""

    origin: Origin
    name: str
    text: str | None
    placeholder: bool = False  # declared as one, so that `strict` lets it pass

    def spelled(self, text: str | None = None) -> str:
        """Return how a person writes this option at this place, for example with another text."""
        value = self.text if text is None else text
        if not self.name:
            return value or ""
        if self.origin.rank == ARGUMENTS:
            dashes = "-" if len(self.name) == 1 else "--"
            return f"{dashes}{self.name}" + ("" if value is None else f" {value}")
        if self.origin.rank == ENVIRONMENT:
            return f"UWSGI_{self.name.upper().replace('-', '_')}={value or ''}"
        return self.name if value is None else f"{self.name} = {value}"

    def named(self) -> str:
        """Return place and name without the value, which may be a secret."""
        return f"{self.origin}: {replace(self, text=None).spelled().rstrip('=')}"

    def __str__(self) -> str:
        """Return place and words, as every error begins."""
        shown = None if self.text is None else repr(self.text)
        return f"{self.origin}: {self.spelled(shown)}"


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence to say at the start: something is not quite as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


# -- what an option is -------------------------------------------------------------------

Reader = Callable[[str], Any]
Check = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table, made of one field of `Settings`."""

    field: str
    group: str
    default: object
    help: str
    aliases: tuple[str, ...]
    short: str
    uwsgi: str
    example: str
    bare: str | None
    shell: bool
    path: bool
    many: bool
    flag: bool
    reader: Reader
    check: Check | None

    @property
    def name(self) -> str:
        """The option's first name, as it is written in a file."""
        return self.field.rstrip("_").replace("_", "-")

    @property
    def names(self) -> tuple[str, ...]:
        """All long names."""
        return (self.name, *self.aliases)

    @property
    def accepted(self) -> str:
        """Why the option has no effect here; empty when it has one."""
        return self.uwsgi.partition("accepted: ")[2]

    @property
    def not_yet(self) -> bool:
        """True while uWSGI has the option and muleteer only knows its name."""
        return self.uwsgi.startswith("not yet")

    def read(self, pair: Pair) -> Any:
        """Return the value a pair's text means, or raise BadValue with place, text and way out."""
        text = self.bare if not pair.text and self.bare is not None else pair.text
        try:
            value = self.reader(text or "")
            if self.check is not None:
                self.check(value)
        except ValueError as expected:
            way_out = f"write for example {pair.spelled(self.example)}"
            raise BadValue(f"{pair}: {expected}; {way_out}") from None
        return value


def option(
    default: Any,
    words: str,
    *,
    aliases: tuple[str, ...] = (),
    short: str = "",
    uwsgi: str = "same",
    example: str = "",
    bare: str | None = None,
    read: Reader | None = None,
    check: Check | None = None,
    shell: bool = False,
    path: bool = False,
) -> Any:
    """Declare one option as a dataclass field.

    `uwsgi` says how uWSGI's option of that name compares: `same`, `differs: why`, `ours`,
    `accepted: why it needs no effect` or `not yet: what to do meanwhile`.
    `bare` is what the option means without a value; `shell` marks a command line, in which
    `;` and `#` are the shell's; `path` is made absolute against the directory of the start.
    """
    metadata = {
        "help": words,
        "aliases": aliases,
        "short": short,
        "uwsgi": uwsgi,
        "example": example,
        "bare": bare,
        "read": read,
        "check": check,
        "shell": shell,
        "path": path,
    }
    return dataclasses.field(default=default, metadata={"option": metadata})


def table_of(settings: type[Any], groups: Mapping[str, str]) -> tuple[Option, ...]:
    """Return the rows a dataclass declares; `groups` maps a group's first field to its title."""
    hints = get_type_hints(settings)
    rows: list[Option] = []
    group = ""
    for field in dataclasses.fields(settings):
        declared = field.metadata.get("option")
        if declared is None:
            continue
        group = groups.get(field.name, group)
        rows.append(_row(field, hints[field.name], group, dict(declared)))
    return tuple(rows)


def _row(field: dataclasses.Field[Any], hint: Any, group: str, declared: dict[str, Any]) -> Option:
    kind, many = _kind_of(hint)
    own_reader = declared.pop("read")
    example = declared.pop("example") or _example(kind, field.default)
    bare = declared.pop("bare")
    return Option(
        field=field.name,
        group=group,
        default=field.default,
        many=many,
        flag=kind is bool and own_reader is None,
        reader=own_reader or _READERS[kind],
        example=example,
        bare="true" if kind is bool and bare is None else bare,
        **declared,
    )


def _kind_of(hint: Any) -> tuple[type, bool]:
    """Return the type of one value, and whether the option may be repeated."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    if get_origin(hint) in (Union, UnionType):
        return next(kind for kind in get_args(hint) if kind is not type(None)), False
    return hint, False


def _example(kind: type, default: object) -> str:
    if kind is bool:
        return "true"
    if kind is int or kind is float:
        return f"{default:g}" if isinstance(default, int | float) and default else "4"
    return "VALUE"


# -- readers -----------------------------------------------------------------------------

_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})


def read_truth(text: str) -> bool:
    """Read a switch: true/on/yes/1 or false/off/no/0, in any case."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("expected true or false")


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("expected an integer")
    return int(text)


def _read_number(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]{1,12}(\.[0-9]{1,9})?", text):
        raise ValueError("expected a number")
    return float(text)


def _read_text(text: str) -> str:
    if not text:
        raise ValueError("expected a value")
    if "\0" in text:
        raise ValueError("expected text without a NUL byte")
    return text


_READERS: dict[type, Reader] = {
    bool: read_truth,
    int: _read_integer,
    float: _read_number,
    str: _read_text,
}


# -- checks ------------------------------------------------------------------------------


def positive(value: float) -> None:
    """Refuse zero and less."""
    if value <= 0:
        raise ValueError("expected a number above 0")


def not_negative(value: float) -> None:
    """Refuse less than zero."""
    if value < 0:
        raise ValueError("expected 0 or a number above it")


def one_of(*words: str) -> Check:
    """Return a check that refuses every other word."""

    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")

    return check


def within(low: int, high: int) -> Check:
    """Return a check that refuses what is not between two numbers, both included."""

    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low} to {high}")

    return check


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like this one, or None when none is like it."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.72)
    return close[0] if close else None
