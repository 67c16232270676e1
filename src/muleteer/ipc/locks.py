"""Locks all processes share: robust pthread mutexes on a shared page, fcntl locks elsewhere.

Not here: who may lock what, or what uWSGI calls it; that is the facade's.
Runs in: made by the master before the fork; used in every process.

Rules
1. A lock belongs to the thread that took it. uWSGI lets any process release it, and a lock that
   a stranger can release protects nothing; a robust mutex knows its thread and refuses others.
2. A holder that dies, whatever killed it, frees its locks: the next taker gets the lock, and
   the log has one line about it.
3. An owner cell (pid and thread) is written only by the lock's holder: after it took the lock
   and before it releases it. So a cell that is not 0 right after the taking names a dead holder.
4. Asking never takes: `is_locked` and `owner` leave the lock as it was.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import mmap
import os
import sys
import tempfile
import threading
import time
from enum import Enum
from threading import get_ident
from typing import Any, Protocol

from muleteer.errors import LockError

__all__ = ["LockTable"]

log = logging.getLogger("muleteer")

_MUTEX_BYTES = 128
"""Room for one pthread_mutex_t (40 bytes in glibc and musl on x86_64, 48 on aarch64) and more."""


class Taken(Enum):
    """How an attempt to take a lock ended."""

    YES = 1
    LATE = 2  # not within the time given
    MINE = 3  # this thread has it already


_YES = Taken.YES
"""Looked up once: an enum's members cost more to look up than the lock itself."""


class LockEngine(Protocol):
    """The mechanism under a `LockTable`."""

    def acquire(self, n: int, timeout_s: float | None) -> Taken:
        """Take lock `n`; blocks (without the GIL) up to `timeout_s`, for ever when None."""

    def release(self, n: int) -> None:
        """Release lock `n`, which this thread holds."""

    def is_free(self, n: int) -> bool:
        """Could it be taken now? Never blocks and never keeps it."""


class LockTable:
    """The locks 0 to `count`, as uWSGI numbers them (`locks = N` adds N to lock 0)."""

    def __init__(self, count: int = 0, engine: LockEngine | None = None) -> None:
        self.count = count
        self._owners = memoryview(mmap.mmap(-1, (count + 1) * 8)).cast("q")
        self._engine = engine or make_engine(count + 1)

    def acquire(self, n: int, timeout_s: float | None = None) -> bool:
        """Take lock `n`; False only when `timeout_s` (0: no wait) is over.

        Blocks without the GIL. A Unix signal does not interrupt the wait, SIGKILL does.
        LockError when there is no such lock, or when this thread holds it already, where uWSGI
        waits for itself.
        """
        if not 0 <= n <= self.count:
            raise self._no_such_lock(n)
        taken = self._engine.acquire(n, timeout_s)
        if taken is not _YES:
            return self._not_taken(n, taken, timeout_s)
        last = self._owners[n]
        self._owners[n] = _tags[get_ident()]
        if last:
            # Written while the lock is held, against the habit: who waits for it must learn why.
            log.warning("lock %d: its holder (pid %d) died; the lock is recovered", n, last >> 32)
        return True

    def _not_taken(self, n: int, taken: Taken, timeout_s: float | None) -> bool:
        if taken is Taken.MINE and timeout_s != 0:
            raise LockError(
                f"lock {n} is held by this thread already and would wait for itself for ever;"
                " release it first"
            )
        return False

    def release(self, n: int) -> None:
        """Release lock `n`; a free one stays free, as in uWSGI; LockError when it is another's."""
        if not 0 <= n <= self.count:
            raise self._no_such_lock(n)
        if self._owners[n] == _tags[get_ident()]:
            self._owners[n] = 0
            self._engine.release(n)
        elif holder := self.owner(n):
            where = "another thread of this process" if holder == os.getpid() else "another process"
            raise LockError(
                f"lock {n} is held by {where} (pid {holder}); only the thread that took it can"
                " release it"
            )

    def is_locked(self, n: int) -> bool:
        """Does anybody hold lock `n`? Never blocks; a dead holder holds nothing."""
        return self.owner(n) != 0

    def owner(self, n: int) -> int:
        """Return the pid of the holder of lock `n`, 0 when it is free; never blocks."""
        if not 0 <= n <= self.count:
            raise self._no_such_lock(n)
        owner = self._owners[n]
        return owner >> 32 if owner and not self._engine.is_free(n) else 0

    def is_mine(self, n: int) -> bool:
        """Does this very thread hold lock `n`?"""
        return bool(self._owners[n] == _tags[get_ident()])

    def _no_such_lock(self, n: int) -> LockError:
        return LockError(
            f"there is no lock {n}: this server has the locks 0 to {self.count};"
            f" set `locks = {max(n, 1)}` or use a smaller number"
        )


class _Tags(dict[int, int]):
    """What this process writes into an owner cell, by thread; made once, for each use is dear."""

    def __missing__(self, ident: int) -> int:
        tag = self[ident] = os.getpid() << 32 | ident >> 12 & 0x7FFFFFFF
        return tag


_tags = _Tags()
os.register_at_fork(after_in_child=_tags.clear)


def make_engine(count: int) -> LockEngine:
    """Return the best engine this system has, with `count` locks in it."""
    if sys.platform.startswith("linux"):
        return RobustMutexes(count)
    return FileLocks(count)


# -- robust mutexes ------------------------------------------------------------------------

_PROCESS_SHARED = 1
_ROBUST = 1
_ERRORCHECK = 2
_CLOCK_MONOTONIC = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))

    @classmethod
    def at(cls, when: float) -> _Timespec:
        return cls(int(when), int(when % 1.0 * 1e9))


class RobustMutexes:
    """Error-checking robust mutexes; the kernel tells the next taker that the holder died."""

    def __init__(self, count: int) -> None:
        # CDLL lets go of the GIL around each call, which a lock that waits must do; PyDLL keeps
        # it, which costs half as much and is right for what never waits.
        self._c = ctypes.CDLL(None, use_errno=False)
        self._lock: Any = self._c.pthread_mutex_lock
        swift = ctypes.PyDLL(None)
        self._trylock: Any = swift.pthread_mutex_trylock
        self._unlock: Any = swift.pthread_mutex_unlock
        self._page = mmap.mmap(-1, count * _MUTEX_BYTES)
        # The list by which libc and the kernel find a thread's robust mutexes runs through the
        # mutexes themselves: a page that goes away before its holders do is a crash in the next
        # lock, or a dead holder's lock that stays held. So it never goes, not even at the exit.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._page))
        mutex = ctypes.c_char * _MUTEX_BYTES
        self._mutexes = [mutex.from_buffer(self._page, n * _MUTEX_BYTES) for n in range(count)]
        self._initialise()

    def _initialise(self) -> None:
        attributes = ctypes.create_string_buffer(_MUTEX_BYTES)
        self._call("pthread_mutexattr_init", attributes)
        self._call("pthread_mutexattr_setpshared", attributes, _PROCESS_SHARED)
        self._call("pthread_mutexattr_setrobust", attributes, _ROBUST)
        self._call("pthread_mutexattr_settype", attributes, _ERRORCHECK)
        for mutex in self._mutexes:
            self._call("pthread_mutex_init", mutex, attributes)

    def _call(self, name: str, *arguments: Any) -> None:
        result = getattr(self._c, name)(*arguments)
        if result:
            raise OSError(result, f"{name}: {os.strerror(result)}")

    def acquire(self, n: int, timeout_s: float | None) -> Taken:
        """See `LockEngine`; a dead holder's mutex is made whole on the way."""
        result = self._trylock(self._mutexes[n])
        if result == 0:
            return _YES
        if result == errno.EBUSY:
            if timeout_s is None:
                result = self._lock(self._mutexes[n])
            elif timeout_s > 0:
                result = self._timed_lock(n, timeout_s)
        return _YES if result == 0 else self._other_end(n, result)

    def _other_end(self, n: int, result: int) -> Taken:
        if result == errno.EOWNERDEAD:
            self._call("pthread_mutex_consistent", self._mutexes[n])
            return Taken.YES
        if result in (errno.ETIMEDOUT, errno.EBUSY):
            return Taken.LATE
        if result == errno.EDEADLK:
            return Taken.MINE
        raise OSError(result, f"lock {n}: {os.strerror(result)}")

    def _timed_lock(self, n: int, timeout_s: float) -> int:
        """Wait by the monotonic clock where libc can (glibc 2.30); musl has the wall clock only."""
        clocklock = getattr(self._c, "pthread_mutex_clocklock", None)
        if clocklock is not None:
            until = _Timespec.at(time.monotonic() + timeout_s)
            return int(clocklock(self._mutexes[n], _CLOCK_MONOTONIC, ctypes.byref(until)))
        until = _Timespec.at(time.time() + timeout_s)
        return int(self._c.pthread_mutex_timedlock(self._mutexes[n], ctypes.byref(until)))

    def release(self, n: int) -> None:
        """See `LockEngine`."""
        result = self._unlock(self._mutexes[n])
        if result:
            raise OSError(result, f"lock {n}: {os.strerror(result)}")

    def is_free(self, n: int) -> bool:
        """See `LockEngine`; taken for an instant and given back, since that is the only way to ask.

        A dead holder's mutex that is unlocked as it is can never be locked again (ENOTRECOVERABLE),
        so it is made whole first; the owner cell still tells the next taker of the death.
        """
        result = self._trylock(self._mutexes[n])
        if result == errno.EOWNERDEAD:
            self._call("pthread_mutex_consistent", self._mutexes[n])
        if result in (0, errno.EOWNERDEAD):
            self._unlock(self._mutexes[n])
            return True
        return False


# -- fcntl locks -----------------------------------------------------------------------------

_RETRY_S = 0.002


class FileLocks:
    """One byte of a nameless file per lock, for systems without robust mutexes (macOS).

    The kernel frees a dead process's bytes. It does not tell the threads of one process apart,
    so each process keeps a lock of its own in front of each byte.
    """

    def __init__(self, count: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        self._count = count
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """After a fork the parent's locks are the parent's."""
        self._threads = [threading.Lock() for _ in range(self._count)]
        self._holders = [0] * self._count

    def acquire(self, n: int, timeout_s: float | None) -> Taken:
        """See `LockEngine`; with a time limit it asks again and again, fcntl knows no other way."""
        if self._holders[n] == threading.get_ident():
            return Taken.MINE
        until = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._threads[n].acquire(timeout=-1 if timeout_s is None else max(timeout_s, 0)):
            return Taken.LATE
        if not self._lock_byte(n, until):
            self._threads[n].release()
            return Taken.LATE
        self._holders[n] = threading.get_ident()
        return Taken.YES

    def _lock_byte(self, n: int, until: float | None) -> bool:
        if until is None:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, n)
            return True
        pause = threading.Event()
        while not self._try_byte(n):
            if time.monotonic() >= until:
                return False
            pause.wait(_RETRY_S)
        return True

    def _try_byte(self, n: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, n)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def release(self, n: int) -> None:
        """See `LockEngine`."""
        self._holders[n] = 0
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, n)
        self._threads[n].release()

    def is_free(self, n: int) -> bool:
        """See `LockEngine`; taken for an instant and given back."""
        if self._holders[n] or not self._threads[n].acquire(blocking=False):
            return False
        try:
            if not self._try_byte(n):
                return False
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, n)
            return True
        finally:
            self._threads[n].release()
