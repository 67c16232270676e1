"""How many workers there are to be: loads and a time in, numbers out."""

from __future__ import annotations

import random

import pytest

from muleteer.master.crew import Bounds, Crew, Load

FULL = Load(1.0, True)
HALF = Load(0.5, False)
NONE = Load(0.0, False)


class Site:
    """A crew and a clock; every look comes a second after the last one."""

    def __init__(self, bounds: Bounds, *, rests: bool = False) -> None:
        self.now = 100.0
        self.crew = Crew(bounds, self.now, rests=rests)

    def look(self, load: Load, times: int = 1, *, queue: int = 0, requests: bool = True) -> int:
        """Everybody who is there has this load; returns how many are there afterwards."""
        for _ in range(times):
            self.now += 1
            loads = dict.fromkeys(self.crew.there, load)
            self.crew.look(self.now, loads, queue, requests=requests)
        return len(self.crew.there)


def site(most: int = 8, least: int = 2, **more: float) -> Site:
    return Site(Bounds(most, least, **{"initial": least, **more}))  # type: ignore[arg-type]


def test_it_begins_with_the_initial_number() -> None:
    """`cheaper-initial`, the lowest numbers first."""
    assert site(initial=3).crew.there == {1, 2, 3}
    assert site(most=4, least=4).crew.there == {1, 2, 3, 4}


def test_it_grows_by_a_step_when_all_were_busy_long_enough() -> None:
    """Two looks are too few, the third is `cheaper-overload`; then it begins to count anew."""
    here = site(step=2, overload=3)
    assert here.look(FULL, 2) == 2
    assert here.look(FULL) == 4
    assert here.look(FULL, 2) == 4
    assert here.look(FULL) == 6


def test_it_grows_at_once_when_clients_wait() -> None:
    """All are busy and somebody is in the queue: there is nothing to wait for."""
    assert site().look(FULL, queue=1) == 3
    assert site().look(HALF, queue=1) == 2


def test_it_never_grows_beyond_its_bounds() -> None:
    """`processes` is the most there can be."""
    assert site(most=4, step=3, overload=1).look(FULL, 10) == 4


def test_one_look_with_time_to_spare_begins_the_count_anew() -> None:
    """Overload means without a break."""
    here = site(overload=3)
    here.look(FULL, 2)
    here.look(HALF)
    assert here.look(FULL, 2) == 2


def test_who_is_still_on_the_way_is_waited_for() -> None:
    """Workers that are not ready have no load: nothing is decided without them."""
    here = site(overload=1)
    here.crew.look(101, {1: FULL}, 5, requests=True)
    assert here.crew.there == {1, 2}


def test_it_shrinks_one_by_one_down_to_the_least() -> None:
    """After as many looks as for growing, one leaves; `cheaper` stay."""
    here = site(initial=4, overload=3)
    assert here.look(NONE, 2) == 4
    assert here.look(NONE) == 3
    assert here.look(NONE, 3) == 2
    assert here.look(NONE, 30) == 2


def test_it_keeps_a_worker_that_is_needed() -> None:
    """Four at half their time are two at all of it: three have a quarter to spare, two nothing."""
    here = site(initial=4, overload=1)
    assert here.look(HALF) == 3
    assert here.look(Load(0.67, False), 20) == 3


def test_only_an_idle_worker_is_let_go() -> None:
    """The highest that does nothing and for which nothing waits; a long request stays."""
    here = site(initial=5, overload=1)
    busy, waits = Load(0.1, True), Load(0.0, False, signals=1)
    here.crew.look(101, {1: NONE, 2: NONE, 3: NONE, 4: waits, 5: busy}, 0, requests=True)
    assert here.crew.there == {1, 2, 4, 5}
    here.crew.look(102, {1: busy, 2: busy, 4: waits, 5: busy}, 0, requests=True)
    assert here.crew.there == {1, 2, 4, 5}


def test_a_called_worker_stays_until_its_signals_are_handled() -> None:
    """It comes for its signals, is no part of the size, and leaves as soon as it can."""
    here = site(overload=1)
    here.crew.call(5)
    assert here.crew.there == {1, 2, 5}
    serving = {1: NONE, 2: NONE}
    here.crew.look(101, serving, 0, requests=False)  # it is not ready yet
    here.crew.look(102, {**serving, 5: Load(0.0, False, signals=1)}, 0, requests=False)
    here.crew.look(103, {**serving, 5: Load(0.0, True)}, 0, requests=False)
    assert here.crew.there == {1, 2, 5}
    here.crew.look(104, {**serving, 5: NONE}, 0, requests=False)
    assert here.crew.there == {1, 2}
    here.crew.call(1)
    assert here.crew.called == frozenset()


def test_all_leave_after_idle_seconds_without_a_request() -> None:
    """`idle`: the last look with a request, a client or a busy worker counts."""
    here = site(idle_s=5)
    here.look(NONE, requests=True)
    assert here.look(NONE, 4, requests=False) == 2
    assert here.look(Load(0.0, True), requests=False) == 2
    assert here.look(NONE, 4, requests=False) == 2
    assert here.look(NONE, requests=False) == 0
    assert not here.crew.is_watched


def test_a_signal_that_waits_keeps_an_idle_crew() -> None:
    """Nobody leaves with work for them in the pipe."""
    here = site(idle_s=5)
    waits = Load(0.0, False, signals=1)
    assert here.look(waits, 20, requests=False) == 2
    assert here.look(NONE, requests=False) == 0


def test_a_client_wakes_a_resting_crew() -> None:
    """As many come as at the start, and the idle time begins anew."""
    here = site(idle_s=5, initial=3)
    here.look(NONE, 10, requests=False)
    assert here.crew.there == frozenset()
    here.crew.wake(here.now)
    assert here.crew.there == {1, 2, 3}
    assert here.look(NONE, 2, requests=False) >= 2


def test_a_signal_wakes_one_and_it_leaves_again() -> None:
    """A timer's tick in the night costs one fork, not a crew."""
    here = site(idle_s=5)
    here.look(NONE, 10, requests=False)
    here.crew.call(1)
    assert here.crew.there == {1}
    assert here.crew.is_watched
    assert here.look(NONE, requests=False) == 0


def test_a_cheap_server_begins_with_nobody() -> None:
    """`cheap`: the first client brings the workers."""
    here = Site(Bounds(4, 4, 4), rests=True)
    assert here.crew.there == frozenset()
    here.crew.wake(100)
    assert len(here.crew.there) == 4


@pytest.mark.parametrize(("least", "most", "there"), [(4, 8, 4), (1, 2, 2), (1, 8, 3)])
def test_a_reload_brings_other_bounds(least: int, most: int, there: int) -> None:
    """Too few grow, too many shrink, anything between stays."""
    here = site(initial=3)
    here.crew.follow(Bounds(most, least, least))
    assert len(here.crew.there) == there


def test_a_fixed_number_needs_no_looks() -> None:
    """Without `cheaper` and `idle` the master is not woken for it."""
    assert not Site(Bounds(4, 4, 4)).crew.is_watched


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_it_stays_within_its_bounds(seed: int) -> None:
    """Random loads, calls, rests and clients: never too many, never too few while it works."""
    dice = random.Random(seed)
    print("seed", seed)
    here = site(most=6, least=2, initial=3, idle_s=7, overload=2, step=2)
    for _ in range(500):
        here.now += 1
        match dice.randrange(6):
            case 0:
                here.crew.call(dice.randint(1, 6))
            case 1 if not here.crew.working:
                here.crew.wake(here.now)
            case _:
                busy = dice.random() < 0.3
                loads = {
                    n: Load(dice.choice([0, 1, dice.random()]), busy, dice.choice([0, 0, 0, 1]))
                    for n in here.crew.there
                    if dice.random() < 0.9
                }
                before = here.crew.there
                here.crew.look(here.now, loads, dice.choice([0, 0, 1]), requests=busy)
                gone = before - here.crew.there
                assert not any(loads[n].is_busy or loads[n].signals for n in gone if n in loads)
        assert here.crew.there <= set(range(1, 7))
        assert not here.crew.working or len(here.crew.working) >= 2
        assert not here.crew.working & here.crew.called
