"""The engine: one thread's listening sockets and connections, and the application behind them.

It accepts, keeps the time limits, counts and logs.  What a connection says is connection.py's,
what the application answers wsgi.py's.
Runs in: workers, one per thread, made after the fork.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from muleteer.errors import WireError
from muleteer.ipc.loop import READ, Loop, TimerHandle
from muleteer.serve.access import AccessLog, size_of_variables
from muleteer.serve.complaints import Complaints
from muleteer.serve.connection import (
    Connection,
    HttpConnection,
    PacketHandler,
    UwsgiConnection,
    taking,
)
from muleteer.serve.request import (
    ServeSettings,
    WSGIApplication,
    environ_template,
    http_template,
)
from muleteer.serve.trust import is_exposed, taken_on
from muleteer.serve.wsgi import Response, respond
from muleteer.wire.packet import Packet
from muleteer.wire.request import Limits, Request

__all__ = ["Core", "Engine", "PacketHandler", "ServeSettings"]

_log = logging.getLogger("muleteer")

_ACCEPTS_PER_TURN = 8
"""As long as they are answered and gone at once; one that stays ends the turn."""
_SHORT_ONES_PER_PLACE = 32
_ACCEPT_AGAIN_S = 0.5
_SWEEP_S = 0.5
_RETIRING_LINGER_S = 0.5
_READ_SIZE = 1 << 18
_BODY_IN_MEMORY = 1 << 20
_yield = getattr(os, "sched_yield", None)
_PROTOCOLS: dict[str, type[HttpConnection] | type[UwsgiConnection]] = {
    "http": HttpConnection,
    "uwsgi": UwsgiConnection,
}


class Core(Protocol):
    """A thread's place on the scoreboard."""

    def enter(self, deadline: float) -> None:
        """Busy from now on; harakiri at `deadline` (monotonic), 0.0 for never."""

    def say(self, doing: str) -> None:
        """Which request it is, for the log of one that takes too long."""

    def leave(self) -> None:
        """Idle again."""

    def count(self, *, tx: int, seconds: float, failed: bool, status: int) -> None:
        """One more request is done; a status of 0 is no answer."""


class _Listener:
    """One listening socket, and what becomes of its clients."""

    def __init__(
        self,
        sock: socket.socket,
        make: type[HttpConnection] | type[UwsgiConnection],
        template: dict[str, Any],
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.family = int(sock.family)
        self.make = make
        self.template = template
        self.accepted = 0
        self.is_watched = False


class Engine:
    """Serves what comes in on its listening sockets, one request at a time.

    For the log: `core_id` is the thread's number, `count_requests` counts those of all workers.
    """

    def __init__(
        self,
        loop: Loop,
        app: WSGIApplication,
        settings: ServeSettings,
        core: Core,
        *,
        worker_id: int,
        packets: Mapping[int, PacketHandler],
        log_request: Callable[[str], None],
        after_request: Callable[[], None] | None = None,
        core_id: int = 0,
        count_requests: Callable[[], int] | None = None,
    ) -> None:
        # for the life of the thread
        self.loop = loop
        self.settings = settings
        self.packets = dict(packets)
        self.limits = Limits(
            settings.buffer_size, settings.limit_post, settings.post_buffering or _BODY_IN_MEMORY
        )
        self.keepalive_s = settings.http_keepalive
        self.now = loop.now
        self.worker_id = worker_id
        self.buffer = memoryview(mmap.mmap(-1, _READ_SIZE))  # pages nobody used cost nothing
        self._app = app
        self._core = core
        self._harakiri = settings.harakiri or 0.0
        self._after_request = after_request
        self._template = environ_template(settings)
        self._listeners: list[_Listener] = []
        # logging
        self._log_request = log_request
        self.access = AccessLog(
            os.getpid(), core_id, count_requests, worker=worker_id, settings=settings
        )
        self._lines: list[str] = []
        self._complaints = Complaints(loop.now)
        # what changes
        self._connections: set[Connection] = set()
        self._sweeper: TimerHandle | None = None
        self.lines: set[UwsgiConnection] = set()
        self.calls_are_slow = False
        self.is_retiring = False
        self.keeps_alive = settings.http_keepalive > 0
        self.finished_at = self.accepted_at = 0.0

    # -- listening -------------------------------------------------------------

    def listen(
        self, sock: socket.socket, protocol: str, takes: frozenset[int] | None = None
    ) -> None:
        """Serve the clients of a bound and listening socket; `protocol` is "http" or "uwsgi".

        `takes` has the modifier1 of the packets that may act in the server; without it these are
        all, where no other machine reaches the socket.
        The socket may be shared with other processes; it stays open when the engine closes.
        """
        template = self._template
        if protocol == "http":
            template = http_template(template, sock)
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # accepted sockets inherit it: no call for each of them
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        make = _PROTOCOLS[protocol]
        if make is UwsgiConnection:
            make = taking(taken_on("", (), exposed=is_exposed(sock)) if takes is None else takes)
        listener = _Listener(sock, make, template)
        self._listeners.append(listener)
        self._watch_listener(listener)

    def retire(self) -> None:
        """Accept nobody any more, answer what is under way, and let the clients go.

        Every answer says `Connection: close` from now on; idle clients get a moment, because a
        request may be on its way to us.
        """
        if self.is_retiring:
            return
        self.is_retiring = True
        self.keeps_alive = False
        self.keepalive_s = _RETIRING_LINGER_S
        self._stop_listening()
        self.dismiss_lines()
        soon = self.now() + _RETIRING_LINGER_S
        for connection in self._connections:
            if connection.is_idle:
                connection.deadline = min(connection.deadline, soon)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweep()
        if self.settings.worker_reload_mercy:
            self.loop.call_at(self.now() + self.settings.worker_reload_mercy, self._close_all)

    @property
    def open_connections(self) -> int:
        """Clients that are connected; a retiring engine is done at 0."""
        return len(self._connections)

    def close(self) -> None:
        """Close every connection at once and write the last lines.  Safe to call twice."""
        self._stop_listening()
        self._close_all()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._write_lines()

    def _watch_listener(self, listener: _Listener) -> None:
        listener.is_watched = True
        self.loop.watch(listener.fd, lambda _: self._accept(listener), READ, exclusive=True)

    def _requeue(self, listener: _Listener) -> None:
        """Let another process be woken for the next client.

        Of those who wait for the socket the kernel wakes the first, always: go to the end.
        """
        self._unwatch_listener(listener)
        self._watch_listener(listener)
        if _yield is not None:
            _yield()  # in a burst nobody is woken, and we would take all there is

    def _unwatch_listener(self, listener: _Listener) -> None:
        if listener.is_watched:
            listener.is_watched = False
            self.loop.unwatch(listener.fd)

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            self._unwatch_listener(listener)
        self._listeners.clear()

    def _close_all(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def _accept(self, listener: _Listener) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                # what accept() itself calls; the rest of it is microseconds of enums
                fd, address = listener.sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:  # another process was faster
                return
            except OSError as error:
                self._accept_failed(listener, error)
                return
            sock = socket.SocketType(listener.family, socket.SOCK_STREAM, 0, fd)
            peer = address[0] if isinstance(address, tuple) else ""
            self.accepted_at = now = self.now()
            connection = listener.make(sock, peer, self, listener.template)
            self._connections.add(connection)
            if self._sweeper is None:
                self._sweeper = self.loop.call_at(now + _SWEEP_S, self._sweep)
            connection.begin()
            listener.accepted += 1
            stays = listener.make is HttpConnection and not connection.is_gone
            if stays or listener.accepted % _SHORT_ONES_PER_PLACE == 0:
                self._requeue(listener)
                return

    def _accept_failed(self, listener: _Listener, error: OSError) -> None:
        """Out of descriptors, mostly: the socket stays ready, so look away for a moment."""
        if error.errno in (errno.ECONNABORTED, errno.EINTR):
            return
        if self._complaints.may("accept"):
            _log.error(
                "worker %s cannot accept a connection: %s (%s are open); "
                "raise the limit of open files (ulimit -n) or lower the load",
                self.worker_id, error.strerror, len(self._connections),
            )  # fmt: skip
        self._unwatch_listener(listener)
        self.loop.call_at(self.now() + _ACCEPT_AGAIN_S, lambda: self._accept_again(listener))

    def _accept_again(self, listener: _Listener) -> None:
        if listener in self._listeners:
            self._watch_listener(listener)

    # -- what connections ask of us --------------------------------------------

    def run(self, request: Request, connection: Connection) -> Response:
        """Have the application answer, under its deadline; count it, log it."""
        if self.lines:
            self.dismiss_lines()
        variables = request.variables
        counted = (0, 0)
        if self.access.counts_variables:
            counted = size_of_variables(variables, len(self._template))
        started = self.now()
        core = self._core
        if self._harakiri:
            core.say(f"{request.method} {request.target}")
            core.enter(started + self._harakiri)
        else:
            core.enter(0.0)
        try:
            response = respond(self._app, request, connection)
        finally:
            core.leave()
        if not request.keep_alive:
            connection.finish()  # before the log and the hooks: its client waits for the end
        self.finished_at = ended = self.now()
        seconds = ended - started
        core.count(
            tx=response.sent + response.head_size,
            seconds=seconds,
            failed=response.failed,
            status=response.status,
        )
        access = self.access
        if access.is_always_wanted or access.wants(response, seconds):
            self._note(access.line(response, variables, counted, seconds))
        notes = access.notes
        if notes.logvars or notes.is_wanted:
            notes.forget()
        if self._after_request is not None:
            self._after_request()
        return response

    def dismiss_lines(self) -> None:
        """Send other muleteers' idle lines away: what they call next should not wait for us."""
        for line in list(self.lines):
            line.dismiss()

    def forget(self, connection: Connection) -> None:
        """It has closed."""
        self._connections.discard(connection)

    def complain(self, connection: Connection, error: WireError) -> None:
        """Say in the log why a client was refused; the same thing only now and then."""
        if self._complaints.may(f"status {error.status}"):
            _log.warning(
                "%s refused with %s: %s", connection.peer or "a client", error.status, error
            )

    def refuse_packet(self, connection: Connection, packet: Packet, why: str) -> None:
        """Say in the log, now and then, why a packet was not acted upon."""
        if self._complaints.may(f"modifier1 {packet.modifier1}"):
            _log.warning(
                "a packet with modifier1 %s from %s was refused: %s",
                packet.modifier1, connection.peer, why,
            )  # fmt: skip

    def note_dropped(self, connection: Connection, header: bytes) -> None:
        """Say in the log, now and then, that a client's header did not reach the application."""
        if self._complaints.may("dropped header"):
            name = header.decode("latin-1")
            _log.warning(
                "%s sent the header %s, which was dropped: as a variable it could pass for %s",
                connection.peer or "a client", name, name.replace("_", "-"),
            )  # fmt: skip

    # -- time ------------------------------------------------------------------

    def _sweep(self) -> None:
        """Look for clients whose time is up."""
        now = self.now()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.on_deadline()
        self._sweeper = None
        if self._connections:
            pause = _SWEEP_S / 5 if self.is_retiring else _SWEEP_S
            self._sweeper = self.loop.call_at(now + pause, self._sweep)

    def _note(self, line: str) -> None:
        if not self._lines:
            self.loop.call_soon(self._write_lines)
        self._lines.append(line)

    def _write_lines(self) -> None:
        """All lines of a turn in one write."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._log_request("\n".join(lines))
