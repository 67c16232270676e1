"""What a spool file's mode and lock say of its task.

Not here: who sets them (directory.py).
Runs in: anywhere.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from muleteer.spool.filelock import holder

__all__ = ["BURIED", "ENDED", "RUN_BEGUN", "is_running"]

RUN_BEGUN: Final = stat.S_IXUSR
"""The owner's execute bit: a run has begun."""

BURIED: Final = stat.S_IRUSR | stat.S_IXUSR
"""Read-only, its run over: it is dead, says the file to one who has had it open since before."""

ENDED: Final = stat.S_IXGRP
"""The group's execute bit: it ended well and could not be removed; it is not to run again."""


def is_running(fd: int, info: os.stat_result) -> bool:
    """Whether a process has this open file's task in hand.

    One of our spoolers that only looks when the task is due locks it, too, but marks no run;
    uWSGI's marks none at all, and its locks have a pid.
    """
    pid = holder(fd)
    return pid is not None and (pid > 0 or bool(info.st_mode & RUN_BEGUN))
