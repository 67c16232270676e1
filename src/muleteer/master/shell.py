"""The shell: the one fork of the master that becomes another program.

Rules:
1. It leads a session and a process group of its own: a signal to it reaches what it started, and
   a Ctrl-C at the terminal is the master's alone.
2. It inherits the log as its output and nothing else: no socket, no pipe, no ignored Unix signal.
3. It hears of the master's death (Linux), however that dies.

Runs in: the master; the second half in the new process.
"""

from __future__ import annotations

import os
import signal as unix_signals
import sys
from typing import NoReturn

from muleteer.ipc.parent import end_with_parent

__all__ = ["SHELL", "signal_group", "start"]

SHELL = "/bin/sh"


def start(command: str, *, directory: str = "", dies_with_us: bool = True) -> int:
    """Start a command line in a shell; returns its pid, and never in the new process."""
    sys.stdout.flush()
    sys.stderr.flush()
    master = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(command, directory, master if dies_with_us else 0)
    except BaseException as error:  # noqa: BLE001 - the last frame of the process
        os.write(2, f"cannot run {command!r}: {error}\n".encode())
    finally:
        os._exit(127)


def _become(command: str, directory: str, master: int) -> NoReturn:
    os.setsid()
    unix_signals.set_wakeup_fd(-1)
    for number in unix_signals.valid_signals() - {unix_signals.SIGKILL, unix_signals.SIGSTOP}:
        unix_signals.signal(number, unix_signals.SIG_DFL)
    unix_signals.pthread_sigmask(unix_signals.SIG_SETMASK, [])
    if master:
        end_with_parent(master, unix_signals.SIGTERM)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    if directory:
        os.chdir(directory)
    os.execv(SHELL, [SHELL, "-c", command])


def signal_group(pid: int, number: int) -> None:
    """Send a Unix signal to a program and to all it started; one that is gone is passed over."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass  # its death is on its way to us
    except PermissionError:
        pass  # it became somebody else: its own master now
