"""Channels: signal pipes, bells and message pairs, and the switchboard that holds them all.

They outlive every child: the master makes them and keeps both ends, so what was sent waits for the
next reader.

Runs in: made by the master before the fork; used in every process.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any

from muleteer.errors import ChannelFull
from muleteer.ipc.targets import Population

__all__ = ["Bell", "Endpoint", "Lifeline", "SignalPipe", "Switchboard", "message_pair"]

SEND_PATIENCE_S = 5.0
"""How long a sender waits for room in a full channel before it is told."""

_NUMBER = struct.Struct("<H")


class _Pipe:
    """A pipe of which every process holds both ends and nobody blocks on either."""

    __slots__ = ("read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class SignalPipe(_Pipe):
    """The queue of one target's signals: two bytes each, first come, first served."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def send(self, signum: int, patience_s: float = SEND_PATIENCE_S) -> None:
        """Queue a signal.

        Atomic. Blocks up to `patience_s` while the queue is full, then raises `ChannelFull`.
        """
        data = _NUMBER.pack(signum)
        try:
            os.write(self.write_fd, data)
        except BlockingIOError:
            self._send_late(data, patience_s)

    def _send_late(self, data: bytes, patience_s: float) -> None:
        poll = select.poll()
        poll.register(self.write_fd, select.POLLOUT)
        poll.poll(patience_s * 1000)
        try:
            os.write(self.write_fd, data)
        except BlockingIOError:
            raise ChannelFull(
                f"the signal queue of {self.name!r} stayed full for {patience_s:g} s"
                f" ({self.waiting()} signals wait): its processes are stuck or too slow;"
                " nothing was sent"
            ) from None

    def take(self) -> int | None:
        """Take the oldest signal, or None when another process was faster; never blocks."""
        try:
            data = os.read(self.read_fd, 2)
        except BlockingIOError:
            return None
        return int(_NUMBER.unpack(data)[0])

    def waiting(self) -> int:
        """Count the signals nobody took yet."""
        size = fcntl.ioctl(self.read_fd, _FIONREAD, b"\0\0\0\0")
        return int.from_bytes(size, "little") // 2


_FIONREAD = 0x541B if os.uname().sysname == "Linux" else 0x4004667F


class Bell(_Pipe):
    """A wake-up without a meaning; ringing a bell that rings already changes nothing."""

    __slots__ = ()

    def ring(self) -> None:
        """Wake one of the processes that watch the bell; never blocks."""
        try:
            os.write(self.write_fd, b"!")
        except BlockingIOError:
            pass  # full of rings: whoever watches is awake anyway

    def hush(self, rings: int = 4096) -> bool:
        """Take up to `rings` rings; False when there was none. Never blocks."""
        try:
            return bool(os.read(self.read_fd, rings))
        except BlockingIOError:
            return False


class Lifeline:
    """A pipe nobody ever writes to.

    When the master dies the kernel closes it and every child wakes up.
    """

    __slots__ = ("read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()

    def hold(self) -> None:
        """In a child, right after the fork: let go of the master's end."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1


class Endpoint:
    """One end of a message pair: small messages, whole, in order, one dict each."""

    __slots__ = ("sock",)

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.sock.fileno()

    def send(self, message: dict[str, Any], patience_s: float = SEND_PATIENCE_S) -> None:
        """Send one message; atomic.

        Blocks up to `patience_s` while the queue is full, then raises `ChannelFull`.
        A message to somebody who is gone is dropped: whoever supervises hears of the death anyway.
        """
        data = json.dumps(message).encode()
        end = time.monotonic() + patience_s
        while True:
            try:
                self.sock.send(data)
                return
            except BlockingIOError:
                self._wait_for_room(end)
            except (BrokenPipeError, ConnectionError):
                return

    def _wait_for_room(self, end: float) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT)
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise ChannelFull("a message was not taken in time: the process it is for is stuck")

    def take_all(self) -> Iterator[dict[str, Any]]:
        """Take every message that is there; never blocks. Nothing comes when the other is gone."""
        while True:
            try:
                data = self.sock.recv(1 << 18)
            except (BlockingIOError, ConnectionError):
                return
            if not data:
                return
            yield json.loads(data)

    def close(self) -> None:
        """Close this end in this process."""
        self.sock.close()


def message_pair() -> tuple[Endpoint, Endpoint]:
    """Make two ends that talk to each other, in both directions."""
    kind = socket.SOCK_SEQPACKET
    if os.uname().sysname != "Linux":
        kind = socket.SOCK_DGRAM  # macOS has no SEQPACKET for unix sockets
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    return Endpoint(ours), Endpoint(theirs)


class Switchboard:
    """All channels of a server; every process has it by inheritance."""

    def __init__(self, population: Population, spooler_dirs: Iterable[str]) -> None:
        self.population = population
        self.signals = {name: SignalPipe(name) for name in population.pipes}
        self.spooler_bells = {path: Bell() for path in spooler_dirs}
        self.control_in, self.control_out = message_pair()
        self.lifeline = Lifeline()

    def close(self) -> None:
        """Close everything in this process."""
        for pipe in [*self.signals.values(), *self.spooler_bells.values()]:
            pipe.close()
        self.control_in.close()
        self.control_out.close()
