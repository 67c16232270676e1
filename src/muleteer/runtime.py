"""The runtime: one process's view of the server — what it inherited, its seat, and its verbs.

The facade turns an application's calls into these verbs; the roles read the same object.
It holds no policy.

Runs in: made in the zygote before the import; each child sets its seat after the fork.
"""

from __future__ import annotations

import math
import os
import signal as unix_signals
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from muleteer.config.options import Settings
from muleteer.errors import BadTask, ChannelFull, StoreUnavailable
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.logfile import LogFile
from muleteer.ipc.scoreboard import CoreRow, Row, Scoreboard, Seat
from muleteer.ipc.targets import resolve
from muleteer.registry import Registry, Source
from muleteer.spool.store import Store

__all__ = ["Life", "RequestNotes", "Runtime"]


class Life(Protocol):
    """The running role, as the facade's blocking calls see it (`mule_get_msg`, `signal_wait`)."""

    @property
    def signal_names(self) -> Sequence[str]:
        """The signal pipes of this process."""

    @property
    def mail_names(self) -> Sequence[str]:
        """Its message queues: its own first, then the shared one."""

    @property
    def farm_names(self) -> Sequence[str]:
        """The message queues of its farms."""

    def handle_signal(self, signum: int) -> None:
        """Run a signal's handler."""

    def wait(self, fds: Sequence[int], timeout_s: float | None) -> list[int]:
        """Wait for one of `fds`; returns the readable ones, none at the time-out.

        Ends the process's life by an exception if it was asked to leave: between two messages is
        where a mule may go.
        """

    def undisturbed(self) -> AbstractContextManager[None]:
        """Inside, the process's life is not ended wherever its code is; at the end it may be."""

    def leave_if_asked(self) -> None:
        """End the process's life here if it was asked to leave; from now on nowhere else."""


class RequestNotes(Protocol):
    """What the application says of the request it runs, for its line in the log."""

    logvars: dict[str, str]
    is_wanted: bool


class _Stage(threading.local):
    """What a thread does, and what it has for that."""

    signum = -1
    """The signal its loop handles, -1 for none."""
    core: CoreRow | None = None
    """The cells of a thread that serves requests."""
    notes: RequestNotes | None = None
    """What is said of the request that it runs."""
    before_waiting: Callable[[], None] | None = None
    """What it does before it waits for another node."""


class _UserDeadlines:
    """The deadlines that threads set for themselves outside of requests; the soonest counts."""

    def __init__(self) -> None:
        self._by_thread: dict[int, float] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._by_thread)

    def set(self, row: Row, deadline: float) -> None:
        """Set this thread's, or with 0.0 clear it, and write the soonest of all down."""
        with self._lock:
            if deadline:
                self._by_thread[threading.get_ident()] = deadline
            else:
                self._by_thread.pop(threading.get_ident(), None)
            row.set_user_deadline(min(self._by_thread.values(), default=0.0))


class _Handlers:
    """The signal handlers that several threads of a worker run at once.

    The row has room for one: of those that run, the one whose time is over first.
    """

    def __init__(self) -> None:
        self._running: dict[CoreRow, tuple[float, int, bytes]] = {}
        self._lock = threading.Lock()

    def begin(self, row: Row, core: CoreRow, handler: tuple[float, int, bytes]) -> None:
        """This thread begins one: its deadline, its signal, and what it is in words."""
        with self._lock:
            self._running[core] = handler
            core.note_signal(handler[1])
            row.start_task(*self._soonest())

    def end(self, row: Row, core: CoreRow) -> None:
        """It has ended, and is counted; the others run on."""
        with self._lock:
            self._running.pop(core, None)
            core.note_signal(-1)
            row.end_task()
            if self._running:
                row.start_task(*self._soonest())

    def _soonest(self) -> tuple[float, int, bytes]:
        return min(self._running.values(), key=lambda handler: handler[0] or math.inf)


class Runtime:
    """What one process knows and may do."""

    def __init__(
        self,
        settings: Settings,
        switchboard: Switchboard,
        scoreboard: Scoreboard,
        locks: LockTable,
        new_store: Callable[[str], Store],
        generation: int,
        log_file: LogFile | None = None,
    ) -> None:
        # -- shared since before the fork
        self.settings = settings
        self.switchboard = switchboard
        self.scoreboard = scoreboard
        self.locks = locks
        self.new_store = new_store
        self.log_file = log_file
        self.stores: Mapping[str, Store] = _OwnStores(settings, new_store)
        # -- this generation
        self.generation = generation
        self.registry = Registry()
        self.listeners: Sequence[socket.socket] = ()
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext
        """What a framework does around each signal handler and task."""
        # -- this process
        self.seat: Seat | None = None
        self.loading = False
        """With `lazy-apps`: a child is loading the application, as the zygote does without."""
        self.row: Row | None = None
        self.life: Life | None = None
        self.stage = _Stage()
        self._user_deadlines = _UserDeadlines()
        self._handlers = _Handlers()

    # -- who am I --------------------------------------------------------------------

    def sit(self, row: Row) -> None:
        """Take a seat; called once in a child, right after the fork."""
        self.row = row
        self.seat = row.seat

    def id_as(self, kind: str) -> int:
        """Return this process's number if it is of that kind, else 0."""
        return self.seat.id if self.seat and self.seat.kind == kind else 0

    @property
    def forked(self) -> bool:
        """Is this a child, its application loaded, and no longer the zygote?"""
        return self.seat is not None and not self.loading

    def follow_log(self) -> None:
        """Open the log anew if the master did; safe in a Unix signal handler."""
        if self.log_file is not None:
            self.log_file.follow(self.scoreboard)

    # -- signals -----------------------------------------------------------------------

    def raise_signal(self, signum: int) -> None:
        """Queue a signal for its target.

        May block for a bounded time, then raises `ChannelFull`.
        """
        registered = self.registry.signals.get(signum)
        target = registered.target if registered else self.switchboard.targets.get(signum)
        for pipe in resolve(target, self.switchboard.population, self.scoreboard.active_workers):
            self.switchboard.signals[pipe].send(signum)

    def add_source(self, source: Source) -> None:
        """Give a timer or cron job to the master's clock.

        At once in a child, with the rest of the import in the zygote.
        """
        self.registry.sources.append(source)
        if self.forked:
            self.tell_master("source", **source_message(source, self.registry))

    # -- the master ----------------------------------------------------------------------

    def tell_master(self, op: str, **fields: Any) -> None:
        """Send the master a message; may block for a bounded time while it is busy."""
        self.switchboard.control_out.send({"op": op, "pid": os.getpid(), **fields})

    def signal_master(self, number: unix_signals.Signals) -> None:
        """Send the master a Unix signal."""
        os.kill(self.scoreboard.master_pid, number)

    # -- deadlines -------------------------------------------------------------------------

    def set_user_deadline(self, seconds: float) -> None:
        """Let the master kill this process in `seconds` unless this thread sets it again; 0 clears.

        A request's own ends with the request.
        """
        if self.row is None:
            return
        deadline = time.monotonic() + seconds if seconds else 0.0
        core = self.stage.core
        if core is not None and core.busy_since:
            core.set_user_deadline(deadline)
        else:
            self._user_deadlines.set(self.row, deadline)
        self._announce(deadline)

    def begin(self, seconds: float | None, signum: int = -1, doing: bytes = b"") -> None:
        """Be busy with a task, a message or a signal handler until `end()`, which must come.

        `seconds` from now its deadline is over (None: it has none).
        """
        if self.row is not None:
            deadline = time.monotonic() + seconds if seconds else 0.0
            core = self._core_of_several()
            if core is not None:
                self._handlers.begin(self.row, core, (deadline, signum, doing))
            else:
                self.row.start_task(deadline, signum, doing)
            self._announce(deadline)

    def end(self) -> None:
        """Be idle again; a deadline the code set for itself ends, too."""
        if self.row is not None:
            core = self._core_of_several()
            if core is not None:
                self._handlers.end(self.row, core)
            else:
                self.row.end_task()
            if self._user_deadlines:
                self._user_deadlines.set(self.row, 0.0)

    def _core_of_several(self) -> CoreRow | None:
        """This thread's cells where several threads serve; None in all other processes."""
        return self.stage.core if self.settings.threads > 1 else None

    def _announce(self, deadline: float) -> None:
        """Ring the master if it would sleep past a deadline."""
        if deadline and deadline < self.scoreboard.next_check:
            try:
                self.tell_master("deadline")
            except ChannelFull:
                pass  # the master is behind with its messages, so it is awake

    # -- the spool ---------------------------------------------------------------------------

    def put_task(self, task_vars: dict[bytes, bytes], body: bytes = b"") -> bytes:
        """Store a task in the directory it asks for, else the first, and wake its spooler.

        Returns the task's path. SpoolError when nothing was kept. Blocks as long as the disk does.
        """
        directory = self._directory(task_vars.get(b"spooler"))
        try:
            path = self.stores[directory].put(task_vars, body)
        except StoreUnavailable:
            self.ring_spooler(directory)  # it may not know yet, and then waits for the directory
            raise
        if self.scoreboard.spoolers_need_bell:
            self.ring_spooler(directory)
        return path

    def _directory(self, wanted: bytes | None) -> str:
        """The directory a task asks for, by its real path as in uWSGI."""
        if not self.stores:
            raise BadTask("this server has no spooler; set `spooler = DIR`")
        if wanted is None:
            return next(iter(self.stores))
        real = os.path.realpath(os.fsdecode(wanted))
        for directory in self.stores:
            if os.path.realpath(directory) == real:
                return directory
        raise BadTask(
            f"spool: spooler = {os.fsdecode(wanted)!r} is no spooler of this server;"
            f" it has {', '.join(self.stores)}"
        )

    def ring_spooler(self, directory: str) -> None:
        """Wake an idle spooler of that directory; never blocks."""
        bell = self.switchboard.spooler_bells.get(directory)
        if bell is not None:
            bell.ring()


class _OwnStores(Mapping[str, Store]):
    """The store of each spool directory; one object per process and thread, made on first use."""

    def __init__(self, settings: Settings, new_store: Callable[[str], Store]) -> None:
        self._directories = (*settings.spooler, *settings.spooler_external)
        self._new_store = new_store
        self._local = threading.local()

    def __getitem__(self, directory: str) -> Store:
        if directory not in self._directories:
            raise KeyError(directory)
        if getattr(self._local, "pid", 0) != os.getpid():  # a fork: the parent's stay the parent's
            self._local.pid = os.getpid()
            self._local.stores = {}
        stores: dict[str, Store] = self._local.stores
        if directory not in stores:
            stores[directory] = self._new_store(directory)
        return stores[directory]

    def __iter__(self) -> Iterator[str]:
        return iter(self._directories)

    def __len__(self) -> int:
        return len(self._directories)


def source_message(source: Source, registry: Registry) -> dict[str, Any]:
    """Turn a source into the plain values that travel to the master's clock."""
    found = registry.signals.get(source.signum)
    return {
        "kind": source.kind,
        "signum": source.signum,
        "handler": found.name.decode() if found else "",
        "arguments": list(source.arguments),
        "options": dict(source.options),
        "target": registry.target_of(source.signum),
    }
