"""clock/cron.py: uWSGI's numbers, the next minute, and what daylight saving does to both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muleteer.clock.cron import CronSpec, SystemZone

ROME = ZoneInfo("Europe/Rome")  # 2026: forward on 29 March at 2:00, back on 25 October at 3:00
NEW_YORK = ZoneInfo("America/New_York")  # 2026: forward on 8 March at 2:00, back on 1 November
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # shifts by half an hour

ANY = -1


def _spec(
    minute: int = ANY, hour: int = ANY, day: int = ANY, month: int = ANY, weekday: int = ANY
) -> CronSpec:
    return CronSpec(minute, hour, day, month, weekday)


def _runs(spec: CronSpec, start: str, count: int, zone: ZoneInfo = ROME) -> list[str]:
    """The next runs after a wall time, each with its offset."""
    moment: datetime | None = datetime.fromisoformat(start).replace(tzinfo=zone)
    shown = []
    for _ in range(count):
        assert moment is not None
        moment = spec.next_after(moment)
        assert moment is not None
        shown.append(moment.isoformat(timespec="minutes"))
    return shown


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "moment", "matches"),
    [
        (_spec(), "2026-11-24 08:05", True),
        (_spec(minute=5), "2026-11-24 08:05", True),
        (_spec(minute=5), "2026-11-24 08:06", False),
        (_spec(minute=-5), "2026-11-24 08:10", True),
        (_spec(minute=-5), "2026-11-24 08:11", False),
        (_spec(minute=-100), "2026-11-24 08:00", True),
        (_spec(minute=-100), "2026-11-24 08:50", False),
        (_spec(hour=-6), "2026-11-24 00:00", True),
        (_spec(day=-2), "2026-11-24 08:05", True),
        (_spec(day=-2), "2026-11-25 08:05", False),
        (_spec(day=-2), "2026-11-01 08:05", False),
        (_spec(month=-2), "2026-12-01 08:05", True),
        (_spec(month=-2), "2026-11-01 08:05", False),
        (_spec(month=11), "2026-11-01 08:05", True),
        (_spec(weekday=0), "2026-11-22 08:05", True),
        (_spec(weekday=7), "2026-11-22 08:05", True),
        (_spec(weekday=6), "2026-11-21 08:05", True),
        (_spec(weekday=-2), "2026-11-22 08:05", True),
        (_spec(weekday=-2), "2026-11-24 08:05", True),
        (_spec(weekday=-2), "2026-11-23 08:05", False),
    ],
)
def test_a_number_matches_as_under_uwsgi(spec: CronSpec, moment: str, matches: bool) -> None:
    """-1 is any, -N is a multiple of N (days and months counted from 1), 7 is Sunday."""
    assert spec.matches(_at(moment)) is matches


@pytest.mark.parametrize(
    ("spec", "moment", "matches"),
    [
        (_spec(day=24, weekday=1), "2026-11-24 08:05", True),
        (_spec(day=24, weekday=1), "2026-11-23 08:05", True),
        (_spec(day=24, weekday=1), "2026-11-25 08:05", False),
        (_spec(day=24, month=12, weekday=1), "2026-11-23 08:05", False),
        (_spec(day=24, weekday=-1), "2026-11-23 08:05", False),
        (_spec(day=-2, weekday=1), "2026-11-23 08:05", False),
        (_spec(day=-2, weekday=2), "2026-11-24 08:05", True),
        (_spec(day=0, weekday=2), "2026-11-24 08:05", True),
    ],
)
def test_day_and_weekday_are_either_or(spec: CronSpec, moment: str, matches: bool) -> None:
    """Both given: one suffices; one of them negative: all must match."""
    assert spec.matches(_at(moment)) is matches


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ((60, -1, -1, -1, -1), "minute"),
        ((0, 24, -1, -1, -1), "hour"),
        ((0, 0, 32, -1, -1), "day"),
        ((0, 0, 0, -1, -1), "day"),
        ((0, 0, -32, -1, -1), "day"),
        ((0, 0, -1, 13, -1), "month"),
        ((0, 0, -1, 0, -1), "month"),
        ((0, 0, -1, -13, -1), "month"),
        ((0, 0, -1, -1, 8), "weekday"),
        ((0, 0, 30, 2, -1), "day 30 in month 2"),
        ((0, 0, 31, 4, -2), "day 31 in month 4"),
    ],
)
def test_numbers_that_never_come_are_refused(numbers: tuple[int, ...], field: str) -> None:
    """What uWSGI accepts and never runs is an error that names the number."""
    with pytest.raises(ValueError, match=field):
        CronSpec(*numbers)


def test_a_day_out_of_reach_beside_a_weekday_is_fine() -> None:
    """30 February or Monday is every Monday of February, as under uWSGI."""
    assert _runs(_spec(0, 0, 30, 2, 1), "2026-01-01", 1) == ["2026-02-02T00:00+01:00"]


def test_the_running_minute_is_over() -> None:
    """A job does not fire because a server starts in its minute: the next one is meant."""
    assert _runs(_spec(), "2026-11-24 08:05:00", 1) == ["2026-11-24T08:06+01:00"]
    assert _runs(_spec(), "2026-11-24 08:05:59.5", 1) == ["2026-11-24T08:06+01:00"]
    assert _runs(_spec(5, 8), "2026-11-24 08:05:30", 1) == ["2026-11-25T08:05+01:00"]


@pytest.mark.parametrize("numbers", [(-5, -1, -1, -1, -1), (5, 16, -1, -1, -1)])
def test_the_minutes_are_the_wall_s_where_its_offset_has_seconds(numbers: tuple[int, ...]) -> None:
    """`TZ=XXX-0:00:20` is a zone, too; there a minute begins where UTC's does not."""
    zone = timezone(timedelta(seconds=20))
    now = datetime(2026, 1, 1, 16, 4, 55, tzinfo=zone)
    assert CronSpec(*numbers).next_after(now) == datetime(2026, 1, 1, 16, 5, tzinfo=zone)


def test_the_next_match_may_be_years_away() -> None:
    """29 February is found over a year 2100 without one."""
    assert _runs(_spec(0, 0, 29, 2), "2096-03-01", 1) == ["2104-02-29T00:00+01:00"]


def test_the_end_of_the_calendar_is_the_end() -> None:
    """When there is no later date there is no next run."""
    assert _spec(0, 0, 1, 1).next_after(_at("9999-06-01")) is None


def test_a_naive_time_is_refused() -> None:
    """Without a zone nobody knows what the wall shows."""
    with pytest.raises(ValueError, match="time zone"):
        _spec().next_after(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("zone", "start", "runs"),
    [
        (
            ROME,
            "2026-03-28 03:00",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:40+02:00"],
        ),
        (
            NEW_YORK,
            "2026-03-07 03:00",
            ["2026-03-08T03:00-04:00", "2026-03-09T02:40-04:00"],
        ),
    ],
)
def test_a_job_whose_time_is_skipped_runs_right_after(
    zone: ZoneInfo, start: str, runs: list[str]
) -> None:
    """2:40 does not exist that night: the job runs when the gap ends, once."""
    assert _runs(_spec(40, 2), start, 2, zone) == runs


def test_a_gap_of_half_an_hour_ends_where_it_ends() -> None:
    """The end of the gap is found to the minute."""
    assert _runs(_spec(10, 2), "2026-10-03 12:00", 1, LORD_HOWE) == ["2026-10-04T02:30+11:00"]


@pytest.mark.parametrize(
    ("zone", "hour", "start", "runs"),
    [
        (ROME, 2, "2026-10-24 12:00", ["2026-10-25T02:40+02:00", "2026-10-26T02:40+01:00"]),
        (NEW_YORK, 1, "2026-10-31 12:00", ["2026-11-01T01:40-04:00", "2026-11-02T01:40-05:00"]),
    ],
)
def test_a_job_whose_time_comes_twice_runs_once(
    zone: ZoneInfo, hour: int, start: str, runs: list[str]
) -> None:
    """Of two equal wall times the first is the job's."""
    assert _runs(_spec(40, hour), start, 2, zone) == runs


def test_a_start_in_the_second_hour_does_not_repeat_the_first() -> None:
    """A server started between the two does not run what has run already."""
    second = datetime(2026, 10, 25, 2, 10, tzinfo=ROME, fold=1)
    following = _spec(40, 2).next_after(second)
    assert following is not None
    assert following.isoformat() == "2026-10-26T02:40:00+01:00"


def test_an_hourly_job_follows_the_wall() -> None:
    """With a wildcard hour the skipped hour has no run and the doubled one has two."""
    assert _runs(_spec(minute=30), "2026-03-29 01:00", 2) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:30+02:00",
    ]
    assert _runs(_spec(minute=30), "2026-10-25 01:45", 3) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:30+01:00",
    ]


def test_every_minute_is_every_minute() -> None:
    """Neither change of the clock leaves out or repeats an instant."""
    for start in ("2026-03-29 00:30", "2026-10-25 00:30"):
        runs = [datetime.fromisoformat(run) for run in _runs(_spec(), start, 240)]
        assert {later - earlier for earlier, later in pairwise(runs)} == {timedelta(minutes=1)}


numbers = st.builds(
    lambda *values: values,
    st.integers(-70, 59),
    st.integers(-30, 23),
    st.integers(-31, 31),
    st.integers(-12, 12),
    st.integers(-8, 7),
)
instants = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from([UTC, ROME, NEW_YORK, LORD_HOWE])


def _valid(values: tuple[int, ...]) -> CronSpec | None:
    try:
        return CronSpec(*values)
    except ValueError:
        return None


specs = numbers.map(_valid).filter(lambda spec: spec is not None)


@settings(deadline=None)
@given(specs, instants, zones)
def test_the_next_run_is_a_match_after_now(spec: CronSpec, now: datetime, zone: ZoneInfo) -> None:
    """It is later, at second 0, on a day of the job's, and matches unless a gap moved it."""
    following = spec.next_after(now.astimezone(zone))
    assert following is not None
    assert following.astimezone(UTC) > now
    assert (following.second, following.microsecond) == (0, 0)
    assert spec.matches_day(following)
    before = (following.astimezone(UTC) - timedelta(minutes=1)).astimezone(zone)
    is_after_gap = following.utcoffset() > before.utcoffset()  # type: ignore[operator]
    assert spec.matches(following) or (spec.is_fixed_time and is_after_gap)


@settings(deadline=None)
@given(specs, instants, st.integers(1, 600))
def test_no_match_is_passed_over(spec: CronSpec, now: datetime, minutes: int) -> None:
    """Between now and the next run there is no minute that matches."""
    following = spec.next_after(now)
    assert following is not None
    between = now.replace(second=0, microsecond=0) + timedelta(minutes=minutes)
    assert between >= following or not spec.matches(between)


@settings(deadline=None)
@given(st.integers(0, 59), st.integers(0, 23), zones)
def test_a_fixed_time_runs_once_a_day(minute: int, hour: int, zone: ZoneInfo) -> None:
    """In a year with both changes of the clock there is one run a day, in order."""
    moment: datetime | None = datetime(2025, 12, 31, 23, 59, 59, tzinfo=zone)
    days = []
    for _ in range(365):
        assert moment is not None
        moment = _spec(minute, hour).next_after(moment)
        assert moment is not None
        days.append(moment.date())
    assert days == sorted(set(days))
    assert (days[0].isoformat(), days[-1].isoformat()) == ("2026-01-01", "2026-12-31")


@given(instants)
def test_the_system_zone_goes_there_and_back(now: datetime) -> None:
    """An instant survives the way through the machine's wall time, twice-shown hours too."""
    local = now.astimezone(SystemZone())
    assert local.astimezone(UTC) == now
    assert local.replace(tzinfo=None) == datetime.fromtimestamp(now.timestamp())
