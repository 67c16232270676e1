"""Calls of functions that came from another node, and where each result goes.

`rpc:call` and `erpc:call` come as spawn requests, the others as messages to `rex`.
Only what the server gives as `call` is ever called: no import, no apply, no eval.

Runs in: a process with the node; `run` in its rpc threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from muleteer.erlang.connection import Connection
from muleteer.erlang.conversation import Caller, arguments, exception_reason
from muleteer.errors import BadTerm, Malformed, MuleteerError, NodeLost, TooLarge, UnknownFunction
from muleteer.wire import distribution
from muleteer.wire.distribution import Message
from muleteer.wire.terms import Atom, Pid, Ref, atom_name

__all__ = ["CallFunction", "Job", "read_spawn", "run"]

CallFunction = Callable[[str, str, list[Any]], Any]
"""(module, function, arguments) -> result; UnknownFunction if none is registered."""

_logger = logging.getLogger("muleteer.app")

ERPC = ("erpc", "execute_call", 4)
ERPC_CAST = ("erpc", "execute_cast", 3)
MONITOR, LINK = 2, 1


class Reply:
    """How a result goes back: this one does not, for casts; a subclass per way in which it does."""

    def is_awaited(self) -> bool:
        """Does the caller wait still?"""
        return True

    def returned(self, value: Any) -> bytes | None:
        """The packet for a result; BadTerm if it can have none."""
        return None

    def failed(self, reason: Any, stack: list[Any]) -> bytes | None:
        """The packet for an exception."""
        return None


NOBODY = Reply()


@dataclass(slots=True)
class Job:
    """One call: what is to be called, and what makes a packet of how it went."""

    connection: Connection
    module: str
    function: str
    arguments: list[Any]
    reply: Reply = NOBODY

    @property
    def name(self) -> str:
        """The function, for the log."""
        text = f"{self.module}:{self.function}/{len(self.arguments)}"
        return text if text.isprintable() else ascii(text)

    @property
    def stack(self) -> list[Any]:
        """The function, as Erlang's stack traces have it."""
        return [(Atom(self.module), Atom(self.function), len(self.arguments), [])]


@dataclass(slots=True)
class ErpcReply(Reply):
    """The end of the "spawned process" is the answer; see Erlang's `erpc:execute_call/4`."""

    connection: Connection
    process: Pid
    caller: Pid
    request: Ref
    result: Any

    def is_awaited(self) -> bool:
        """Until the caller ends its monitor, which it does when its time is up."""
        return self.connection.running.pop(self.request, None) is not None

    def returned(self, value: Any) -> bytes:
        return self._down((self.result, Atom("return"), value))

    def failed(self, reason: Any, stack: list[Any]) -> bytes:
        return self._down((self.result, Atom("error"), reason, stack))

    def _down(self, reason: Any) -> bytes:
        return distribution.monitored(self.process, self.caller, self.request, reason)


@dataclass(slots=True)
class BlockReply(Reply):
    """An answer of the `rex` server to `rpc:block_call`."""

    connection: Connection
    rex: Pid
    caller: Caller

    def returned(self, value: Any) -> bytes:
        return self.caller.answer(self.rex, value, use_alias=self.connection.has_aliases)

    def failed(self, reason: Any, stack: list[Any]) -> bytes:
        return self.returned(_badrpc(reason, stack))


@dataclass(slots=True)
class RexReply(Reply):
    """A message `{rex, Result}`, which C nodes and old ones wait for."""

    caller: Pid

    def returned(self, value: Any) -> bytes:
        return distribution.send(self.caller, (Atom("rex"), value))

    def failed(self, reason: Any, stack: list[Any]) -> bytes:
        return self.returned(_badrpc(reason, stack))


def _badrpc(reason: Any, stack: list[Any]) -> Any:
    return (Atom("badrpc"), (Atom("EXIT"), (reason, stack)))


def read_spawn(
    connection: Connection, request: Message, new_pid: Callable[[], Pid]
) -> tuple[Job | None, bytes]:
    """The job in a spawn request, and the answer that must be sent first; no job: refused."""
    ref, caller, _leader, what, options = request.args[:5]
    if type(ref) is not Ref or type(caller) is not Pid:
        raise Malformed("a spawn request does not say who asks")
    if what not in (ERPC, ERPC_CAST):
        return None, distribution.not_spawned(ref, caller, "notsup")
    payload, result = request.payload, None
    if isinstance(payload, list) and what == ERPC and payload:
        result, *payload = payload
    job = _read_job(connection, payload)
    if job is None or (what == ERPC and not isinstance(result, Ref)):
        return None, distribution.not_spawned(ref, caller, "badarg")
    process = new_pid()
    if what == ERPC:
        connection.running[ref] = process
        job.reply = ErpcReply(connection, process, caller, ref, result)
    return job, distribution.spawned(ref, caller, _flags(options), process)


def _read_job(connection: Connection, payload: Any) -> Job | None:
    if not isinstance(payload, list) or len(payload) != 3:
        return None
    module, function, args = atom_name(payload[0]), atom_name(payload[1]), arguments(payload[2])
    if module is None or function is None or args is None:
        return None
    return Job(connection, module, function, args)


def _flags(options: Any) -> int:
    names = options if isinstance(options, list) else []
    return (MONITOR if "monitor" in names else 0) | (LINK if "link" in names else 0)


def run(call: CallFunction, job: Job) -> None:
    """Call the function and send how it went, unless nobody waits any more. Never raises."""
    try:
        packet = _outcome(call, job)
        if packet is not None and job.reply.is_awaited():
            job.connection.write(packet)
    except NodeLost:  # nobody is there to tell
        pass
    except (BadTerm, TooLarge) as error:
        _logger.warning("Erlang: a call of %s cannot be answered: %s", job.name, error)


def _outcome(call: CallFunction, job: Job) -> bytes | None:
    """The packet with the result or with the exception; None for a cast."""
    reply = job.reply
    try:
        value = call(job.module, job.function, job.arguments)
        return reply.returned(value)
    except UnknownFunction:
        return _undefined(reply, job)
    except MuleteerError as error:
        _logger.warning("Erlang: %s failed: %s", job.name, error)
        return reply.failed(exception_reason(error), job.stack)
    except (Exception, SystemExit) as error:
        _logger.exception("Erlang: %s raised", job.name)
        return reply.failed(exception_reason(error), job.stack)


def _undefined(reply: Reply, job: Job) -> bytes | None:
    """As a real node has it, with the arguments; without them if they cannot go back."""
    where: tuple[Any, ...] = (Atom(job.module), Atom(job.function), job.arguments, [])
    try:
        return reply.failed(Atom("undef"), [where])
    except (BadTerm, TooLarge):
        return reply.failed(Atom("undef"), job.stack)
