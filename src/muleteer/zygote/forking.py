"""The one fork: from a zygote to a child that sits in its seat.

All kinds of children come from here; what they do afterwards is their role's.

Runs in: the zygote; the second half in the new child.
"""

from __future__ import annotations

import os
import signal as unix_signals
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from muleteer.errors import ExitCode
from muleteer.ipc.parent import end_with_parent
from muleteer.ipc.scoreboard import Row
from muleteer.roles.role import Role
from muleteer.runtime import Runtime

__all__ = ["fork_child", "fork_scout"]


def fork_child(
    runtime: Runtime,
    row: Row,
    make_role: Callable[[Row], Role],
    let_go: Callable[[], None],
    name_process: Callable[[str], None],
) -> int:
    """Fork one child for `row`; returns its pid in the zygote, and never in the child.

    1. before: the streams are flushed, so that nothing is written twice;
    2. in the zygote: nothing more than to return the pid;
    3. in the child, in this order: the pid goes into the row (the master may find it there if the
       zygote dies now); the zygote's own descriptors are closed; Unix signals are the default
       again; the process gets its name; the role is made and lives; the process ends in `os._exit`,
       whatever happened, so that no exception ever walks back into the zygote's stack.
    """

    def live() -> int:
        row.note_pid(os.getpid())
        let_go()
        _reset_unix_signals()
        runtime.sit(row)
        name_process(str(row.seat))
        return make_role(row).run()

    return _fork(live)


def fork_scout(look: Callable[[], bool]) -> int:
    """Fork a process that only looks, and ends: with exit code 0, or 22 for no; returns its pid."""
    zygote = os.getpid()

    def live() -> int:
        end_with_parent(zygote, unix_signals.SIGKILL)
        _reset_unix_signals()
        return ExitCode.OK if look() else ExitCode.NO_APP

    return _fork(live)


def _fork(live: Callable[[], int]) -> int:
    """Fork a process that lives and ends with the code of that; returns its pid, and only here."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid:
        return pid
    code: int = ExitCode.START_FAILED
    try:
        code = live()
    except BaseException:  # noqa: BLE001 - the last frame of the process; it is logged and ends
        traceback.print_exc()
    finally:
        _end(code)


def _reset_unix_signals() -> None:
    unix_signals.set_wakeup_fd(-1)
    for number in (unix_signals.SIGTERM, unix_signals.SIGINT, unix_signals.SIGHUP):
        unix_signals.signal(number, unix_signals.SIG_DFL)
    unix_signals.signal(unix_signals.SIGCHLD, unix_signals.SIG_DFL)


def _end(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
