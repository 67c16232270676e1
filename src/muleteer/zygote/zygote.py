"""The zygote: one per generation. It imports the application once and forks its children.

It reports what the import registered, every child it forks and every child that dies.
It serves nothing, and knows no policy.

Runs in: the zygote, forked by the master.
"""

from __future__ import annotations

import gc
import os
import select
import signal as unix_signals
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.errors import AppNotLoaded, ExitCode, MuleteerError
from muleteer.ipc.channels import Endpoint
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.sockets import Listener
from muleteer.ipc.title import name_process
from muleteer.roles.code import CodeReporter, files_in
from muleteer.roles.gateway import Gateway
from muleteer.roles.mule import Mule
from muleteer.roles.role import Role
from muleteer.roles.spooler import Spooler
from muleteer.roles.watcher import Watcher
from muleteer.roles.worker import Worker
from muleteer.runtime import Runtime, source_message
from muleteer.serve import loader
from muleteer.serve.mounts import under_one_roof
from muleteer.serve.programs import load_program
from muleteer.serve.static import serves_files
from muleteer.zygote.forking import fork_child, fork_scout
from muleteer.zygote.loading import (
    begin_to_load,
    end_loading,
    prepare_to_share,
    print_app_traceback,
    reason,
)

__all__ = ["Zygote", "live"]


def live(
    runtime: Runtime, listeners: Sequence[Listener], orders: Endpoint, let_go: Callable[[], None]
) -> NoReturn:
    """Live a zygote's whole life; called right after the fork, never returns."""
    code: int = ExitCode.START_FAILED
    try:
        let_go()
        code = Zygote(runtime, listeners, orders).run()
    except BaseException:  # noqa: BLE001 - the last frame of the process; it is logged and ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Zygote:
    """One generation's first process."""

    def __init__(self, runtime: Runtime, listeners: Sequence[Listener], orders: Endpoint) -> None:
        self.runtime = runtime
        self.settings: Settings = runtime.settings
        self.listeners = listeners
        runtime.listeners = [listener.sock for listener in listeners]
        self.orders = orders
        self.application: loader.Application = loader.no_application
        self.programs: list[Callable[[], object] | None] = []
        self.children: set[int] = set()
        self._woken_fd = -1
        self._master_is_gone = False

    # -- life --------------------------------------------------------------------------------

    def run(self) -> int:
        """Load, report, fork on demand; returns the exit code."""
        os.setpgid(0, 0)  # a Ctrl-C at the terminal is the master's to judge, not every task's end
        _let_go_of_terminal()
        journal.identify(f"zygote {self.runtime.generation}")
        self._hear_unix_signals()
        self.name_process(f"zygote {self.runtime.generation}")
        if not self._load():
            return ExitCode.NO_APP
        gc.collect()
        gc.freeze()  # no collection touches these pages again: they stay shared with the children
        return self._serve_orders()

    def name_process(self, what: str) -> None:
        """Show in `ps` who we are."""
        name_process(self.settings, what)

    def _hear_unix_signals(self) -> None:
        self._woken_fd, wake_fd = os.pipe()
        for fd in (self._woken_fd, wake_fd):
            os.set_blocking(fd, False)
        unix_signals.signal(unix_signals.SIGCHLD, lambda _number, _frame: None)
        unix_signals.signal(unix_signals.SIGUSR1, lambda _n, _f: self.runtime.follow_log())
        self.runtime.follow_log()  # it may have turned while we were forked
        for number in (unix_signals.SIGTERM, unix_signals.SIGINT, unix_signals.SIGHUP):
            unix_signals.signal(number, unix_signals.SIG_DFL)
        unix_signals.set_wakeup_fd(wake_fd, warn_on_full_buffer=False)
        self._wake_fd = wake_fd

    # -- loading -----------------------------------------------------------------------------

    def _load(self) -> bool:
        if not self._load_or_say_why(lambda: prepare_to_share(self.runtime)):
            return False
        return self._send_scout() if self.settings.lazy_apps else self._load_and_report()

    def _load_and_report(self) -> bool:
        started = time.monotonic()
        if not self._load_or_say_why(self._load_all):
            return False
        seconds = time.monotonic() - started
        journal.app_loaded(self.runtime.generation, seconds, loader.describe(self.settings))
        self._report()
        return True

    def _load_or_say_why(self, load: Callable[[], None]) -> bool:
        try:
            load()
        except (MuleteerError, SystemExit) as error:
            self._tell_of_code()
            return self._failed(reason(error))
        except Exception as error:  # noqa: BLE001 - the application's own code, whatever it raises
            print_app_traceback(error)
            self._tell_of_code(*files_in(error))
            return self._failed(f"{loader.describe(self.settings)}: {reason(error)}")
        return True

    def _load_all(self) -> None:
        """Load the application and the mules' programs; raises whatever they raise."""
        begin_to_load(self.runtime)
        self.application = self._load_applications()
        self.programs = [
            load_program(text, f"mule = {text}") for text in self.settings.mule_programs
        ]
        end_loading(self.runtime)

    def _send_scout(self) -> bool:
        """With `lazy-apps`: load in a process that ends then, to learn what is registered.

        So a timer is one, whatever each child loads, and code that does not load is no generation.
        """
        _, status = os.waitpid(fork_scout(self._load_and_report), 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (ExitCode.OK, ExitCode.NO_APP):  # else it told why itself
            self._failed(f"its import ended the process ({_how(code)})")
        return code == ExitCode.OK

    def _load_in_child(self) -> None:
        """With `lazy-apps`: what the zygote does without it."""
        self.runtime.loading = True
        self._load_all()
        self.runtime.loading = False

    def _load_applications(self) -> loader.Application:
        """Return what answers requests: the application, those mounted beside it, static files."""
        settings = self.settings
        main = loader.load_application(settings)
        mounts = loader.load_mounts(settings)
        if main is None and mounts and not settings.no_default_app:
            main = next(iter(mounts.values()))  # uWSGI's default app: the first that is loaded
        if main is None and not mounts:
            main = self._no_application()
        return under_one_roof(settings, main or loader.no_application, mounts)

    def _no_application(self) -> loader.Application:
        """What answers when no app is named: files, signals and tasks may be all there is."""
        settings = self.settings
        imported = settings.import_ or settings.shared_import or settings.spooler_import
        if serves_files(settings) and not settings.need_app:
            return loader.nothing_there
        if settings.need_app or (self.listeners and not imported):
            raise AppNotLoaded("no application is named; set `module` or `wsgi-file`")
        return loader.no_application

    def _tell_of_code(self, *files: str) -> None:
        """With `py-autoreload`: what did not load is watched, so that its repair is noticed."""
        if self.settings.py_autoreload:
            CodeReporter(self.runtime).report(*files)

    def _failed(self, why: str) -> bool:
        self._tell("failed", why=why)
        return False

    # -- reporting ---------------------------------------------------------------------------

    def _tell(self, op: str, **fields: Any) -> None:
        self.orders.send({"op": op, "generation": self.runtime.generation, **fields})

    def _report(self) -> None:
        registry = self.runtime.registry
        for signum, entry in registry.signals.items():
            self._tell("signal", signum=signum, target=entry.target)
        for source in registry.sources:
            self._tell("source", **source_message(source, registry))
        self._tell("loaded", fingerprint=self._fingerprint(), zone=os.environ.get("TZ"))

    def _fingerprint(self) -> str:
        """What must be the same for two imports to be the same generation."""
        registry = self.runtime.registry
        signals = sorted(
            (number, entry.target, getattr(entry.handler, "__qualname__", ""))
            for number, entry in registry.signals.items()
        )
        return repr((signals, [source_message(s, registry) for s in registry.sources]))

    # -- orders ------------------------------------------------------------------------------

    def _serve_orders(self) -> int:
        lifeline = self.runtime.switchboard.lifeline.read_fd
        order_fd = self.orders.fileno()
        while True:
            ready, _, _ = select.select([self._woken_fd, order_fd, lifeline], [], [])
            if self._woken_fd in ready:
                self._reap()
            if lifeline in ready:
                return self._outlive_master()
            if order_fd in ready and not self._obey(self.orders.take_all()):
                return ExitCode.OK

    def _obey(self, orders: Iterable[dict[str, Any]]) -> bool:
        """Carry orders out; False when there are none any more: the master let us go."""
        heard = False
        for order in orders:
            heard = True
            if order["op"] == "leave":
                return False
            self._spawn(self.runtime.scoreboard.rows[order["row"]])
        return heard

    def _spawn(self, row: Row) -> None:
        pid = fork_child(self.runtime, row, self._make_role, self._let_go, self.name_process)
        self.children.add(pid)
        self._tell("forked", row=row.index, pid=pid)

    def _make_role(self, row: Row) -> Role:
        if self.settings.lazy_apps and row.seat.kind != "watcher":
            self._load_in_child()
        if row.seat.kind == "spooler":
            return Spooler(self.runtime, row)
        if row.seat.kind == "gateway":
            return Gateway(self.runtime, row)
        if row.seat.kind == "mule":
            return Mule(self.runtime, row, self.programs[row.seat.id - 1])
        if row.seat.kind == "watcher":
            return Watcher(self.runtime, row)
        return Worker(self.runtime, row, self.application, self.listeners)

    def _let_go(self) -> None:
        """In a child: close what only the zygote needs."""
        self.orders.close()
        os.close(self._woken_fd)
        os.close(self._wake_fd)

    # -- deaths ------------------------------------------------------------------------------

    def _reap(self) -> None:
        try:
            os.read(self._woken_fd, 4096)
        except BlockingIOError:
            pass
        for pid, status in _dead_children():
            self.children.discard(pid)
            self._tell("died", pid=pid, status=status)

    def _outlive_master(self) -> int:
        """The master died: the children leave by themselves; see to it that they do."""
        journal.master_gone()
        end = time.monotonic() + self.settings.worker_reload_mercy
        while self.children and time.monotonic() < end:
            select.select([self._woken_fd], [], [], 1.0)
            _drain(self._woken_fd)
            self.children.difference_update(pid for pid, _ in _dead_children())
        for pid in self.children:
            os.kill(pid, unix_signals.SIGKILL)
        return ExitCode.OK


def _how(code: int) -> str:
    return f"killed by {unix_signals.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _let_go_of_terminal() -> None:
    """Read from nowhere, as under uWSGI.

    Outside the terminal's process group a read would stop us.
    """
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)


def _dead_children() -> Iterable[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _drain(fd: int) -> None:
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        pass
