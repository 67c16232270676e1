"""What a consumer knows of a spool directory: listed once, then heard of, and kept in an index.

Not here: opening, claiming or ending anything (directory.py).
Runs in: a spooler; any process that claims.

Rules
1. The directory is listed again only when word was lost, when it is another directory than before,
   or, where there is no inotify, when its time has changed.
2. A directory is watched before it is listed, so that nothing falls between.
3. A large one is listed in slices, and what they bring can be claimed in between: a spooler of a
   million tasks starts the first at once. The order is that of what has been listed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from muleteer.spool import names
from muleteer.spool.arrivals import Arrival, Arrivals
from muleteer.spool.files import DRAFTS, sweep_draft, sweep_drafts, unavailable
from muleteer.spool.index import Index

__all__ = ["Survey"]

FIRST_SLICE: Final = 5_000
LATER_SLICES: Final = 500
"""Tasks listed in one go: some tens of milliseconds at first, later a few."""

_CLOCK_TICK_S: Final = 0.1


class Survey:
    """The tasks that lie in one spool directory, as far as this consumer knows."""

    def __init__(self, home: bytes, *, ordered: bool) -> None:
        self.home = home
        self._ordered = ordered
        self.index = Index()
        """Which tasks there are, and when to look at them."""
        self.is_stale = True
        """Nothing is known yet, or what was known is not sure."""
        self._listing: Iterator[tuple[bytes, float]] | None = None
        self._slice = 0
        self.arrivals: Arrivals | None = None
        self._place = (0, 0)
        self._listed_ns: dict[bytes, int] = {}

    def fileno(self) -> int | None:
        """The inotify descriptor, where there is one."""
        return self._ear().fd

    def close(self) -> None:
        """Know and hear nothing any more."""
        if self.arrivals is not None:
            self.arrivals.close()
            self.arrivals = None
        self.index, self.is_stale, self._listing = Index(), True, None

    @property
    def is_listing(self) -> bool:
        """Whether there is more in the directory than has been read."""
        return self._listing is not None

    def next_due(self) -> float | None:
        """See Store; as long as there is something to list the answer is "now"."""
        return 0.0 if self.is_stale or self.is_listing else self.index.next_due()

    def hear(self) -> bool:
        """Take in what is new; False when nothing can be. StoreUnavailable: it cannot be listed."""
        ear = self._ear()
        if self.is_stale or (ear.fd is None and not self.is_listing and self._has_changed()):
            self._begin_to_list()
        arrivals = ear.take()
        for arrival in arrivals or ():
            self._take_in(arrival)
        if arrivals is None or self.is_stale:
            self._begin_to_list()
        return self._list_on() or bool(arrivals)

    def is_sure(self, now: float) -> bool:
        """Whether the index holds all that may be due by now; else `hear` lists anew."""
        if self.is_listing:
            return False
        self.is_stale = self.is_stale or not self.index.is_whole(now)
        return not self.is_stale

    def check_place(self) -> None:
        """Doubt what is known when there is another directory, or none, where the listed one was.

        One that a process works in may be deleted and made anew without a word.
        """
        self.is_stale = self.is_stale or self._was_replaced()

    def tasks(self) -> list[bytes]:
        """The names of all tasks, in the order in which they would run; lists each time."""
        try:
            return sorted((name for name, _ in self._walk()), key=names.rank)
        except OSError as error:
            raise unavailable(self.home, "list tasks", error) from error

    def _ear(self) -> Arrivals:
        if self.arrivals is None:
            self.arrivals = Arrivals()
        return self.arrivals

    def _take_in(self, arrival: Arrival) -> None:
        name = arrival.folder + arrival.name
        if arrival.is_folder:
            if arrival.name.isdigit() and not arrival.folder:
                self.is_stale = True
        elif self._is_task(arrival.folder, arrival.name) and (
            arrival.moved or name not in self.index
        ):
            self.index.hear(name)

    def _begin_to_list(self) -> None:
        self.is_stale = False
        self._listed_ns = {}
        self.index.renew()
        self._listing, self._slice = self._walk(self._begin_to_watch), FIRST_SLICE

    def _list_on(self) -> bool:
        """Read a slice of the directories, and watch each before; False when all are read."""
        if self._listing is None:
            return False
        now, read = time.time(), 0
        try:
            for name, due in islice(self._listing, self._slice):
                read += 1
                if name not in self.index:
                    self.index.add(name, due if due > now else 0.0)
        except OSError as error:
            self._listing, self.is_stale = None, True
            raise unavailable(self.home, "list tasks", error) from error
        if read < self._slice:
            self._listing = None
            sweep_drafts(self.home + b"/" + DRAFTS)
        self._slice = LATER_SLICES
        return True

    def _begin_to_watch(self, folder: bytes, path: bytes) -> None:
        """Before it is listed, so that nothing falls between."""
        if not self._ear().watch(folder, path):
            self._ear().close()  # no more watches for this user: compare times instead
        status = os.stat(path)
        self._listed_ns[folder] = status.st_mtime_ns
        if not folder:
            self._place = (status.st_dev, status.st_ino)

    def _was_replaced(self) -> bool:
        """Whether there is another directory, or none, where the listed one was."""
        try:
            status = os.stat(self.home)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._place

    def _has_changed(self) -> bool:
        """Whether a directory was modified since it was listed, or too lately to tell."""
        recent_ns = time.time_ns() - int(_CLOCK_TICK_S * 1e9)
        try:
            changed_ns = {f: os.stat(self.home + b"/" + f).st_mtime_ns for f in self._listed_ns}
        except OSError:
            return True
        return changed_ns != self._listed_ns or max(changed_ns.values()) > recent_ns

    def _walk(
        self, enter: Callable[[bytes, bytes], None] = lambda folder, path: None
    ) -> Iterator[tuple[bytes, float]]:
        """Every task's name and due time; `enter` is told of each directory before it is read."""
        folders = [b""]
        for folder in folders:  # the first one makes it grow by those of the priorities
            path = self.home + b"/" + folder
            try:
                enter(folder, path)
                with os.scandir(path) as entries:
                    yield from self._tasks_in(folder, entries, folders)
            except FileNotFoundError:
                if not folder:
                    raise

    def _tasks_in(
        self, folder: bytes, entries: Iterable[os.DirEntry[bytes]], folders: list[bytes]
    ) -> Iterator[tuple[bytes, float]]:
        for entry in entries:
            try:
                if self._is_task(folder, entry.name) and entry.is_file(follow_symlinks=False):
                    yield folder + entry.name, entry.stat(follow_symlinks=False).st_mtime
                elif not folder and entry.name.isdigit() and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name + b"/")
                elif names.is_temporary(entry.name):
                    sweep_draft(entry)
            except FileNotFoundError:  # it ended while we listed
                continue

    def _is_task(self, folder: bytes, name: bytes) -> bool:
        return name.startswith(names.PREFIX) or (self._ordered and not folder and name.isdigit())
