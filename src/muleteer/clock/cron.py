"""uWSGI's five cron numbers: whether a minute matches, and which minute matches next.

Not here: a clock. Times come in as aware `datetime`s, whose zone says what the wall shows.
Runs in: anywhere.

The numbers, as `uwsgi.add_cron` takes them: minute, hour, day, month, weekday.
-1 is any value; -N every value that N divides (of days and months the number itself: day -2 is
2, 4, 6 ...; weekday -2 is Sunday, Tuesday, Thursday, Saturday). Weekday 0 and 7 are Sunday.
When day and weekday are both given (not negative), either may match; else all five must.

Daylight saving, as Debian's cron treats it:
1. A job at a fixed time (minute and hour not negative) runs once a day it matches. If the clock
   skips its time, it runs in the first minute after the gap; if the clock shows its time twice,
   it runs the first time only.
2. A job with a wildcard minute or hour follows the wall: it runs at every minute that the wall
   shows and that matches, twice where the wall shows it twice, not at all where it does not.

uWSGI takes numbers that can never match and stays silent for ever; here they are a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

__all__ = ["CronSpec", "SystemZone"]

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_RANGES: Final = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "weekday": (0, 7),
}
_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# February 29ths lie up to eight years apart, around 1900 and 2100; one that must also be some
# weekday, up to forty.
_LOOK_AHEAD_DAYS: Final = 366 * 41


@dataclass(frozen=True, slots=True)
class CronSpec:
    """Five numbers that can match; ValueError when they cannot, naming the one and its range."""

    minute: int
    hour: int
    day: int
    month: int
    weekday: int

    def __post_init__(self) -> None:
        for field, (lowest, highest) in _RANGES.items():
            value = getattr(self, field)
            if value > highest or (0 <= value < lowest and not self._is_spare(field)):
                raise ValueError(
                    f"cron: {field} = {value} never comes: take {lowest} to {highest},"
                    " -1 for any, or -N for every Nth"
                )
        if not self._has_a_day():
            raise ValueError(
                f"cron: no year has day {self.day} in month {self.month}"
                f" with weekday {self.weekday}; -1 means any"
            )

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day} {self.month} {self.weekday}"

    @property
    def is_fixed_time(self) -> bool:
        """Whether the job names one minute of the day; then daylight saving neither adds nor
        loses a run."""
        return self.minute >= 0 and self.hour >= 0

    def matches(self, local: datetime) -> bool:
        """Whether the minute that the wall shows at `local` is one of the job's."""
        return (
            _fits(self.minute, local.minute)
            and _fits(self.hour, local.hour)
            and self.matches_day(local)
        )

    def matches_day(self, day: date) -> bool:
        """Whether the job runs on that day at all."""
        weekday = day.isoweekday() % 7
        wanted = 0 if self.weekday == 7 else self.weekday
        by_day, by_weekday = _fits(self.day, day.day), _fits(wanted, weekday)
        either = self.day >= 0 and self.weekday >= 0
        return _fits(self.month, day.month) and (
            by_day or by_weekday if either else by_day and by_weekday
        )

    def next_after(self, after: datetime) -> datetime | None:
        """The first instant later than `after`, at second 0 of a minute, at which the job runs.

        In `after`'s own zone; None when the calendar ends before it. A minute that runs already
        is not the next one: nothing fires because a server starts.
        """
        zone = after.tzinfo
        if zone is None:
            raise ValueError("cron: next_after needs a datetime with a time zone")
        now = after.astimezone(UTC)
        for day in self._days(after.date()):
            for instant in self._instants(day, now, zone):
                if instant > now:
                    return instant.astimezone(zone)
        return None

    def _days(self, first: date) -> Iterator[date]:
        """The matching days from `first` on, within what a calendar can repeat."""
        last = min(first.toordinal() + _LOOK_AHEAD_DAYS, date.max.toordinal() - 1)
        days = (date.fromordinal(ordinal) for ordinal in range(first.toordinal(), last + 1))
        return (day for day in days if self.matches_day(day))

    def _instants(self, day: date, now: datetime, zone: tzinfo) -> Iterator[datetime]:
        """When the job runs on a matching day, in order, from about `now` on; as UTC."""
        if self.is_fixed_time:
            yield _first_showing(datetime.combine(day, time(self.hour, self.minute)), zone)
            return
        start = _first_showing(datetime.combine(day, time()), zone)
        wall = now.astimezone(zone)  # whose minutes need not be UTC's: offsets may have seconds
        into_minute = timedelta(seconds=wall.second, microseconds=wall.microsecond)
        instant = max(start, now - into_minute)
        while (local := instant.astimezone(zone)).date() == day:
            if _fits(self.hour, local.hour) and _fits(self.minute, local.minute):
                yield instant
            instant += _MINUTE

    def _is_spare(self, field: str) -> bool:
        """A day 0 beside a given weekday is harmless: the weekday alone decides."""
        return field == "day" and self.weekday >= 0

    def _has_a_day(self) -> bool:
        if self.day >= 0 and self.weekday >= 0:
            return any(_fits(self.month, month) for month in range(1, 13))
        return any(
            _fits(self.month, month) and _fits(self.day, day)
            for month in range(1, 13)
            for day in range(1, _MONTH_DAYS[month - 1] + 1)
        )


class SystemZone(tzinfo):
    """The zone of the machine (`TZ`, /etc/localtime), by the C library's rules, as uWSGI uses it.

    Unlike the fixed offset that `astimezone()` gives, it knows tomorrow's offset, too.
    """

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """What the wall is ahead of UTC at that wall time; its `fold` is respected."""
        if moment is None:
            return timedelta(0)
        naive = moment.replace(tzinfo=None)
        instant = datetime.fromtimestamp(naive.timestamp(), UTC).replace(tzinfo=None)
        return naive.replace(fold=0) - instant

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Unknown: the C library gives the sum only."""
        return None

    def tzname(self, moment: datetime | None) -> str:
        """A name for the logs."""
        return "local"

    def fromutc(self, moment: datetime) -> datetime:
        """The wall time at a UTC instant, `fold` set in the second of two equal hours."""
        instant = moment.replace(tzinfo=UTC).timestamp()
        return datetime.fromtimestamp(instant).replace(tzinfo=self)


def _fits(wanted: int, value: int) -> bool:
    """uWSGI's rule for one field."""
    return value == wanted if wanted >= 0 else value % -wanted == 0


def _first_showing(naive: datetime, zone: tzinfo) -> datetime:
    """The first instant at which the wall shows `naive`, or the end of the gap that skips it."""
    earlier = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if earlier.astimezone(zone).replace(tzinfo=None) == naive:
        return earlier
    # In a gap fold=1 counts with the offset after it, fold=0 with the one before: the
    # transition lies between the two instants, at a whole minute.
    before = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset_after = zone.utcoffset(earlier.astimezone(zone))
    low, high = before, earlier
    while high - low > _MINUTE:
        middle = low + (high - low) // _MINUTE // 2 * _MINUTE
        if zone.utcoffset(middle.astimezone(zone)) == offset_after:
            high = middle
        else:
            low = middle
    return high
