"""The connections of our node: those that come in, those we make, and one per peer.

1. Nobody is connected before it is proven; a new connection of a proven peer ends its old one.
2. If both connect at once, the greater name's connection counts, as Erlang has it.
3. Strangers are few at a time and have one deadline.

Runs in: the process with the node; a thread per connection.
"""

from __future__ import annotations

import logging
import socket
import threading
import time

from muleteer.erlang import connection as lines
from muleteer.erlang import epmd
from muleteer.erlang.connection import HANDSHAKE_S, Connection, Taker
from muleteer.erlang.identity import Identity, split_name
from muleteer.erlang.local import Log
from muleteer.errors import CannotBind, MuleteerError, NodeDown, NodeLost, NodeRefused
from muleteer.wire.handshake import Acceptor, Flag, Initiator, Peer

__all__ = ["Switchboard"]

STRANGERS = 20
BACKLOG = 64
PAUSE_S = 0.1
JOIN_S = 2.0


class Switchboard:
    """Listens, greets, dials, and knows who is connected; thread-safe."""

    def __init__(self, identity: Identity, take: Taker, log: Log, epmd_port: int | None) -> None:
        self._identity = identity
        self._take = take
        self._log = log
        self._epmd_port = epmd_port
        self._changed = threading.Condition()
        self._connections: dict[str, Connection] = {}
        self._dialing: dict[str, socket.socket | None] = {}
        self._strangers: set[socket.socket] = set()
        self._closed = threading.Event()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self.port = 0

    def listen(self, host: str) -> None:
        """Accept from now on, at a free port of that address."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.bind((host, 0))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise CannotBind(f"the Erlang node cannot listen on {host}: {error.strerror}") from None
        self._listener = listener
        self.port = listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="erlang-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Hang up everywhere; twice is safe."""
        self._closed.set()
        if self._listener is not None:
            _shut(self._listener)
        if self._acceptor is not None:
            self._acceptor.join(JOIN_S)
        if self._listener is not None:
            self._listener.close()
        with self._changed:
            for sock in (*self._strangers, *self._dialing.values()):
                if sock is not None:
                    _shut(sock)
            for connection in self._connections.values():
                connection.close()
            self._changed.wait_for(lambda: not self._connections and not self._strangers, JOIN_S)

    def fileno(self) -> int:
        """The listening socket's number; -1 while there is none."""
        return -1 if self._listener is None else self._listener.fileno()

    def names(self) -> list[str]:
        """Who is connected."""
        with self._changed:
            return sorted(self._connections)

    # -- connections that come in ---------------------------------------------------------------

    def _accept(self) -> None:
        """Give each caller a thread; it is the connection's reader if the handshake succeeds."""
        assert self._listener is not None
        while not self._closed.is_set():
            try:
                sock, address = self._listener.accept()
            except OSError as error:
                if not self._closed.wait(PAUSE_S):  # no descriptors: a moment may bring some
                    self._log(logging.ERROR, f"Erlang: cannot accept: {error.strerror}")
                continue
            if not self._admit(sock):
                sock.close()
                continue
            where = f"{address[0]}:{address[1]}"
            threading.Thread(
                target=self._greet, args=(sock, where), name="erlang-peer", daemon=True
            ).start()

    def _admit(self, sock: socket.socket) -> bool:
        """Few strangers at a time: each costs a thread."""
        with self._changed:
            if len(self._strangers) >= STRANGERS or self._closed.is_set():
                return False
            self._strangers.add(sock)
            return True

    def _greet(self, sock: socket.socket, where: str) -> None:
        side = Acceptor(self._identity.local(), self._status)
        try:
            peer = lines.shake(sock, side, lines.HANDSHAKE_S)
        except MuleteerError as error:
            sock.close()
            self._log(logging.WARNING, f"Erlang: {where} is refused: {error}")
            return
        finally:
            with self._changed:
                self._strangers.discard(sock)
                self._changed.notify_all()
        made = self._add(Connection(sock, peer, self._take, side.rest))
        with self._changed:
            dialed = self._dialing.get(peer.name)
        if dialed is not None:  # the connection that came in is the one that counts
            _shut(dialed)
        self._read(made)

    def _status(self, stranger: Peer) -> str:
        """What a caller is told who has not proven anything yet; nothing changes by it."""
        ours, theirs = str(self._identity.name), stranger.name
        if theirs == ours or stranger.flags & Flag.NAME_ME or self._closed.is_set():
            return "not_allowed"
        with self._changed:
            if theirs in self._connections:
                return "alive"
            if theirs in self._dialing:
                return "nok" if ours > theirs else "ok_simultaneous"
        return "ok"

    # -- connections that we make ---------------------------------------------------------------

    def reach(self, node: str, timeout: float = HANDSHAKE_S) -> Connection:
        """The connection to the node, made now if there is none; may block so long.

        NodeDown, NodeRefused or NodeLost when there can be none.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._changed.wait_for(lambda: node not in self._dialing, timeout)
            found = self._connections.get(node)
            if found is not None:
                return found
            if node in self._dialing or self._closed.is_set():
                raise NodeDown(f"no connection to {node} within {timeout:g} s")
            self._dialing[node] = None
        try:
            return self._dial(node, deadline)
        except (NodeRefused, NodeLost) as error:
            is_nok = isinstance(error, NodeRefused) and error.status == "nok"
            return self._await_theirs(node, deadline if is_nok else 0.0, error)
        finally:
            with self._changed:
                self._dialing.pop(node, None)
                self._changed.notify_all()

    def _dial(self, node: str, deadline: float) -> Connection:
        alive, host = split_name(node)
        port = epmd.look_up(alive, host, port=self._epmd_port, timeout=_left(deadline))
        sock = lines.dial(host, port, _left(deadline))
        with self._changed:
            self._dialing[node] = sock
        side = Initiator(self._identity.local())
        try:
            peer = lines.shake(sock, side, _left(deadline))
            if peer.name != node:
                raise NodeRefused(f"{node} is called {peer.name} there")
        except BaseException:
            sock.close()
            raise
        made = self._add(Connection(sock, peer, self._take, side.rest))
        threading.Thread(target=self._read, args=(made,), name="erlang-peer", daemon=True).start()
        return made

    def _await_theirs(self, node: str, deadline: float, error: MuleteerError) -> Connection:
        """They were connecting to us at the same time: then that connection is the one."""
        with self._changed:
            self._changed.wait_for(lambda: node in self._connections, _left(deadline))
            if node in self._connections:
                return self._connections[node]
        raise error

    # -- both -----------------------------------------------------------------------------------

    def _add(self, connection: Connection) -> Connection:
        """Let it be the connection of its peer; an older one ends."""
        name = connection.peer.name
        with self._changed:
            old = self._connections.get(name)
            self._connections[name] = connection
            self._changed.notify_all()
        if old is not None:
            old.close()
        if self._closed.is_set():
            connection.close()
        return connection

    def _read(self, connection: Connection) -> None:
        """Read to the end, in this thread."""
        name = connection.peer.name
        self._log(logging.INFO, f"Erlang: {name} is connected")
        reason = "an error of ours"
        try:
            reason = connection.run()
        finally:
            with self._changed:
                if self._connections.get(name) is connection:
                    del self._connections[name]
                self._changed.notify_all()
            self._log(logging.INFO, f"Erlang: {name} is gone: {reason}")


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _shut(sock: socket.socket) -> None:
    """Wake whoever waits for it; it may be gone already."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
