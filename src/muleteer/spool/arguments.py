"""What a task was called with, told to people without running anything.

The arguments of `@spool(pass_arguments=True)` are pickles, and a pickle is a program. Here it is
read by a machine that knows no classes but a few harmless ones; any other object becomes a
stand-in that only knows its name and what it was to be made of.
Runs in: anywhere.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["arguments_in", "shown"]

_HARMLESS: Final = {
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("collections", "OrderedDict"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
}
"""Classes whose making does nothing but make them."""


def arguments_in(task_vars: Mapping[bytes, bytes]) -> str | None:
    """The arguments as they stood in the call, `1, 'x', key=2`; None when there are none to tell.

    Objects of the application are `<shop.models.Order(7)>`. Never runs the application's code.
    """
    if not {b"args", b"kwargs"} <= task_vars.keys():
        return None
    try:
        args = _Reader(io.BytesIO(task_vars[b"args"])).load()
        kwargs = _Reader(io.BytesIO(task_vars[b"kwargs"])).load()
        return shown(args, kwargs)
    except Exception:  # noqa: BLE001 - bytes from anywhere: whatever they make the machine do
        return None


def shown(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A call's arguments as its source would have them."""
    return ", ".join([*(repr(arg) for arg in args), *(f"{k}={v!r}" for k, v in kwargs.items())])


class _Reader(pickle.Unpickler):
    """Reads the pickle, and imports only what is harmless."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS:
            return super().find_class(module, name)
        return _Kind("StandIn", (_StandIn,), {"stands_for": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        return f"<persistent {pid!r}>"


class _Kind(type):
    """The class of stand-ins, since a pickle may name a class itself."""

    stands_for: str

    def __repr__(cls) -> str:
        return f"<{cls.stands_for}>"


class _StandIn(metaclass=_Kind):
    """Takes whatever a pickle does to an object, and tells it."""

    stands_for = ""
    made_of = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> _StandIn:
        made = super().__new__(cls)
        made.made_of = shown(args, kwargs)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.made_of = shown((), {str(key): value for key, value in state.items()})

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """What a pickled list of the application's own class is filled by."""

    def extend(self, items: Any) -> None:
        """The same, for many."""

    def __repr__(self) -> str:
        return f"<{self.stands_for}({self.made_of})>"
