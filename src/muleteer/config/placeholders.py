"""Substitution, once everything is read: `$(ENV)`, then `@(file)`, then `%(option)` with its sums.

Not the magic variables, which are filled in while a file is read (ini.py).

Runs in: anywhere; reads files through the host it is given.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from muleteer.config.host import Host
from muleteer.config.option import Pair
from muleteer.errors import BadValue

__all__ = ["Placeholders", "fill_environment", "substitute"]

_ENVIRONMENT = re.compile(r"\$\(([^()]*)\)")
_CONTENT = re.compile(r"@\(([^()]*)\)")
_OPTION = re.compile(r"%\(([^()]*)\)")
_LONGEST = 1 << 20
_INTEGER = re.compile(r"[+-]?[0-9]+")


def substitute(pairs: Sequence[Pair], host: Host) -> tuple[list[Pair], set[str]]:
    """Return the pairs with everything filled in, and the names that were asked for."""
    first = [_early(pair, host) for pair in pairs]
    resolver = Placeholders(first)
    return resolver.all(), resolver.used


def fill_environment(text: str, host: Host) -> str:
    """Fill in `$(NAME)`; what is not in the environment stays as it is written."""
    if "$(" not in text:
        return text
    return _ENVIRONMENT.sub(lambda found: host.environ.get(found[1], found[0]), text)


def _early(pair: Pair, host: Host) -> Pair:
    if pair.text is None:
        return pair
    text = fill_environment(pair.text, host)
    if "@(" in text:
        text = _CONTENT.sub(lambda found: _content(found[1], pair, host), text)
    return dataclasses.replace(pair, text=text)


def _content(path: str, pair: Pair, host: Host) -> str:
    if "://" in path:
        raise BadValue(f"{pair}: @({path}) is no file; only files can be read here")
    try:
        text = host.read(path).decode("utf-8", "surrogateescape")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadValue(f"{pair}: @({path}) cannot be read: {reason}; correct the path") from None
    return text.removesuffix("\n")


class Placeholders:
    """Fills in `%(name)`: the command line's value, else the first of the files', as uWSGI."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.used: set[str] = set()
        self._pairs = list(pairs)
        self._done: dict[int, str | None] = {}
        self._chain: list[int] = []
        self._first: dict[str, int] = {}
        for rank in sorted({pair.origin.rank for pair in pairs}, reverse=True):
            for index, pair in enumerate(pairs):
                if pair.origin.rank == rank:
                    self._first.setdefault(pair.name, index)

    def all(self) -> list[Pair]:
        """Return all pairs, filled in."""
        return [
            dataclasses.replace(pair, text=self._value(index))
            for index, pair in enumerate(self._pairs)
        ]

    def fill(self, text: str, complain: Callable[[str], Exception]) -> str:
        """Return one more text, filled in."""
        return _OPTION.sub(lambda found: self._expression(found, complain), text)

    def _value(self, index: int) -> str | None:
        if index in self._done:
            return self._done[index]
        pair = self._pairs[index]
        if pair.text is None or "%(" not in pair.text:
            self._done[index] = pair.text
            return pair.text
        self._refuse_circle(index)
        self._chain.append(index)
        try:
            text = self.fill(pair.text, lambda words: BadValue(f"{pair}: {words}"))
        finally:
            self._chain.pop()
        if len(text) > _LONGEST:
            raise BadValue(f"{pair}: its placeholders make a value of more than {_LONGEST} letters")
        self._done[index] = text
        return text

    def _refuse_circle(self, index: int) -> None:
        if index in self._chain:
            names = [self._pairs[i].name for i in self._chain[self._chain.index(index) :]]
            circle = " -> ".join([*names, names[0]])
            pair = self._pairs[index]
            raise BadValue(f"{pair}: its value leads back to itself ({circle}); break the circle")
        if len(self._chain) > 100:
            raise BadValue(
                f"{self._pairs[index]}: placeholders nested too deeply; name it directly"
            )

    def _lookup(self, name: str) -> str | None:
        self.used.add(name)
        index = self._first.get(name)
        if index is None:
            return None
        value = self._value(index)
        return "true" if value is None else value

    def _expression(self, found: re.Match[str], complain: Callable[[str], Exception]) -> str:
        whole = found[1].strip(" ")
        value = self._lookup(whole)
        if value is not None:
            return value
        tokens = whole.split(" ")
        if len(tokens) < 2 or not any(self._known(token) for token in tokens):
            return found[0]
        return self._sum(tokens, complain)

    def _known(self, token: str) -> bool:
        return token in self._first or _INTEGER.fullmatch(token) is not None

    def _sum(self, tokens: Sequence[str], complain: Callable[[str], Exception]) -> str:
        """Work strictly from left to right on whole numbers; without an operator, put together."""
        text, operator = "", ""
        for token in tokens:
            if token in ("++", "--"):
                text, operator = str(_number(text) + (1 if token == "++" else -1)), ""
            elif token in ("+", "-", "*", "/"):
                operator = token
            elif token:
                value = self._lookup(token)
                value = token if value is None and _INTEGER.fullmatch(token) else value or ""
                text = _apply(text, operator, value) if operator else text + value
                operator = ""
            if len(text) > 4096:
                raise complain("the sum in a placeholder grows too large")
        return text


def _apply(left: str, operator: str, right: str) -> str:
    a, b = _number(left), _number(right)
    match operator:
        case "+":
            return str(a + b)
        case "-":
            return str(a - b)
        case "*":
            return str(a * b)
    return str(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)) if b else "0"


def _number(text: str) -> int:
    """Return the whole number a text begins with, or 0, as uWSGI counts."""
    found = _INTEGER.match(text.strip())
    return int(found[0][:18]) if found else 0
