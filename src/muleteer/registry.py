"""The registry: what the application registered while it was imported.

The facade (`uwsgi.…`) writes it, the roles read it; neither knows the other.
It is filled in the zygote and inherited by every child, so functions never travel: they were there
before the fork.

Runs in: made in the zygote; read in every child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AUTO_SIGNALS_FROM", "HOOKS", "MAX_SIGNAL", "Registration", "Registry", "Source"]

MAX_SIGNAL = 0xFFFF
"""The highest number a signal can have: two bytes travel."""

AUTO_SIGNALS_FROM = 256
"""0 to 255 are the application's own numbers; the decorators take theirs from here up."""

HOOKS = ("spooler", "post_fork_hook", "mule_msg_hook", "atexit", "after_req_hook")
"""Attributes of `uwsgi` that an application assigns a callable to."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A signal's target and what runs there."""

    target: str
    handler: Callable[..., Any]
    name: bytes = field(init=False, compare=False)
    """The handler's module and name, for the log; kept, since each run of it is announced."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _name_of(self.handler))


@dataclass(frozen=True, slots=True)
class Source:
    """Something that raises a signal by itself: a timer, a cron job, a file monitor.

    `kind` is "timer", "rbtimer", "cron", "crontab" or "filemon"; `arguments` are that call's
    numbers, or its text; `options` are those that are not the default.
    It travels to the master as plain values.
    """

    kind: str
    signum: int
    arguments: tuple[float | str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Registry:
    """Everything one generation's import registered."""

    signals: dict[int, Registration] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    hooks: dict[str, Callable[..., Any]] = field(default_factory=dict)
    mule_hooks: list[Callable[[bytes], Any]] = field(default_factory=list)
    """Further hooks for mule messages (`install_mule_msg_hook`), after `mule_msg_hook`."""

    rpc: dict[bytes, Callable[..., Any]] = field(default_factory=dict)
    """Functions that other processes call by name."""
    erlang: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """What runs for messages to a registered name of our Erlang node."""

    def target_of(self, signum: int) -> str:
        """Return a signal's target; '' (any worker) for a number nobody registered, as uWSGI."""
        found = self.signals.get(signum)
        return found.target if found else ""

    def number_for(self, name: str) -> int:
        """Return a free automatic signal number for a handler of that name.

        It depends on the name and not on the order of imports, so that a signal that waits through
        a reload finds the same function in the new code.
        """
        span = MAX_SIGNAL + 1 - AUTO_SIGNALS_FROM
        start = _stable_hash(name) % span
        for step in range(span):
            number = AUTO_SIGNALS_FROM + (start + step) % span
            if number not in self.signals:
                return number
        raise ValueError("every signal number is taken")


def _name_of(function: Callable[..., Any]) -> bytes:
    name = getattr(function, "__qualname__", None)
    words = f"{getattr(function, '__module__', '?')}.{name}" if name else repr(function)
    return words.encode(errors="replace")


def _stable_hash(name: str) -> int:
    """Hash a name the same way in every process (FNV-1a); `hash()` is salted per process."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
