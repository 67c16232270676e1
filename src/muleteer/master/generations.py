"""Generations: their zygotes as processes, what they report, and what becomes of a reload.

Children are children.py's; when a zygote is started or let go is the policy's.

Runs in: the master.
"""

from __future__ import annotations

import os
import selectors
import signal as unix_signals
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from muleteer import journal
from muleteer.config.options import FIXED, Settings
from muleteer.errors import ChannelFull
from muleteer.ipc.channels import Endpoint, message_pair
from muleteer.master import policy
from muleteer.master.children import Children, how, lives
from muleteer.master.roster import Mode, Roster, ZygoteHandle, ZygotePhase

__all__ = ["ForkZygote", "Generations"]

ForkZygote = Callable[[Settings, int, Endpoint, Callable[[], None]], int]
Declared = list[dict[str, Any]]


class Generations:
    """The zygotes, from outside."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        children: Children,
        selector: selectors.BaseSelector,
        fork_zygote: ForkZygote,
        read_settings: Callable[[], Settings],
        let_go: Callable[[], None],
        publish: Callable[[Declared, str | None], None],
    ) -> None:
        self.settings = settings
        """The serving generation's."""
        self.cannot_start = False
        """The first generation could not be loaded; there is no server."""
        # -- the rest of the master
        self._roster = roster
        self._children = children
        self._selector = selector
        self._fork_zygote = fork_zygote
        self._read_settings = read_settings
        self._let_go = let_go
        self._publish = publish
        # -- each zygote, by its pid
        self._links: dict[int, Endpoint] = {}
        self._declared: dict[int, Declared] = {}
        self._next_settings: dict[int, Settings] = {}

    # -- doing ---------------------------------------------------------------------------

    def start(self, action: policy.StartZygote) -> None:
        """Fork a zygote; with an error in the configuration the reload ends here."""
        self._roster.reload_wanted = False
        settings = self.settings if action.replaces else self._reread_settings(action.generation)
        if settings is None:
            return
        ours, theirs = message_pair()

        def let_go() -> None:
            for link in (ours, *self._links.values()):
                link.close()
            self._let_go()

        pid = self._fork_zygote(settings, action.generation, theirs, let_go)
        theirs.close()
        self._links[pid] = ours
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear_zygote(pid, ours))
        zygote = ZygoteHandle(pid, action.generation, time.monotonic(), replaces=action.replaces)
        self._roster.zygotes.append(zygote)
        self._roster.newest = max(self._roster.newest, action.generation)
        self._declared[pid] = []
        self._next_settings[pid] = settings
        journal.zygote_forked(action.generation, pid)

    def _reread_settings(self, generation: int) -> Settings | None:
        """Read the configuration again for a reload; None when it has an error."""
        if generation == 1:
            return self.settings
        try:
            return self._with_fixed(self._read_settings())
        except Exception as error:  # noqa: BLE001 - a file may be wrong in any way
            self._reload_failed(generation, str(error))
            self._roster.newest = generation
            return None

    def _with_fixed(self, fresh: Settings) -> Settings:
        """The new settings with the old values of what only a restart can change; says so."""
        changed = [n for n in FIXED if getattr(fresh, n) != getattr(self.settings, n)]
        for name in changed:
            journal.notice(f"{fresh.where(name)}: takes effect at the next start, not at a reload")
        return replace(fresh, **{name: getattr(self.settings, name) for name in changed})

    def order(self, zygote: ZygoteHandle, row: int) -> None:
        """Ask a zygote for the child of a row; one that does not listen is replaced."""
        try:
            self._links[zygote.pid].send({"op": "spawn", "row": row}, patience_s=0.0)
        except ChannelFull:  # it forks one after the other and has hundreds of orders in hand
            journal.notice("the zygote is stuck; it is replaced")
            os.kill(zygote.pid, unix_signals.SIGKILL)

    def end(self, zygote: ZygoteHandle, phase: ZygotePhase) -> None:
        """Hang up on a zygote: it leaves, unless it is killed."""
        zygote.phase, zygote.since = phase, time.monotonic()
        link = self._links.pop(zygote.pid, None)
        if link is not None:
            self._selector.unregister(link)
            link.close()

    # -- hearing -------------------------------------------------------------------------

    def _hear_zygote(self, pid: int, link: Endpoint) -> None:
        if self._links.get(pid) is not link:
            return  # its death was heard in this very turn, and closed the link
        for message in link.take_all():
            match message["op"]:
                case "source" | "signal":
                    self._declared[pid].append(message)
                case "loaded":
                    self._zygote_loaded(pid, message)
                case "failed":
                    self._zygote_failed(pid, message["why"])
                case "forked":
                    self._children.forked(message["row"], message["pid"])
                case "died":
                    self._children.died(message["pid"], message["status"])

    def _zygote_loaded(self, pid: int, message: dict[str, Any]) -> None:
        zygote = self._roster.zygote_by_pid(pid)
        if zygote is None or zygote.phase is not ZygotePhase.LOADING:
            return
        zygote.phase, zygote.since = ZygotePhase.READY, time.monotonic()
        declared, settings = self._declared.pop(pid), self._next_settings.pop(pid)
        if zygote.replaces:
            if message["fingerprint"] == self._roster.fingerprint:
                return
            self._roster.newest += 1
            zygote.generation = self._roster.newest
            journal.zygote_differs(zygote.generation)
        self.settings = settings
        self._roster.generation = zygote.generation
        self._roster.fingerprint = message["fingerprint"]
        self._roster.zygote_history.quick_deaths = 0
        self._publish(declared, message["zone"])

    def _zygote_failed(self, pid: int, why: str) -> None:
        zygote = self._roster.zygote_by_pid(pid)
        if zygote is not None and zygote.phase is ZygotePhase.LOADING:
            zygote.phase = ZygotePhase.FAILED
            self._load_ended(zygote, why)

    def died(self, zygote: ZygoteHandle, status: int) -> None:
        """A zygote is dead: hear its last words, and what its end means."""
        link = self._links.get(zygote.pid)
        if link is not None:
            self._hear_zygote(zygote.pid, link)  # its last words
        phase = zygote.phase
        self.end(zygote, ZygotePhase.KILLED)
        self._roster.zygotes.remove(zygote)
        self._declared.pop(zygote.pid, None)
        self._next_settings.pop(zygote.pid, None)
        self._find_lost(zygote)
        if phase is ZygotePhase.LOADING:
            self._load_ended(zygote, f"its import ended the process ({how(status)})")
        elif phase is ZygotePhase.READY:
            self._zygote_lost(zygote, status)

    def _find_lost(self, zygote: ZygoteHandle) -> None:
        """Hear of the children whose deaths a zygote took with it into its own."""
        for child in [c for c in self._roster.children if c.zygote == zygote.pid]:
            child.pid = child.pid or self._children.row(child).pid
            if child.pid and not lives(child.pid):
                self._children.died(child.pid, unix_signals.SIGKILL)

    def _zygote_lost(self, zygote: ZygoteHandle, status: int) -> None:
        """A loaded zygote died: its children go on, and the policy asks for another one."""
        if zygote.generation == self._roster.generation and self._roster.mode is Mode.RUNNING:
            now = time.monotonic()
            history = self._roster.zygote_history
            policy.note_death(history, now - zygote.since, now, expected=False)
            history.not_before = history.not_before_alone  # without it no child is replaced
            journal.zygote_died(zygote.generation, how(status), history.not_before - now)

    def _load_ended(self, zygote: ZygoteHandle, why: str) -> None:
        """An import failed: no server yet, a reload that is given up, or a new try later."""
        now = time.monotonic()
        if self._roster.generation == 0:
            journal.cannot_start(why)
            self.cannot_start = True
            return
        if zygote.replaces:
            journal.load_failed(zygote.generation, why)
            policy.note_death(self._roster.zygote_history, 0.0, now, expected=False)
        else:
            self._reload_failed(zygote.generation, why)

    def _reload_failed(self, generation: int, why: str) -> None:
        """Say it in the log, and remember it for whoever asks."""
        journal.load_failed(generation, why)
        journal.reload_failed(generation, self._roster.generation)
        self._roster.reloads.fail(generation, time.time(), why)
