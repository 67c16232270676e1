"""The watcher: it turns changes of files into signals, and runs none of the application's code.

It also counts what lies in the spool directories, when the server is watched: that may wait for
a disk, and the master may not.

The master sends it the whole list of what to watch whenever that changes, and is told which
signals to raise. The kernel's side of it is `watchfiles`.

Runs in: the watcher, after the fork; `_watch_on` and what it calls in a thread of it.

Rules
1. A path is watched through its directory, so that a file which is replaced, deleted or not there
   yet is no other case than one that changes.
2. Where that directory is missing, too, the nearest one that is there is watched.
3. Whether the watched directories are still those is asked at every change and twice a second.
   When they are not, the new ones are watched before the old ones are let go, and what changed in
   a new one before that is found by looking.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from muleteer import journal
from muleteer.errors import ExitCode, StoreUnavailable
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.targets import WATCHER
from muleteer.roles.role import Role
from muleteer.runtime import Runtime
from muleteer.spool.looking import count

__all__ = ["Watcher", "directories", "look", "touched"]

Monitor = tuple[int, str]
Look = tuple[int, ...] | None
"""What `stat` says of a path that changes when the path changes; None: it is not there."""

Changes = set[tuple[Any, str]]

DEBOUNCE_MS, STEP_MS = 400, 50
LOOK_AGAIN_MS = 500
RETRY_S = 5.0
COUNT_EVERY_S = 2.0
COUNT_SHARE = 20.0
"""Counting a million tasks takes half a second, and then rests for ten."""


class Watcher(Role):
    """The one watcher of a server."""

    kind = "watcher"
    runs_app: ClassVar[bool] = False

    def __init__(self, runtime: Runtime, row: Row) -> None:
        super().__init__(runtime, row)
        self._mailbox = self.switchboard.mail[WATCHER]
        self._monitors: tuple[Monitor, ...] = ()
        self._news = threading.Event()
        # -- the thread's
        self._watched: set[tuple[str, Look]] = set()
        self._turns: Iterator[Changes] = iter(())
        self._looks: dict[str, Look] = {}

    def start(self) -> None:
        """Listen to the master, and watch in a thread."""
        self.loop.watch(self._mailbox.fileno(), self._hear)
        if self.settings.counts_spools:
            self.loop.call_soon(self._count)
        threading.Thread(target=self._watch_or_die, name="muleteer watcher", daemon=True).start()

    def _hear(self, _events: int) -> None:
        message = self._mailbox.take()
        if message is not None:
            self._monitors = tuple((signum, path) for signum, path in json.loads(message))
            self._news.set()

    def _count(self) -> None:
        """Count the tasks of the spool directories, for whoever watches the server.

        Here it may take as long as the disk does; the master must not wait for one.
        """
        began = time.monotonic()
        for place, directory in enumerate(self.settings.spooler):
            try:
                self.runtime.scoreboard.note_spool(place, *count(os.fsencode(directory)))
            except StoreUnavailable:
                pass  # its spooler says so; the last numbers stay
        now = time.monotonic()
        self.loop.call_at(now + max(COUNT_EVERY_S, COUNT_SHARE * (now - began)), self._count)

    # -- the thread --------------------------------------------------------------------------

    def _watch_or_die(self) -> None:
        """A watcher that is deaf would look alive: the master forks another one instead."""
        try:
            self._watch_on()
        except BaseException:  # noqa: BLE001 - the last frame of the process; it is logged and ends
            traceback.print_exc()
            os._exit(ExitCode.EXCEPTION)

    def _watch_on(self) -> None:
        """Watch for ever: first what the list says now, then what comes of it."""
        while True:
            self._news.wait()
            self._news.clear()
            monitors = self._monitors
            self._looks = {path: self._looks.get(path, look(path)) for _, path in monitors}
            is_told = False
            while monitors and not self._news.is_set():
                try:
                    self._watch_a_while(monitors)
                except (OSError, RuntimeError) as error:  # no permission, or no watch left
                    journal.cannot_watch(str(error), RETRY_S)
                    self._news.wait(RETRY_S)
                    continue
                if not is_told:
                    journal.watching(len(self._looks), self._looks)
                    is_told = True

    def _watch_a_while(self, monitors: tuple[Monitor, ...]) -> None:
        """Wait for changes until it is time to look again, and raise what they mean."""
        paths = [path for _, path in monitors]
        changed = self._follow(directories(paths))
        for _ in range(LOOK_AGAIN_MS // STEP_MS):
            changes = next(self._turns, None)
            if changes is None:  # it ended by itself: begin anew
                self._watched = set()
                break
            changed |= touched(paths, {path for _, path in changes})
            if changed or self._news.is_set():
                break
        self._raise(monitors, changed)

    def _follow(self, wanted: set[tuple[str, Look]]) -> set[str]:
        """Watch these directories from now on; returns what changed before that was so."""
        if wanted == self._watched:
            self._look_again()
            return set()
        turns = _open(path for path, _ in wanted)
        changes = next(turns)  # from here on they are watched
        changes |= next(self._turns, set())
        self._turns, self._watched = turns, wanted
        return self._look_again() | touched(self._looks, {path for _, path in changes})

    def _look_again(self) -> set[str]:
        """Return the paths that look other than when they were looked at last."""
        looks = {path: look(path) for path in self._looks}
        changed = {path for path in looks if looks[path] != self._looks[path]}
        self._looks = looks
        return changed

    def _raise(self, monitors: Iterable[Monitor], changed: set[str]) -> None:
        for signum in {signum for signum, path in monitors if path in changed}:
            self.runtime.tell_master("raise", signum=signum)


def _open(directories: Iterable[str]) -> Iterator[Changes]:
    """Watch directories, not what lies deeper; yields at every change and every 50 ms."""
    from watchfiles import watch

    return watch(
        *directories,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=STEP_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        recursive=False,
    )


def directories(paths: Iterable[str]) -> set[tuple[str, Look]]:
    """Return the directories that must be watched for these paths, each with what it is now.

    A directory itself is among them, for what happens in it; where a symbolic link leads to, too.
    """
    found = set()
    for path in paths:
        for name in (path, os.path.realpath(path)):
            found.add(_nearest(os.path.dirname(name)))
            if os.path.isdir(name):
                found.add(name)
    return {(name, _identity(name)) for name in found}


def touched(paths: Iterable[str], changes: set[str]) -> set[str]:
    """Return the paths that changed: they themselves, or something right in them."""
    parents = {os.path.dirname(change) for change in changes}
    return {
        path
        for path in paths
        if not {path, os.path.realpath(path)}.isdisjoint(changes)
        or (not parents.isdisjoint({path, os.path.realpath(path)}) and os.path.isdir(path))
    }


def look(path: str) -> Look:
    """Return what tells a path from what it was before; None when it is not there."""
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino, seen.st_ctime_ns, seen.st_size)


def _identity(path: str) -> Look:
    """Return which directory stands there; another one of that name is another one."""
    seen = look(path)
    return seen and seen[:2]


def _nearest(path: str) -> str:
    """Return the directory, or the nearest one above it that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
