"""The shapes of messages between Erlang's standard processes: calls, casts, and their answers.

Pure: it reads terms and makes packets, and neither sends nor waits.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from muleteer.wire import distribution
from muleteer.wire.terms import Atom, Charlist, Improper, Pid, Ref, atom_name

__all__ = [
    "Caller",
    "RexCall",
    "arguments",
    "exception_reason",
    "read_cast",
    "read_gen_call",
    "read_rex",
]

MAX_TEXT = 1000
"""Characters of an exception's text that travel to the caller."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called with `gen_server:call`, and how its answer is to be marked."""

    pid: Pid
    tag: Any

    @property
    def ref(self) -> Ref | None:
        """The reference in the tag: the alias, and the caller's monitor, too."""
        tag = self.tag
        if isinstance(tag, Improper | list):
            first = tag.items[0] if isinstance(tag, Improper) else tag[0] if tag else None
            tag = first.tail if isinstance(first, Improper) else getattr(tag, "tail", None)
        return tag if isinstance(tag, Ref) else None

    def answer(self, sender: Pid, value: Any, *, use_alias: bool) -> bytes:
        """The packet with the answer; by the alias it is dropped if nobody waits any more."""
        ref = self.ref
        message = (self.tag, value)
        if use_alias and ref is not None and ref is not self.tag:
            return distribution.send_to_alias(sender, ref, message)
        return distribution.send(self.pid, message)


@dataclass(frozen=True, slots=True)
class RexCall:
    """A call that came to the process `rex`, as C nodes and `rpc:block_call` make it."""

    module: str
    function: str
    arguments: list[Any]


def read_gen_call(message: Any) -> tuple[Caller, Any] | None:
    """(caller, request) of a `gen_server:call`; None for any other message."""
    match message:
        case (Atom("$gen_call"), (Pid() as pid, tag), request):
            return Caller(pid, tag), request
    return None


def read_cast(message: Any) -> tuple[Any] | None:
    """(request,) of a `gen_server:cast`; None for any other message."""
    match message:
        case (Atom("$gen_cast"), request):
            return (request,)
    return None


def read_rex(request: Any) -> RexCall | None:
    """`{call, M, F, Args, GroupLeader}` and its kin; None for any other request."""
    match request:
        case (Atom("call" | "block_call" | "cast"), module, function, args, _leader):
            names, found = (atom_name(module), atom_name(function)), arguments(args)
            if names[0] is not None and names[1] is not None and found is not None:
                return RexCall(names[0], names[1], found)
    return None


def arguments(term: Any) -> list[Any] | None:
    """The arguments of a call; `[2,3]` comes as a string, for Erlang knows no difference."""
    if isinstance(term, Charlist):
        return [ord(character) for character in term]
    return term if isinstance(term, list) else None


def exception_reason(error: BaseException) -> tuple[Any, ...]:
    """What an Erlang caller sees of a Python exception."""
    try:
        text = str(error)[:MAX_TEXT].encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 - the app's own __str__
        text = b""
    return (Atom("python_exception"), Atom(type(error).__name__[:255]), text)
