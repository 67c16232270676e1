"""Touched files: what the server does when one of its own files changes.

The watcher knows numbers only: those above zero are signals, these are below.

Runs in: the master.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntEnum

from muleteer.config.options import Settings

__all__ = ["Touch", "command_of", "own_files"]


class Touch(IntEnum):
    """What the watcher raises for a file of the server's: no signal."""

    REOPEN_LOG = -1
    ROTATE_LOG = -2
    RELOAD = -3
    WORKERS = -4
    MULES = -5
    SPOOLERS = -6
    CODE = -7
    """A file of the application's code, with `py-autoreload`."""


_FIRST_COMMAND = -100
"""Of `touch-exec`: the first one's number, the next ones lie below."""

_OPTIONS = {
    "touch_logreopen": Touch.REOPEN_LOG,
    "touch_logrotate": Touch.ROTATE_LOG,
    "touch_reload": Touch.RELOAD,
    "touch_chain_reload": Touch.RELOAD,
    "fs_reload": Touch.RELOAD,
    "touch_workers_reload": Touch.WORKERS,
    "touch_mules_reload": Touch.MULES,
    "touch_spoolers_reload": Touch.SPOOLERS,
}


def own_files(settings: Settings) -> Iterator[tuple[int, str]]:
    """The files that are watched for the server itself, and what each of them means."""
    for option, touch in _OPTIONS.items():
        for path in getattr(settings, option):
            yield int(touch), os.path.abspath(path)
    for index, text in enumerate(settings.touch_exec):
        yield _FIRST_COMMAND - index, os.path.abspath(text.split(None, 1)[0])


def command_of(settings: Settings, number: int) -> str | None:
    """The command of `touch-exec` that a number means."""
    index = _FIRST_COMMAND - number
    known = 0 <= index < len(settings.touch_exec)
    return settings.touch_exec[index].split(None, 1)[1] if known else None
