"""Outgoing connections of a process: send to a node, receive from it, call its functions.

Each has a hidden name of its own and is not in epmd; whoever answers, answers to its pid.

Runs in: any process, after the fork; the connection belongs to the process that made it.
"""

from __future__ import annotations

import itertools
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

from muleteer.erlang import connection as lines
from muleteer.erlang import epmd
from muleteer.erlang.connection import Connection
from muleteer.erlang.identity import Identity, client_name, split_name
from muleteer.erlang.local import Address, LocalNode, Log, standard_log
from muleteer.erlang.mailbox import Mailbox
from muleteer.errors import BadTerm, NoAnswer, NodeLost
from muleteer.wire import distribution
from muleteer.wire.handshake import Initiator
from muleteer.wire.terms import Atom, Pid

__all__ = ["ErlangClient", "connect"]

_numbers = itertools.count(1)


def connect(
    node: str,
    cookie: bytes,
    *,
    alive: str = "muleteer",
    host: str = "127.0.0.1",
    timeout: float = lines.HANDSHAKE_S,
    epmd_port: int | None = None,
    log: Log = standard_log,
) -> ErlangClient:
    """A connection to the node; NodeDown, NodeRefused or NodeLost when there can be none."""
    target, where = split_name(node)
    identity = Identity(client_name(alive, host, next(_numbers)), cookie)
    deadline = time.monotonic() + timeout
    port = epmd.look_up(target, where, port=epmd_port, timeout=timeout)
    sock = lines.dial(where, port, max(0.001, deadline - time.monotonic()))
    try:
        side = Initiator(identity.local())
        peer = lines.shake(sock, side, max(0.001, deadline - time.monotonic()))
    except BaseException:
        sock.close()
        raise
    client = ErlangClient(identity, log)
    client._start(Connection(sock, peer, client.take, side.rest))
    return client


class ErlangClient(LocalNode):
    """One connection, as uWSGI's `erlang_connect` gives it; thread-safe."""

    _connection: Connection

    def __init__(self, identity: Identity, log: Log = standard_log) -> None:
        super().__init__(identity, log)
        self.pid = identity.new_pid()
        """Where answers come to: put it into messages."""
        self._inbox: Mailbox[Any] = Mailbox()
        self._calls: dict[Pid, SimpleQueue[tuple[Any] | None]] = {}
        self._why = ""

    @property
    def node(self) -> str:
        """The name of the node at the other end."""
        return self._connection.peer.name

    @property
    def is_open(self) -> bool:
        """Has the connection not ended yet?"""
        return not self._inbox.closed

    # -- the app's threads ------------------------------------------------------------------

    def send(self, to: str | Pid | tuple[int, int, int], message: Any) -> None:
        """Send to a registered name or a pid; a name that is not there drops it, as in Erlang.

        May block while the node does not read. BadTerm for what Erlang has no term for.
        """
        if isinstance(to, str):
            self._write(distribution.send_to_name(self.pid, to, message))
        else:
            self._write(distribution.send(self._as_pid(to), message))

    def recv(self, timeout: float | None = None) -> Any:
        """The next message, for whatever process of this connection it was.

        Blocks; NoAnswer after the timeout, NodeLost at the connection's end.
        """
        try:
            return self._inbox.take(timeout)
        except NodeLost:
            raise NodeLost(f"{self.node} is gone: {self._why}") from None

    def rpc(
        self, module: str, function: str, arguments: list[Any], timeout: float | None = None
    ) -> Any:
        """What the function returned there, or `{badrpc, Reason}` as a tuple.

        NoAnswer after the timeout; a late answer is dropped.
        """
        call = (Atom("call"), Atom(module), Atom(function), list(arguments), Atom("user"))
        pid = self.identity.new_pid()
        answers = self._calls[pid] = SimpleQueue()
        try:
            self._write(distribution.send_to_name(pid, "rex", (pid, call)))
            if not self.is_open:  # it ended before the reader could know of this call
                answers.put(None)
            found = answers.get(timeout=timeout)
        except Empty:
            raise NoAnswer(f"{self.node} did not answer within {timeout:g} s") from None
        finally:
            del self._calls[pid]
        if found is None:
            raise NodeLost(f"{self.node} is gone: {self._why}")
        return found[0]

    def close(self) -> None:
        """End the connection; closing twice is safe."""
        self._connection.close()
        self._inbox.close()  # the reader may wait for room in it
        if threading.current_thread() is not self._thread:
            self._thread.join(1)

    def _write(self, packet: bytes) -> None:
        self._connection.write(packet)

    def _as_pid(self, to: Pid | tuple[int, int, int]) -> Pid:
        if isinstance(to, Pid):
            if to.node != self.node:
                raise BadTerm(f"the pid is one of {to.node}, and this connection is to {self.node}")
            return to
        return Pid(self.node, *to)

    # -- the reader's thread ----------------------------------------------------------------

    def _start(self, connection: Connection) -> None:
        self._connection = connection
        self._thread = threading.Thread(target=self._read, name="erlang-client", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._why = self._connection.run()
        finally:
            self._inbox.close()
            for answers in list(self._calls.values()):
                answers.put(None)

    def is_alive(self, process: Address) -> bool:
        """Our pid, and the pids of calls on their way."""
        return process == self.pid or process in self._calls or super().is_alive(process)

    def deliver(
        self, connection: Connection, to: Address, sender: Pid | None, message: Any, size: int
    ) -> None:
        """An answer to its call, a ping to the kernel, and everything else to the inbox."""
        if isinstance(to, Pid) and to != self.pid:
            answers = self._calls.get(to)
            if answers is not None and type(message) is tuple and message[:1] == ("rex",):
                answers.put((message[1],) if len(message) == 2 else (message,))
        elif to == "net_kernel":
            super().deliver(connection, to, sender, message, size)
        else:
            self._inbox.put(message, size, connection.tick)
