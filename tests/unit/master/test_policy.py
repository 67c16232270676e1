"""The master's decisions, without a process: facts and a time in, actions out."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from muleteer.ipc.scoreboard import Seat
from muleteer.master import policy
from muleteer.master.policy import decide, note_death
from muleteer.master.roster import (
    TRANSITIONS,
    ChildHandle,
    Event,
    Mode,
    Phase,
    Roster,
    SeatHistory,
    ZygoteHandle,
    ZygotePhase,
)

MERCIES = policy.Mercies(worker=60, spooler=30)
PLAN = (Seat("worker", 1), Seat("worker", 2), Seat("spooler", 1))


class World:
    """A master's world in memory.

    It carries actions out at once and lets a test make things happen.
    """

    def __init__(
        self, plan: tuple[Seat, ...] = PLAN, lifetimes: policy.Lifetimes | None = None
    ) -> None:
        self.lifetimes = lifetimes
        self.now = 1000.0
        self.roster = Roster(plan=plan, reload_wanted=True)
        self.pids = iter(range(100, 1_000_000))
        self.rows = iter(range(1_000_000))
        self.finished = False
        self.killed: list[int] = []
        self.interrupted: list[int] = []
        self.announced: list[int] = []

    def settle(self) -> float | None:
        """Do what the policy says until it says nothing more."""
        for _ in range(1000):
            decision = decide(self.roster, self.now, MERCIES, self.lifetimes)
            if not decision.actions or self.finished:
                return decision.wake_at
            for action in decision.actions:
                self.do(action)
        raise AssertionError("the policy never comes to rest")

    def do(self, action: policy.Action) -> None:
        match action:
            case policy.StartZygote(generation, replaces):
                self.roster.reload_wanted = False
                self.roster.newest = max(self.roster.newest, generation)
                handle = ZygoteHandle(next(self.pids), generation, self.now, replaces=replaces)
                self.roster.zygotes.append(handle)
            case policy.Spawn(seat):
                zygote = self.roster.current_zygote()
                assert zygote is not None, "a child is asked of nobody"
                self.roster.children.append(
                    ChildHandle(
                        seat,
                        next(self.rows),
                        self.roster.generation,
                        zygote.pid,
                        self.now,
                        self.now,
                    )
                )
            case policy.Retire(child, unhurried):
                child.since = self.now if child.unhurried else child.since
                child.hear(Event.RETIRE, self.now)
                child.unhurried = unhurried
            case policy.Interrupt(child):
                assert child.phase is Phase.RETIRING, "interrupted out of turn"
                assert child.seat.kind == "spooler"
                child.hear(Event.INTERRUPT, self.now)
                self.interrupted.append(child.row)
            case policy.KillChild(child):
                assert child.phase is not Phase.KILLED, "killed twice"
                child.hear(Event.KILL, self.now)
                self.killed.append(child.row)
            case policy.KillZygote(zygote):
                zygote.phase = ZygotePhase.KILLED
            case policy.Dismiss(zygote):
                zygote.phase, zygote.since = ZygotePhase.DISMISSED, self.now
            case policy.Announce():
                self.roster.announced = self.roster.generation
                self.announced.append(self.roster.generation)
            case policy.Finish():
                self.finished = True

    # -- what a test lets happen ---------------------------------------------------------

    def loaded(self) -> None:
        zygote = self.roster.loading_zygote()
        assert zygote is not None
        zygote.phase = ZygotePhase.READY
        self.roster.generation = zygote.generation

    def load_failed(self) -> None:
        zygote = self.roster.loading_zygote()
        assert zygote is not None
        self.roster.zygotes.remove(zygote)

    def fork_and_speak(self) -> None:
        for child in self.roster.children:
            if child.phase in (Phase.ASKED, Phase.FORKED):
                child.pid = child.pid or next(self.pids)
                child.hear(Event.FORK, self.now)
                child.hear(Event.SPEAK, self.now)

    def die(self, child: ChildHandle, *, expected: bool = False) -> float:
        self.roster.children.remove(child)
        history = self.roster.seat_history(child.seat)
        return note_death(history, self.now - child.born, self.now, expected=expected)

    def bury_leaving(self) -> None:
        for child in [c for c in self.roster.children if not c.counts]:
            self.die(child, expected=True)
        for zygote in list(self.roster.zygotes):
            if zygote.phase in (ZygotePhase.DISMISSED, ZygotePhase.KILLED):
                self.roster.zygotes.remove(zygote)

    def run_until_announced(self) -> None:
        generation = self.roster.newest
        for _ in range(100):
            self.settle()
            self.fork_and_speak()
            self.settle()
            self.bury_leaving()
            self.settle()
            if self.roster.announced >= generation:
                return
        raise AssertionError("never complete")

    def served(self) -> World:
        """A server whose first generation is complete."""
        self.settle()
        self.loaded()
        self.run_until_announced()
        self.now += 100
        return self


def seats(children: Iterator[ChildHandle] | list[ChildHandle]) -> list[str]:
    return sorted(str(child.seat) for child in children)


def test_first_start_fills_every_seat_and_announces_once() -> None:
    """The first generation forks every planned seat, and completeness is said once."""
    world = World().served()
    assert seats(world.roster.children) == ["spooler 1", "worker 1", "worker 2"]
    assert world.announced == [1]
    world.settle()
    assert world.announced == [1]


def test_nothing_is_forked_before_the_import() -> None:
    """While the zygote imports there is no child."""
    world = World()
    world.settle()
    assert world.roster.loading_zygote() is not None
    assert world.roster.children == []


def test_dead_worker_is_replaced_at_once() -> None:
    """A worker that lived long and dies is reborn without delay; nobody else is touched."""
    world = World().served()
    victim = world.roster.children[0]
    others = [c for c in world.roster.children if c is not victim]
    assert world.die(victim) == 0.0
    world.settle()
    assert len(world.roster.children) == 3
    assert all(c in world.roster.children and c.phase is Phase.READY for c in others)


def test_child_that_dies_at_once_is_not_reborn_in_a_hot_loop() -> None:
    """Each quick death doubles the delay up to the longest one."""
    history = SeatHistory()
    delays = [note_death(history, 0.01, now, expected=False) for now in range(12)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(delays) == delays[-1] == policy.LONGEST_DELAY_S
    assert note_death(history, policy.YOUNG_S, 100, expected=False) == 0.0


def test_somebody_answers_soon_however_often_all_die() -> None:
    """With every worker in its delay one of them comes back within half a second, not all."""
    world = World((Seat("worker", 1), Seat("worker", 2))).served()
    for child in list(world.roster.children):
        world.roster.seat_history(child.seat).quick_deaths = 9
        child.born = world.now
        assert world.die(child) == policy.LONGEST_DELAY_S
    assert world.settle() == world.now + policy.ALONE_DELAY_S
    world.now += policy.ALONE_DELAY_S
    world.settle()
    assert len(world.roster.children) == 1


def test_respawn_waits_for_its_delay() -> None:
    """During the delay nothing is spawned and the policy says when to come back."""
    world = World((Seat("worker", 1),)).served()
    world.die(world.roster.children[0])
    world.settle()
    delay = world.die(world.roster.children[0])
    assert delay == policy.FIRST_DELAY_S
    assert world.settle() == world.now + delay
    assert world.roster.children == []
    world.now += delay
    world.settle()
    assert seats(world.roster.children) == ["worker 1"]


def test_reload_keeps_every_seat_served() -> None:
    """In a reload a worker's successor is ready before the old one is asked to leave."""
    world = World().served()
    world.roster.reload_wanted = True
    world.settle()
    world.loaded()
    for _ in range(50):
        world.settle()
        for seat in PLAN[:2]:
            assert any(c.phase is Phase.READY for c in world.roster.at(seat))
        assert len(world.roster.children) <= len(PLAN) + 1
        world.fork_and_speak()
        world.settle()
        world.bury_leaving()
    assert {c.generation for c in world.roster.children} == {2}
    assert [z.generation for z in world.roster.zygotes] == [2]


def test_spooler_leaves_before_its_successor_is_forked() -> None:
    """Two spooler processes never fill one seat, so no task is started twice by a reload."""
    world = World((Seat("spooler", 1),)).served()
    world.roster.reload_wanted = True
    world.settle()
    world.loaded()
    world.settle()
    (old,) = world.roster.children
    assert old.phase is Phase.RETIRING
    assert seats(world.roster.children) == ["spooler 1"]
    world.die(old, expected=True)
    world.settle()
    assert [c.generation for c in world.roster.children] == [2]


def test_failed_reload_leaves_the_old_generation_alone() -> None:
    """When the new import fails nothing of the old generation is asked to leave."""
    world = World().served()
    before = list(world.roster.children)
    world.roster.reload_wanted = True
    world.settle()
    world.load_failed()
    world.settle()
    assert world.roster.children == before
    assert all(c.phase is Phase.READY for c in before)
    assert world.roster.generation == 1


def test_reload_during_a_reload_takes_the_newest_code() -> None:
    """A second reload while the first imports ends that import and starts another."""
    world = World().served()
    world.roster.reload_wanted = True
    world.settle()
    world.roster.reload_wanted = True
    world.settle()
    phases = {z.generation: z.phase for z in world.roster.zygotes}
    assert phases[2] is ZygotePhase.KILLED
    assert phases[3] is ZygotePhase.LOADING


def test_dead_zygote_is_replaced_and_its_children_go_on() -> None:
    """A zygote's death asks for another one of the same generation and touches no child."""
    world = World().served()
    before = list(world.roster.children)
    world.roster.zygotes.clear()
    decision = decide(world.roster, world.now, MERCIES)
    assert decision.actions == [policy.StartZygote(1, replaces=True)]
    world.settle()
    assert world.roster.children == before


def test_mercy_ends_in_one_kill() -> None:
    """A child that does not leave within its mercy is killed, once."""
    world = World((Seat("mule", 1),)).served()
    (child,) = world.roster.children
    child.hear(Event.RETIRE, world.now)
    world.settle()
    assert world.killed == []
    world.now += MERCIES.of(child.seat)
    world.settle()
    world.settle()
    assert (world.killed, world.interrupted) == ([child.row], [])


def test_a_spooler_is_interrupted_before_it_is_killed() -> None:
    """After its mercy it is told, once, to give its task up; if it lives on, it is killed, once."""
    world = World((Seat("spooler", 1),)).served()
    (child,) = world.roster.children
    child.hear(Event.RETIRE, world.now)
    assert world.settle() == world.now + MERCIES.of(child.seat)
    world.now += MERCIES.of(child.seat)
    wake_at = world.settle()
    world.settle()
    assert (world.interrupted, world.killed) == ([child.row], [])
    assert wake_at == world.now + policy.LAST_MOMENT_S, "nobody rings when the moment is over"
    world.now += policy.LAST_MOMENT_S
    world.settle()
    world.settle()
    assert (world.interrupted, world.killed) == ([child.row], [child.row])


def test_a_child_that_was_never_forked_is_not_waited_for() -> None:
    """A zygote may die between the order and the fork; a reload or a stop then needs no mercy."""
    world = World((Seat("worker", 1),))
    world.settle()
    world.loaded()
    world.settle()
    (asked,) = world.roster.children
    world.roster.zygotes.clear()
    world.roster.mode = Mode.STOPPING
    world.settle()
    assert asked.phase is Phase.RETIRING
    world.now += policy.ORPHAN_PATIENCE_S
    world.settle()
    assert world.killed == [asked.row]


def test_start_that_takes_too_long_ends_in_one_kill() -> None:
    """A child that never says that it is ready is killed."""
    world = World()
    world.settle()
    world.loaded()
    world.settle()
    for child in world.roster.children:
        child.hear(Event.FORK, world.now)
    world.now += policy.START_PATIENCE_S
    world.settle()
    assert len(world.killed) == len(set(world.killed)) == len(PLAN)


def test_stop_retires_everyone_and_finishes() -> None:
    """A stop asks every child to leave, then lets the zygote go, then ends."""
    world = World().served()
    world.roster.mode = Mode.STOPPING
    world.settle()
    assert all(c.phase is Phase.RETIRING for c in world.roster.children)
    assert not world.finished
    world.bury_leaving()
    world.settle()
    world.bury_leaving()
    world.settle()
    assert world.finished
    assert world.killed == []


def test_stop_at_once_kills_everyone() -> None:
    """A second stop request gives up what runs."""
    world = World().served()
    world.roster.mode = Mode.STOPPING_NOW
    world.settle()
    assert len(world.killed) == len(PLAN)


def test_every_phase_hears_every_event() -> None:
    """The table of states is complete: an event never meets a phase it does not know."""
    missing = [(p, e) for p in Phase for e in Event if (p, e) not in TRANSITIONS]
    assert missing == []


@pytest.mark.parametrize("seed", range(60))
def test_random_lives_break_no_invariant(seed: int) -> None:
    """Whatever happens in whatever order.

    No seat is filled twice, nobody is killed twice, and all heals.
    """
    dice = random.Random(seed)
    world = World()
    for _ in range(300):
        world.now += dice.choice([0.0, 0.01, 1.0, 70.0])
        _something_happens(world, dice)
        world.settle()
        for seat in world.roster.plan:
            filling = [c for c in world.roster.at(seat) if c.counts]
            assert len([c for c in filling if c.generation == world.roster.generation]) <= 1
            if seat.kind == "spooler":
                assert len(list(world.roster.at(seat))) <= 1
    _heal(world)
    assert seats([c for c in world.roster.children if c.counts]) == seats_of(world.roster.plan)


def seats_of(plan: tuple[Seat, ...]) -> list[str]:
    return sorted(str(seat) for seat in plan)


def _something_happens(world: World, dice: random.Random) -> None:
    roster = world.roster
    loading = roster.loading_zygote()
    match dice.randrange(7):
        case 0 if loading:
            world.loaded()
        case 1 if loading and roster.generation:
            world.load_failed()
        case 2:
            world.fork_and_speak()
        case 3 if roster.children:
            world.die(dice.choice(roster.children))
        case 4:
            world.bury_leaving()
        case 5 if roster.generation and dice.random() < 0.2:
            roster.reload_wanted = True
        case 6 if roster.generation and roster.zygotes and dice.random() < 0.2:
            roster.zygotes.remove(dice.choice(roster.zygotes))


def _heal(world: World) -> None:
    for _ in range(60):
        world.now += policy.LONGEST_DELAY_S
        world.settle()
        if world.roster.loading_zygote():
            world.loaded()
        world.settle()
        world.fork_and_speak()
        world.settle()
        world.bury_leaving()
        world.settle()


# -- a seat that comes and goes: the watcher's --------------------------------------------------

WATCHER = Seat("watcher", 1)


def test_a_seat_that_is_planned_later_is_filled() -> None:
    """Something is watched from now on; nobody else is disturbed, and nothing is announced anew."""
    world = World().served()
    before = list(world.roster.children)
    world.roster.plan = (*PLAN, WATCHER)
    world.settle()
    assert seats(world.roster.at(WATCHER)) == ["watcher 1"]
    world.fork_and_speak()
    world.settle()
    assert all(child in world.roster.children for child in before)
    assert world.announced == [1]


def test_a_seat_that_is_no_longer_planned_is_emptied() -> None:
    """The child of it is asked to leave, once; a reload does not wait for it for ever."""
    world = World((*PLAN, WATCHER)).served()
    world.roster.plan = PLAN
    world.settle()
    [watcher] = world.roster.at(WATCHER)
    assert watcher.phase is Phase.RETIRING
    world.bury_leaving()
    world.settle()
    assert list(world.roster.at(WATCHER)) == []


def test_a_reload_replaces_the_watcher_when_the_old_one_is_gone() -> None:
    """One process reads its queue: the new one comes when the old one has left."""
    world = World((*PLAN, WATCHER)).served()
    world.roster.reload_wanted = True
    world.settle()
    world.loaded()
    world.run_until_announced()
    assert [child.generation for child in world.roster.at(WATCHER)] == [2]


# -- recycling --------------------------------------------------------------------------


def test_workers_that_are_old_enough_are_replaced_one_at_a_time() -> None:
    """With one lifetime for all, never more than one worker is on its way."""
    world = World((Seat("worker", 1), Seat("worker", 2), Seat("worker", 3)))
    world.served()
    born = world.roster.children[0].born
    world.lifetimes = policy.Lifetimes(worker=1000)
    assert world.settle() == born + 1000
    world.now = born + 1000
    for _ in range(3):
        before = [c for c in world.roster.children if c.phase is Phase.READY]
        world.settle()
        assert len([c for c in before if c.phase is Phase.READY]) == len(before) - 1
        world.fork_and_speak()
        world.bury_leaving()
    assert {c.born for c in world.roster.children} == {born + 1000}
    assert world.settle() == born + 2000


def test_all_of_a_kind_may_be_replaced_at_once_one_after_the_other() -> None:
    """`touch-workers-reload`: those born before, each once, and nobody else."""
    world = World().served()
    spooler = next(world.roster.at(Seat("spooler", 1)))
    old = [c for c in world.roster.children if c is not spooler]
    world.roster.outdated["worker"] = world.now
    for _ in range(4):
        world.settle()
        assert sum(c.phase is Phase.READY for c in world.roster.children) >= 2
        world.now += 1
        world.fork_and_speak()
        world.bury_leaving()
    assert spooler in world.roster.children
    assert not set(map(id, old)) & set(map(id, world.roster.children))
    assert seats(world.roster.children) == ["spooler 1", "worker 1", "worker 2"]
    assert world.settle() is None


def test_each_next_worker_lives_longer_by_the_delta() -> None:
    """The lifetime of worker 3 is the option and twice its delta; no option, no lifetime."""
    lifetimes = policy.Lifetimes(worker=100, worker_delta=7, spooler=5)
    assert lifetimes.of(Seat("worker", 3)) == 114
    assert (lifetimes.of(Seat("spooler", 2)), lifetimes.of(Seat("mule", 1))) == (5, 0)
    assert policy.Lifetimes(worker_delta=7).of(Seat("worker", 3)) == 0
    assert lifetimes.of(Seat("watcher", 1)) == 0


def test_recycled_child_finishes_its_work_however_long_that_takes() -> None:
    """Mercy is for those somebody waits for: a recycled worker's seat is filled already."""
    world = World((Seat("worker", 1),), policy.Lifetimes(worker=50)).served()
    world.settle()
    old, new = world.roster.children
    assert (old.phase, new.phase) == (Phase.RETIRING, Phase.ASKED)
    world.fork_and_speak()
    world.now += 10 * MERCIES.of(old.seat)
    world.settle()
    assert world.roster.children == [old, new], "the new one's time is over too, but the old works"
    assert world.killed == []


@pytest.mark.parametrize("asked_by", ["stop", "reload"])
def test_stop_and_reload_give_a_recycled_child_its_mercy_from_then_on(asked_by: str) -> None:
    """It was never asked to hurry before: its mercy begins when somebody waits for it."""
    world = World((Seat("worker", 1),), policy.Lifetimes(worker=50)).served()
    world.settle()
    world.fork_and_speak()
    world.lifetimes = None
    old = world.roster.children[0]
    world.now += 1000
    if asked_by == "stop":
        world.roster.mode = Mode.STOPPING
    else:
        world.roster.reload_wanted = True
        world.settle()
        world.loaded()
    world.settle()
    assert (old.unhurried, old.since) == (False, world.now)
    world.now += MERCIES.of(old.seat) - 1
    world.settle()
    assert old.row not in world.killed
    world.now += 1
    world.settle()
    assert old.row in world.killed


def test_a_seat_has_no_more_children_than_rows() -> None:
    """However often it is recycled: the third waits, and those who leave are hurried for it."""
    world = World((Seat("worker", 1),)).served()
    for _ in range(10):
        for child in world.roster.children:  # `max-requests`: each decides for itself
            child.unhurried = child.unhurried or child.counts
            child.hear(Event.RETIRE, world.now)
        world.settle()
        world.fork_and_speak()
        assert len(world.roster.children) <= policy.CHILDREN_PER_SEAT
    world.now += MERCIES.worker
    world.settle()
    assert world.killed


def test_many_reloads_in_a_row_come_to_rest() -> None:
    """Requests that outlive three reloads keep the fourth waiting, not the master spinning."""
    world = World((Seat("worker", 1),)).served()
    for _ in range(6):
        world.roster.reload_wanted = True
        world.settle()
        world.loaded()
        world.settle()
        world.fork_and_speak()
        assert len(world.roster.children) <= policy.CHILDREN_PER_SEAT
    world.bury_leaving()
    world.run_until_announced()


@pytest.mark.parametrize("becomes_ready", [False, True])
def test_reloads_that_overtake_their_children_come_to_rest(becomes_ready: bool) -> None:
    """Each was loaded before the last one's child was ready: the seat is served, and not full."""
    world = World((Seat("worker", 1),)).served()
    for _ in range(6):
        world.roster.reload_wanted = True
        world.settle()
        if becomes_ready:  # between the order to reload and the code that is loaded
            world.fork_and_speak()
        world.loaded()
        world.settle()
        assert any(c.counts and c.phase is Phase.READY for c in world.roster.children)
        assert len(world.roster.children) <= policy.CHILDREN_PER_SEAT
    world.run_until_announced()
    assert len(world.roster.children) == 1
