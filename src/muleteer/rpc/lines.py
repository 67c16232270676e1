"""A connected socket to a node, used by one call at a time, with a deadline for all it does.

Not here: what is said on it.
Runs in: anywhere.
"""

from __future__ import annotations

import select
import socket
import time

from muleteer.errors import NodeTimeout, NodeUnreachable, RpcError

__all__ = ["Line", "connect"]

_READ_SIZE = 1 << 18


class Line:
    """One connection; nothing on it blocks beyond the deadline (monotonic) it is given."""

    __slots__ = ("_poll", "_sock", "idle_since", "node")

    def __init__(self, sock: socket.socket, node: str) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.node = node
        self.idle_since = 0.0

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it; raises OSError when the node has closed, NodeTimeout when it is slow."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], deadline)

    def _send_rest(self, rest: memoryview, deadline: float) -> None:
        self._poll.modify(self._sock, select.POLLOUT)
        while rest:
            self._wait(deadline)
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                pass  # room for less than the kernel lets through
        self._poll.modify(self._sock, select.POLLIN)

    def receive(self, deadline: float, most: int = _READ_SIZE) -> bytes:
        """The next bytes; none when the node has closed; NodeTimeout when nothing comes."""
        self._wait(deadline)
        return self._sock.recv(most)

    def receive_exactly(self, size: int, deadline: float) -> bytes:
        """So many bytes, fewer only when the node closes before."""
        parts, missing = [], size
        while missing > 0 and (part := self.receive(deadline, min(missing, _READ_SIZE))):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    @property
    def is_quiet(self) -> bool:
        """Is the line open, with nothing said by the other side?"""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Hang up; twice is safe."""
        self._sock.close()

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(left * 1000):
            raise NodeTimeout(
                f"node {self.node} did not answer in time: its workers are busy, or it takes longer"
                " (`timeout=` of the call, option `socket-timeout`)"
            )


def connect(node: str, deadline: float) -> Line:
    """Connect to `host:port`, `:port`, a path or `@abstract`; NodeUnreachable says why not."""
    left = max(0.001, deadline - time.monotonic())
    try:
        sock = _connected(node, left)
    except TimeoutError:
        raise NodeTimeout(f"node {node} cannot be reached: it did not answer in time") from None
    except OSError as error:
        raise NodeUnreachable(
            f"node {node} cannot be reached: {error.strerror or error}; check the address, and"
            " that its server runs"
        ) from None
    sock.setblocking(False)
    return Line(sock, node)


def _connected(node: str, timeout_s: float) -> socket.socket:
    if ":" in node and "/" not in node and node[0] not in "@\0":
        host, port = _host_and_port(node)
        sock = socket.create_connection((host, port), timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect("\0" + node[1:] if node[0] == "@" else node)
    except BaseException:
        sock.close()
        raise
    return sock


def _host_and_port(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise RpcError(f"node {node!r}: {port!r} is no port; a node is host:port or a path")
    return host.strip("[]") or "127.0.0.1", int(port)
