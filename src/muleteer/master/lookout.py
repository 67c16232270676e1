"""The lookout: the sockets behind which the server can be watched, `stats` and `metrics`.

A visitor gets one picture and goes.  It never holds the master up: nothing here blocks, what does
not fit into the kernel's buffer waits for room, and whoever takes too long is shown out.

Rules:
1. At most `_MOST_VISITORS` at a time: one more, and the oldest must go.
2. A visitor has `_PATIENCE_S` seconds from the door to the last byte.
3. A zygote lets go of all of it: no child of ours keeps a visitor's connection open.

Runs in: the master.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from functools import partial

from muleteer import journal
from muleteer.ipc.sockets import Listener
from muleteer.wire.plain import answer, is_whole, path_in

__all__ = ["Lookout", "Page"]

_MOST_VISITORS = 32
_PATIENCE_S = 5.0
_ACCEPTS_PER_TURN = 4
_LONGEST_REQUEST = 8192

Page = Callable[[], tuple[str, bytes]]
"""Makes what a visitor sees: its media type and its bytes."""


class _Visitor:
    """One connection, while it asks and while it is answered."""

    def __init__(self, sock: socket.socket, page: Page, deadline: float) -> None:
        self.sock = sock
        self.page = page
        self.deadline = deadline
        self.asked = b""
        self.answer = memoryview(b"")


class Lookout:
    """All windows of one server, and who stands there."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._windows: list[Listener] = []
        self._visitors: dict[_Visitor, None] = {}

    def open(self, listener: Listener, page: Page, *, speaks_http: bool) -> None:
        """Show `page` to whoever connects: at once, or after it asked for it in HTTP."""
        self._windows.append(listener)
        welcome = partial(self._welcome, listener.sock, page, speaks_http)
        self._selector.register(listener.sock, selectors.EVENT_READ, welcome)

    # -- the loop ------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When the first visitor's time is up (monotonic)."""
        return min((visitor.deadline for visitor in self._visitors), default=None)

    def show_out(self) -> None:
        """Let those go whose time is up."""
        now = time.monotonic()
        for visitor in [each for each in self._visitors if each.deadline <= now]:
            self._dismiss(visitor)

    def let_go(self) -> None:
        """In a forked process: close everything, without a word to the selector."""
        for sock in (*(w.sock for w in self._windows), *(v.sock for v in self._visitors)):
            sock.close()

    def close(self) -> list[Listener]:
        """Send everybody away; returns the listeners, which are the caller's to close."""
        for visitor in list(self._visitors):
            self._dismiss(visitor)
        for window in self._windows:
            self._selector.unregister(window.sock)
        windows, self._windows = self._windows, []
        return windows

    # -- one visitor ---------------------------------------------------------------------

    def _welcome(self, door: socket.socket, page: Page, speaks_http: bool) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, _ = door.accept()
            except OSError:  # nobody is there any more, or no descriptor is free
                return
            sock.setblocking(False)
            visitor = _Visitor(sock, page, time.monotonic() + _PATIENCE_S)
            if len(self._visitors) >= _MOST_VISITORS:
                self._dismiss(next(iter(self._visitors)))
            self._visitors[visitor] = None
            if speaks_http:
                listen = partial(self._listen, visitor)
                self._selector.register(sock, selectors.EVENT_READ, listen)
            else:
                visitor.answer = memoryview(_shown(page)[1])
                self._selector.register(sock, selectors.EVENT_WRITE, partial(self._tell, visitor))

    def _listen(self, visitor: _Visitor) -> None:
        """Hear the request; what it asks for matters little."""
        if visitor not in self._visitors:
            return  # it was shown out in this very turn
        try:
            data = visitor.sock.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visitor.asked += data
        if not data or len(visitor.asked) > _LONGEST_REQUEST:
            self._dismiss(visitor)
        elif is_whole(visitor.asked):
            visitor.answer = memoryview(self._answer(visitor))
            tell = partial(self._tell, visitor)
            self._selector.modify(visitor.sock, selectors.EVENT_WRITE, tell)

    def _answer(self, visitor: _Visitor) -> bytes:
        method, path = path_in(visitor.asked)
        if method not in ("GET", "HEAD"):
            return answer(405, "text/plain; charset=utf-8", b"only GET\n")
        if path.partition("?")[0] not in ("/", "/metrics", "/stats"):
            return answer(404, "text/plain; charset=utf-8", b"look at /\n")
        kind, body = _shown(visitor.page)
        return answer(200 if body else 500, kind, body, is_head=method == "HEAD")

    def _tell(self, visitor: _Visitor) -> None:
        """Send as much as fits; after the last byte it is the visitor's turn to go."""
        if visitor not in self._visitors:
            return
        try:
            sent = visitor.sock.send(visitor.answer)
        except BlockingIOError:
            return
        except OSError:
            self._dismiss(visitor)
            return
        visitor.answer = visitor.answer[sent:]
        if not visitor.answer:
            self._say_goodbye(visitor)

    def _say_goodbye(self, visitor: _Visitor) -> None:
        """End our side and wait for the visitor's end.

        Closing with something of its unread would reset the connection, and our answer with it.
        """
        try:
            visitor.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._dismiss(visitor)
            return
        leaves = partial(self._see_off, visitor)
        self._selector.modify(visitor.sock, selectors.EVENT_READ, leaves)

    def _see_off(self, visitor: _Visitor) -> None:
        if visitor not in self._visitors:
            return
        try:
            gone = not visitor.sock.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._dismiss(visitor)

    def _dismiss(self, visitor: _Visitor) -> None:
        del self._visitors[visitor]
        self._selector.unregister(visitor.sock)
        visitor.sock.close()


def _shown(page: Page) -> tuple[str, bytes]:
    """The page; empty when making it failed: a mistake of ours there must not end the server."""
    try:
        return page()
    except Exception:  # noqa: BLE001 - whoever looks at a server must never be its end
        journal.page_failed()
        return "text/plain; charset=utf-8", b""
