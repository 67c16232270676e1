"""Signals that wait because the lock of their handler is taken, so that their process need not.

`@timer(1)` above `@lock` around something slow would else park one worker with each tick, until
nobody is left to serve.

Runs in: every child, in each thread that has a loop.
"""

from __future__ import annotations

from collections.abc import Callable

from muleteer import journal
from muleteer.errors import ChannelFull
from muleteer.ipc.channels import SignalPipe
from muleteer.ipc.locks import LockTable
from muleteer.ipc.loop import Loop

__all__ = ["LOOK_AGAIN_S", "PostponedSignals"]

LOOK_AGAIN_S = 0.02
"""How often a lock is looked at; nothing rings when one becomes free, and a look is cheap."""


class PostponedSignals:
    """What waits in one process. One signal waits once in a loop: the run to come is for both."""

    def __init__(self, locks: LockTable) -> None:
        self._locks = locks
        self._waiting: dict[tuple[int, int], SignalPipe] = {}
        self._left = False

    def add(
        self, loop: Loop, pipe: SignalPipe, signum: int, number: int, run: Callable[[], None]
    ) -> None:
        """Call `run` in `loop` once lock `number` is free; after `give_back` others will."""
        key = (id(loop), signum)
        if self._left:
            _send_back(pipe, signum)
        elif key not in self._waiting:
            journal.signal_postponed(signum, number)
            self._waiting[key] = pipe
            self._look_later(loop, key, number, run)

    def give_back(self) -> None:
        """Put what waits back into the pipes it came from: this process leaves."""
        self._left = True
        while self._waiting:
            (_, signum), pipe = self._waiting.popitem()
            _send_back(pipe, signum)

    def _look_later(
        self, loop: Loop, key: tuple[int, int], number: int, run: Callable[[], None]
    ) -> None:
        def look() -> None:
            if key not in self._waiting:
                return
            if self._locks.is_locked(number):
                self._look_later(loop, key, number, run)
            elif self._waiting.pop(key, None) is not None:
                run()

        loop.call_at(loop.now() + LOOK_AGAIN_S, look)


def _send_back(pipe: SignalPipe, signum: int) -> None:
    try:
        pipe.send(signum)
    except ChannelFull as error:
        journal.signal_not_given_back(signum, str(error))
