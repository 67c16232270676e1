"""What /proc tells of the processes a test started, orphans included.

A process belongs to a tree when it carries the tree's mark in its environment, lives in its
session, works in its folder, or descends from one that does: setproctitle overwrites the
environment a kernel shows, setsid leaves a session and chdir a folder, but hardly all at once.

Runs in: the test process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "TEST_HARNESS_MARK"
"""The environment variable whose value is unique to one started tree."""

_TITLE = re.compile(
    r"^(?:\S+? ?)?(?:muleteer|uWSGI)[: ]+"
    r"(master|zygote|worker|mule|spooler|watcher|gateway)\b(?:[ #]*(\d+))?"
)


@dataclass(frozen=True, slots=True)
class Process:
    """One living process as /proc showed it at one moment."""

    pid: int
    parent: int
    session: int
    title: str

    @property
    def role(self) -> str | None:
        """What its title says it is (`worker`, `spooler`…), or None."""
        found = _TITLE.match(self.title)
        return found.group(1) if found else None

    @property
    def id(self) -> int:
        """The number in its title; 0 where it has none."""
        found = _TITLE.match(self.title)
        return int(found.group(2) or 0) if found else 0

    def is_alive(self) -> bool:
        """Is there still such a process, and is it more than a zombie?"""
        return _read_process(self.pid) is not None


def is_there(pid: int) -> bool:
    """Is there a process of that pid? A zombie is one: nobody has taken its exit code yet."""
    return os.path.exists(f"/proc/{pid}")


def descriptors(pid: int) -> int:
    """How many files, sockets and pipes a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def living() -> Iterator[Process]:
    """Every process there is, without zombies: those hold nothing but their exit code."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := _read_process(int(name))) is not None:
            yield process


def tree(session: int, mark: str, folder: Path) -> list[Process]:
    """The living processes of one started tree, by pid; the caller's own is never one."""
    everyone = {process.pid: process for process in living() if process.pid != os.getpid()}
    ours = {pid for pid, one in everyone.items() if _belongs(one, session, mark, folder)}
    while True:
        more = {pid for pid, one in everyone.items() if one.parent in ours} - ours
        if not more:
            return [everyone[pid] for pid in sorted(ours)]
        ours |= more


def shared_pages(pid: int) -> set[Path]:
    """The files under /dev/shm that a process has open or mapped and that have a name."""
    found = {line.split(maxsplit=5)[-1] for line in _text(f"/proc/{pid}/maps").splitlines()}
    found |= set(_open_files(pid))
    named = {name for name in found if name.startswith("/dev/shm/")}
    return {Path(name) for name in named if not name.endswith(" (deleted)")}


def _open_files(pid: int) -> Iterator[str]:
    """What a process's descriptors point at; they and it may go while we look."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue  # closed since


def _read_process(pid: int) -> Process | None:
    """One process, or None when it is gone or a zombie."""
    stat = _text(f"/proc/{pid}/stat")
    if not stat:
        return None
    state, parent, _group, session = stat.rpartition(")")[2].split()[:4]
    if state in "ZX":
        return None
    title = _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    return Process(pid, int(parent), int(session), title)


def _belongs(process: Process, session: int, mark: str, folder: Path) -> bool:
    if process.session == session:
        return True
    if f"{MARK}={mark}" in _text(f"/proc/{process.pid}/environ").split("\0"):
        return True
    return _works_in(process.pid, folder)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(folder)
    except OSError:
        return False


def _text(path: str) -> str:
    """A file of /proc, or nothing: a process may go between two looks at it."""
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
