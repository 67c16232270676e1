"""The worker: a process that serves requests and, between two of them, runs signal handlers.

With `threads = N` it has N lanes, each a thread with a loop and an engine of its own.
What is spoken on a socket is `serve`'s; a worker only brings sockets, engine and loop together.

Runs in: a worker, after the fork.  Forked by: zygote/forking.py.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from muleteer.errors import Retire
from muleteer.ipc.loop import Loop
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.sockets import Listener
from muleteer.ipc.targets import ANY_WORKER
from muleteer.roles.role import Role
from muleteer.runtime import Runtime
from muleteer.serve.engine import Engine
from muleteer.serve.modifiers import Desk
from muleteer.serve.trust import is_exposed, taken_on

__all__ = ["Worker"]


class _Lane:
    """One thread's loop and engine; the first lane is the main thread's."""

    def __init__(self, worker: Worker, loop: Loop, number: int) -> None:
        self.worker = worker
        self.loop = loop
        self.engine = worker.new_engine(loop, number)
        self._number = number
        self._signal_fds: list[int] = []
        self._retired = False

    def open(self) -> None:
        """Take connections and signals from now on."""
        stage = self.worker.runtime.stage
        stage.core = self.worker.row.cores[self._number]
        stage.notes = self.engine.access.notes
        stage.before_waiting = self.engine.dismiss_lines  # who waits is a busy worker, too
        for listener in self.worker.listeners:
            takes = taken_on(
                listener.address,
                self.worker.settings.allow_packets,
                exposed=is_exposed(listener.sock),
            )
            self.engine.listen(listener.sock, listener.protocol, takes)
        names = self.worker.signal_names
        self._signal_fds = self.worker.listen_for_signals(self.loop, *names)

    def retire(self) -> None:
        """Take nothing new; what is in flight is finished."""
        self._retired = True
        self.engine.retire()
        for fd in self._signal_fds:
            self.loop.unwatch(fd)

    def done(self) -> bool:
        """Is everything answered?"""
        return self._retired and self.engine.open_connections == 0

    def run(self) -> None:
        """Serve until retired and done; the life of every thread but the main one."""
        self.loop.watch(self.worker.retire_fd, self._told_to_retire)
        self.open()
        try:
            while not self.done():
                self.loop.turn()
        except Retire:  # in the application's `signal_wait`: what it waits for may never come
            self.engine.retire()
        self.close()

    def _told_to_retire(self, _events: int) -> None:
        self.loop.unwatch(self.worker.retire_fd)
        self.retire()

    def close(self) -> None:
        self.engine.close()


class Worker(Role):
    """One worker; its seat's id is what `uwsgi.worker_id()` returns."""

    kind = "worker"

    def __init__(
        self,
        runtime: Runtime,
        row: Row,
        application: Callable[..., Any],
        listeners: Sequence[Listener],
    ) -> None:
        super().__init__(runtime, row)
        self.signal_names = (ANY_WORKER, f"worker{self.seat.id}")
        self.application = application
        self.listeners = listeners
        self.retire_fd, self._retire_bell = os.pipe()
        self._main = _Lane(self, self.loop, 0)
        self._threads: list[threading.Thread] = []

    def new_engine(self, loop: Loop, lane: int) -> Engine:
        """Make the engine of one lane."""
        return Engine(
            loop,
            self.application,
            self.settings,
            self.row.cores[lane],
            worker_id=self.seat.id,
            packets=Desk(self.runtime, self.row.cores[lane]).handlers,
            log_request=_write_lines,
            after_request=self._after_request,
            core_id=lane,
            count_requests=lambda: self.runtime.scoreboard.total_requests,
        )

    def start(self) -> None:
        """Say our name to the debuggers; serving begins after the post-fork hooks."""
        threading.current_thread().name = f"muleteer worker {self.seat.id} core 0"

    def ready(self) -> None:
        """Open every lane: the main one here, the others in threads."""
        for number in range(1, self.settings.threads):
            lane = _Lane(self, Loop(), number)
            name = f"muleteer worker {self.seat.id} core {number}"
            thread = threading.Thread(target=lane.run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._main.open()

    def retire(self) -> None:
        """Tell every lane."""
        os.close(self._retire_bell)  # the kernel wakes every lane
        self._main.retire()

    def done(self) -> bool:
        """Is the main lane done? The others are waited for in `stop`."""
        return self._main.done()

    def stop(self) -> None:
        """Wait for the other lanes; the mercy bounds it."""
        for thread in self._threads:
            thread.join()
        self._main.close()

    @property
    def leave_fds(self) -> tuple[int, ...]:
        """Every lane hears it, whichever thread reads the wake-up."""
        return (*super().leave_fds, self.retire_fd)

    def thread_of(self, lane: int) -> int:
        """The main thread has the first lane, the others have one each."""
        thread = self._threads[lane - 1].ident if lane else threading.main_thread().ident
        return thread or 0

    @property
    def harakiri(self) -> float | None:
        """Signal handlers in a worker are under the requests' deadline, as in uWSGI."""
        return self.settings.harakiri

    @property
    def work_done(self) -> int:
        """Requests; signals do not count."""
        return self.row.requests

    def _after_request(self) -> None:
        if self._recycling is not None or self._code is not None:
            self.after_work()
        hook = self.registry.hooks.get("after_req_hook")
        if hook is not None:
            self.run_hook("after_req_hook", hook)


def _write_lines(lines: str) -> None:
    sys.stderr.write(lines + "\n")
