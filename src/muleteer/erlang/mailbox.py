"""Bounded queues, and the threads that work them off.

1. Nothing is dropped: who puts into a full mailbox waits, and is called once a second meanwhile.
2. A crew of one handles its messages in their order.

Runs in: any process with a node of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from muleteer.errors import NoAnswer, NodeLost

__all__ = ["Crew", "Mailbox"]

T = TypeVar("T")

MAX_MESSAGES = 1000
MAX_BYTES = 64 << 20
"""Of messages as they came over the wire; one is taken however large it is."""
PATIENCE_S = 1.0


class Mailbox(Generic[T]):
    """A queue with a bound on messages and bytes; thread-safe."""

    def __init__(self, messages: int = MAX_MESSAGES, size: int = MAX_BYTES) -> None:
        self._queue: SimpleQueue[tuple[T, int] | None] = SimpleQueue()
        self._room = threading.Condition()
        self._max_messages = messages
        self._max_bytes = size
        self._messages = 0
        self._bytes = 0
        self._waiting = 0
        self.closed = False

    def put(self, item: T, size: int, while_full: Callable[[], None]) -> bool:
        """Put it in, waiting while there is no room; False if the mailbox is closed."""
        while not self._reserve(size):
            if self.closed:
                return False
            while_full()
        self._queue.put((item, size))
        return True

    def take(self, timeout: float | None = None) -> T:
        """The next message; NoAnswer when none came in time, NodeLost when none will come."""
        try:
            found = self._queue.get(timeout=timeout)
        except Empty:
            raise NoAnswer(f"no message came within {timeout:g} s") from None
        if found is None:
            self._queue.put(None)  # for the next one who asks
            raise NodeLost
        with self._room:
            self._messages -= 1
            self._bytes -= found[1]
            if self._waiting:
                self._room.notify_all()
        return found[0]

    @property
    def waiting(self) -> int:
        """How many messages are in it."""
        return self._messages

    def close(self) -> None:
        """Let nothing in any more; what is in may be taken still."""
        with self._room:
            self.closed = True
            self._room.notify_all()
        self._queue.put(None)

    def _reserve(self, size: int) -> bool:
        """Take the room for one message; wait for it a while."""
        with self._room:
            if not self._has_room(size):
                self._waiting += 1
                self._room.wait_for(lambda: self.closed or self._has_room(size), PATIENCE_S)
                self._waiting -= 1
            if self.closed or not self._has_room(size):
                return False
            self._messages += 1
            self._bytes += size
            return True

    def _has_room(self, size: int) -> bool:
        if not self._messages:
            return True
        return self._messages < self._max_messages and self._bytes + size <= self._max_bytes


class Crew(Generic[T]):
    """At most so many threads, started when needed, that handle what is put in."""

    def __init__(self, name: str, threads: int, handle: Callable[[T], None]) -> None:
        self._name = name
        self._most = threads
        self._handle = handle
        self._mailbox: Mailbox[T] = Mailbox()
        self._idle = threading.Semaphore(0)
        self._hiring = threading.Lock()
        self._threads: list[threading.Thread] = []

    def put(self, item: T, size: int, while_full: Callable[[], None]) -> None:
        """Have it handled; waits while too much waits already."""
        if self._mailbox.put(item, size, while_full) and not self._idle.acquire(blocking=False):
            self._hire()

    def close(self) -> None:
        """Let nothing new in; what is in is handled still."""
        self._mailbox.close()

    def join(self, deadline: float) -> int:
        """Wait until then for what is in to be handled; how many messages were not."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self._mailbox.waiting

    def _hire(self) -> None:
        with self._hiring:
            if len(self._threads) < self._most and not self._mailbox.closed:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        """Handle one after the other; `handle` never raises."""
        try:
            while True:
                self._handle(self._next())
        except NodeLost:
            return

    def _next(self) -> T:
        """The next one; who must wait for it counts as idle, once."""
        try:
            return self._mailbox.take(0)
        except NoAnswer:
            self._idle.release()
            return self._mailbox.take()
