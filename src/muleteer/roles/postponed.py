"""Signals that wait because the lock of their handler is taken, so that their process need not.

`@timer(1)` above `@lock` around something slow would else park one worker with each tick, until
nobody is left to serve.

What waits here is written down in the child's row as well: when it dies, the master puts it back.

Runs in: every child, in each thread that has a loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from muleteer import journal
from muleteer.errors import ChannelFull
from muleteer.ipc.channels import SignalPipe, Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.loop import Loop
from muleteer.ipc.scoreboard import Row

__all__ = ["LOOK_AGAIN_S", "PostponedSignals"]

LOOK_AGAIN_S = 0.02
"""How often a lock is looked at; nothing rings when one becomes free, and a look is cheap."""


class PostponedSignals:
    """What waits in one process. One signal waits once in a loop: the run to come is for both."""

    def __init__(self, locks: LockTable, switchboard: Switchboard, row: Row) -> None:
        self._locks = locks
        self._switchboard = switchboard
        self._row = row
        self._writing = threading.Lock()
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
            self._write_down()
            self._look_later(loop, key, number, run)

    def give_back(self) -> None:
        """Put what waits back into the pipes it came from: this process leaves."""
        self._left = True
        while self._waiting:
            (_, signum), pipe = self._waiting.popitem()
            _send_back(pipe, signum)
        self._write_down()

    def _look_later(
        self, loop: Loop, key: tuple[int, int], number: int, run: Callable[[], None]
    ) -> None:
        def look() -> None:
            if key not in self._waiting:
                return
            if self._locks.is_locked(number):
                self._look_later(loop, key, number, run)
            elif self._waiting.pop(key, None) is not None:
                self._write_down()
                run()

        loop.call_at(loop.now() + LOOK_AGAIN_S, look)

    def _write_down(self) -> None:
        with self._writing:
            waiting = list(self._waiting.items())
            held = [self._switchboard.number_of(pipe, signum) for (_, signum), pipe in waiting]
            self._row.note_held(held)


def _send_back(pipe: SignalPipe, signum: int) -> None:
    try:
        pipe.send(signum)
    except ChannelFull as error:
        journal.signal_not_given_back(signum, str(error))
