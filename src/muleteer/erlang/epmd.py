"""Erlang's port mapper: where a node listens, and telling it where ours does.

A registration lasts as long as its connection; it is made again when epmd comes back.

Runs in: any process with a node of its own.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable

from muleteer.errors import NodeDown

__all__ = ["Registration", "default_port", "look_up"]

RETRY_S = 2.0
TIMEOUT_S = 5.0
HIDDEN = 72
VERSION = 6


def default_port() -> int:
    """epmd's port: Erlang's own variable, which its nodes read too, or 4369."""
    text = os.environ.get("ERL_EPMD_PORT", "")
    return int(text) if text.isdigit() and 0 < int(text) < 65536 else 4369


def look_up(alive: str, host: str, *, port: int | None = None, timeout: float = TIMEOUT_S) -> int:
    """The port on which the node listens; NodeDown says what does not answer."""
    port = port or default_port()
    request = b"z" + alive.encode()
    deadline = time.monotonic() + timeout
    try:
        with socket.create_connection((host, port), timeout) as line:
            line.sendall(struct.pack(">H", len(request)) + request)
            answer = _receive(line, 2, deadline)
            if answer[:1] != b"w" or answer[1] != 0:
                raise NodeDown(f"epmd on {host} knows no node {alive}: it does not run there")
            return int.from_bytes(_receive(line, 2, deadline), "big")
    except OSError as error:
        raise NodeDown(
            f"epmd on {host}:{port} does not answer: {_why(error)}; `epmd -daemon` starts one there"
        ) from None


class Registration:
    """Our name at epmd, kept there by a thread until `close()`; never fails the start."""

    def __init__(
        self, alive: str, listening: int, *, port: int | None, warn: Callable[[str], None]
    ) -> None:
        self._alive = alive
        self._listening = listening
        self._port = port or default_port()
        self._warn = warn
        self._line: socket.socket | None = None
        self._closed = threading.Event()
        self.registered = threading.Event()
        """Set while epmd knows us."""
        self._thread = threading.Thread(target=self._keep, name="erlang-epmd", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave epmd; it forgets us when the connection closes."""
        self._closed.set()
        line = self._line
        if line is not None:
            _shut(line)
        self._thread.join(TIMEOUT_S)

    def _keep(self) -> None:
        """Register, wait for the end of the connection, and again."""
        said = ""
        while not self._closed.is_set():
            try:
                self._hold()
                said = ""
                reason = "epmd ended; registering again when it is back"
            except OSError as error:
                reason = (
                    f"epmd on port {self._port}: {_why(error)}; trying again: until it runs"
                    " (`epmd -daemon`) no node finds us"
                )
            self.registered.clear()
            if reason != said and not self._closed.is_set():
                self._warn(f"Erlang node {self._alive}: {reason}")
                said = reason
            self._closed.wait(RETRY_S)

    def _hold(self) -> None:
        """Register and return when epmd ends; OSError if it does not take us."""
        deadline = time.monotonic() + TIMEOUT_S
        with socket.create_connection(("127.0.0.1", self._port), TIMEOUT_S) as line:
            self._line = line
            line.sendall(self._request())
            kind, result = _receive(line, 2, deadline)
            if kind not in b"vy" or result != 0:
                raise OSError(f"the name {self._alive} is taken by another node")
            _receive(line, 4 if kind == ord("v") else 2, deadline)
            self.registered.set()
            line.settimeout(None)
            if not self._closed.is_set():
                line.recv(1)  # nothing ever comes but the end
        self._line = None

    def _request(self) -> bytes:
        name = self._alive.encode()
        about = struct.pack(">HBBHH", self._listening, HIDDEN, 0, VERSION, VERSION)
        body = b"x" + about + struct.pack(">H", len(name)) + name + b"\0\0"
        return struct.pack(">H", len(body)) + body


def _receive(line: socket.socket, count: int, deadline: float) -> bytes:
    """Exactly so many bytes before the deadline, or an OSError."""
    data = b""
    while len(data) < count:
        line.settimeout(max(0.001, deadline - time.monotonic()))
        piece = line.recv(count - len(data))
        if not piece:
            raise ConnectionResetError("it closed the connection")
        data += piece
    return data


def _why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _shut(line: socket.socket) -> None:
    """Wake whoever reads the socket; it may be gone already."""
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
