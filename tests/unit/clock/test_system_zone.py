"""clock/cron.py's SystemZone: the C library's zone, read through `TZ`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muleteer.clock.cron import CronSpec, SystemZone

ROME = ZoneInfo("Europe/Rome")


@pytest.fixture
def in_rome(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Rome."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Rome")
        time.tzset()
        yield
    time.tzset()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))
def test_it_shows_what_the_named_zone_shows(in_rome: None, now: datetime) -> None:
    """In Rome the machine's zone and Europe/Rome agree at every instant."""
    ours, theirs = now.astimezone(SystemZone()), now.astimezone(ROME)
    assert ours.replace(tzinfo=None) == theirs.replace(tzinfo=None)
    assert (ours.utcoffset(), ours.fold) == (theirs.utcoffset(), theirs.fold)


@pytest.mark.parametrize("start", ["2026-03-28 12:00", "2026-10-24 12:00"])
def test_cron_jobs_are_right_in_it(in_rome: None, start: str) -> None:
    """Over both changes of the clock a nightly and an hourly job run as in Europe/Rome."""
    for spec in (CronSpec(40, 2, -1, -1, -1), CronSpec(30, -1, -1, -1, -1)):
        ours: datetime | None = datetime.fromisoformat(start).replace(tzinfo=SystemZone())
        theirs: datetime | None = datetime.fromisoformat(start).replace(tzinfo=ROME)
        for _ in range(30):
            assert ours is not None
            assert theirs is not None
            ours, theirs = spec.next_after(ours), spec.next_after(theirs)
            assert ours is not None
            assert ours.isoformat() == theirs.isoformat()  # type: ignore[union-attr]
