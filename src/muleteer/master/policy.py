"""The policy: from the roster and the time to what is to be done. Pure: no process, no clock.

The master carries the actions out and tells the roster; then it asks again, until nothing is left
to do.

Rules:
1. Never more than one filling child per seat and generation.
2. A worker of the old generation goes when its successor is ready; a spooler goes before its
   successor is forked.
3. A child that dies young is not reborn in a hot loop; one that lived is reborn at once.
4. Every wait has an end: a start that takes too long and a mercy that passes end in one SIGKILL.
   A spooler is interrupted before that: its task shall know, and not count an attempt.
5. Recycling hurries nobody: a child that has done enough finishes what it does, however long that
   takes, until a stop or a reload asks it too, or two others of its seat are still leaving.

Runs in: the master.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from muleteer.ipc.scoreboard import Seat
from muleteer.master.roster import (
    ChildHandle,
    Mode,
    Phase,
    Roster,
    SeatHistory,
    ZygoteHandle,
    ZygotePhase,
)
from muleteer.master.waking import soonest

__all__ = [
    "Action",
    "Announce",
    "Decision",
    "Dismiss",
    "Finish",
    "Interrupt",
    "KillChild",
    "KillZygote",
    "Lifetimes",
    "Mercies",
    "Retire",
    "Spawn",
    "StartZygote",
    "decide",
    "note_death",
]

CHILDREN_PER_SEAT = 3
"""The one that serves, its successor, and one that still leaves: as many rows as there are."""

YOUNG_S = 5.0
"""A child that dies younger than this counts as one that could not live."""
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0
ALONE_DELAY_S = 0.5
"""The longest delay while no child of that kind is there: somebody has to answer."""
START_PATIENCE_S = 60.0
"""How long a forked child may take until it is ready (its post-fork hooks run in it)."""
ZYGOTE_MERCY_S = 5.0
ORPHAN_PATIENCE_S = 1.0
"""How long a child may stay silent whose zygote died.

It may have been forked in the last moment.
"""


INTERRUPTIBLE = ("spooler",)
"""The kinds that give up what they do when they are told to, and put it back."""
LAST_MOMENT_S = 5.0
"""What an interrupted child has until SIGKILL: its task may stand in C code, or not let go."""


@dataclass(frozen=True, slots=True)
class Mercies:
    """Seconds between being asked to leave and being killed, by kind."""

    worker: float = 60.0
    mule: float = 60.0
    spooler: float = 60.0
    watcher: float = 5.0
    gateway: float = 10.0

    def of(self, seat: Seat) -> float:
        """Return a seat's mercy."""
        return float(getattr(self, seat.kind))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds after which a child is replaced, by kind; 0 for never."""

    worker: float = 0.0
    worker_delta: float = 0.0
    mule: float = 0.0
    spooler: float = 0.0

    def of(self, seat: Seat) -> float:
        """Return a seat's lifetime: each next worker's is longer by the delta."""
        if seat.kind == "worker" and self.worker:
            return self.worker + self.worker_delta * (seat.id - 1)
        return float(getattr(self, seat.kind, 0.0))


@dataclass(frozen=True, slots=True)
class StartZygote:
    """Fork a zygote; `replaces` means: of the serving generation, whose own died."""

    generation: int
    replaces: bool


@dataclass(frozen=True, slots=True)
class Spawn:
    """Ask the serving generation's zygote for a child."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Retire:
    """Ask a child to leave, within its mercy or, unhurried, when its work is done."""

    child: ChildHandle
    unhurried: bool = False


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Tell a child to give up what it does; its mercy of so many seconds is over."""

    child: ChildHandle
    seconds: float


@dataclass(frozen=True, slots=True)
class KillChild:
    """Send a child SIGKILL."""

    child: ChildHandle
    why: str
    """"mercy", "interrupted", "start", "orphaned" or "now"."""
    seconds: float


@dataclass(frozen=True, slots=True)
class KillZygote:
    """Send a zygote SIGKILL."""

    zygote: ZygoteHandle


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Let a zygote go that has no children left."""

    zygote: ZygoteHandle


@dataclass(frozen=True, slots=True)
class Announce:
    """Every seat is filled by a ready child of the serving generation, and no older one is left."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left; the master may go."""


Action = (
    StartZygote | Spawn | Retire | Interrupt | KillChild | KillZygote | Dismiss | Announce | Finish
)


@dataclass(slots=True)
class Decision:
    """What to do now, and when to ask again if nothing happens before."""

    actions: list[Action] = field(default_factory=list)
    wake_at: float | None = None

    def later(self, when: float) -> None:
        """Ask again at `when` at the latest."""
        self.wake_at = soonest(self.wake_at, when)


def decide(
    roster: Roster, now: float, mercies: Mercies, lifetimes: Lifetimes | None = None
) -> Decision:
    """Say what is to be done at this moment."""
    decision = Decision()
    _end_patience(roster, now, mercies, decision)
    if roster.mode is not Mode.RUNNING:
        _stop(roster, decision)
        return decision
    _start_generations(roster, now, decision)
    _empty_unplanned(roster, decision)
    _hurry(roster, decision)
    for seat in roster.plan:
        _fill(roster, seat, now, decision)
    _end_lives(roster, now, lifetimes or Lifetimes(), decision)
    _dismiss_old(roster, decision)
    if not decision.actions and roster.announced != roster.generation and _complete(roster):
        decision.actions.append(Announce())
    return decision


def note_death(history: SeatHistory, lived_s: float, now: float, *, expected: bool) -> float:
    """Write a death into a seat's history; return the delay before the next child in seconds."""
    if expected or lived_s >= YOUNG_S:
        history.quick_deaths = 0
        history.not_before = history.not_before_alone = now
        return 0.0
    delay = min(FIRST_DELAY_S * 2**history.quick_deaths, LONGEST_DELAY_S)
    history.quick_deaths += 1
    history.not_before = now + delay
    history.not_before_alone = now + min(delay, ALONE_DELAY_S)
    return float(delay)


# -- waits that end ---------------------------------------------------------------------


def _end_patience(roster: Roster, now: float, mercies: Mercies, decision: Decision) -> None:
    for child in roster.children:
        ending = _patience(roster, child, mercies)
        if ending is None:
            continue
        why, seconds = ending
        if now < child.since + seconds:
            decision.later(child.since + seconds)
        elif why == "mercy" and child.seat.kind in INTERRUPTIBLE:
            decision.actions.append(Interrupt(child, seconds))
        else:
            decision.actions.append(KillChild(child, why, seconds))
    for zygote in roster.zygotes:
        if zygote.phase is ZygotePhase.DISMISSED:
            if now >= zygote.since + ZYGOTE_MERCY_S:
                decision.actions.append(KillZygote(zygote))
            else:
                decision.later(zygote.since + ZYGOTE_MERCY_S)


def _patience(roster: Roster, child: ChildHandle, mercies: Mercies) -> tuple[str, float] | None:
    if child.phase in (Phase.ASKED, Phase.RETIRING) and _is_nobodys(roster, child):
        return "orphaned", ORPHAN_PATIENCE_S
    if child.phase is Phase.RETIRING:
        return None if child.unhurried else ("mercy", mercies.of(child.seat))
    if child.phase is Phase.INTERRUPTED:
        return "interrupted", LAST_MOMENT_S
    if child.phase in (Phase.ASKED, Phase.FORKED):
        return "start", START_PATIENCE_S
    return None


def _is_nobodys(roster: Roster, child: ChildHandle) -> bool:
    """Was it asked of a zygote that died before it forked it?"""
    return not child.pid and roster.zygote_by_pid(child.zygote) is None


# -- stopping ---------------------------------------------------------------------------


def _stop(roster: Roster, decision: Decision) -> None:
    now_at_once = roster.mode is Mode.STOPPING_NOW
    for child in roster.children:
        if now_at_once and child.phase is not Phase.KILLED:
            decision.actions.append(KillChild(child, "now", 0.0))
        elif child.counts or child.unhurried:
            decision.actions.append(Retire(child))
    for zygote in roster.zygotes:
        if zygote.phase is ZygotePhase.LOADING:
            decision.actions.append(KillZygote(zygote))
        elif zygote.phase is ZygotePhase.READY and not _has_children(roster, zygote):
            decision.actions.append(Dismiss(zygote))
    if not (roster.children or roster.zygotes or roster.programs):
        decision.actions.append(Finish())


# -- generations ------------------------------------------------------------------------


def _start_generations(roster: Roster, now: float, decision: Decision) -> None:
    if roster.reload_wanted:
        loading = roster.loading_zygote()
        if loading is not None:  # the newest code wins
            decision.actions.append(KillZygote(loading))
        decision.actions.append(StartZygote(roster.newest + 1, replaces=False))
        return
    if roster.generation == 0 or roster.current_zygote() or roster.loading_zygote():
        return
    if now >= roster.zygote_history.not_before:
        decision.actions.append(StartZygote(roster.generation, replaces=True))
    else:
        decision.later(roster.zygote_history.not_before)


def _dismiss_old(roster: Roster, decision: Decision) -> None:
    for zygote in roster.zygotes:
        served_out = zygote.phase is ZygotePhase.READY and zygote.generation < roster.generation
        if served_out and not _has_children(roster, zygote):
            decision.actions.append(Dismiss(zygote))


def _has_children(roster: Roster, zygote: ZygoteHandle) -> bool:
    return any(child.zygote == zygote.pid for child in roster.children)


# -- seats ------------------------------------------------------------------------------


def _empty_unplanned(roster: Roster, decision: Decision) -> None:
    """The plan may lose a seat: a worker's or spooler's that is not needed, the watcher's."""
    unplanned = [c for c in roster.children if c.counts and c.seat not in roster.plan]
    decision.actions.extend(Retire(c, unhurried=c.seat.kind != "watcher") for c in unplanned)


def _hurry(roster: Roster, decision: Decision) -> None:
    """Give mercy to those who leave unhurried where a reload, or their seat's third, waits."""
    for child in roster.children:
        others = sum(not other.counts for other in roster.at(child.seat)) - 1
        if child.unhurried and (child.generation < roster.generation or others):
            decision.actions.append(Retire(child))


def _end_lives(roster: Roster, now: float, lifetimes: Lifetimes, decision: Decision) -> None:
    """Replace one child that is old enough, if nobody is just being replaced."""
    if decision.actions or any(c.phase in (Phase.ASKED, Phase.FORKED) for c in roster.children):
        return
    for child in roster.children:
        ends = _end_of_life(roster, child, lifetimes)
        alone = len(list(roster.at(child.seat))) == 1  # else its predecessor still works
        if ends is None or child.phase is not Phase.READY or not alone:
            continue
        if now >= ends:
            decision.actions.append(Retire(child, unhurried=True))
            return
        decision.later(ends)


def _end_of_life(roster: Roster, child: ChildHandle, lifetimes: Lifetimes) -> float | None:
    """When a child is to be replaced: at its age, or because all of its kind are to be."""
    lifetime = lifetimes.of(child.seat)
    outdated = roster.outdated.get(child.seat.kind, 0.0)
    if child.born < outdated:
        return outdated
    return child.born + lifetime if lifetime else None


def _fill(roster: Roster, seat: Seat, now: float, decision: Decision) -> None:
    here = list(roster.at(seat))
    current = next((c for c in here if c.counts and c.generation == roster.generation), None)
    old = [c for c in here if c.counts and c.generation != roster.generation]
    if current is not None:
        if current.phase is Phase.READY:
            decision.actions.extend(Retire(child) for child in old)
        return
    if roster.current_zygote() is None or _others_are_being_replaced(roster, seat, decision):
        return
    if seat.kind != "worker" and here:  # one process per channel reader: the old one leaves first
        decision.actions.extend(Retire(child) for child in old)
        return
    decision.actions.extend(Retire(child) for child in _superfluous(old))
    if len(here) >= CHILDREN_PER_SEAT:
        return  # those who leave have their mercy; a death is heard of
    reborn_at = _reborn_at(roster, seat, decision)
    if now < reborn_at:
        decision.later(reborn_at)
        return
    decision.actions.append(Spawn(seat))


def _superfluous(old: list[ChildHandle]) -> list[ChildHandle]:
    """All of a seat's old children but the one that serves until the successor does.

    There is more than one when the next reload came before the last one's child was ready.
    """
    keep = max(old, key=lambda c: (c.phase is Phase.READY, c.generation), default=None)
    return [child for child in old if child is not keep]


def _reborn_at(roster: Roster, seat: Seat, decision: Decision) -> float:
    """From when on the seat may be filled: sooner when nobody else does that work."""
    history = roster.seat_history(seat)
    others = any(c.counts and c.seat.kind == seat.kind for c in roster.children)
    coming = any(isinstance(a, Spawn) and a.seat.kind == seat.kind for a in decision.actions)
    return history.not_before if others or coming else history.not_before_alone


def _others_are_being_replaced(roster: Roster, seat: Seat, decision: Decision) -> bool:
    """In a reload children are replaced one by one: there is never much more than one too many."""
    if not any(c.generation < roster.generation and c.counts for c in roster.children):
        return False
    coming = any(
        c.generation == roster.generation and c.phase in (Phase.ASKED, Phase.FORKED)
        for c in roster.children
    )
    return coming or any(isinstance(action, Spawn) for action in decision.actions)


def _complete(roster: Roster) -> bool:
    return (
        bool(roster.generation)
        and all(_filled(roster, seat) for seat in roster.plan)
        and not _leftovers(roster)
    )


def _filled(roster: Roster, seat: Seat) -> bool:
    return any(
        c.phase is Phase.READY and c.generation == roster.generation for c in roster.at(seat)
    )


def _leftovers(roster: Roster) -> list[ChildHandle]:
    return [c for c in roster.children if c.generation < roster.generation]
