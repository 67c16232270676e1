"""How many tasks of one function run at once: slots, shared by all processes of the machine.

Not here: the tasks. Whoever finds no slot parks its task and goes on with others.
Runs in: a spooler.

Rules
1. A slot is a file in `slots/`, called by the function's hash and a number; whoever holds its lock
   has the slot. A process that dies gives it back; nobody can forget to.
2. Giving a slot back closes a file that could be written, which inotify tells: so a spooler with
   parked tasks hears of a free slot at once, and nobody polls. Looks are read-only, and tell
   nobody anything. Without inotify a spooler with parked tasks looks four times a second.
3. Tasks are let in as long as a slot is free, one at a time: who was let in and finds its task
   gone has taken no slot, and the next one gets its turn.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import Final

from muleteer.spool.arrivals import Arrivals
from muleteer.spool.filelock import is_locked, try_lock, unlock
from muleteer.spool.files import make_folder

__all__ = ["Slots"]

_POLL_S: Final = 0.25
_FOLDER: Final = b"slots"


@dataclass(slots=True)
class _Queue:
    """The parked tasks of one function."""

    limit: int
    paths: deque[bytes] = field(default_factory=deque)


class Slots:
    """One spooler's view of the slots in a directory, and its parked tasks."""

    def __init__(self, home: bytes) -> None:
        self._folder = home + b"/" + _FOLDER
        self._parked: dict[str, _Queue] = {}
        self._admitted: frozenset[bytes] = frozenset()
        self._may_be_free = False
        self._arrivals: Arrivals | None = None

    # -- one task ------------------------------------------------------------------------

    def take(self, function: str, limit: int) -> int | None:
        """A slot, to be given back by `give_back`; None when so many tasks run already.

        Never blocks. While tasks of the function are parked, and no slot was given back since,
        the answer is None without a look.
        """
        if function in self._parked and not self._may_be_free:
            return None
        for file in self._files(function, limit):
            if _is_free(file) and (fd := self._try(file)) is not None:
                return fd
        return None

    def give_back(self, slot: int) -> None:
        """Let another task have the slot."""
        unlock(slot)  # also for what the task has forked
        os.close(slot)
        self._may_be_free = True

    # -- those that wait -----------------------------------------------------------------

    def park(self, function: str, limit: int, path: bytes) -> None:
        """Remember a task that found no slot."""
        if function not in self._parked:
            self._parked[function] = _Queue(limit)
            self._listen()
            self._may_be_free = True  # one may have been given back before we listened
        paths = self._parked[function].paths
        if path in self._admitted:  # another spooler was faster: it is still the first
            paths.appendleft(path)
        else:
            paths.append(path)

    def admit(self) -> list[bytes]:
        """The tasks whose turn it is: one of each function that has a slot free; often none.

        Call it before each claim, and do not wait for anything after it gave some.
        """
        if not self._may_be_free:
            return []
        admitted = [
            self._parked[function].paths.popleft()
            for function in list(self._parked)
            if self._has_room(function)
        ]
        self._may_be_free = bool(admitted)
        self._admitted = frozenset(admitted)
        return admitted

    @property
    def fd(self) -> int | None:
        """What turns readable when a slot was given back: then call `heard`; None: nothing does."""
        return self._arrivals.fd if self._arrivals is not None else None

    @property
    def has_parked(self) -> bool:
        """Do tasks wait for a slot?"""
        return any(queue.paths for queue in self._parked.values())

    def patience_s(self) -> float:
        """How long a spooler may wait for something else before it calls `admit` again."""
        if self._may_be_free:
            return 0.0
        if self._parked and self.fd is None:
            self._may_be_free = True  # after that wait: nobody will tell
            return _POLL_S
        return inf

    def heard(self) -> None:
        """A slot may be free."""
        if self._arrivals is not None:
            self._arrivals.take()
        self._may_be_free = True

    def close(self) -> None:
        """Forget the parked tasks; they lie where they lay."""
        if self._arrivals is not None:
            self._arrivals.close()
        self._parked.clear()

    def _has_room(self, function: str) -> bool:
        queue = self._parked[function]
        if not queue.paths:
            del self._parked[function]
            return False
        return any(_is_free(file) for file in self._files(function, queue.limit))

    def _listen(self) -> None:
        if self._arrivals is None:
            make_folder(self._folder)
            self._arrivals = Arrivals()
            self._arrivals.watch(b"", self._folder)

    # -- files ---------------------------------------------------------------------------

    def _files(self, function: str, limit: int) -> list[bytes]:
        name = hashlib.sha256(function.encode()).hexdigest()[:40].encode()
        return [b"%s/%s.%d" % (self._folder, name, number) for number in range(1, limit + 1)]

    def _try(self, file: bytes) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(file, flags, 0o600)
        except FileNotFoundError:
            make_folder(self._folder)
            fd = os.open(file, flags, 0o600)
        if try_lock(fd):
            return fd
        os.close(fd)
        return None


def _is_free(file: bytes) -> bool:
    """Whether nobody holds the slot; a look that nobody hears."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        return not is_locked(fd)
    finally:
        os.close(fd)
