"""Our Erlang node: listens, knows the registered processes and functions, and nothing else.

1. Only what is registered can be reached; whoever has the cookie can do no more than that.
2. Handlers never run in a reader's thread: each process has one thread and its order.
3. It is hidden and listens on loopback unless told otherwise.

Runs in: one process of the server, threads started by `start()`, after the fork.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from muleteer.erlang import calls
from muleteer.erlang.calls import BlockReply, CallFunction, Job, RexReply
from muleteer.erlang.connection import Connection
from muleteer.erlang.conversation import (
    Caller,
    exception_reason,
    read_cast,
    read_gen_call,
    read_rex,
)
from muleteer.erlang.epmd import Registration
from muleteer.erlang.identity import Identity
from muleteer.erlang.local import Address, LocalNode, Log, standard_log
from muleteer.erlang.mailbox import Crew
from muleteer.erlang.switchboard import Switchboard
from muleteer.errors import BadValue, NodeLost
from muleteer.wire import distribution
from muleteer.wire.distribution import Message
from muleteer.wire.terms import Atom, Pid, atom_name

__all__ = ["ErlangNode"]

RPC_THREADS = 16
STOP_S = 2.0
REX = "rex"
RESERVED = {REX, "net_kernel"}

_logger = logging.getLogger("muleteer.app")


@dataclass(slots=True)
class Letter:
    """A message on its way to a registered process."""

    connection: Connection
    process: Process
    message: Any


class Process:
    """A Python function under a registered name."""

    def __init__(self, name: str, function: Callable[..., Any], pid: Pid) -> None:
        self.name = name
        self.pid = pid
        self.function: Callable[[Any], Any] = (
            function if _takes_one(function) else lambda _message: function()
        )
        self.crew: Crew[Letter] = Crew(f"erlang-{name}", 1, _handle)


class ErlangNode(LocalNode):
    """A node with registered processes, and functions for `rpc:call`; thread-safe."""

    def __init__(
        self,
        name: str,
        cookie: bytes,
        *,
        processes: Mapping[str, Callable[..., Any]],
        call: CallFunction,
        bind: str = "127.0.0.1",
        log: Log = standard_log,
        epmd_port: int | None = None,
        rpc_threads: int = RPC_THREADS,
    ) -> None:
        super().__init__(Identity(name, cookie), log)
        self._bind = bind
        self._epmd_port = epmd_port
        self._registration: Registration | None = None
        self._rex = self.identity.new_pid()
        self._processes: dict[str, Process] = {}
        self._by_pid: dict[Pid, Process] = {}
        self._calls: Crew[Job] = Crew("erlang-rpc", rpc_threads, partial(calls.run, call))
        self._board = Switchboard(self.identity, self.take, log, epmd_port)
        for alive, function in processes.items():
            self._register(alive, function)

    # -- the process that owns it ------------------------------------------------------------

    def start(self) -> None:
        """Listen, and register at epmd as soon as there is one; CannotBind is the only error."""
        self._board.listen(self._bind)
        if self._bind not in ("127.0.0.1", "::1", "localhost"):
            self.log(
                logging.WARNING,
                f"Erlang node {self.identity.name} listens on {self._bind}: what follows the "
                "handshake is clear text, and the cookie is all that protects it",
            )
        self._registration = Registration(
            self.identity.alive,
            self._board.port,
            port=self._epmd_port,
            warn=partial(self.log, logging.WARNING),
        )

    def stop(self) -> None:
        """Leave epmd, let what came be handled for a moment, hang up; twice is safe."""
        if self._registration is not None:
            self._registration.close()
        deadline = time.monotonic() + STOP_S
        crews: list[Crew[Any]] = [*(p.crew for p in self._processes.values()), self._calls]
        for crew in crews:
            crew.close()
        left = sum(crew.join(deadline) for crew in crews)
        if left:
            self.log(logging.WARNING, f"Erlang: {left} messages were not handled at the end")
        self._board.close()

    def wait_registered(self, timeout: float) -> bool:
        """Does epmd know us, at the latest after so long?"""
        return self._registration is not None and self._registration.registered.wait(timeout)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._board.port

    @property
    def peers(self) -> list[str]:
        """The nodes that are connected."""
        return self._board.names()

    def pid_of(self, name: str) -> Pid:
        """The pid of a registered process, to put into messages; KeyError for any other name."""
        return self._processes[name].pid

    def fileno(self) -> int:
        """The listening socket's number."""
        return self._board.fileno()

    def send(self, to: Pid | tuple[str, str], message: Any) -> None:
        """Send to a pid or to (name, node), connecting to its node if need be; may block.

        NodeDown, NodeRefused or NodeLost when the node cannot be had; BadTerm for a bad message.
        """
        if isinstance(to, Pid):
            packet = distribution.send(to, message)
            self._board.reach(to.node).write(packet)
        else:
            packet = distribution.send_to_name(self._rex, to[0], message)
            self._board.reach(to[1]).write(packet)

    def _register(self, name: str, function: Callable[..., Any]) -> None:
        if name in RESERVED or not 0 < len(name) <= 255:
            raise BadValue(f"no Erlang process can have the name {name[:80]!r}: choose another")
        process = Process(name, function, self.identity.new_pid())
        self._processes[name] = self._by_pid[process.pid] = process

    # -- the readers' threads ------------------------------------------------------------------

    def is_alive(self, process: Address) -> bool:
        """Registered names and their pids, `rex` and `net_kernel`."""
        if isinstance(process, str):
            return process in self._processes or process in RESERVED
        return process in self._by_pid or process == self._rex or super().is_alive(process)

    def deliver(
        self, connection: Connection, to: Address, sender: Pid | None, message: Any, size: int
    ) -> None:
        """Into the mailbox of the process; waits while that is full, which holds the sender."""
        process = self._find(to)
        if process is not None:
            process.crew.put(Letter(connection, process, message), size, connection.tick)
        elif to == REX:
            self._take_rex(connection, message, size)
        else:
            super().deliver(connection, to, sender, message, size)

    def _find(self, to: Address) -> Process | None:
        if isinstance(to, str):
            return self._processes.get(to)
        return self._by_pid.get(to) if isinstance(to, Pid) else None

    def spawn(self, connection: Connection, request: Message, size: int) -> None:
        """`rpc:call`, `erpc:call` and their casts; nothing else is ever spawned here."""
        job, answer = calls.read_spawn(connection, request, self.identity.new_pid)
        connection.write(answer)  # first: without it the other node hangs up
        if job is not None:
            self._calls.put(job, size, connection.tick)

    def _take_rex(self, connection: Connection, message: Any, size: int) -> None:
        """What comes to `rex`: calls of C nodes, `rpc:block_call`, and a few questions."""
        job = self._read_rex(connection, message)
        if job is not None:
            self._calls.put(job, size, connection.tick)

    def _read_rex(self, connection: Connection, message: Any) -> Job | None:
        cast, gen_call = read_cast(message), read_gen_call(message)
        if cast is not None:
            return self._job(connection, cast[0], calls.NOBODY)
        if gen_call is not None:
            return self._job(
                connection, gen_call[1], BlockReply(connection, self._rex, gen_call[0])
            )
        match message:
            case (Pid() as caller, (Atom("sbcast"), name, content)):
                connection.write(self._answer_sbcast(connection, caller, name, content))
            case (Pid() as caller, Atom("features_request")):
                features = (Atom("features_reply"), self.identity.name, [Atom("erpc")])
                connection.write(distribution.send(caller, features))
            case (Pid() as caller, request):
                return self._job(connection, request, RexReply(caller))
        return None

    def _job(self, connection: Connection, request: Any, reply: calls.Reply) -> Job | None:
        call = read_rex(request)
        if call is None:
            return None
        return Job(connection, call.module, call.function, call.arguments, reply)

    def _answer_sbcast(self, connection: Connection, caller: Pid, name: Any, content: Any) -> bytes:
        """`rpc:sbcast`: deliver, and say whether there is such a process."""
        found, node = atom_name(name), self.identity.name
        here: Any = node
        if found in self._processes:
            self.deliver(connection, found, caller, content, 0)
        else:
            here = (Atom("nonexisting_name"), name)
        return distribution.send(caller, (Atom(REX), node, here))


# -- the thread of one registered process --------------------------------------------------------


def _handle(letter: Letter) -> None:
    """Call the function with one message, and answer if the message asks for it. Never raises."""
    connection, process = letter.connection, letter.process
    call, cast = read_gen_call(letter.message), read_cast(letter.message)
    message = call[1] if call else cast[0] if cast else letter.message
    try:
        answer = process.function(message)
        packet = _answer(connection, process, call, letter.message, answer)
    except (Exception, SystemExit) as error:
        _logger.exception("Erlang: the process %s raised", process.name)
        packet = _excuse(process, call[0], error) if call else None
    if packet is not None:
        try:
            connection.write(packet)
        except NodeLost:  # nobody is there to tell
            pass


def _answer(
    connection: Connection,
    process: Process,
    call: tuple[Caller, Any] | None,
    message: Any,
    answer: Any,
) -> bytes | None:
    """To `gen_server:call` what was returned; to `{Pid, ...}` what was, if it is not None."""
    if call is not None:
        return call[0].answer(process.pid, answer, use_alias=connection.has_aliases)
    if answer is None or type(message) is not tuple or not message:
        return None
    caller = message[0]
    # A pid of a third node is not answered: a message must not make us connect somewhere.
    if isinstance(caller, Pid) and caller.node == connection.peer.name:
        return distribution.send(caller, answer)
    return None


def _excuse(process: Process, caller: Caller, error: BaseException) -> bytes | None:
    """Let a `gen_server:call` fail at once, as if the process had died of the exception."""
    if caller.ref is None:
        return None
    name, reason = Atom(process.name), exception_reason(error)
    return distribution.monitored(name, caller.pid, caller.ref, reason)


def _takes_one(function: Callable[..., Any]) -> bool:
    """Can it be called with the message? The documentation's example takes none."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True
