"""Boot: from settings to sockets, switchboard, scoreboard and master. The only assembler.

Everything shared is made here, before the first fork, and handed to the master as one object.

Runs in: the master, once.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import NoReturn

from muleteer import __version__, journal
from muleteer.config.options import Settings
from muleteer.errors import CannotBind, MuleteerError, StartError
from muleteer.facade.collisions import find_collisions
from muleteer.ipc.channels import Endpoint, Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.logfile import LogFile
from muleteer.ipc.scoreboard import Scoreboard, Seat
from muleteer.ipc.sockets import Listener, Owner, bind
from muleteer.ipc.sockets import close as close_listener
from muleteer.ipc.targets import population_of
from muleteer.ipc.title import name_process
from muleteer.master import background as background_room
from muleteer.master import pidfiles
from muleteer.master.background import Background
from muleteer.master.fifo import make_fifo, remove_fifo
from muleteer.master.gatehouse import Outside
from muleteer.master.identity import identity_of, owner_of_sockets, step_down
from muleteer.master.master import Master, Shared
from muleteer.master.pidfiles import remove_pidfiles, unusable, write_pidfiles
from muleteer.master.policy import CHILDREN_PER_SEAT
from muleteer.runtime import Runtime
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.store import Store
from muleteer.zygote import zygote

__all__ = ["serve"]

_WINDOW_BACKLOG = 64


def serve(
    settings: Settings, read_settings: Callable[[], Settings], environ: Mapping[str, str]
) -> int:
    """Start the server and supervise it; returns the exit code.

    With `daemonize` the shell's process ends in here, and the server is another one.
    """
    background = background_room.go(settings)
    code = _serve(settings, read_settings, environ, background)
    background.failed(code)
    return code


def _serve(
    settings: Settings,
    read_settings: Callable[[], Settings],
    environ: Mapping[str, str],
    background: Background,
) -> int:
    try:
        _prepare_streams(settings)
    except StartError as error:  # the journal has no place to write to yet
        print(f"muleteer: {error}", file=sys.stderr)
        return error.exit_code
    journal.configure(as_json=settings.json_logs)
    journal.identify("master")
    journal.starting(__version__, platform.python_version())
    for sentence in (*(str(n) for n in settings.notices), *find_collisions()):
        journal.notice(sentence)
    with ExitStack() as left:
        try:
            shared = _prepare(settings, read_settings, environ, background, left)
        except MuleteerError as error:
            journal.cannot_start(str(error))
            return error.exit_code
        background.bound()
        return Master(settings, shared).run()


def _prepare(
    settings: Settings,
    read_settings: Callable[[], Settings],
    environ: Mapping[str, str],
    background: Background,
    left: ExitStack,
) -> Shared:
    """Make all that a server has; what must not be left behind is written down in `left`."""
    listeners: list[Listener] = []
    windows: list[Listener] = []
    left.callback(_close_all, listeners, settings)
    left.callback(_close_all, windows, settings)
    identity = identity_of(settings)
    _prepare_process(settings)
    owner = owner_of_sockets(settings, identity)
    _bind_all(settings, owner, listeners)
    _bind_windows(settings, owner, windows)
    for index, path in enumerate(settings.master_fifo):
        make_fifo(path, settings.where("master_fifo", index))
        left.callback(remove_fifo, path)
    left.callback(remove_pidfiles, settings)
    write_pidfiles(settings, pidfiles.EARLY)
    step_down(identity)
    write_pidfiles(settings, pidfiles.LATE)
    log_file = _open_log(settings)
    _check_spoolers(settings)
    outside = Outside(windows, log_file, environ, background)
    return _assemble(settings, listeners, outside, read_settings)


def _close_all(listeners: Iterable[Listener], settings: Settings) -> None:
    for listener in listeners:
        close_listener(listener, vacuum=settings.vacuum)


# -- the process ------------------------------------------------------------------------


def _prepare_streams(settings: Settings) -> None:
    """Send everything to stderr, or to `logto`: what the app prints and what we say, in order."""
    option = _first_log(settings)
    if option:
        _open(settings, option)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _first_log(settings: Settings) -> str | None:
    """The option that names the log from the first line on."""
    return next((n for n in ("logto", "daemonize", "daemonize2") if getattr(settings, n)), None)


def _open_log(settings: Settings) -> LogFile | None:
    """The log that is opened anew when it was moved away; with `logto2` it begins here."""
    if settings.logto2:
        return _open(settings, "logto2")
    return LogFile(settings.log_path) if settings.log_path else None


def _open(settings: Settings, option: str) -> LogFile:
    log_file = LogFile(getattr(settings, option))
    try:
        log_file.open()
    except OSError as error:
        raise unusable(settings, option, error) from None
    return log_file


def _prepare_process(settings: Settings) -> None:
    if settings.chdir:
        try:
            os.chdir(settings.chdir)
        except OSError as error:
            raise StartError(
                f"{settings.where('chdir')}: {error.strerror}; create it or correct the option"
            ) from None
    if settings.umask is not None:
        os.umask(settings.umask)
    _limit(settings, "limit_as", resource.RLIMIT_AS, settings.limit_as << 20)
    _limit(settings, "limit_nproc", resource.RLIMIT_NPROC, settings.limit_nproc)
    _limit(settings, "max_fd", resource.RLIMIT_NOFILE, settings.max_fd)
    name_process(settings, "master")
    _adopt_orphans()


def _limit(settings: Settings, name: str, which: int, value: int) -> None:
    """Set a limit that every process of the server inherits; 0 leaves it as it is."""
    if value:
        try:
            resource.setrlimit(which, (value, value))
        except (OSError, ValueError) as error:
            raise StartError(
                f"{settings.where(name)}: {error}; only root can raise a limit"
            ) from None


def _adopt_orphans() -> None:
    """Become the parent of children whose zygote dies, so that their deaths are heard (Linux)."""
    if sys.platform == "linux":
        set_child_subreaper = 36  # PR_SET_CHILD_SUBREAPER
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _check_spoolers(settings: Settings) -> None:
    for index, path in enumerate(settings.spooler):
        where = settings.where("spooler", index)
        if not os.path.isdir(path):
            _create_spooler(path, where)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise StartError(f"{where}: this user may not read and write there; chown or chmod it")
        _warn_of_strangers(path, os.stat(path))


def _warn_of_strangers(path: str, status: os.stat_result) -> None:
    """Say who else may put tasks here: pickled arguments are code, run as this user."""
    if status.st_mode & stat.S_IWOTH:
        journal.spooler_open(path, "every user of this machine", "chmod o-w")
    if status.st_uid not in (0, os.geteuid()):
        journal.spooler_open(path, f"its owner, user {status.st_uid}", "chown")


def _create_spooler(path: str, where: str) -> None:
    """Create a spool directory whose parent is there, as uWSGI does (`core/spooler.c`)."""
    try:
        os.mkdir(path, 0o750)
    except OSError as error:
        raise StartError(
            f"{where}: the directory is not there and cannot be created ({error.strerror});"
            f" create it: mkdir -p {path}"
        ) from None
    journal.spooler_created(path)


def _bind_all(settings: Settings, owner: Owner | None, listeners: list[Listener]) -> None:
    wanted = [("uwsgi", "socket"), ("http", "http_socket"), ("http", "http")]
    for protocol, option in [*wanted, ("http", "http11_socket")]:
        for index, address in enumerate(getattr(settings, option)):
            try:
                listener = _bind(settings, address, protocol, owner)
            except CannotBind as error:
                raise CannotBind(f"{settings.where(option, index)}: {error}") from None
            listeners.append(listener)
            journal.listening(protocol, listener.name)
    if not listeners:
        journal.nothing_listens()


def _bind(settings: Settings, address: str, protocol: str, owner: Owner | None) -> Listener:
    return bind(
        address,
        protocol,
        backlog=settings.listen,
        mode=settings.chmod_socket,
        owner=owner,
        defers=not settings.no_defer_accept,
    )


def _bind_windows(settings: Settings, owner: Owner | None, windows: list[Listener]) -> None:
    """Bind what shows the server to people and monitors; no child ever has these sockets."""
    for option in ("stats", "metrics"):
        if address := getattr(settings, option):
            try:
                window = bind(address, option, backlog=_WINDOW_BACKLOG, owner=owner, defers=False)
            except CannotBind as error:
                raise CannotBind(f"{settings.where(option)}: {error}") from None
            windows.append(window)
            journal.listening(option, window.name)


# -- what is shared -----------------------------------------------------------------------


def _assemble(
    settings: Settings,
    listeners: list[Listener],
    outside: Outside,
    read_settings: Callable[[], Settings],
) -> Shared:
    workers = settings.processes if listeners else 0
    population = population_of(settings, workers)
    plan = tuple(Seat("worker", n) for n in range(1, workers + 1))
    plan += tuple(Seat("mule", n) for n in range(1, population.mules + 1))
    plan += tuple(Seat("spooler", n) for n in range(1, population.spoolers + 1))
    plan += (Seat("gateway", 1),) if settings.erlang else ()
    switchboard = Switchboard(population, settings.spooler)
    seats = len(plan) + 1  # and the watcher's, should anything be watched
    scoreboard = Scoreboard(seats * CHILDREN_PER_SEAT, settings.threads, len(settings.spooler))
    locks = LockTable(settings.locks)

    def fork_zygote(
        chosen: Settings, generation: int, orders: Endpoint, let_go: Callable[[], None]
    ) -> int:
        """Fork a zygote; returns its pid, and only in the master."""
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # so that the zygote's collections write nothing into pages that we share
        pid = os.fork()
        if pid == 0:
            become_zygote(chosen, generation, orders, let_go)
        return pid

    def become_zygote(
        chosen: Settings, generation: int, orders: Endpoint, let_go: Callable[[], None]
    ) -> NoReturn:
        def open_store(directory: str) -> Store:
            return DirectoryStore(
                os.fsencode(directory),
                ordered=chosen.spooler_ordered,
                sync=chosen.spooler_sync == "data",
            )

        runtime = Runtime(
            chosen, switchboard, scoreboard, locks, open_store, generation, outside.log_file
        )
        zygote.live(runtime, listeners, orders, let_go)

    return Shared(
        listeners, outside, switchboard, scoreboard, locks, plan, fork_zygote, read_settings
    )
