"""Spoolers that rest: with `spooler-cheap` one that has nothing to do leaves, and is called back.

A spooler says when it has been idle for long enough and when its next task is due. While it is
away the master hears for it: of files in its directory, of signals, of the time.

Rules
1. A call is answered by one spooler of the directory, and only if none of those that are there is
   idle: who is idle takes what is there. It stays open until one has been seen idle, so that a
   backlog brings back one after the other.
2. The master listens before the spooler goes, and the spooler looks once more when it goes: so
   nothing falls between.
3. Nothing is read here: a file is a call, whatever is in it.
4. Where files cannot be heard (no inotify), and for what a busy spooler alone may know of, there is
   a call at every `spooler-frequency`. What other machines put into a network file system is not
   heard of.

Runs in: the master.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from functools import partial

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.scoreboard import Row, Scoreboard, Seat, State
from muleteer.ipc.targets import spooler_pipe
from muleteer.master.ears import Ears
from muleteer.master.waking import soonest
from muleteer.spool.arrivals import Arrivals

__all__ = ["Resting"]

_LOOK_S = 0.5
_LEAD_S = 0.1
"""So much before a task is due its spooler is called: it has to be forked."""


class _Post:
    """One directory: who of its spoolers is away, and whether somebody is called."""

    def __init__(self, directory: str, numbers: frozenset[int]) -> None:
        self.directory = directory
        self.numbers = numbers
        self.away: set[int] = set()
        self.called = False
        self.due: float | None = None
        """The wall time at which a resting spooler's next task is due."""
        self.heard_at = time.monotonic()
        self.arrivals: Arrivals | None = None

    @property
    def hears_all(self) -> bool:
        """Is there nothing but what is heard: no busy spooler with a plan of its own?"""
        hears = self.arrivals is not None and self.arrivals.fd is not None
        return hears and self.away == self.numbers


class Resting:
    """Which spoolers are to be there, and what those that are away would hear."""

    def __init__(
        self,
        settings: Settings,
        scoreboard: Scoreboard,
        switchboard: Switchboard,
        selector: selectors.BaseSelector,
    ) -> None:
        self._settings = settings
        self._scoreboard = scoreboard
        self._switchboard = switchboard
        self._ears = Ears(selector)
        seats = settings.spooler_seats
        self._posts = [
            _Post(path, frozenset(n for n, own in enumerate(seats, 1) if own == path))
            for path in settings.spooler
        ]

    @property
    def seats(self) -> tuple[Seat, ...]:
        """The spoolers' seats that are to be filled."""
        there = [number for post in self._posts for number in post.numbers - post.away]
        return tuple(Seat("spooler", number) for number in sorted(there))

    def follow(self, settings: Settings) -> None:
        """A new generation serves: without `spooler-cheap` everybody comes back."""
        self._settings = settings
        if not settings.spooler_cheap:
            for post in self._posts:
                self._come_back(post, set(post.away))

    # -- what is said and heard --------------------------------------------------------------

    def rest(self, row: Row, due: float | None) -> None:
        """A spooler has been idle for long; the wall time of its next task, if it knows of one."""
        post = self._post_of(row.seat.id)
        if post is None or not self._settings.spooler_cheap or row.seat.id in post.away:
            return
        journal.spooler_rests(row.seat.id, post.directory)
        post.away.add(row.seat.id)
        post.due = soonest(post.due, due)
        post.heard_at = time.monotonic()
        self._listen(post)

    def call(self, directory: str) -> None:
        """A spooler that leaves has seen something to do there."""
        for post in self._posts:
            if post.directory == directory:
                self._called(post)

    def next_look(self) -> float | None:
        """When to look again at the latest (monotonic); None: nobody is away."""
        now = time.monotonic()
        return soonest(*(self._look_at(post, now) for post in self._posts))

    def look(self) -> None:
        """Call somebody back where it is time to, or where all who are there are busy."""
        now = time.monotonic()
        for post in self._posts:
            when = self._look_at(post, now)
            if when is not None and now >= when:
                self._called(post)

    def _post_of(self, number: int) -> _Post | None:
        return next((post for post in self._posts if number in post.numbers), None)

    def _look_at(self, post: _Post, now: float) -> float | None:
        if not post.away:
            return None
        if post.called:
            return post.heard_at + _LOOK_S
        times = [] if post.hears_all else [post.heard_at + self._frequency]
        if post.due is not None:
            times.append(now + max(post.due - time.time() - _LEAD_S, 0.0))
        return min(times, default=None)

    @property
    def _frequency(self) -> float:
        return self._scoreboard.spooler_frequency or self._settings.spooler_frequency

    # -- calling -------------------------------------------------------------------------------

    def _called(self, post: _Post) -> None:
        """Somebody is to look at the directory: one who is there and idle, or one who is away."""
        post.heard_at = time.monotonic()
        if post.due is not None and post.due - _LEAD_S <= time.time():
            post.due = None  # who comes back knows better
        rows = [r for r in self._scoreboard.taken("spooler") if r.seat.id in post.numbers]
        there = [row for row in rows if row.seat.id not in post.away]
        post.called = all(row.running for row in there if row.state is State.READY)
        coming = any(row.state is State.FORKED for row in there)
        free = post.away - {row.seat.id for row in rows}  # the others have not left yet
        if post.called and free and not coming:
            self._come_back(post, {min(free)})
        else:
            self._arrange()

    def _come_back(self, post: _Post, numbers: set[int]) -> None:
        for number in sorted(numbers):
            journal.spooler_called(number, post.directory)
        post.away -= numbers
        done_with = None if post.away else post.arrivals
        if not post.away:
            post.called, post.due, post.arrivals = False, None, None
        self._arrange()
        if done_with is not None:
            done_with.close()

    # -- listening -----------------------------------------------------------------------------

    def _listen(self, post: _Post) -> None:
        if post.arrivals is None:
            post.arrivals = Arrivals()
            path = os.fsencode(post.directory)
            post.arrivals.watch(b"", path)
            try:
                folders = [name for name in os.listdir(path) if name.isdigit()]
            except OSError:
                folders = []  # the directory is away; the frequency is left
            for folder in folders:
                post.arrivals.watch(folder + b"/", path + b"/" + folder)
        self._arrange()

    def _arrived(self, post: _Post) -> None:
        arrivals = post.arrivals.take() if post.arrivals is not None else None
        for arrival in arrivals or ():
            if arrival.is_folder and arrival.name.isdigit() and post.arrivals is not None:
                path = os.fsencode(post.directory) + b"/" + arrival.name
                post.arrivals.watch(arrival.name + b"/", path)
        self._called(post)

    def _arrange(self) -> None:
        """Hear files where somebody is away, bells and signals where nobody is there to take them.

        Not while a call is open: they stay readable until they are taken.
        """
        wanted: dict[int, Callable[[], None]] = {}
        for post in self._posts:
            if post.arrivals is not None and post.arrivals.fd is not None:
                wanted[post.arrivals.fd] = partial(self._arrived, post)
            if post.away == post.numbers and not post.called:
                call = partial(self._called, post)
                wanted[self._switchboard.spooler_bells[post.directory].read_fd] = call
                wanted[self._switchboard.signals[spooler_pipe(post.directory)].read_fd] = call
        if self._posts and not self.seats and not any(post.called for post in self._posts):
            call = partial(self._called, self._posts[0])
            wanted[self._switchboard.signals["spooler"].read_fd] = call
        self._ears.hear(wanted)

    def close(self) -> None:
        """Hear nothing more, and call nobody: the server stops."""
        self._ears.close()
        self.let_go()

    def let_go(self) -> None:
        """Close what only the master needs."""
        for post in self._posts:
            if post.arrivals is not None:
                post.arrivals.close()
