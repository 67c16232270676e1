"""The machine as the configuration sees it: files under the start directory, and facts.

Tests hand in one that lives in memory; the paths it is given may be relative to the start.

Runs in: the process that becomes the master, before anything is forked, and again at a reload.
"""

from __future__ import annotations

import getpass
import glob
import grp
import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Disk", "Host"]


class Host(Protocol):
    """What reading a configuration may ask of the machine. None of it changes anything."""

    cwd: str
    environ: Mapping[str, str]

    def absolute(self, path: str) -> str:
        """Return the absolute path, links followed; never raises."""

    def read(self, path: str) -> bytes:
        """Return a file's content; raises OSError or ValueError."""

    def exists(self, path: str) -> bool: ...

    def is_file(self, path: str) -> bool: ...

    def is_dir(self, path: str) -> bool: ...

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that match, sorted."""

    def inode(self, path: str) -> int: ...

    def fact(self, letter: str) -> str:
        """Return the machine's value of a magic variable: one of `h k u U g G b t T`."""


class Disk:
    """The real machine, seen from the directory in which the server was started."""

    def __init__(self, cwd: str, environ: Mapping[str, str]) -> None:
        self.cwd = cwd
        self.environ = environ

    def absolute(self, path: str) -> str:
        """Return the absolute path, links followed; never raises."""
        try:
            return os.path.realpath(self._at(path))
        except (OSError, ValueError):
            return self._at(path)

    def read(self, path: str) -> bytes:
        """Return a file's content; raises OSError or ValueError."""
        with open(self._at(path), "rb") as file:
            return file.read()

    def exists(self, path: str) -> bool:
        """Say whether anything has that path."""
        return os.path.lexists(self._at(path)) and os.path.exists(self._at(path))

    def is_file(self, path: str) -> bool:
        """Say whether a file has that path."""
        return os.path.isfile(self._at(path))

    def is_dir(self, path: str) -> bool:
        """Say whether a directory has that path."""
        return os.path.isdir(self._at(path))

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that match, sorted."""
        if os.path.isabs(pattern):
            return sorted(glob.glob(pattern))
        return sorted(glob.glob(pattern, root_dir=self.cwd))

    def inode(self, path: str) -> int:
        """Return a file's inode, or 0."""
        try:
            return os.stat(self._at(path)).st_ino
        except (OSError, ValueError):
            return 0

    def fact(self, letter: str) -> str:
        """Return the machine's value of a magic variable: one of `h k u U g G b t T`."""
        match letter:
            case "h":
                return socket.gethostname()
            case "k":
                return str(os.cpu_count() or 1)
            case "t":
                return str(int(time.time()))
            case "T":
                return str(time.time_ns() // 1000)
            case "b":
                return os.path.realpath(sys.argv[0])
        return self._user(letter)

    def _user(self, letter: str) -> str:
        if letter == "u":
            return str(os.getuid())
        if letter == "g":
            return str(os.getgid())
        return _user_name() if letter == "U" else _group_name()

    def _at(self, path: str) -> str:
        return os.path.join(self.cwd, path)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _group_name() -> str:
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())
