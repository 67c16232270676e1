"""`uwsgi`'s words to its own process and to the server: lock, set_user_harakiri, reload, stop, log.

Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

import logging
import signal as unix_signals
from typing import Any

from muleteer.errors import LockTimeout, Postponed
from muleteer.ipc.title import set_title
from muleteer.runtime import Runtime

__all__ = ["Process"]

_log = logging.getLogger("muleteer.app")


class Process:
    """The functions of `uwsgi` that act on a process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._locks = runtime.locks

    # -- locks ---------------------------------------------------------------------------------

    def lock(self, number: int = 0, /, *, timeout: float | None = None) -> bool | None:
        """Take a lock shared by all processes; blocks until it is free, and then returns None.

        With a `timeout` in seconds (ours; 0 does not wait) it returns whether the lock was taken.
        Works in spoolers, too. ValueError when there is no such lock (`locks = N` adds N to lock 0)
        and when this thread holds it already, where uWSGI hangs for ever.
        """
        taken = self._locks.acquire(number, timeout)
        return None if timeout is None else taken

    def lock_for(self, function: object, number: int, timeout: float | None, name: str, /) -> None:
        """Take a lock for a call of `function`; what `@lock` stands on, muleteer's own.

        LockTimeout (a TimeoutError and a ValueError) names the function when it was not free
        within `timeout` seconds. Blocks as `lock` does, but for one: where `function` is the
        handler of the signal that this process handles, the signal waits, and the process goes on.
        """
        if self._locks.acquire(number, 0):
            return
        mine = self._locks.is_mine(number)
        if timeout is None and not mine and self._is_on_stage(function):
            raise Postponed(number)
        if not self._locks.acquire(number, timeout if timeout or not mine else None):
            holder = self._locks.owner(number)
            raise LockTimeout(
                f"{name}: lock {number} was not free"
                + (f" within {timeout:g} s" if timeout else "")
                + (f"; process {holder} holds it" if holder else "")
            )

    def _is_on_stage(self, function: object) -> bool:
        """Is the function, or what it is wrapped in, the handler of the signal being handled?"""
        found = self._runtime.registry.signals.get(self._runtime.stage.signum)
        handler: Any = found.handler if found else None
        while handler is not None:
            handler = getattr(handler, "__func__", handler)
            if handler is function:
                return True
            handler = getattr(handler, "__wrapped__", None)
        return False

    def unlock(self, number: int = 0, /) -> None:
        """Give a lock back; a free one stays free.

        ValueError names the holder's pid when another thread holds it (uWSGI gives it back anyway).
        """
        self._locks.release(number)

    def is_locked(self, number: int = 0, /) -> bool:
        """Return whether anybody alive holds the lock; never blocks."""
        return self._locks.is_locked(number)

    # -- deadlines -----------------------------------------------------------------------------

    def set_user_harakiri(self, seconds: float, /) -> None:
        """Have this process killed in `seconds` unless it is called again; 0 calls it off.

        It is called off by itself at the end of the request, the task or the signal handler.
        """
        if seconds < 0:
            raise ValueError(f"set_user_harakiri({seconds}): seconds cannot be negative")
        self._runtime.set_user_deadline(seconds)

    # -- the server ----------------------------------------------------------------------------

    def reload(self) -> bool:
        """Ask the server to load the code anew and replace its processes; returns True at once.

        Nobody is cut off. If the new code does not load, the old goes on.
        """
        self._runtime.signal_master(unix_signals.SIGHUP)
        return True

    def stop(self) -> bool:
        """Ask the server to stop; returns True at once. What runs is finished first."""
        self._runtime.signal_master(unix_signals.SIGQUIT)
        return True

    def log(self, message: str | bytes, /) -> bool:
        """Write a line to the log; returns True."""
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
        _log.info("%s", text)
        return True

    def setprocname(self, name: str, /) -> None:
        """Change what `ps` shows for this process."""
        set_title(name)
