"""What a process weighs: resident and virtual memory, in bytes.

It measures; what is too much, and what then, is decided elsewhere.

Runs in: anywhere.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import NamedTuple

__all__ = ["Memory", "OwnMemory", "memory_of"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Memory(NamedTuple):
    """Bytes; zeros where they are not known."""

    rss: int
    vsz: int


def memory_of(pid: int) -> Memory:
    """Read a process's memory from /proc, which only Linux has; never raises."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return _read(file.read())
    except (OSError, ValueError):
        return Memory(0, 0)


class OwnMemory:
    """This process's own memory, at one system call a look; made after the fork."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def now(self) -> Memory:
        """Look; without /proc it is the most that the process ever had resident."""
        if self._fd >= 0:
            return _read(os.pread(self._fd, 256, 0))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Memory(peak if sys.platform == "darwin" else peak * 1024, 0)


def _read(statm: bytes) -> Memory:
    vsz, rss = statm.split()[:2]
    return Memory(int(rss) * _PAGE_BYTES, int(vsz) * _PAGE_BYTES)
