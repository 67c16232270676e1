"""clock/crontab.py: lines of a crontab, the zone they are meant in, and daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from muleteer.clock.cron import SystemZone
from muleteer.clock.crontab import CrontabSpec, zone_named

ROME = ZoneInfo("Europe/Rome")  # 2026: forward on 29 March at 2:00, back on 25 October at 3:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # shifts by half an hour


def _runs(text: str, start: str, count: int, zone: ZoneInfo = ROME) -> list[str]:
    """The next runs after a moment, each with its offset."""
    moment: datetime | None = datetime.fromisoformat(start)
    assert moment is not None
    moment = moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
    shown = []
    for _ in range(count):
        moment = CrontabSpec(text).next_after(moment)
        assert moment is not None
        shown.append(moment.isoformat(timespec="minutes"))
    return shown


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("*/5 * * * *", "2026-11-24T08:10+01:00"),
        ("5 * * * *", "2026-11-24T09:05+01:00"),
        ("0 9-17 * * mon-fri", "2026-11-24T09:00+01:00"),
        ("0,30 12 1 jan *", "2027-01-01T12:00+01:00"),
        ("0 0 13 * fri", "2026-11-27T00:00+01:00"),
        ("0 0 */2 * fri", "2026-11-27T00:00+01:00"),
        ("0 0 L * *", "2026-11-30T00:00+01:00"),
        ("0 0 * * 7", "2026-11-29T00:00+01:00"),
        ("@hourly", "2026-11-24T09:00+01:00"),
        ("@Daily", "2026-11-25T00:00+01:00"),
        ("@weekly", "2026-11-29T00:00+01:00"),
        ("@monthly", "2026-12-01T00:00+01:00"),
        ("@yearly", "2027-01-01T00:00+01:00"),
        ("  1  2  *  *  * ", "2026-11-25T02:01+01:00"),
    ],
)
def test_the_next_run(text: str, first: str) -> None:
    """Later than the moment asked about, at second 0."""
    assert _runs(text, "2026-11-24 08:05", 1) == [first]


def test_the_minute_that_runs_is_not_the_next_one() -> None:
    """Nothing fires because a server starts."""
    assert _runs("* * * * *", "2026-11-24 08:05:30", 1) == ["2026-11-24T08:06+01:00"]
    assert _runs("5 8 * * *", "2026-11-24 08:05", 1) == ["2026-11-25T08:05+01:00"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 * * * * *", "five fields"),
        ("@reboot", "five fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 0 * *", "bad day of the month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day of the week"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("x * * * *", "bad minute"),
        ("0 0 31 2 *", "bad day of the month"),
        ("0 0 30 2 */2", "bad day of the month"),
    ],
)
def test_a_line_that_is_none_is_refused(text: str, reason: str) -> None:
    """A ValueError with the line and what is wrong with it."""
    with pytest.raises(ValueError, match=reason) as caught:
        CrontabSpec(text)
    assert repr(text) in str(caught.value)


# -- daylight saving, as Debian's cron treats it ------------------------------------------------


def test_a_time_in_the_gap_runs_after_it() -> None:
    """2:30 does not exist on 29 March: the job runs at the first minute that does."""
    assert _runs("30 2 * * *", "2026-03-28 12:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]


def test_a_time_in_the_fold_runs_once() -> None:
    """2:30 comes twice on 25 October: the job runs the first time."""
    assert _runs("30 2 * * *", "2026-10-24 12:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]


def test_a_moment_in_the_second_hour_of_the_fold_does_not_look_back() -> None:
    """Asked in the repeated hour, what ran in the first one is over."""
    assert _runs("30 2 * * *", "2026-10-25T01:10:00+00:00", 1) == ["2026-10-26T02:30+01:00"]


def test_a_wildcard_follows_the_wall_through_the_gap() -> None:
    """Nothing runs in minutes that no wall shows."""
    assert _runs("*/30 * * * *", "2026-03-29 01:00", 3) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
    ]


def test_a_wildcard_runs_in_both_hours_of_the_fold() -> None:
    """Every thirty minutes is every thirty minutes."""
    assert _runs("*/30 * * * *", "2026-10-25 01:30", 5) == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:00+01:00",
    ]


def test_a_shift_of_half_an_hour() -> None:
    """Lord Howe's gap is from 2:00 to 2:30."""
    assert _runs("15 2 * * *", "2026-10-03 12:00", 2, LORD_HOWE) == [
        "2026-10-04T02:30+11:00",
        "2026-10-05T02:15+11:00",
    ]


def test_a_job_knows_whether_daylight_saving_concerns_it() -> None:
    """A star in the first two fields means that it follows the wall."""
    assert CrontabSpec("30 2 * * *").is_fixed_time
    assert CrontabSpec("@daily").is_fixed_time
    assert not CrontabSpec("*/5 2 * * *").is_fixed_time
    assert not CrontabSpec("0 * * * *").is_fixed_time


def test_the_machine_s_own_zone_will_do() -> None:
    """Without a zone of its own a job is meant in the server's."""
    after = datetime(2026, 11, 24, 8, 5, tzinfo=UTC).astimezone(SystemZone())
    following = CrontabSpec("*/5 * * * *").next_after(after)
    assert following is not None
    assert (following - after).total_seconds() == 300


# -- zones --------------------------------------------------------------------------------------


def test_a_zone_by_its_name() -> None:
    """One object for one name, so that equal jobs are equal."""
    assert zone_named("Europe/Rome") is zone_named("Europe/Rome")


@pytest.mark.parametrize("name", ["Europe/Room", "", "../etc/passwd", "CET+1?", "/etc/localtime"])
def test_a_zone_nobody_knows_is_refused(name: str) -> None:
    """The error shows how one is written and where they come from."""
    with pytest.raises(ValueError, match=r"Europe/Rome.*tzdata"):
        zone_named(name)
