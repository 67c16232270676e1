"""Functions by name: a name travels to another process and must find its function there.

uWSGI's decorators go by the plain name only, so that of two functions with one name the later runs
for both. Here a message also has the full name; the plain one is for messages that have no other.
Runs in: anywhere the application is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from muleteer.decorators.server import full_name, log

__all__ = ["Names"]

T = TypeVar("T")


class Names(Generic[T]):
    """What belongs to functions, found by their names."""

    def __init__(self, kind: str, message: str) -> None:
        self._kind = kind
        self._message = message
        self._by_full_name: dict[str, T] = {}
        self._by_name: dict[str, T] = {}
        self._places: dict[str, object] = {}
        self._ambiguous: dict[str, list[str]] = {}

    def add(self, function: Callable[..., Any], thing: T) -> None:
        """Remember a function's; say so when another one has its plain name already."""
        name, qualified = function.__name__, full_name(function)
        place = _place(function)
        if self._places.setdefault(name, place) != place:
            clash = self._ambiguous.setdefault(name, [self._full_name_of(self._by_name[name])])
            clash.append(qualified)
            log.warning(
                "two %s functions are called %s: %s; a %s of uWSGI's own decorators cannot say"
                " which it is for: rename one",
                self._kind,
                name,
                " and ".join(clash),
                self._message,
            )
        self._by_name[name] = self._by_full_name[qualified] = thing

    def find(self, qualified: str, name: str) -> T:
        """Find by the full name, else by the plain one: functions move, and uWSGI has no other.

        LookupError says what there is.
        """
        if qualified in self._by_full_name:
            return self._by_full_name[qualified]
        if name in self._ambiguous:
            raise LookupError(
                f"the {self._message} is for one of {', '.join(self._ambiguous[name])}, and does"
                " not say which"
            )
        if name not in self._by_name:
            raise LookupError(
                f"the {self._message} is for {qualified or name}, and no {self._kind} function of"
                f" that name is imported here; there is: {', '.join(self._by_full_name) or 'none'};"
                " set `import = MODULE`"
            )
        return self._by_name[name]

    def _full_name_of(self, thing: T) -> str:
        return next(name for name, other in self._by_full_name.items() if other is thing)


def _place(function: Callable[..., Any]) -> object:
    """Where a function is written: the same for a module imported again, or by a second name."""
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_qualname) if code else full_name(function)
