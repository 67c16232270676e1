"""The watcher: it turns changes of files into signals, and runs none of the application's code.

The master sends it the whole list of what to watch whenever that changes, and is told which
signals to raise. The kernel's side of it is `watchfiles`.

Runs in: the watcher, after the fork; `_watch_on` and what it calls in a thread of it.

Rules
1. A path is watched through its directory, so that a file which is replaced, deleted or not there
   yet is no other case than one that changes.
2. Where that directory is missing, too, the nearest one that is there is watched.
3. Whether the watched directories are still those is asked at every change and twice a second; when
   they are not, what changed meanwhile is found by looking.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from typing import ClassVar

from muleteer import journal
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.targets import WATCHER
from muleteer.roles.role import Role
from muleteer.runtime import Runtime

__all__ = ["Watcher", "directories", "look", "touched"]

Monitor = tuple[int, str]
Look = tuple[int, ...] | None
"""What `stat` says of a path that changes when the path changes; None: it is not there."""

DEBOUNCE_MS, STEP_MS = 400, 50
LOOK_AGAIN_MS = 500
RETRY_S = 5.0


class Watcher(Role):
    """The one watcher of a server."""

    kind = "watcher"
    runs_app: ClassVar[bool] = False

    def __init__(self, runtime: Runtime, row: Row) -> None:
        super().__init__(runtime, row)
        self._mailbox = self.switchboard.mail[WATCHER]
        self._monitors: tuple[Monitor, ...] = ()
        self._news = threading.Event()
        self._looks: dict[str, Look] = {}

    def start(self) -> None:
        """Listen to the master, and watch in a thread."""
        self.loop.watch(self._mailbox.fileno(), self._hear)
        threading.Thread(target=self._watch_on, name="muleteer watcher", daemon=True).start()

    def _hear(self, _events: int) -> None:
        message = self._mailbox.take()
        if message is not None:
            self._monitors = tuple((signum, path) for signum, path in json.loads(message))
            self._news.set()

    # -- the thread --------------------------------------------------------------------------

    def _watch_on(self) -> None:
        """Watch for ever, anew whenever the list or its directories change."""
        monitors: tuple[Monitor, ...] = ()
        while True:
            self._news.clear()
            if monitors != self._monitors:
                monitors = self._monitors
                self._looks = {path: self._looks.get(path, look(path)) for _, path in monitors}
                journal.watching(len(self._looks), self._looks)  # what changes from here on is seen
            if not monitors:
                self._news.wait()
                continue
            try:
                self._watch(monitors)
            except (OSError, RuntimeError) as error:  # no permission, or no watch left
                journal.cannot_watch(str(error), RETRY_S)
                self._news.wait(RETRY_S)

    def _watch(self, monitors: tuple[Monitor, ...]) -> None:
        """Watch until the directories that must be watched are others, or the list is."""
        from watchfiles import watch

        paths = [path for _, path in monitors]
        watched = directories(paths)
        is_first = True
        for changes in watch(
            *(path for path, _ in watched),
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            stop_event=self._news,
            rust_timeout=LOOK_AGAIN_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        ):
            changed = touched(paths, {path for _, path in changes})
            looked = self._look_again(paths)
            self._raise(monitors, changed | looked if is_first else changed)
            is_first = False
            if directories(paths) != watched:
                return

    def _look_again(self, paths: Iterable[str]) -> set[str]:
        """Return the paths that look other than when they were looked at last."""
        looks = {path: look(path) for path in paths}
        changed = {path for path in looks if looks[path] != self._looks[path]}
        self._looks = looks
        return changed

    def _raise(self, monitors: Iterable[Monitor], changed: set[str]) -> None:
        for signum in {signum for signum, path in monitors if path in changed}:
            self.runtime.tell_master("raise", signum=signum)


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
