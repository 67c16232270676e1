"""Channels: signal pipes, bells and message pairs, and the switchboard that holds them all.

They outlive every child: the master makes them and keeps both ends, so what was sent waits for the
next reader.

Runs in: made by the master before the fork; used in every process.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import re
import select
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from muleteer.errors import ChannelFull
from muleteer.ipc.targets import Population, TargetTable

__all__ = [
    "Bell",
    "Endpoint",
    "Lifeline",
    "Mailbox",
    "SignalPipe",
    "Switchboard",
    "describe_message",
    "message_pair",
]

_WORDS = re.compile(rb"[\x20-\x7e]{3,}")
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
    """The queue of one target's signals: two bytes each, first come, first served.

    A tick of the clock is queued once: as long as nobody took it, the next one is the same tick,
    so that a slow handler is not followed by a burst.
    """

    __slots__ = ("_ticked", "_ticks", "name")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._ticks = mmap.mmap(-1, 1 << 16)  # a byte per number; untouched pages cost nothing
        self._ticked: set[int] = set()  # the numbers of our own ticks; only the master has any

    def send(self, signum: int, patience_s: float = SEND_PATIENCE_S) -> None:
        """Queue a signal; atomic.

        Blocks up to `patience_s` while the queue is full, then raises `ChannelFull`.
        """
        data = _NUMBER.pack(signum)
        try:
            os.write(self.write_fd, data)
        except BlockingIOError:
            self._send_late(data, patience_s)

    def send_tick(self, signum: int) -> None:
        """Queue a tick of the clock unless the last one still waits; never blocks."""
        if self._ticks[signum]:
            return
        self._ticked.add(signum)
        self._ticks[signum] = 1  # before it can be taken
        try:
            self.send(signum, patience_s=0.0)
        except ChannelFull:
            self._ticks[signum] = 0
            raise

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
        signum = int(_NUMBER.unpack(data)[0])
        self._ticks[signum] = 0
        return signum

    def forget_ticks(self) -> None:
        """Take no tick for waiting: a reader died, perhaps between taking one and saying so."""
        for signum in self._ticked:
            self._ticks[signum] = 0

    def waiting(self) -> int:
        """Count the signals nobody took yet."""
        return _readable_bytes(self.read_fd) // 2


_FIONREAD = 0x541B if os.uname().sysname == "Linux" else 0x4004667F


def _readable_bytes(fd: int) -> int:
    """Count what can be read from a pipe or socket, without reading it."""
    return int.from_bytes(fcntl.ioctl(fd, _FIONREAD, b"\0\0\0\0"), "little")


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
                if not _wait_for_room(self.sock, end):
                    raise ChannelFull(
                        "a message was not taken in time: the process it is for is stuck"
                    ) from None
            except (BrokenPipeError, ConnectionError):
                return

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


class Mailbox:
    """A queue of messages for mules: whole, in order, of any size; it outlives its readers.

    A small message travels in the socket, a large one as a nameless file beside it.
    """

    __slots__ = ("_reader", "_writer", "name")

    _INLINE = 64 * 1024
    _ROOM_BESIDE = socket.CMSG_LEN(4)  # one descriptor
    _WANTED_BUFFER = 4 << 20  # the kernel gives what it allows
    _SMALL, _LARGE = b"s", b"L"

    def __init__(self, name: str) -> None:
        self.name = name
        ours, theirs = message_pair()
        self._reader, self._writer = ours.sock, theirs.sock
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._WANTED_BUFFER)

    def fileno(self) -> int:
        """The descriptor to wait on for a message."""
        return self._reader.fileno()

    def send(self, message: bytes, patience_s: float = SEND_PATIENCE_S) -> None:
        """Queue a message; atomic.

        Blocks up to `patience_s` while the queue is full, then raises `ChannelFull`.
        """
        if len(message) <= self._INLINE:
            data = self._SMALL + message
            self._until_sent(lambda: self._writer.send(data), patience_s)
            return
        with _nameless_file(message) as file:
            fds = [file.fileno()]
            self._until_sent(lambda: socket.send_fds(self._writer, [self._LARGE], fds), patience_s)

    def _until_sent(self, send: Callable[[], int], patience_s: float) -> None:
        end = 0.0
        while True:
            try:
                send()
                return
            except BlockingIOError:
                end = end or time.monotonic() + patience_s
                if not _wait_for_room(self._writer, end):
                    raise ChannelFull(
                        f"the message queue of {self.name!r} stayed full for {patience_s:g} s:"
                        " its mules are stuck or too slow; nothing was sent"
                    ) from None

    def take(self) -> bytes | None:
        """Take the oldest message, or None when another mule was faster; never blocks."""
        try:
            data, beside, _, _ = self._reader.recvmsg(self._INLINE + 1, self._ROOM_BESIDE)
        except BlockingIOError:
            return None
        if not beside:
            return data[1:]
        with os.fdopen(int.from_bytes(beside[0][2], sys.byteorder), "rb") as file:
            file.seek(0)
            return file.read()

    def waiting_bytes(self) -> int:
        """Count the bytes nobody took yet; a large message counts as one, its file lies beside."""
        return _readable_bytes(self._reader.fileno())

    def close(self) -> None:
        """Close both ends in this process."""
        self._reader.close()
        self._writer.close()


def describe_message(message: bytes) -> bytes:
    """Say which message it is, for the journal: its length and the words it begins with."""
    return b"a message of %d bytes: %b" % (len(message), b" ".join(_WORDS.findall(message[:200])))


def _nameless_file(content: bytes) -> IO[bytes]:
    """Return a file that has no name and lives as long as somebody holds it."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("muleteer message"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(content)
    file.flush()
    return file


def _wait_for_room(sock: socket.socket, end: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    left = end - time.monotonic()
    return left > 0 and bool(poll.poll(left * 1000))


_SIGNALS = 1 << 16


class Switchboard:
    """All channels of a server; every process has it by inheritance."""

    def __init__(self, population: Population, spooler_dirs: Iterable[str]) -> None:
        self.population = population
        self.signals = {name: SignalPipe(name) for name in population.pipes}
        self.targets = TargetTable(_SIGNALS)
        self.mail = {name: Mailbox(name) for name in population.mailboxes}
        self.spooler_bells = {path: Bell() for path in spooler_dirs}
        self.control_in, self.control_out = message_pair()
        self.lifeline = Lifeline()

    def number_of(self, pipe: SignalPipe, signum: int) -> int:
        """Return one number for a signal and the pipe it came from, for the scoreboard."""
        return list(self.signals).index(pipe.name) * _SIGNALS + signum

    def put_back(self, number: int) -> None:
        """Queue again what has that number; never blocks, raises `ChannelFull`."""
        pipe, signum = divmod(number, _SIGNALS)
        list(self.signals.values())[pipe].send(signum, patience_s=0.0)

    def forget_ticks(self) -> None:
        """Let the clock's next ticks through: the reader of a tick may have died with it."""
        for pipe in self.signals.values():
            pipe.forget_ticks()

    def close(self) -> None:
        """Close everything in this process."""
        for pipe in (*self.signals.values(), *self.spooler_bells.values()):
            pipe.close()
        for mailbox in self.mail.values():
            mailbox.close()
        self.control_in.close()
        self.control_out.close()
