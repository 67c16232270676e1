"""clock/timers.py: nothing early, nothing twice, no bursts, and reloads nobody notices."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.clock.cron import CronSpec
from muleteer.clock.crontab import CrontabSpec
from muleteer.clock.timers import Clock, Cron, Due, Timer

ROME = ZoneInfo("Europe/Rome")
START = datetime(2026, 11, 24, 8, 5, 30, tzinfo=UTC).timestamp()
NIGHTLY = CronSpec(40, 2, -1, -1, -1)
EVERY_MINUTE = CronSpec(-1, -1, -1, -1, -1)
HOUR = 3600.0


class Driver:
    """A clock and the two times it is told, which the test moves."""

    def __init__(self, now: float = 1000.0, wall: float = START) -> None:
        self.clock = Clock(UTC)
        self.now, self.wall = now, wall

    def advance(self, seconds: float) -> list[int]:
        """Let time go by on both clocks and say which signals are due."""
        self.now += seconds
        return self.set_wall(self.wall + seconds)

    def set_wall(self, wall: float) -> list[int]:
        """Set the wall clock and say which signals are due."""
        self.wall = wall
        return [due.signum for due in self.clock.due(self.now, self.wall)]


@pytest.fixture
def driver() -> Driver:
    """An empty clock in UTC at 8:05:30."""
    return Driver()


def test_an_empty_clock_waits_for_ever(driver: Driver) -> None:
    """Without entries nothing is due and nothing will be."""
    assert driver.advance(1000) == []
    assert driver.clock.next_due(driver.now, driver.wall) is None


def test_a_timer_fires_every_period(driver: Driver) -> None:
    """First one period after it was added, then every period, with its target."""
    driver.clock.add_timer(7, "workers", 3, driver.now)
    assert driver.clock.next_due(driver.now, driver.wall) == driver.now + 3
    assert driver.advance(2.9) == []
    assert driver.clock.due(driver.now + 0.1, driver.wall) == [
        Due(7, "workers", pytest.approx(0, abs=0.01))
    ]
    assert driver.advance(3) == []
    assert driver.advance(0.2) == [7]


def test_a_late_tick_does_not_move_the_grid(driver: Driver) -> None:
    """A timer that was looked at late is on time again with the next tick."""
    driver.clock.add_timer(7, None, 10, driver.now)
    assert driver.advance(14) == [7]
    assert driver.advance(6) == [7]


def test_missed_ticks_become_one(driver: Driver) -> None:
    """After a long absence there is one signal, not a burst."""
    driver.clock.add_timer(7, None, 1, driver.now)
    assert driver.advance(1000.5) == [7]
    assert driver.advance(0.4) == []
    assert driver.advance(0.2) == [7]


def test_an_rb_timer_counts_its_shots(driver: Driver) -> None:
    """After its iterations a timer is over."""
    driver.clock.add_timer(7, None, 2, driver.now, iterations=3)
    assert [driver.advance(2) for _ in range(5)] == [[7], [7], [7], [], []]
    assert driver.clock.entries == []


@pytest.mark.parametrize("period", [0, -1, float("nan"), float("inf")])
def test_a_timer_needs_a_period(driver: Driver, period: float) -> None:
    """What uWSGI accepts and never fires, or fires in a burst, is an error."""
    with pytest.raises(ValueError, match="timer 7"):
        driver.clock.add_timer(7, None, period, driver.now)


def test_a_negative_count_is_refused(driver: Driver) -> None:
    """0 iterations are for ever, fewer make no sense."""
    with pytest.raises(ValueError, match="iterations"):
        driver.clock.add_timer(7, None, 1, driver.now, iterations=-1)


def test_a_cron_job_fires_at_second_zero(driver: Driver) -> None:
    """Not at once when added in its minute; then at the start of each that matches."""
    driver.clock.add_cron(9, "mule1", EVERY_MINUTE, driver.wall)
    assert driver.clock.next_due(driver.now, driver.wall) == driver.now + 30
    assert driver.advance(0) == []
    assert driver.advance(29.9) == []
    assert driver.advance(0.2) == [9]
    assert driver.advance(59.8) == []
    assert driver.advance(0.2) == [9]


def test_a_distant_cron_job_is_looked_at_every_minute(driver: Driver) -> None:
    """The wall clock may be set at any time, so the wait is never longer."""
    driver.clock.add_cron(9, None, NIGHTLY, driver.wall)
    assert driver.clock.next_due(driver.now, driver.wall) == driver.now + 60


def test_a_cron_job_follows_its_zone() -> None:
    """2:40 in Rome is 1:40 UTC in winter."""
    clock = Clock(ROME)
    clock.add_cron(9, None, NIGHTLY, START)
    at_139 = datetime(2026, 11, 25, 1, 39, 59, tzinfo=UTC).timestamp()
    assert clock.due(0, at_139) == []
    assert [due.signum for due in clock.due(1, at_139 + 1)] == [9]


def test_a_job_that_is_late_fires_once(driver: Driver) -> None:
    """A clock set forward by less than three hours does not lose a job, nor double it."""
    driver.clock.add_cron(9, None, CronSpec(0, 9, -1, -1, -1), driver.wall)
    assert driver.set_wall(START + 2 * HOUR) == [9]
    assert driver.advance(60) == []
    assert driver.clock.take_missed() == []


def test_a_job_that_is_much_too_late_is_missed(driver: Driver) -> None:
    """After more than three hours it does not fire, and the clock says so, once."""
    driver.clock.add_cron(9, None, CronSpec(0, 9, -1, -1, -1), driver.wall)
    assert driver.set_wall(START + 9 * HOUR) == []
    assert [due.signum for due in driver.clock.take_missed()] == [9]
    assert driver.clock.take_missed() == []
    assert driver.set_wall(START + 24 * HOUR) == []
    assert driver.set_wall(START + 25 * HOUR) == [9]


def test_a_long_absence_makes_no_burst(driver: Driver) -> None:
    """A job of every minute fires once after two hours, then every minute."""
    driver.clock.add_cron(9, None, EVERY_MINUTE, driver.wall)
    assert driver.advance(2 * HOUR) == [9]
    assert driver.advance(1) == []
    assert driver.advance(60) == [9]


def test_a_clock_set_back_an_hour_repeats_wildcards_only(driver: Driver) -> None:
    """The job of every minute goes on; the one of 8:30 has been and does not come again."""
    driver.clock.add_cron(1, None, EVERY_MINUTE, driver.wall)
    driver.clock.add_cron(2, None, CronSpec(30, 8, -1, -1, -1), driver.wall)
    assert driver.set_wall(START + 0.5 * HOUR) == [1, 2]
    driver.set_wall(START - 0.5 * HOUR)
    fired = [signum for _ in range(120) for signum in driver.advance(60)]
    assert fired.count(1) == 120
    assert fired.count(2) == 0


def test_a_clock_set_back_a_day_begins_anew(driver: Driver) -> None:
    """Three hours and more are a correction: every job follows the new time."""
    driver.clock.add_cron(2, None, CronSpec(30, 8, -1, -1, -1), driver.wall)
    driver.set_wall(START)
    driver.set_wall(START - 24 * HOUR)
    assert driver.advance(HOUR) == [2]


def test_a_clock_that_is_slewed_changes_nothing(driver: Driver) -> None:
    """A step back of seconds neither repeats nor loses a minute."""
    driver.clock.add_cron(1, None, EVERY_MINUTE, driver.wall)
    assert driver.advance(31) == [1]
    assert driver.set_wall(driver.wall - 5) == []
    assert driver.advance(5) == []
    assert driver.advance(59) == [1]


def test_a_reload_keeps_the_phase_of_what_stays(driver: Driver) -> None:
    """The same timer and the same job do not notice the new generation."""
    entries = [Timer(7, "w", 10), Cron(9, "", EVERY_MINUTE)]
    driver.clock.replace(entries, driver.now, driver.wall)
    driver.advance(9)
    driver.clock.replace(list(reversed(entries)), driver.now, driver.wall)
    assert driver.advance(1) == [7]
    driver.clock.replace(entries, driver.now, driver.wall)
    assert driver.advance(9.9) == []
    assert driver.advance(0.1) == [7]


def test_a_reload_in_the_minute_of_a_job_does_not_fire_it_again(driver: Driver) -> None:
    """The job has fired in the old generation; the new one waits for the next minute."""
    driver.clock.replace([Cron(9, "", EVERY_MINUTE)], driver.now, driver.wall)
    assert driver.advance(30) == [9]
    driver.clock.replace([Cron(9, "", EVERY_MINUTE)], driver.now, driver.wall)
    driver.clock.replace([Cron(9, "other", EVERY_MINUTE)], driver.now, driver.wall)
    assert driver.advance(10) == []
    assert driver.advance(50) == [9]


def test_a_reload_drops_what_is_gone_and_starts_what_is_new(driver: Driver) -> None:
    """Only the new generation's entries fire."""
    driver.clock.replace([Timer(1, "", 10), Timer(2, "", 10)], driver.now, driver.wall)
    driver.advance(5)
    driver.clock.replace([Timer(2, "", 10), Timer(3, "", 10)], driver.now, driver.wall)
    assert driver.advance(5) == [2]
    assert driver.advance(5) == [3]
    assert driver.clock.entries == [Timer(2, "", 10), Timer(3, "", 10)]


def test_a_reload_keeps_twins_apart(driver: Driver) -> None:
    """Two equal timers are two timers, each with its phase."""
    driver.clock.add_timer(1, "", 10, driver.now)
    driver.advance(4)
    driver.clock.add_timer(1, "", 10, driver.now)
    driver.clock.replace([Timer(1, "", 10)] * 2, driver.now, driver.wall)
    assert [driver.advance(s) for s in (6, 4, 6, 4)] == [[1], [1], [1], [1]]


def test_a_counting_timer_begins_anew_with_a_generation(driver: Driver) -> None:
    """A new generation that asks for two shots gets two."""
    driver.clock.replace([Timer(1, "", 10, iterations=2)], driver.now, driver.wall)
    driver.advance(10)
    driver.clock.replace([Timer(1, "", 10, iterations=2)], driver.now, driver.wall)
    assert [driver.advance(10) for _ in range(3)] == [[1], [1], []]


periods = st.lists(st.integers(1, 1000), min_size=1, max_size=6)
steps = st.lists(st.integers(0, 5000), max_size=40)


@given(periods, steps)
def test_timers_fire_exactly_when_a_tick_has_gone_by(periods: list[int], steps: list[int]) -> None:
    """A look gives each timer whose grid had a point since the last look, once."""
    driver = Driver(now=0.0)
    for signum, period in enumerate(periods):
        driver.clock.add_timer(signum, None, period, 0.0)
    for step in steps:
        before, fired = driver.now, driver.advance(step)
        passed = [n for n, period in enumerate(periods) if driver.now // period > before // period]
        assert sorted(fired) == passed
        following = driver.clock.next_due(driver.now, driver.wall)
        assert following == min((driver.now // period + 1) * period for period in periods)


@given(st.floats(1e-9, 1e-3), st.lists(st.floats(0, 1e5), max_size=20))
def test_the_shortest_timer_still_looks_ahead(period: float, steps: list[float]) -> None:
    """Where floats cannot tell two ticks apart the next is still later than now."""
    driver = Driver(now=1e9)
    driver.clock.add_timer(1, None, period, driver.now)
    for step in steps:
        driver.advance(step)
        following = driver.clock.next_due(driver.now, driver.wall)
        assert following is not None
        assert following > driver.now


@given(st.integers(1, 50), st.integers(1, 300), st.integers(1, 40))
def test_a_timer_looked_at_often_misses_nothing(period: int, looks: int, step: int) -> None:
    """With steps no longer than the period there is a shot for every period gone by."""
    driver = Driver(now=0.0)
    driver.clock.add_timer(1, None, period, 0.0)
    step = min(step, period)
    fired = sum(len(driver.advance(step)) for _ in range(looks))
    assert fired == looks * step // period


walls = st.lists(st.floats(-2e5, 2e5, allow_nan=False), max_size=30)


@given(walls)
def test_cron_survives_any_wall_clock(jumps: list[float]) -> None:
    """However the wall clock is set, a job fires at most once a look and is armed afterwards."""
    driver = Driver()
    driver.clock.add_cron(1, None, EVERY_MINUTE, driver.wall)
    driver.clock.add_cron(2, None, NIGHTLY, driver.wall)
    for jump in jumps:
        driver.now += 1
        fired = driver.set_wall(driver.wall + jump)
        assert len(fired) == len(set(fired))
        following = driver.clock.next_due(driver.now, driver.wall)
        assert following is not None
        assert driver.now < following <= driver.now + 60
        assert driver.advance(0) == []


# -- zones and catching up ---------------------------------------------------------------------


def test_a_job_may_have_its_own_zone(driver: Driver) -> None:
    """2:40 in Rome is 1:40 in the server's UTC."""
    clock = driver.clock
    clock.add(Cron(1, None, NIGHTLY, ROME), driver.now, driver.wall)
    clock.add(Cron(2, None, CrontabSpec("40 2 * * *"), ROME), driver.now, driver.wall)
    assert driver.set_wall(datetime(2026, 11, 25, 1, 39, 59, tzinfo=UTC).timestamp()) == []
    assert sorted(driver.set_wall(datetime(2026, 11, 25, 1, 40, tzinfo=UTC).timestamp())) == [1, 2]


def test_a_job_that_catches_up_runs_once_for_all_it_missed(driver: Driver) -> None:
    """Days of down-time are one run; then it is on time again."""
    entry = Cron(1, None, NIGHTLY, catches_up=True)
    driver.clock.add(entry, driver.now, driver.wall, last_run=driver.wall - 10 * 24 * HOUR)
    assert driver.advance(0) == [1]
    assert driver.advance(60) == []
    assert driver.set_wall(datetime(2026, 11, 25, 2, 40, tzinfo=UTC).timestamp()) == [1]


def test_nothing_is_caught_up_that_was_not_missed(driver: Driver) -> None:
    """A job that ran this morning does not run because the server starts."""
    entry = Cron(1, None, NIGHTLY, catches_up=True)
    driver.clock.add(entry, driver.now, driver.wall, last_run=driver.wall - 5 * HOUR)
    assert driver.advance(60) == []


def test_a_last_run_in_the_future_is_not_believed(driver: Driver) -> None:
    """A clock that was wrong does not silence a job."""
    entry = Cron(1, None, EVERY_MINUTE, catches_up=True)
    driver.clock.add(entry, driver.now, driver.wall, last_run=driver.wall + 10 * 24 * HOUR)
    assert driver.advance(60) == [1]


def test_others_do_not_catch_up(driver: Driver) -> None:
    """By default what was missed is missed."""
    entry = Cron(1, None, NIGHTLY)
    driver.clock.replace([entry], driver.now, driver.wall, {entry: driver.wall - 48 * HOUR})
    assert driver.advance(60) == []


def test_one_that_catches_up_is_never_too_late(driver: Driver) -> None:
    """A machine that slept for a day runs it when it wakes up; the others are passed over."""
    for catches_up, signum in ((True, 1), (False, 2)):
        entry = Cron(signum, None, NIGHTLY, catches_up=catches_up)
        driver.clock.add(entry, driver.now, driver.wall)
    assert driver.advance(36 * HOUR) == [1]
    assert [missed.signum for missed in driver.clock.take_missed()] == [2]


def test_what_is_due_knows_its_entry(driver: Driver) -> None:
    """So that whoever sends it can ask whether it may overlap, counts or catches up."""
    entry = Timer(1, None, 5, skips=True)
    driver.clock.add(entry, driver.now, driver.wall)
    [due] = driver.clock.due(driver.now + 5, driver.wall)
    assert due.entry is entry


def test_the_schedule_says_what_fires_when(driver: Driver) -> None:
    """Every entry with the wall time of its next shot, and its words for people."""
    driver.clock.add(Timer(1, None, 5), driver.now, driver.wall)
    driver.clock.add(Cron(2, "mule1", NIGHTLY), driver.now, driver.wall)
    driver.advance(7)
    (timer, at), (cron, night) = driver.clock.schedule(driver.now, driver.wall)
    assert (timer.kind, timer.words, round(at - driver.wall, 6)) == ("timer", "every 5 s", 3)
    assert (cron.kind, cron.words, cron.target) == ("cron", str(NIGHTLY), "mule1")
    assert night > driver.wall
    assert driver.clock.schedule(driver.now, driver.wall) == [(timer, at), (cron, night)]
