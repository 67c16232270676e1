"""Boot: from settings to sockets, switchboard, scoreboard and master. The only assembler.

Everything shared is made here, before the first fork, and handed to the master as one object.

Runs in: the master, once.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from typing import NoReturn

from setproctitle import setproctitle

from muleteer import __version__, journal
from muleteer.config.options import Settings
from muleteer.errors import MuleteerError, StartError
from muleteer.facade.collisions import collisions
from muleteer.ipc.channels import Endpoint, Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.scoreboard import Scoreboard, Seat
from muleteer.ipc.sockets import Listener, bind
from muleteer.ipc.sockets import close as close_listener
from muleteer.ipc.targets import Population
from muleteer.master.master import Master, Shared
from muleteer.runtime import Runtime
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.store import Store
from muleteer.zygote import zygote

__all__ = ["serve"]

_SPARE_GENERATIONS = 3
"""Rows per seat: the serving child, its successor, and one that still has mercy."""


def serve(settings: Settings, read_settings: Callable[[Settings], Settings]) -> int:
    """Start the server and supervise it; returns the exit code."""
    _prepare_streams(settings)
    journal.configure()
    journal.identify("master")
    journal.starting(__version__, platform.python_version())
    for sentence in (*(str(n) for n in settings.notices), *collisions()):
        journal.notice(sentence)
    listeners: list[Listener] = []
    try:
        _prepare_process(settings)
        _check_spoolers(settings)
        _bind_all(settings, listeners)
        shared = _assemble(settings, listeners, read_settings)
        _write_pidfile(settings)
    except MuleteerError as error:
        journal.cannot_start(str(error))
        for listener in listeners:
            close_listener(listener, vacuum=settings.vacuum)
        return error.exit_code
    try:
        return Master(settings, shared).run()
    finally:
        _remove_pidfile(settings)


# -- the process ------------------------------------------------------------------------


def _prepare_streams(settings: Settings) -> None:
    """Send everything to stderr, or to `logto`: what the app prints and what we say, in order."""
    if settings.logto:
        log_fd = os.open(settings.logto, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log_fd, 2)
        os.close(log_fd)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _prepare_process(settings: Settings) -> None:
    if settings.chdir:
        try:
            os.chdir(settings.chdir)
        except OSError as error:
            raise StartError(
                f"chdir = {settings.chdir}: {error.strerror}; create it or correct the option"
            ) from None
    setproctitle(f"{settings.procname_prefix or ''}muleteer master")
    _adopt_orphans()


def _adopt_orphans() -> None:
    """Become the parent of children whose zygote dies, so that their deaths are heard (Linux)."""
    if sys.platform == "linux":
        set_child_subreaper = 36  # PR_SET_CHILD_SUBREAPER
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _check_spoolers(settings: Settings) -> None:
    for path in settings.spooler:
        if not os.path.isdir(path):
            _create_spooler(path)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise StartError(
                f"spooler = {path}: this user may not read and write there; chown or chmod it"
            )


def _create_spooler(path: str) -> None:
    """Create a spool directory whose parent is there, as uWSGI does (`core/spooler.c`)."""
    try:
        os.mkdir(path, 0o750)
    except OSError as error:
        raise StartError(
            f"spooler = {path}: there is no such directory and it cannot be created"
            f" ({error.strerror}); create it: mkdir -p {path}"
        ) from None
    journal.spooler_created(path)


def _bind_all(settings: Settings, listeners: list[Listener]) -> None:
    wanted = [("uwsgi", settings.socket), ("http", settings.http_socket)]
    wanted += [("http", settings.http), ("http", settings.http11_socket)]
    mode = settings.chmod_socket
    for protocol, addresses in wanted:
        for address in addresses:
            listener = bind(address, protocol, backlog=settings.listen, mode=mode)
            listeners.append(listener)
            journal.listening(protocol, listener.name)
    if not listeners:
        journal.nothing_listens()


def _write_pidfile(settings: Settings) -> None:
    if settings.pidfile:
        try:
            with open(settings.pidfile, "w") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            raise StartError(f"pidfile = {settings.pidfile}: {error.strerror}") from None


def _remove_pidfile(settings: Settings) -> None:
    if settings.pidfile and settings.vacuum:
        try:
            os.unlink(settings.pidfile)
        except OSError:
            pass  # somebody tidied up before us


# -- what is shared -----------------------------------------------------------------------


def _assemble(
    settings: Settings, listeners: list[Listener], read_settings: Callable[[Settings], Settings]
) -> Shared:
    workers = settings.processes if listeners else 0
    spoolers = len(settings.spooler) * settings.spooler_processes
    plan = tuple(Seat("worker", n) for n in range(1, workers + 1))
    plan += tuple(Seat("spooler", n) for n in range(1, spoolers + 1))
    switchboard = Switchboard(Population(workers, spoolers), settings.spooler)
    scoreboard = Scoreboard(rows=len(plan) * _SPARE_GENERATIONS, cores=settings.threads)
    locks = LockTable(settings.locks)

    def fork_zygote(
        chosen: Settings, generation: int, orders: Endpoint, let_go: Callable[[], None]
    ) -> int:
        """Fork a zygote; returns its pid, and only in the master."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            become_zygote(chosen, generation, orders, let_go)
        return pid

    def become_zygote(
        chosen: Settings, generation: int, orders: Endpoint, let_go: Callable[[], None]
    ) -> NoReturn:
        runtime = Runtime(chosen, switchboard, scoreboard, locks, _open_store, generation)
        zygote.live(runtime, listeners, orders, let_go)

    return Shared(listeners, switchboard, scoreboard, plan, fork_zygote, read_settings)


def _open_store(directory: str) -> Store:
    return DirectoryStore(os.fsencode(directory))
